"""Starts are mixtures, differ from each other, and come again with their seed."""

import numpy as np
import pytest

from bayesgmm.em.search.starts import KINDS, Rows, make_starts
from bayesgmm.mixture import COVARIANCE_TYPES, structure_named

from ..mixture_fixtures import blobs

structures = pytest.mark.parametrize("name", COVARIANCE_TYPES)


@structures
@pytest.mark.parametrize("kind", KINDS)
def test_starts_are_mixtures(name: str, kind: str) -> None:
    x = blobs(0)
    structure = structure_named(name)
    weight = np.random.default_rng(1).uniform(0.5, 2, size=len(x))
    for own in (None, weight):
        starts = make_starts(structure, Rows(x, own), 4, 3, np.random.default_rng(0), kind)
        assert len(starts) == 3
        for m in starts:
            assert m.means.shape == (4, 2)
            assert m.covariances.shape == structure.shape(4, 2)
            assert m.weights.sum() == pytest.approx(1)
            assert (m.weights > 0).all()
            assert (np.linalg.eigvalsh(m.dense_covariances) > 0).all()


def test_starts_differ_and_come_with_their_seed() -> None:
    rows = Rows(blobs(0))
    one, two = (make_starts(structure_named("full"), rows, 3, 12, np.random.default_rng(0)) for _ in range(2))
    assert all(np.array_equal(a.means, b.means) for a, b in zip(one, two, strict=True))
    assert len({m.means.tobytes() for m in one}) == 12
    whitened = np.cov(rows.whitened.T, bias=True)
    np.testing.assert_allclose(whitened, np.eye(2), atol=1e-9)
