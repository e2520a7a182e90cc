"""Models that are not sampled: their approximate evidences, what they may hold, and where the search goes on."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bayesgmm import fit_grid, load_dataset, log_evidence, sample_posterior
from bayesgmm.data import as_table
from bayesgmm.em.grid import extended
from bayesgmm.posterior import Priors
from bayesgmm.sampling.settings import Settings
from bayesgmm.sampling.store import DrawStore
from bayesgmm.selection.assessment import AssessmentStore
from bayesgmm.selection.compare import compare
from bayesgmm.selection.further import at_the_edge, best_model, worth_sampling
from bayesgmm.selection.screening import Screen, screened
from bayesgmm.selection.search import Search


def groups(seed=0, count=3, n=60):
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.normal(8.0 * k, 1.0, (n, 2)) for k in range(count)])


def test_the_laplace_approximation_is_the_evidence_of_one_gaussian():
    """With one component the posterior is nearly Gaussian: bridge sampling finds the same evidence to a twentieth of a nat."""
    y = groups(count=1, n=200)
    grid = fit_grid(y, (1,), ("full", "diag"), progressbar=False)
    found = screened(as_table(y), grid, Priors())
    for cell, value in found.laplace.items():
        post = sample_posterior(y, *cell, em=grid[cell], draws=500, random_seed=0, progressbar=False)
        assert value == pytest.approx(log_evidence(post).value, abs=0.05), cell


def test_bounds_are_above_the_evidence_where_it_is_known():
    """Faithful, two structures sampled, the third bounded by them: its evidence lies below the bound and near it."""
    y = load_dataset("faithful")
    grid = fit_grid(y, (2, 3), ("full", "tied", "diag"), progressbar=False)
    screen = screened(as_table(y), grid, Priors())
    known = {(2, "full"): -1164.986, (3, "full"): -1162.73, (2, "tied"): -1167.525, (3, "tied"): -1160.183}
    bounds = screen.bounds(known)
    assert set(bounds) == {(2, "diag"), (3, "diag")}
    for cell, evidence in {(2, "diag"): -1178.32, (3, "diag"): -1167.88}.items():
        assert evidence < bounds[cell] < evidence + 5


def test_what_is_left_out_is_bayes_rule_over_the_bounds():
    """Two models sampled and one not, bound two nats below the best: its share of what there is then."""
    screen = Screen({(1, "full"): -100.0, (2, "full"): -90.0, (2, "diag"): -92.0})
    known = {(1, "full"): -100.0, (2, "full"): -89.5}
    bound = screen.bounds(known)[2, "diag"]
    assert bound == pytest.approx(-92.0 + 0.5 + 1.0)
    rows = groups(count=2, n=20)
    posts = {f"{k} full": sample_posterior(rows, k, draws=200, random_seed=0, progressbar=False) for k in (1, 2)}
    grid = fit_grid(rows, (1, 2), ("full", "diag"), progressbar=False)
    table = compare(posts, grid=grid, refit=False, screen=screen)
    z = table["log_evidence"]
    excess = max(z["1 full"] + 100.0, z["2 full"] + 90.0, 0.0)
    # K=1 shares its prior between full and diag, K=2 as well; (1, "diag") is not on this screen.
    mass = np.array([z["1 full"], z["2 full"], -92.0 + excess + 1.0])
    assert table.attrs["left_out"] == pytest.approx(np.exp(mass[2] - np.logaddexp.reduce(mass)), rel=1e-6)
    assert table.attrs["left_out_models"][0][0] == "2 diag"


def comparison_of(p_model, counts, left_out=0.0, models=()):
    names = [f"{k} full" for k in counts]
    frame = pd.DataFrame({"n_components": counts, "p_model": p_model}, index=names)
    frame.attrs |= {"left_out": left_out, "left_out_models": list(models)}
    return frame


def test_the_search_goes_on_where_the_largest_is_the_best():
    assert at_the_edge(comparison_of([0.2, 0.8], [1, 2]))
    assert not at_the_edge(comparison_of([0.8, 0.2], [1, 2]))
    assert not at_the_edge(comparison_of([1.0], [3]))
    assert not at_the_edge(comparison_of([np.nan, np.nan], [1, 2]))
    assert best_model(comparison_of([0.3, 0.2, 0.4], [1, 2, 1])) == "1 full"


def test_models_are_added_until_the_rest_holds_less_than_a_hundredth():
    models = [["2 diag", 0.05], ["3 diag", 0.02], ["4 diag", 0.003], ["5 diag", 0.001]]
    table = comparison_of([0.2, 0.8], [1, 2], 0.074, models)
    assert worth_sampling(table, set(), 6) == [(2, "diag"), (3, "diag")]
    assert worth_sampling(table, set(), 1) == [(2, "diag")]
    assert worth_sampling(table, {(2, "diag")}, 6)[0] == (3, "diag")
    assert worth_sampling(comparison_of([1.0], [1], None), set(), 6) == []


def test_a_grid_is_extended_as_it_would_have_been_fitted():
    """Old fits stay; the new ones reach what a grid over all counts reaches, and contain what they contain."""
    y = load_dataset("faithful")
    whole = fit_grid(y, (1, 2, 3), ("full", "tied"), progressbar=False)
    part = fit_grid(y, (1, 2), ("full", "tied"), progressbar=False)
    grown = extended(part, y, [3], progressbar=False)
    assert set(grown.fits) == set(whole.fits)
    assert grown.aliases == whole.aliases
    assert all(grown.fits[cell] is fit for cell, fit in part.fits.items())
    for name in ("full", "tied"):
        assert grown[3, name].log_likelihood == pytest.approx(whole[3, name].log_likelihood, abs=1e-4)


@pytest.mark.slow
def test_three_groups_are_found_from_a_range_that_ends_at_two(tmp_path):
    """Asked for one and two, the search goes to four: three is best, and four shows that it is no edge."""
    table = as_table(groups())
    grid = fit_grid(table, (1, 2), ("spherical",), progressbar=False)
    how = Settings(draws=300, chains=2, random_seed=0, progressbar=False)
    search = Search(table, Priors(), grid, how, DrawStore(tmp_path))
    search.sample([(1, "spherical"), (2, "spherical")])
    search.look_further(10)
    assert best_model(search.comparison) == "3 spherical"
    assert list(search.posteriors) == [f"{k} spherical" for k in (1, 2, 3, 4)]
    assert search.said == ["K=3, 4 too, because the largest number of components was the most probable"]
    assert {p.name for p in tmp_path.glob("assessment-*")} == {f"assessment-{k}-spherical.npz" for k in (1, 2, 3, 4)}


def test_an_assessment_is_kept_and_found_for_the_same_question_only(tmp_path, monkeypatch):
    post = sample_posterior(groups(count=1), 1, draws=100, random_seed=0, progressbar=False)
    post.attrs["request_fingerprint"] = "one"
    how = {"evidence": True, "refit": True, "random_seed": 0}
    made = AssessmentStore(tmp_path).of("1 full", post, **how)
    calls = []
    monkeypatch.setattr("bayesgmm.selection.assessment.assess", lambda *a, **k: calls.append(k) or made)
    found = AssessmentStore(tmp_path).of("1 full", post, **how)
    assert not calls
    np.testing.assert_array_equal(found.elpd_rows, made.elpd_rows)
    assert (found.evidence, found.verdict, found.p_loo) == (made.evidence, made.verdict, made.p_loo)
    AssessmentStore(tmp_path).of("1 full", post, **{**how, "random_seed": 1})
    AssessmentStore(None).of("1 full", post, **how)
    path = tmp_path / "assessment-1-full.npz"
    path.write_bytes(path.read_bytes()[:-100])
    AssessmentStore(tmp_path).of("1 full", post, **how)
    assert len(calls) == 3
