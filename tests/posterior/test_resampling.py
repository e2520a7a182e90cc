"""Systematic resampling by its two properties: right on average, and never off by one or more."""

from __future__ import annotations

import numpy as np
import pytest

from bayesgmm.posterior.resampling import systematic


@pytest.mark.parametrize("size", [7, 50, 400])
def test_each_position_comes_as_often_as_its_weight_says(size):
    """With u uniform, E[count_i] = size w_i and |count_i - size w_i| < 1 (Kitagawa 1996)."""
    rng = np.random.default_rng(1)
    log_weights = rng.normal(0.0, 2.0, 30) + 1000.0
    weights = np.exp(log_weights - log_weights.max())
    weights /= weights.sum()
    counts = np.array([np.bincount(systematic(log_weights, size, rng), minlength=30) for _ in range(2000)])
    assert (np.abs(counts - size * weights) < 1).all()
    # A count is one of two neighbours: its standard deviation is at most 1/2, that of 2,000 averaged at most 0.0112.
    np.testing.assert_allclose(counts.mean(0), size * weights, atol=5 * 0.0112)


def test_impossible_positions_are_never_drawn():
    log_weights = np.array([-np.inf, 0.0, -np.inf, 0.0, -np.inf])
    for seed in range(50):
        assert set(systematic(log_weights, 9, np.random.default_rng(seed))) == {1, 3}
