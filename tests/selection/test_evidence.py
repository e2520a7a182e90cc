"""The log evidence by two methods, against quadrature, plain Monte Carlo and published values."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.special import logsumexp

from bayesgmm.data import InputError
from bayesgmm.data.datasets import load_dataset
from bayesgmm.posterior.priors import Priors
from bayesgmm.posterior.target import Target
from bayesgmm.sampling.posterior import Posterior
from bayesgmm.sampling.predictive import prior_draws
from bayesgmm.sampling.sample import sample_posterior
from bayesgmm.selection.evidence import log_evidence, smc_summary

from ..benchmarks.verdicts import realigned


def sampled(values, k, structure="full", priors=None, **settings):
    settings = {"draws": 500, "random_seed": 0, **settings}
    return sample_posterior(values, k, structure, priors, progressbar=False, **settings)


def prior_mean_of_the_likelihood(post, n_draws=400_000):
    target = Posterior.read(post).target
    points = prior_draws(target.coordinates, target.own_priors, n_draws, np.random.default_rng(1))
    nothing = target.reweighted(np.zeros(len(target.values)))
    log_likelihood = target.many(points) - nothing.many(points)
    value = logsumexp(log_likelihood) - np.log(n_draws)
    return value + target.log_jacobian, np.exp(log_likelihood - value).std() / np.sqrt(n_draws)


def test_one_component_against_quadrature():
    """One Gaussian has two parameters: its evidence is an integral over a grid, Jacobian of the data's scale added."""
    y = np.random.default_rng(0).normal(3.0, 2.0, (25, 1))
    z = (y - y.mean()) / y.std()
    m, s = np.meshgrid(np.linspace(-1.5, 1.5, 601), np.linspace(-1.2, 1.2, 601), indexing="ij")
    log_likelihood = -0.5 * (((z[:, 0, None, None] - m) / np.exp(s)) ** 2).sum(0) - 25 * (s + 0.5 * np.log(2 * np.pi))
    log_prior = -0.5 * (m / 2) ** 2 - np.log(2) - 0.5 * (s / 0.6) ** 2 - np.log(0.6) - np.log(2 * np.pi)
    cell = np.log((m[1, 0] - m[0, 0]) * (s[0, 1] - s[0, 0]))
    exact = logsumexp(log_likelihood + log_prior) + cell - 25 * np.log(y.std())
    found = log_evidence(sampled(y, 1))
    assert found.value == pytest.approx(exact, abs=0.02)
    assert found.se < 0.02


@pytest.mark.parametrize("structure", ["full", "tied", "diag", "spherical"])
def test_labels_are_counted_where_components_overlap(structure):
    """Few rows, so that components cannot be told apart, and the prior mean of the likelihood can be had directly."""
    rng = np.random.default_rng(2)
    rows = rng.normal(size=(9, 2)) * (1.0, 2.0)
    post = sampled(rows, 2, structure)
    exact, se = prior_mean_of_the_likelihood(post)
    found = log_evidence(post)
    assert found.method == "bridge"
    assert abs(found.value - exact) < 4 * np.hypot(se, found.se) + 0.02


def test_labels_are_counted_where_components_are_apart():
    """Chains that never exchange labels see one of K! copies; the answer must not depend on which copies they saw."""
    rng = np.random.default_rng(3)
    rows = np.concatenate([rng.normal(-4, 0.5, 6), rng.normal(4, 0.5, 6)])[:, None]
    post = sampled(rows, 2)
    u = post["unconstrained_posterior"]["u"].values
    mirrored = post.copy(deep=True)
    other = u.copy()
    other[2:, :, 0] *= -1
    other[2:, :, 1:3] = u[2:, :, [2, 1]]
    other[2:, :, 3:5] = u[2:, :, [4, 3]]
    mirrored["unconstrained_posterior"]["u"].values[:] = other
    exact, se = prior_mean_of_the_likelihood(post)
    found, again = log_evidence(post), log_evidence(mirrored)
    assert abs(found.value - exact) < 4 * np.hypot(se, found.se) + 0.02
    assert again.value == pytest.approx(found.value, abs=1e-6)


def test_bridge_and_smc_agree():
    rng = np.random.default_rng(4)
    rows = np.concatenate([rng.normal(-2, 1, 30), rng.normal(2, 1, 30)])[:, None]
    post = sampled(rows, 3, draws=1000)
    by_bridge, by_smc = log_evidence(post), log_evidence(post, method="smc", particles=500)
    assert by_smc.method == "smc"
    assert abs(by_bridge.value - by_smc.value) < 4 * np.hypot(by_bridge.se, by_smc.se) + 0.05
    assert "all labellings counted" in repr(by_bridge)


def test_units_enter_by_the_jacobian_alone():
    y = np.random.default_rng(5).normal(size=(40, 2))
    post, scaled = sampled(y, 1, draws=200), sampled(4 * y, 1, draws=200)
    assert log_evidence(scaled).value == pytest.approx(log_evidence(post).value - 80 * np.log(4), abs=1e-6)


def test_one_chain_is_split():
    post = sampled(np.random.default_rng(6).normal(size=(30, 1)), 1, chains=1)
    assert len(log_evidence(post).estimates) == 2


