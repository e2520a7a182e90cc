"""Verdicts in a few of the situations of `tests/benchmarks/verdicts.py`, and the parts they are made of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from scipy.stats import norm

from bayesgmm import fit_mixture
from bayesgmm.checks.verdict import VERDICTS, diagnose, label_ambiguity, label_free
from bayesgmm.data import InputError
from bayesgmm.mixture import Mixture
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


def test_a_real_narrow_component_is_not_degenerate():
    """240 distinct rows, sd 0.0004 of the data's: no row repeats another, so that nothing has collapsed."""
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(0, 0.01, 240), rng.normal(20, 30, 260)])[:, None]
    post = sampled(x, 2)
    narrowest = np.sqrt(post["posterior"]["covariances"].values[..., 0, 0]).min(-1)
    assert np.median(narrowest) < 1e-3 * x.std()
    assert diagnose(post).verdict == "converged"


def test_a_mode_hidden_from_the_starts_is_found_again():
    """Chains that are given EM's first optimum alone stay in it; searches of their own find the mirror image."""
    square = blobs(corners(6), 100)
    square = np.vstack([square, square[:, ::-1]])
    fit = fit_mixture(square, 2, "diag", random_state=0)
    hidden = replace(fit, optima=tuple(o for o in fit.optima if o.mixture is fit.mixture)[:1], n_once=0)
    assert diagnose(sampled(square, 2, "diag", em=hidden)).verdict == "multimodal"


def test_chains_that_agree_do_not_pass_where_searches_do_not(good):
    """One search of four found the heaviest mode: what the chains agree on may be a lesser one."""
    doubtful = good.copy()
    doubtful.attrs |= {"n_searches": 4, "mode_searches": np.array([1])}
    diagnosis = diagnose(doubtful)
    assert diagnosis.verdict == "not converged"
    assert "only one of 4 EM searches" in diagnosis.evidence
    doubtful.attrs |= {"mode_searches": np.array([3])}
    assert diagnose(doubtful).ok
    few = good.copy()
    few.attrs |= {"restarts": np.array([40, 2, 30, 30])}
    assert diagnose(few).verdict == "not converged"


def test_the_evidence_tells_what_was_searched(good):
    """Good-Turing: 3 optima hit once in 60 starts, 0.05; walkers that never jumped are a doubt of their own."""
    told = good.copy()
    told.attrs |= {"n_searches": 4, "mode_searches": np.array([4]), "unseen": 3 / 60}
    assert "4 EM searches, whose next start would find a new optimum with probability 0.05" in diagnose(told).evidence
    assert diagnose(told).ok
    told.attrs |= {"stuck": 0.2}
    assert diagnose(told).verdict == "not converged"
    assert "20% of the walkers never jumped" in diagnose(told).evidence


def test_remedies_name_options_of_both_doors():
    """Every option in a remedy is one of `sample_posterior`'s arguments or of the commands'."""
    import inspect
    import re
    from pathlib import Path

    import bayesgmm

    said = " ".join(VERDICTS.values())
    arguments = set(inspect.signature(bayesgmm.sample_posterior).parameters)
    pairs = re.findall(r"\((\w+), (--?\w+)\)", said)
    assert len(pairs) >= 6
    options = (Path(bayesgmm.__file__).parent / "cli" / "options.py").read_text("utf-8")
    for argument, option in pairs:
        assert argument in arguments
        assert f'"{option}"' in options


def test_energies_that_are_not_explored_do_not_pass(good):
    energy = good["sample_stats"].dataset["energy"]
    creeping = np.cumsum(np.random.default_rng(0).normal(size=energy.shape), axis=1)
    stats = good["sample_stats"].dataset.assign(energy=(energy.dims, creeping))
    diagnosis = diagnose(good.assign(sample_stats=xr.DataTree(stats)))
    assert diagnosis.verdict == "not converged"
    assert "E-BFMI" in diagnosis.evidence


def test_ambiguity_is_that_of_the_draws_not_of_the_rows(good):
    """Means that differ by N(1, 0.5^2), all else alike: total variation 2 Phi(1 / 0.5) - 1, whatever the rows.

    One Gaussian of 3,000 rows split in two has names that mean little, which responsibilities of that many rows do not show.
    """
    view, rng = Posterior.read(good), np.random.default_rng(0)
    s = len(view.draws.weights)
    means = np.zeros((s, 2, 2))
    means[:, 0, 0] = view.scaling.scale[0] * rng.normal(1.0, 0.5, s)
    alike = Mixture(view.draws.structure, np.full((s, 2), 0.5), means, np.broadcast_to(np.eye(2), (s, 2, 2, 2)))
    assert label_ambiguity(replace(view, draws=alike)) == pytest.approx(2 * norm.cdf(-2.0), rel=0.15)
    assert label_ambiguity(view) < 1e-6
    assert diagnose(sampled(blobs([[0]], 3000), 2, draws=300)).ambiguity > 0.05


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
