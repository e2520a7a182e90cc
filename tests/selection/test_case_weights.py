"""A row of case weight two is a row given twice, in every criterion; weight zero is a row left out."""

from __future__ import annotations

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.sampling.posterior import Posterior
from bayesgmm.selection.loo import leave_one_out
from bayesgmm.selection.psis import psis_loo

SETTINGS = {"draws": 1000, "chains": 4, "method": "laplace", "random_seed": 3, "progressbar": False}


@pytest.fixture(scope="module")
def weighted() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(8)
    rows = np.concatenate([rng.normal(size=(60, 1)), rng.normal(5.0, 1.0, size=(60, 1))])
    return rows, rng.choice([0.0, 1.0, 2.0, 3.0], size=120)


@pytest.fixture(scope="module")
def posts(weighted):
    """The same posterior, of weighted rows and of copies."""
    rows, weight = weighted
    copies = np.repeat(rows, weight.astype(int), axis=0)
    return (
        bg.sample_posterior(rows, 2, sample_weight=weight, **SETTINGS),
        bg.sample_posterior(copies, 2, **SETTINGS),
    )


def test_compare_counts_copies(posts):
    own, copied = (bg.compare({"2": post}).iloc[0] for post in posts)
    # The draws differ in their last digits only.
    for column in ("log_likelihood", "aic", "bic", "icl", "elpd", "elpd_se", "p_loo"):
        assert own[column] == pytest.approx(copied[column], abs=1e-3), column
    assert own["log_evidence"] == pytest.approx(copied["log_evidence"], abs=4 * own["log_evidence_se"] + 0.02)


def test_predictive_checks_count_copies(posts):
    own, copied = (bg.predictive_checks(post, n_replicates=400) for post in posts)
    np.testing.assert_allclose(own["observed"], copied["observed"], rtol=1e-3)
    np.testing.assert_allclose(own["p_value"], copied["p_value"], atol=0.01)


def test_predictive_checks_round_weights_with_fractions(weighted):
    rows, _ = weighted
    halves = np.full(len(rows), 1.5)
    table = bg.predictive_checks(bg.sample_posterior(rows, 2, sample_weight=halves, **SETTINGS))
    observed = float(table["observed"].loc[(slice(None), "standard deviation")].iloc[0])
    every_other_twice = np.repeat(rows, np.tile([2, 1], len(rows) // 2), axis=0)
    assert observed == pytest.approx(every_other_twice.std(), rel=1e-12)


def test_predictive_checks_need_two_rows(weighted):
    rows, _ = weighted
    post = bg.sample_posterior(rows, 1, sample_weight=np.full(len(rows), 0.01), **SETTINGS)
    with pytest.raises(bg.InputError, match=r"sum to 1\.2 leave no two rows"):
        bg.predictive_checks(post)


def test_both_routes_to_the_evidence_agree(posts):
    bridge, smc = (bg.log_evidence(posts[0], method=method, random_seed=1) for method in ("bridge", "smc"))
    assert bridge.value == pytest.approx(smc.value, abs=4 * (bridge.se + smc.se))


def test_a_row_of_weight_below_one_is_left_out_as_a_whole():
    """Importance sampling with ratios p^-w against the same by hand, and refitting against importance sampling."""
    rng = np.random.default_rng(0)
    log_likelihood = rng.normal(-1.0, 0.2, size=(4000, 3))
    power = np.array([0.0, 0.5, 1.0])
    elpd, lppd, _ = psis_loo(log_likelihood, left_out=power)
    for j, w in enumerate(power):
        ratio = np.exp(-w * log_likelihood[:, j])
        assert elpd[j] == pytest.approx(np.log((ratio * np.exp(log_likelihood[:, j])).sum() / ratio.sum()), abs=2e-3)
    assert elpd[0] == pytest.approx(lppd[0], abs=1e-12)


def test_refitted_rows_of_any_weight_agree_with_importance_sampling(monkeypatch):
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(40, 1))
    weight = rng.choice([0.5, 1.0, 2.0], size=40)
    view = Posterior.read(bg.sample_posterior(rows, 1, sample_weight=weight, **SETTINGS))
    plain = leave_one_out(view, refit=False)
    monkeypatch.setattr("bayesgmm.selection.loo.MAX_K", -np.inf)
    refitted = leave_one_out(view)
    assert len(refitted.refitted) == 40
    gap = np.abs(refitted.elpd_rows - plain.elpd_rows)
    # A thousand particles: hundredths for the row farthest out, thousandths for the others.
    assert gap.max() < 0.08
    assert gap.mean() < 0.01


def test_models_of_different_weights_are_refused(posts, weighted):
    rows, weight = weighted
    other = bg.sample_posterior(rows, 2, sample_weight=weight + 1.0, **SETTINGS)
    with pytest.raises(bg.InputError, match="different case weights"):
        bg.compare({"2": posts[0], "2 again": other})
