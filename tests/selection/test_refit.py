"""Rows left out in earnest: against quadrature, and against evidences with and without the row."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import bayesgmm as bg
from bayesgmm.sampling.posterior import Posterior
from bayesgmm.selection.refit import Refit
from bayesgmm.selection.smc import smc_log_evidence

SETTINGS = {"progressbar": False, "random_seed": 0, "draws": 1000}


def test_one_gaussian_without_a_row_is_a_double_integral():
    """p(y_i | y_-i) = Z / Z_-i, both over mean and log sd on a grid, under priors N(0, 2) and LogNormal(0, 0.6) of z-scores."""
    rows = np.append(np.random.default_rng(0).normal(size=40), 6.0)[:, None]
    view = Posterior.read(bg.sample_posterior(rows, 1, **SETTINGS))
    z = view.scaling.standardise(rows)[:, 0]
    mean, log_sd = np.meshgrid(np.linspace(-2, 2, 801), np.linspace(-2, 2, 801))
    prior = stats.norm(0, 2).logpdf(mean) + stats.norm(0, 0.6).logpdf(log_sd)

    def log_z(values):
        n, centre, second = len(values), values.mean(), values.var()
        fit = -n * log_sd - 0.5 * n * (second + (centre - mean) ** 2) / np.exp(2 * log_sd) - 0.5 * n * np.log(2 * np.pi)
        return np.logaddexp.reduce((prior + fit).ravel())

    expected = log_z(z) - log_z(z[:-1]) + view.scaling.log_jacobian
    refit = Refit(view, 0)
    assert refit.without(np.array([40]))[0] == pytest.approx(expected, abs=0.02)
    assert refit._annealed(40) + view.scaling.log_jacobian == pytest.approx(expected, abs=0.2)


def test_a_row_that_decided_between_two_solutions_is_left_out_of_both():
    """Three groups, at -5, 0 and 5, and two components: the middle one goes left or right, and a row at 7.5 decides.

    Without it both solutions are mirror images, near enough, so that its density is half of what the draws' own solution says.
    Both normalisers by tempering from the prior, against draws of one solution that never saw the other.
    """
    rng = np.random.default_rng(2)
    half = rng.normal(0, 0.5, 12)
    middle = np.concatenate([half, -half])
    right = 5 + rng.normal(0, 0.5, 24)
    rows = np.concatenate([middle, right, -right, [7.5]])[:, None]
    view = Posterior.read(bg.sample_posterior(rows, 2, "full", **SETTINGS))
    target = view.target
    row = len(rows) - 1
    without = np.ones(len(rows))
    without[row] = 0.0
    evidence = []
    for density in (target, target.reweighted(without)):
        runs, _ = smc_log_evidence(density, repeats=2, random_seed=1)
        evidence.append(np.logaddexp.reduce(runs) - np.log(2))
    expected = evidence[0] - evidence[1] + view.scaling.log_jacobian
    both = Refit(view, 0).without(np.array([row]))[0]
    one = Refit(view, 0, elsewhere=False).without(np.array([row]))[0]
    assert both == pytest.approx(expected, abs=0.2)
    assert one - both == pytest.approx(np.log(2), abs=0.1)
