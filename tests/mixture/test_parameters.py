"""A mixture without its last digits: what a trip to the units of the data and back leaves of it."""

from __future__ import annotations

import numpy as np
import pytest

from bayesgmm.data import Scaling
from bayesgmm.mixture import COVARIANCE_TYPES, Mixture, structure_named


def example(structure: str) -> Mixture:
    """Three components, two of them equal: a tie that the last digit would break."""
    means = np.array([[0.3, -1.1], [0.3, -1.1], [2.0, 0.0]])
    factor = np.array([[0.7, 0.0], [0.0 if structure in ("diag", "spherical") else 0.2, 0.7]])
    dense = np.broadcast_to(factor @ factor.T, (3, 2, 2))
    return Mixture.from_dense(structure_named(structure), np.array([0.3, 0.3, 0.4]), means, dense)


@pytest.mark.parametrize("structure", COVARIANCE_TYPES)
def test_there_and_back_is_the_same_when_rounded(structure) -> None:
    mixture = example(structure)
    for factor, shift in ((3.7, 1000.0), (0.0123, -5.0)):
        scaling = Scaling(np.full(2, shift), np.full(2, factor))
        back = mixture.in_data_units(scaling).standardised(scaling)
        for name in ("weights", "means", "covariances"):
            np.testing.assert_array_equal(getattr(back.rounded(), name), getattr(mixture.rounded(), name))
    np.testing.assert_array_equal(mixture.rounded().means[0], mixture.rounded().means[1])


@pytest.mark.parametrize("structure", COVARIANCE_TYPES)
def test_rounding_changes_a_billionth(structure) -> None:
    mixture = example(structure)
    np.testing.assert_allclose(mixture.rounded().means, mixture.means, rtol=0, atol=1e-9)
    np.testing.assert_allclose(mixture.rounded().covariances, mixture.covariances, rtol=0, atol=1e-9)
    narrow = Mixture(mixture.structure, mixture.weights, mixture.means, mixture.covariances * 1e-14)
    np.testing.assert_allclose(narrow.rounded().covariances, narrow.covariances, rtol=0, atol=1e-23)


def test_what_is_no_mixture_stays() -> None:
    empty = Mixture(structure_named("diag"), np.ones(1), np.zeros((1, 1)), np.zeros((1, 1)))
    assert empty.rounded() is empty
