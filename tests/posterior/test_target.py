"""What is sampled, apart from its density (`test_density`)."""

import numpy as np
import pytest

from bayesgmm import load_dataset
from bayesgmm.mixture import COVARIANCE_TYPES
from bayesgmm.posterior import Target


@pytest.mark.parametrize("structure", COVARIANCE_TYPES[:4])
def test_labels_of_a_point_do_not_depend_on_its_company(structure: str) -> None:
    """Alone, in a batch, in a larger batch: the rows by which points are named were once as many as the batch allowed."""
    target = Target.of(load_dataset("faithful"), 3, structure)
    points = np.random.default_rng(0).normal(0, 0.6, (400, target.size))
    pivot = target.mixtures(points[0])
    together = target.labels(points, pivot)
    np.testing.assert_array_equal(target.labels(points[:50], pivot), together[:50])
    alone = np.concatenate([target.labels(point[None], pivot) for point in points[:20]])
    np.testing.assert_array_equal(alone, together[:20])
    assert (together != together[0]).any()


def test_a_tempered_target_is_prior_times_likelihood_to_a_power() -> None:
    target = Target.of(load_dataset("faithful"), 2)
    x = np.random.default_rng(1).normal(size=target.size)
    prior, half, whole = (target.tempered(power)(x) for power in (0.0, 0.5, 1.0))
    assert half[0] == pytest.approx(0.5 * (prior[0] + whole[0]), rel=1e-12)
    np.testing.assert_allclose(half[1], 0.5 * (prior[1] + whole[1]), rtol=1e-9, atol=1e-9)
    nothing = target.reweighted(np.zeros(target.table.n_obs))
    assert nothing(x)[0] == pytest.approx(prior[0], rel=1e-12)
