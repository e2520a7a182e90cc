"""One table for all criteria: each column against its definition, and the table as a whole against a change of units."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import logsumexp

from bayesgmm.data import InputError
from bayesgmm.em import fit_grid
from bayesgmm.mixture import Mixture
from bayesgmm.posterior.modes import find_mode
from bayesgmm.posterior.priors import Priors
from bayesgmm.posterior.target import Target
from bayesgmm.sampling.posterior import Posterior
from bayesgmm.sampling.sample import sample_posterior
from bayesgmm.sampling.samplers.chains import Chain, run_chains
from bayesgmm.sampling.starts import Start
from bayesgmm.selection.compare import COLUMNS, compare
from bayesgmm.selection.loo import leave_one_out
from bayesgmm.selection.psis import psis_loo
from bayesgmm.selection.stacking import log_mixture, stacking_weights


def rows(seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(np.vstack([rng.normal(-3, 1, (60, 2)), rng.normal(3, 1, (60, 2))]), columns=["a", "b"])


def sampled(data, k, structure="full", **settings):
    return sample_posterior(data, k, structure, random_seed=0, progressbar=False, **{"draws": 500, **settings})


@pytest.fixture(scope="module")
def posts():
    return {f"{k} {s}": sampled(rows(), k, s) for k, s in ((1, "full"), (2, "full"), (2, "tied"))}


@pytest.fixture(scope="module")
def table(posts):
    return compare(posts)


def test_columns_and_order(table):
    assert tuple(table.columns) == COLUMNS
    assert table.index[-1] == "1 full"
    assert (table["elpd"].diff().dropna() <= 0).all()
    assert table.iloc[0][["elpd_diff", "elpd_diff_se"]].tolist() == [0.0, 0.0]
    assert table["weight"].sum() == pytest.approx(1.0)
    assert table["p_model"].sum() == pytest.approx(1.0)
    assert table.attrs["prior"] == "uniform on K and, within K, on its structures"
    assert table.attrs["left_out"] is None
    assert "1 full" not in table.attrs["sentence"]
    assert set(table.attrs["versions"]) >= {"bayesgmm", "numpy"}


def test_em_columns_are_those_of_the_grid(posts, table):
    grid = fit_grid(rows(), n_components=(1, 2), covariance_types=("full", "tied"), random_state=0, progressbar=False)
    with_grid = compare(posts, grid=grid, evidence=False, refit=False)
    columns = ["log_likelihood", "aic", "bic", "icl"]
    pd.testing.assert_frame_equal(with_grid[columns].loc[table.index], table[columns], rtol=1e-6)
    assert with_grid[["p_k", "p_structure", "p_model"]].isna().all().all()


def test_elpd_is_arviz_loo(posts):
    import arviz_stats

    post = posts["2 full"]
    loo = leave_one_out(Posterior.read(post), refit=False)
    theirs = arviz_stats.loo(post, pointwise=True, reff=loo.reff)
    np.testing.assert_allclose(loo.elpd_rows, theirs.elpd_i.values.ravel(), atol=1e-6)
    np.testing.assert_allclose(loo.pareto_k, theirs.pareto_k.values.ravel(), atol=1e-6)
    assert loo.p_loo == pytest.approx(float(theirs.p), abs=1e-5)
    assert loo.se == pytest.approx(float(theirs.se), abs=1e-5)


def test_a_row_that_few_draws_expect_is_refitted():
    """Its density from the other rows, by chains that never saw it, is the truth."""
    data = pd.concat([rows(), pd.DataFrame({"a": [1.5], "b": [9.0]})], ignore_index=True)
    view = Posterior.read(sampled(data, 2, "full", draws=1000))
    target = view.target
    loo = leave_one_out(view)
    assert 120 in loo.refitted
    assert loo.pareto_k[120] > 0.7
    only = np.zeros(121)
    only[120] = 1.0
    without = target.reweighted(1.0 - only)
    mode = find_mode(without, view.unconstrained[-1])
    chains = [Chain(without, Start(mode, np.zeros(without.size), seed), 4000, 500, 0.8, "without") for seed in (1, 2)]
    points = np.concatenate([u for u, _ in run_chains(chains, 2, False)[0]])
    log_likelihood = target.reweighted(only).many(points) - target.reweighted(0.0 * only).many(points)
    truth = logsumexp(log_likelihood) - np.log(len(points)) + view.scaling.log_jacobian
    ratio = np.exp(log_likelihood - log_likelihood.max())
    error = ratio.std() / ratio.mean() / np.sqrt(len(points) / 4)
    assert error < 0.3
    assert loo.elpd_rows[120] == pytest.approx(truth, abs=3 * error + 0.15)


def test_psis_of_constant_and_heavy_rows():
    rng = np.random.default_rng(0)
    log_likelihood = np.stack([np.full(1000, -1.0), rng.normal(size=1000), -np.abs(rng.standard_cauchy(1000))], axis=1)
    elpd, lppd, k = psis_loo(log_likelihood)
    assert elpd[0] == pytest.approx(-1.0)
    assert (elpd <= lppd + 1e-12).all()
    assert k[0] == -np.inf
    assert k[1] < 0.7 < k[2]


@pytest.mark.parametrize("reff", [1.0, 0.3])
def test_psis_agrees_with_arviz(reff):
    """Two routes: smoothed weights by `arviz_stats`, row by row, and elpd = log sum(w p(y_i | draw)), w summing to one.

    The rows: light and heavy tails, a row all draws of which come twice (the tail's edge is a tie), and one that all draws
    agree on, which importance sampling leaves as it is.
    """
    from arviz_stats.base import array_stats

    rng = np.random.default_rng(3)
    spread = np.array([0.1, 0.5, 1.0, 2.0, 4.0, 1.0])
    log_likelihood = -0.5 * (rng.normal(size=(1000, 6)) * spread) ** 2
    log_likelihood[500:, 5] = log_likelihood[:500, 5]
    log_weights, k = array_stats.psislw(log_likelihood, r_eff=reff, axis=0)
    expected = logsumexp(log_weights + log_likelihood.T, axis=1)
    elpd, lppd, shape = psis_loo(log_likelihood, reff)
    np.testing.assert_allclose(shape, k, rtol=1e-9)
    np.testing.assert_allclose(elpd, expected, rtol=1e-9)
    np.testing.assert_allclose(lppd, logsumexp(log_likelihood, axis=0) - np.log(1000), rtol=1e-12)
    assert psis_loo(np.full((1000, 1), -2.0))[0] == pytest.approx(-2.0)


def test_stacking_survives_densities_that_underflow():
    """Rows a thousand nats down have the same weights as the same rows at zero; and the weights maximise."""
    rng = np.random.default_rng(1)
    densities = rng.normal(size=(200, 3)) + np.array([0.5, 0.4, -3.0])
    weights = stacking_weights(densities)
    np.testing.assert_allclose(stacking_weights(densities - 1000.0), weights, atol=1e-8)
    best = log_mixture(densities, weights).sum()
    for other in rng.dirichlet(np.ones(3), 500):
        assert log_mixture(densities, other).sum() <= best + 1e-8
    assert weights[2] < 0.05


def test_prior_on_k_enters_by_bayes_rule(posts, table):
    prior = {1: 0.9, 2: 0.1}
    again = compare(posts, prior_k=prior, refit=False)
    shares = {"1 full": 0.9, "2 full": 0.05, "2 tied": 0.05}
    mass = table["log_evidence"] + np.log(pd.Series(shares)).loc[table.index]
    expected = np.exp(mass - np.logaddexp.reduce(mass))
    np.testing.assert_allclose(again["p_model"].loc[table.index], expected, rtol=1e-6)
    by_k = expected.groupby(table["n_components"]).transform("sum")
    np.testing.assert_allclose(again["p_k"].loc[table.index], by_k, rtol=1e-6)
    np.testing.assert_allclose(again["p_structure"].loc[table.index], expected / by_k, rtol=1e-6)
    assert "1 full: 0.9" in again.attrs["prior"]
    with pytest.raises(InputError, match="prior_k gives K=2"):
        compare(posts, prior_k={1: 1.0}, evidence=False, refit=False)


def test_differences_survive_a_change_of_units():
    """With x -> a x + b every log density of the data gains -N D log a, and nothing else changes: not the draws of a chain."""
    data = rows(3)
    shapes = ((1, "diag"), (2, "diag"))
    posts = {str(k): sampled(data, k, s) for k, s in shapes}
    first = compare(posts)
    for factor, shift in ((3.7, 1000.0), (0.0123, -5.0)):
        moved = {str(k): sampled(data * factor + shift, k, s) for k, s in shapes}
        for name, post in moved.items():
            u = post["unconstrained_posterior"]["u"].values
            np.testing.assert_array_equal(u, posts[name]["unconstrained_posterior"]["u"].values)
        again = compare(moved)
        assert list(first.index) == list(again.index)
        for column in ("elpd_diff", "elpd_diff_se", "elpd_se", "p_loo", "weight", "p_model", "log_evidence_se"):
            np.testing.assert_allclose(again[column], first[column], rtol=0, atol=1e-6, err_msg=column)
        for column, times in {
            "elpd": 1,
            "log_likelihood": 1,
            "log_evidence": 1,
            "aic": -2,
            "bic": -2,
            "icl": -2,
        }.items():
            change = again[column] - first[column] + times * data.size * np.log(factor)
            np.testing.assert_allclose(change, 0.0, rtol=0, atol=1e-6, err_msg=column)


def test_one_model_under_two_names_is_counted_once(posts):
    """With one component "full" and "tied" are one model: it has one share of the prior and one line."""
    again = compare({**posts, "1 tied": sampled(rows(), 1, "tied")}, refit=False)
    alone = compare(posts, refit=False)
    assert again.attrs["aliases"] == {"1 full": ["1 tied"]}
    assert list(again.index) == list(alone.index)
    np.testing.assert_array_equal(again["p_k"], alone["p_k"])


def test_different_data_are_refused(posts):
    with pytest.raises(InputError, match="different data"):
        compare({"a": posts["1 full"], "b": sampled(rows(9), 1)})
    with pytest.raises(InputError, match="give a mapping of names to posteriors"):
        compare({})


@pytest.mark.slow
def test_many_rows_are_read_in_blocks():
    """Draws x rows of 200,000 rows would take 1.6 GB as they are; blocks take a small part of that."""
    import tracemalloc

    rng = np.random.default_rng(4)
    n, draws = 200_000, 1000
    values = rng.normal(size=(n, 1))
    mixture = Mixture.from_dense(
        "full", np.ones((draws, 1)), 0.01 * rng.normal(size=(draws, 1, 1)), np.ones((draws, 1, 1, 1))
    )
    target = Target.of_rows(values, 1, "full", Priors())
    view = Posterior(target, mixture, mixture[0], np.empty((draws, 0)), 2, draws // 2)
    tracemalloc.start()
    loo = leave_one_out(view, refit=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.isfinite(loo.elpd)
    assert peak < 4e8
