"""The pipeline end to end on Old Faithful, and back from its folder."""

import json
import re

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayesgmm as bg
from bayesgmm.analysis import choose_headline, chosen_cells
from bayesgmm.mixture import log_density


@pytest.fixture(scope="module")
def analysis() -> bg.Analysis:
    return bg.analyze(bg.load_dataset("faithful"), range(1, 4), ("full", "diag"), random_seed=0, progressbar=False)


@pytest.fixture(scope="module")
def folder(analysis, tmp_path_factory):
    return analysis.save(tmp_path_factory.mktemp("analysis"))


def test_em_and_posterior_say_what_they_should(analysis) -> None:
    row = analysis.grid.table.query("n_components == 2 and covariance_type == 'full'").iloc[0]
    assert row["log_likelihood"] == pytest.approx(-1130.26396, abs=1e-4)
    assert analysis.diagnoses["2 full"].verdict == "converged"
    assert analysis.diagnoses["2 full"].table["r_hat"].max() < 1.01
    assert analysis.diagnoses["2 full"].n_divergent == 0
    # By its Laplace approximation 3 diag could hold more than a hundredth; with it what is left out cannot.
    assert set(analysis.posteriors) == {"1 full", "2 full", "3 full", "3 diag"}
    assert analysis.comparison.attrs["left_out"] < 0.01
    assert "3 diag" in analysis.reason
    # A third, small component is what the evidence prefers here (2 full is named as its rival or has the answer).
    assert "2 full" in (analysis.headline, *analysis.rivals)


def test_every_row_has_a_probability_with_an_interval(analysis) -> None:
    m = analysis.memberships
    assert m.sizes["obs_id"] == 272
    assert np.allclose(m["probability"].sum("cluster"), 1)
    assert bool((m["probability_lb"] <= m["probability_ub"]).all())
    # The mean of a very skewed posterior may lie outside its equal-tailed interval; not where a row is really open.
    inside = (m["probability_lb"] <= m["probability"]) & (m["probability"] <= m["probability_ub"])
    assert bool(inside.where((m["probability"] > 0.05) & (m["probability"] < 0.95), True).all())


def test_folder_holds_what_was_promised(analysis, folder) -> None:
    names = {p.name for p in folder.iterdir()}
    assert names == {
        "report.html",
        "criteria.csv",
        "comparison.csv",
        "memberships.csv",
        "sensitivity.csv",
        "analysis.json",
        *(f"posterior-{k}-full.nc" for k in (1, 2, 3)),
        "posterior-3-diag.nc",
    }
    criteria = pd.read_csv(folder / "criteria.csv")
    assert list(criteria.columns) == list(analysis.grid.table.columns)
    assert len(pd.read_csv(folder / "memberships.csv")) == 272
    document = json.loads((folder / "analysis.json").read_text())
    assert document["headline"] == analysis.headline
    assert document["provenance"]["fingerprint"] == analysis.table.fingerprint


def test_report_says_the_answer(analysis, folder) -> None:
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "-1130.2640" in page
    assert "converged" in page
    assert not re.search(r'(?:src|href)\s*=\s*"(?:https?:)?//', page)
    open_rows = analysis.memberships["obs_id"].values[analysis.memberships["probability"].max("cluster").values < 0.9]
    assert open_rows.size
    shown = re.sub(r"<[^>]+>", " ", page)
    assert all(re.search(rf"\b{row}\b", shown) for row in open_rows)


def test_loaded_is_saved(analysis, folder) -> None:
    back = bg.load_analysis(folder)
    assert back.headline == analysis.headline
    assert back.rivals == analysis.rivals
    for key, post in analysis.posteriors.items():
        for group in ("posterior", "log_likelihood", "sample_stats", "unconstrained_posterior"):
            xr.testing.assert_allclose(back.posteriors[key][group].dataset, post[group].dataset)
    xr.testing.assert_allclose(back.memberships, analysis.memberships)
    pd.testing.assert_frame_equal(back.comparison, analysis.comparison, check_dtype=False)
    pd.testing.assert_frame_equal(back.grid.table, analysis.grid.table)
    assert back.contrast.summary == analysis.contrast.summary