def test_wrong_arguments_are_named():
    post = sampled(np.random.default_rng(7).normal(size=(30, 1)), 1, draws=50)
    with pytest.raises(InputError, match="method='laplace' is unknown"):
        log_evidence(post, method="laplace")
    with pytest.raises(InputError, match="repeats=0"):
        log_evidence(post, repeats=0)
    bare = post.copy()
    del bare["unconstrained_posterior"]
    with pytest.raises(InputError, match="unconstrained_posterior"):
        log_evidence(bare)


def test_prior_of_rows_is_normalised():
    """Without data the evidence is one: the density's prior integrates to one under every structure."""
    rng = np.random.default_rng(8)
    for structure in ("full", "tied", "diag", "spherical"):
        density = Target.of_rows(np.empty((0, 3)), 2, structure, Priors())
        points = prior_draws(density.coordinates, Priors(), 4000, rng)
        # A Gaussian of the same mean and twice the covariance, as importance density.
        mean, factor = points.mean(0), np.linalg.cholesky(2 * np.cov(points.T))
        z = rng.standard_normal((200_000, density.size))
        log_q = -0.5 * (z**2).sum(1) - 0.5 * density.size * np.log(2 * np.pi) - np.log(np.diag(factor)).sum()
        weights = np.exp(density.many(mean + z @ factor.T) - log_q)
        assert weights.mean() == pytest.approx(1.0, abs=5 * weights.std() / np.sqrt(len(z)) + 1e-3)


@pytest.mark.slow
def test_evidences_differ_as_reversible_jump_has_it():
    """log p(K | y) is the log evidence but for a constant, K uniform: Richardson and Green's program (`nmix.json`)."""
    p_k = json.loads((Path(__file__).parents[1] / "reference" / "nmix.json").read_text())["p_k"]["galaxies"]
    y = load_dataset("galaxies")
    four, five = (
        log_evidence(sampled(y, k, priors=Priors.richardson_green(y), draws=1500), method="bridge") for k in (4, 5)
    )
    assert five.value - four.value == pytest.approx(
        np.log(p_k["5"] / p_k["4"]), abs=4 * np.hypot(four.se, five.se) + 0.02
    )


@pytest.mark.slow
@pytest.mark.parametrize("k", [2, 3, 4])
def test_published_evidence_of_the_galaxies(k):
    """Celeux, Fruehwirth-Schnatter & Robert (2018), under the priors of Richardson & Green (1997)."""
    golden = json.loads((Path(__file__).parents[1] / "reference" / "golden.json").read_text())
    y = load_dataset("galaxies")
    post = sampled(y, k, priors=Priors.richardson_green(y), draws=1000)
    assert log_evidence(post).value == pytest.approx(golden["log_evidence"]["values"]["galaxies"][str(k)], abs=0.5)


def test_chains_in_different_places_are_no_bridge():
    """A chain far from the others: its bridge is nonsense; "auto" tempers instead, "bridge" says how unsure it is."""
    rng = np.random.default_rng(4)
    y = np.concatenate([rng.normal(0, 1, (60, 1)), rng.normal(6, 1, (60, 1))])
    good = sampled(y, 2, draws=300)
    u = good["unconstrained_posterior"]["u"].values.copy()
    u[0] += 25 * u.std((0, 1))
    apart = realigned(good, u, np.zeros(u.shape[:2], dtype=bool))
    expected = log_evidence(good)
    assert expected.method == "bridge"
    by_bridge = log_evidence(apart, method="bridge")
    assert by_bridge.se > 1.0
    assert np.ptp(by_bridge.estimates) > 10
    found = log_evidence(apart, random_seed=1)
    assert found.method == "smc"
    assert found.value == pytest.approx(expected.value, abs=4 * found.se + 0.1)


def test_what_no_method_settles_is_withheld_unless_the_draws_bring_it(monkeypatch):
    """Chains apart, and too many rows to temper: no number; with tempering's own evidence in the tree, that number."""
    rng = np.random.default_rng(4)
    y = np.concatenate([rng.normal(0, 1, (60, 1)), rng.normal(6, 1, (60, 1))])
    good = sampled(y, 2, draws=300)
    u = good["unconstrained_posterior"]["u"].values.copy()
    u[0] += 25 * u.std((0, 1))
    apart = realigned(good, u, np.zeros(u.shape[:2], dtype=bool))
    monkeypatch.setattr("bayesgmm.selection.evidence._MOST_TO_TEMPER", 0)
    found = log_evidence(apart)
    assert np.isnan(found.value)
    assert "bridge gives" in found.reason
    assert not found.settled
    assert "withheld" in repr(found)
    target = Posterior.read(apart).target
    runs = np.array([-180.1, -180.0, -179.9, -180.0]) - target.log_jacobian
    apart.attrs |= {"log_evidence": runs.mean(), "log_evidence_runs": runs, "log_evidence_se": 0.04}
    found = log_evidence(apart)
    assert (found.method, found.value) == ("tempering", pytest.approx(-180.0, abs=1e-9))
    apart.attrs["log_evidence_se"] = 5.0
    assert np.isnan(log_evidence(apart).value)


def test_runs_of_smc_that_are_nats_apart_have_a_large_error():
    """On the natural scale one run of four that rules the others has a relative error of one at most, whatever they say."""
    assert smc_summary(np.array([-327.9, -314.8])).se == pytest.approx(6.55, abs=1e-9)
    near = smc_summary(np.array([-10.0, -10.1, -9.9]))
    assert near.se == pytest.approx(0.1 / np.sqrt(3), rel=0.02)
