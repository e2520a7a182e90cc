"""Kernels of jumps leave the posterior unchanged, tempering agrees with them, and what is not confirmed is doubted."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import ks_2samp

from bayesgmm import diagnose, log_evidence, sample_posterior
from bayesgmm.em import fit_mixture
from bayesgmm.posterior import Target
from bayesgmm.sampling import Posterior, Proposal, Settings, prepare, sample_many
from bayesgmm.sampling.predictive import prior_draws
from bayesgmm.sampling.samplers.jumps import _Pieces, _Walkers

QUIET = {"progressbar": False, "random_seed": 0}


def _exact(target: Target, count: int, rng: np.random.Generator) -> np.ndarray:
    """Posterior draws (S, P), all but independent: prior draws chosen by their likelihood."""
    prior = prior_draws(target.coordinates, target.own_priors, 400_000, rng)
    log_likelihood = target.many(prior) - target.log_prior(prior)
    weight = np.exp(log_likelihood - logsumexp(log_likelihood))
    assert 1 / (weight**2).sum() > 8 * count
    return prior[rng.choice(len(prior), size=count, replace=False, p=weight)]


@cache
def _small() -> tuple[Target, np.ndarray, np.ndarray, _Pieces]:
    """Six rows, two components, exact draws within one region (two lots), and a proposal that is far from right."""
    x = np.array([-1.4, -1.1, -0.2, 0.6, 1.0, 1.9])[:, None]
    target = Target.of(x, 2, "diag")
    rng = np.random.default_rng(3)
    pivot = fit_mixture(x, 2, "diag", random_state=0).mixture.standardised(target.scaling)
    points = target.in_region(_exact(target, 4000, rng), pivot)
    wrong = points[:600] * 0.7 + 0.3
    wrong[:200, 0] += 1.5
    return target, points[:2000], points[2000:], _Pieces(Proposal.fitted(wrong, 4, rng))


def _pivot(target: Target):
    return fit_mixture(target.table, 2, "diag", random_state=0).mixture.standardised(target.scaling)


@pytest.mark.parametrize("kernel", ["jump", "walk"])
def test_each_kernel_leaves_the_posterior_in_the_region_unchanged(kernel: str) -> None:
    """Walkers that start as exact draws stay exact draws, whatever Gaussians they propose from.

    Exact: prior draws resampled by their likelihood, each under the names that put it into the pivot's region. A ratio without
    q, a walk without the responsibilities of its choice of Gaussian, or a step out of the region would move a margin.
    """
    target, points, fresh, pieces = _small()
    walkers = _Walkers(target, _pivot(target), points.copy(), np.random.default_rng(5), length=1.0)
    walkers.aim(pieces)
    moved = np.mean([getattr(walkers, kernel)().mean() for _ in range(40)])
    assert moved > 0.05
    worst = min(ks_2samp(walkers.points[:, p], fresh[:, p]).pvalue for p in range(target.size))
    assert worst > 1e-3 / target.size
    assert (target.labels(walkers.points, walkers.pivot) == [0, 1]).all()
    # What is carried along is what would be computed anew.
    np.testing.assert_allclose(walkers.log_density, target.many(walkers.points), rtol=1e-10)
    np.testing.assert_allclose(walkers.log_q, logsumexp(pieces.log_densities(walkers.points), axis=1), rtol=1e-10)


def test_the_test_above_can_fail() -> None:
    """Local steps accepted by the rule for jumps move a margin, and the same statistic sees it."""
    target, points, fresh, pieces = _small()
    walkers = _Walkers(target, _pivot(target), points.copy(), np.random.default_rng(5), length=1.0)
    walkers.aim(pieces)
    for _ in range(40):
        which = walkers.rng.integers(len(pieces.weights), size=len(points))
        walkers._move(walkers.points + pieces.step(which, walkers.rng), None)
    assert min(ks_2samp(walkers.points[:, p], fresh[:, p]).pvalue for p in range(target.size)) < 1e-6


def _crossed() -> np.ndarray:
    """Four groups on a square, which two components can pair along either axis, and their mirror images."""
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(size=(20, 2)) + 3.0 * np.array(c) for c in ([0, 0], [0, 1], [1, 0], [1, 1])])
    return np.concatenate([x, x[:, ::-1]])


def _share_along_first(post) -> np.ndarray:
    """Whether the two means of each draw differ more in the first column than in the second (chain, draw)."""
    gap = np.abs(np.diff(post["posterior"]["means"].values, axis=2))[:, :, 0]
    return gap[..., 0] > gap[..., 1]


@pytest.mark.slow
def test_agreement_with_tempering_where_modes_differ_in_mass() -> None:
    """Posterior means and sds of label-free quantities, the share of a mode, and the evidence, by the two samplers."""
    x = np.random.default_rng(8).normal(size=(60, 2)) * [1.0, 1.1] + 3.0 * np.random.default_rng(9).integers(
        0, 2, (60, 2)
    )
    jumped = sample_posterior(x, 2, "diag", sampler="jumps", **QUIET)
    tempered = sample_posterior(x, 2, "diag", sampler="tempering", **QUIET)
    a, b = diagnose(jumped), diagnose(tempered)
    assert a.ok, a
    assert b.ok, b
    error = np.hypot(a.table["sd"] / np.sqrt(a.table["ess_bulk"]), b.table["sd"] / np.sqrt(b.table["ess_bulk"]))
    assert (np.abs(a.table["mean"] - b.table["mean"]) < 4.5 * error).all()
    shares = [_share_along_first(post).mean() for post in (jumped, tempered)]
    assert 0.02 < shares[1] < 0.98
    assert shares[0] == pytest.approx(shares[1], abs=0.08)
    one, other = log_evidence(jumped, method="bridge"), log_evidence(tempered, method="tempering")
    assert one.value == pytest.approx(other.value, abs=3 * np.hypot(one.se, other.se) + 0.02)


def test_what_was_not_confirmed_in_time_is_not_believed() -> None:
    """Time for one round only: its draws may look well, but no second round says so."""
    x = _crossed()
    prepared = prepare(Target.of(x, 2, "diag"), None, np.random.default_rng(0))
    chains = sample_posterior(x, 2, "diag", **QUIET)
    view = Posterior.read(chains)
    known = {prepared.target.key: replace(prepared, draws=view.unconstrained.reshape(4, 1000, -1))}
    how = Settings(progressbar=False, random_seed=0, sampler="jumps", jump_seconds=1e-3)
    post = sample_many([prepared.target], how, prepared=known)[prepared.target.key]
    assert post.attrs["settled"] == 0
    assert not diagnose(post).ok
    assert "confirmed" in diagnose(post).evidence