def test_held_out_rows_are_fitted_by_nothing_and_come_back(tmp_path) -> None:
    df = bg.load_dataset("faithful")
    analysis = bg.analyze(df, [2], ["full"], holdout=0.25, draws=400, random_seed=4, progressbar=False)
    held = analysis.holdout
    assert (analysis.table.n_obs, held.n_obs) == (204, 68)
    assert sorted([*analysis.table.index, *held.index]) == df.index.tolist()
    assert analysis.provenance["settings"]["holdout"] == "68 rows"
    row = analysis.contrast.prediction.loc["holdout"]
    mixture = bg.fit_mixture(df.loc[analysis.table.index], 2, "full").mixture
    expected = log_density(mixture, df.loc[held.index].to_numpy())
    assert (row["n_rows"], row["em"]) == (68, pytest.approx(expected.sum(), abs=1e-6))
    back = bg.load_analysis(analysis.save(tmp_path))
    np.testing.assert_array_equal(back.holdout.values, held.values)
    assert back.contrast.summary == analysis.contrast.summary
    assert "holdout (68 rows)" in back.contrast.summary


def test_failed_save_leaves_the_folder_alone(analysis, tmp_path, monkeypatch) -> None:
    (tmp_path / "report.html").write_text("earlier")

    def broken(findings: object) -> str:
        raise RuntimeError("no page")

    monkeypatch.setattr("bayesgmm.report.page.render_report", broken)
    with pytest.raises(RuntimeError, match="no page"):
        analysis.save(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
    assert (tmp_path / "report.html").read_text() == "earlier"


def test_loading_what_is_not_an_analysis(tmp_path) -> None:
    with pytest.raises(bg.InputError, match=r"analysis\.json"):
        bg.load_analysis(tmp_path)


def test_cells_are_chosen_and_explained(analysis) -> None:
    cells, why = chosen_cells(analysis.grid, "bic")
    assert cells == [(1, "full"), (2, "full"), (3, "full")]
    assert "'full'" in why
    assert len(chosen_cells(analysis.grid, "all")[0]) == 6
    assert chosen_cells(analysis.grid, [(2, "diag")])[0] == [(2, "diag")]
    with pytest.raises(bg.InputError, match=r"\(9, 'full'\)"):
        chosen_cells(analysis.grid, [(9, "full")])
    with pytest.raises(bg.InputError, match="'best'"):
        chosen_cells(analysis.grid, "best")  # type: ignore[arg-type]


def test_headline_is_never_an_untrusted_model_where_there_is_another(analysis) -> None:
    from dataclasses import replace

    bad = {k: replace(d, verdict="not converged") if k == "2 full" else d for k, d in analysis.diagnoses.items()}
    headline, rivals, _ = choose_headline(analysis.comparison, bad)
    assert headline != "2 full"
    assert "2 full" in rivals
    none = {k: replace(d, verdict="multimodal") for k, d in analysis.diagnoses.items()}
    assert "no sampled model" in choose_headline(analysis.comparison, none)[2]


def test_the_best_prediction_is_never_ruled_out(analysis) -> None:
    """The model of the best elpd differs from itself by nothing, without error: it is a rival if it is not the headline."""
    comparison = analysis.comparison.copy()
    best = str(comparison["elpd"].idxmax())
    other = next(key for key in comparison.index if key != best)
    comparison["p_model"] = [1e-9 if key != other else 1.0 for key in comparison.index]
    headline, rivals, _ = choose_headline(comparison, analysis.diagnoses)
    assert headline == other
    assert best in rivals


def test_bad_options_fail_before_anything_is_fitted(monkeypatch) -> None:
    monkeypatch.setattr("bayesgmm.analysis.fit_grid", lambda *a, **k: pytest.fail("fitted"))
    with pytest.raises(bg.InputError, match="n_components=0"):
        bg.analyze(bg.load_dataset("faithful"), [0, 1])
    with pytest.raises(bg.InputError, match="oval"):
        bg.analyze(bg.load_dataset("faithful"), [1], ("oval",))
