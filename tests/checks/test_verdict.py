"""Verdicts in a few of the situations of `tests/benchmarks/verdicts.py`, and the parts they are made of."""

from __future__ import annotations

import numpy as np
import pytest

from bayesgmm.checks.verdict import VERDICTS, diagnose, label_free
from bayesgmm.data import InputError
from bayesgmm.sampling.posterior import Posterior
from bayesgmm.selection.separate_modes import separate_modes

from ..benchmarks.verdicts import blobs, corners, realigned, sampled, stuck, with_duplicates

TWO = blobs([[0, 0], [7, 0]], 200)


@pytest.fixture(scope="module")
def good():
    return sampled(TWO, 2)


def test_good_chains_converge_and_say_why(good):
    diagnosis = diagnose(good)
    assert diagnosis.verdict == "converged"
    assert diagnosis.ok
    assert list(diagnosis.table.columns) == ["mean", "sd", "r_hat", "ess_bulk", "ess_tail"]
    for part in ("worst R-hat", "effective sample size", "diverged", "labels of"):
        assert part in diagnosis.evidence
    assert "Verdict: converged" in repr(diagnosis)
    assert "<table" in diagnosis._repr_html_()


def test_statistics_are_those_of_arviz(good):
    import arviz_stats

    table = diagnose(good).table
    weights = good["posterior"]["weights"].max("cluster")
    assert table.at["sorted weight 1", "r_hat"] == pytest.approx(float(arviz_stats.rhat(weights)))
    assert table.at["sorted weight 1", "ess_bulk"] == pytest.approx(float(arviz_stats.ess(weights)))


def test_quantities_do_not_depend_on_labels(good):
    """The theorem that the verdict rests on: every quantity is a symmetric function of the components."""
    view = Posterior.read(good)
    target = view.target
    u = good["unconstrained_posterior"]["u"].values
    rng = np.random.default_rng(0)
    flat = u.reshape(-1, u.shape[-1])
    order = np.stack([rng.permutation(2) for _ in range(len(flat))])
    shuffled = realigned(good, target.coordinates.permuted(flat, order).reshape(u.shape))
    raw = Posterior.read(shuffled)
    scrambled = label_free(Posterior.read(shuffled.assign(posterior=good["posterior"])))
    for name, values in label_free(view).items():
        np.testing.assert_allclose(label_free(raw)[name], values, rtol=1e-8, atol=1e-10, err_msg=name)
        np.testing.assert_allclose(scrambled[name], values, rtol=1e-8, atol=1e-10, err_msg=name)
    diagnosis = diagnose(shuffled)
    assert diagnosis.verdict == "label switching"
    assert diagnosis.ok
    assert diagnosis.title == "label switching (repaired)"
    assert diagnosis.moved == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(
    "how", ["one chain at a point", "all chains at points", "one chain creeps", "one draw in 20 diverges"]
)
def test_stuck_chains_do_not_pass(how):
    diagnosis = diagnose(stuck(TWO, 2, how))
    assert diagnosis.verdict == "not converged"
    assert not diagnosis.ok
    assert diagnosis.remedy == VERDICTS["not converged"]


def test_repeated_rows_are_degenerate():
    assert diagnose(sampled(with_duplicates(blobs([[0], [6]], 100), 40), 3)).verdict == "degenerate"


def test_two_modes_are_found_and_weighted():
    square = blobs(corners(6), 100)
    square = np.vstack([square, square[:, ::-1]])
    post = sampled(square, 2, "diag")
    assert diagnose(post).verdict == "multimodal"
    modes = separate_modes(post, refit=False)
    assert len(modes.chains) == 2
    assert sorted(c for group in modes.chains for c in group) == [0, 1, 2, 3]
    assert modes.weights.sum() == pytest.approx(1.0)
    assert modes.elpd_rows.sum() >= max(m.elpd for m in modes.loo) - 1e-6
    assert "2 modes" in repr(modes)


def test_agreeing_chains_are_one_mode(good):
    modes = separate_modes(good, refit=False)
    assert modes.chains == ((0, 1, 2, 3),)
    np.testing.assert_allclose(modes.weights, [1.0])


@pytest.mark.parametrize("structure", ["full", "tied", "diag", "spherical"])
def test_one_component_one_chain_and_one_column(structure):
    for values in (TWO, TWO[:, :1]):
        diagnosis = diagnose(sampled(values, 1, structure))
        assert diagnosis.verdict == "converged"
        assert diagnosis.table.notna().all(axis=None)
    alone = diagnose(sampled(TWO, 1, structure, chains=1))
    assert "one chain only" in alone.evidence


def test_what_is_no_posterior_is_refused(good):
    with pytest.raises(InputError, match="8, better 1000"):
        diagnose(sampled(TWO, 1, draws=5))
    with pytest.raises(InputError, match="observed_data"):
        diagnose(good.drop_nodes("observed_data"))
