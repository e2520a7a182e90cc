"""Tempered sequential Monte Carlo, against what can be computed otherwise.

The evidence is the prior mean of the likelihood: for a handful of rows plain Monte Carlo over prior draws gives it. And a
leave-one-out density is a ratio of two evidences.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import kstest

from bayesgmm.posterior.priors import HalfNormalScale, InverseGammaScale, LogNormalScale, Priors
from bayesgmm.posterior.target import Target
from bayesgmm.sampling.predictive import prior_draws
from bayesgmm.selection.smc import anneal, smc_log_evidence
from bayesgmm.selection.smc_moves import move_components, move_hamiltonian

from ..benchmarks.calibration import COVERAGES, QUANTITIES, cell, coverage, p_uniform

STRUCTURES = ("full", "tied", "diag", "spherical")


def target_of(values, structure, k, priors=None):
    priors = Priors() if priors is None else priors
    return Target.of_rows(values, k, structure, priors)


def brute_force(target, n_draws=200_000, seed=1):
    """Log of the mean likelihood over prior draws, and its standard error."""
    points = prior_draws(target.coordinates, target.own_priors, n_draws, np.random.default_rng(seed))
    n = len(target.values)
    log_likelihood = target.many(points) - target.reweighted(np.zeros(n)).many(points)
    value = logsumexp(log_likelihood) - np.log(n_draws)
    return value, np.exp(log_likelihood - value).std() / np.sqrt(n_draws)


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    return np.vstack([rng.normal(-1, 0.6, (4, 2)), rng.normal(1, 0.6, (4, 2))])


@pytest.mark.parametrize("structure", STRUCTURES)
def test_evidence_is_the_prior_mean_of_the_likelihood(rows, structure):
    target = target_of(rows, structure, 2)
    exact, se = brute_force(target)
    values, points = smc_log_evidence(target, particles=500, sweeps=3, repeats=3)
    assert points.shape == (1500, target.coordinates.size)
    assert abs(logsumexp(values) - np.log(3) - exact) < 4 * se + 0.12


@pytest.mark.parametrize(
    "scale",
    [LogNormalScale(), HalfNormalScale(0.7), InverseGammaScale(3.0, 0.5), InverseGammaScale(2.0, hyper=(0.5, 2.0))],
)
def test_prior_draws_follow_the_prior(scale):
    """The prior's scale coordinates against the distribution each family names."""
    priors = Priors(scale=scale)
    target = target_of(np.zeros((1, 1)), "full", 1, priors)
    points = prior_draws(target.coordinates, priors, 20_000, np.random.default_rng(3))
    sd = np.exp(target.coordinates.split(points)["scales"][:, 0])
    rng = np.random.default_rng(4)
    if isinstance(scale, LogNormalScale):
        other = np.exp(rng.normal(0.0, 0.6, 20_000))
    elif isinstance(scale, HalfNormalScale):
        other = np.abs(rng.normal(0.0, 0.7, 20_000))
    else:
        rate = scale.rate if scale.hyper is None else rng.gamma(scale.hyper[0], 1 / scale.hyper[1], 20_000)
        other = np.sqrt(rate / rng.gamma(scale.shape, size=20_000))
    assert kstest(sd, other).pvalue > 1e-3


@pytest.mark.parametrize("structure", STRUCTURES)
def test_moves_leave_the_density_unchanged(structure):
    """Moves of the prior, started from the prior, end in the prior: every coordinate keeps its distribution."""
    values = np.random.default_rng(0).normal(size=(3, 2))
    target = target_of(values, structure, 2)
    prior = target.reweighted(np.zeros(3))
    rng = np.random.default_rng(5)
    before = prior_draws(target.coordinates, target.own_priors, 4000, rng)
    after = before.copy()
    assert move_components(prior, after, 3, rng) > 0.1
    spread = np.linalg.cholesky(np.cov(before.T))
    assert move_hamiltonian(prior, after, spread, 0.5, 4, 2, rng) > 0.5
    assert not np.allclose(before, after)
    fresh = prior_draws(target.coordinates, target.own_priors, 4000, rng)
    p_values = [kstest(after[:, j], fresh[:, j]).pvalue for j in range(after.shape[1])]
    assert min(p_values) * len(p_values) > 1e-3


def test_annealing_a_row_away_is_the_ratio_of_two_evidences(rows):
    target = target_of(rows, "diag", 2)
    without = np.ones(len(rows))
    without[0] = 0.0
    with_row, _ = brute_force(target, seed=2)
    less = target_of(rows[1:], "diag", 2)
    exact = brute_force(less, seed=2)[0] - with_row
    _, points = smc_log_evidence(target, particles=1000, sweeps=5, repeats=1)

    def move(density, cloud, rng):
        return move_components(density, cloud, 3, rng)

    run = anneal(target, points, np.ones(len(rows)), without, move, np.random.default_rng(0))
    assert run.log_ratio == pytest.approx(exact, abs=0.15)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_permuting_components_changes_no_density(rows, structure):
    target = target_of(rows, structure, 3)
    rng = np.random.default_rng(6)
    points = prior_draws(target.coordinates, target.own_priors, 50, rng)
    order = np.stack([rng.permutation(3) for _ in range(50)])
    np.testing.assert_allclose(target.many(target.coordinates.permuted(points, order)), target.many(points), rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(("structure", "k", "d"), [("full", 2, 2), ("tied", 3, 1), ("spherical", 2, 2)])
def test_calibration_in_small(structure, k, d):
    """Simulation-based calibration of the sampler, a small part of `tests/benchmarks/calibration.py`."""
    ranks = cell(structure, k, d, 60, "nuts", None)
    assert ranks.shape == (60, len(QUANTITIES))
    assert min(p_uniform(column) for column in ranks.T) * len(QUANTITIES) > 1e-3
    for mass in COVERAGES:
        shares = [coverage(column, mass) for column in ranks.T]
        assert abs(np.mean(shares) - mass) < 3.5 * np.sqrt(mass * (1 - mass) / 60)


def test_same_seed_same_numbers(rows):
    target = target_of(rows, "full", 2)
    first, _ = smc_log_evidence(target, particles=100, sweeps=1, repeats=2, random_seed=3)
    again, _ = smc_log_evidence(target, particles=100, sweeps=1, repeats=2, random_seed=3)
    np.testing.assert_array_equal(first, again)
