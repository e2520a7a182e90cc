"""The posterior of incomplete rows, through every door."""

import numpy as np
import pandas as pd
import pytest

import bayesgmm as bg
from bayesgmm.data import InputError, as_table
from bayesgmm.mixture import log_density
from bayesgmm.report.page import render_report

from ..incomplete_fixtures import two_groups

QUICK = {"draws": 250, "random_seed": 1, "progressbar": False, "missing": "marginalise"}


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return pd.DataFrame(two_groups(np.random.default_rng(1), 120), columns=["a", "b", "c"])


@pytest.fixture(scope="module")
def post(table):
    return bg.sample_posterior(table, 2, **QUICK)


def test_draws_are_of_the_posterior_by_importance(table, post) -> None:
    """Every draw's lp is prior plus the log likelihood of what was observed, in the units of the data."""
    x = table.to_numpy()
    draws = post["posterior"].dataset.isel(chain=0)
    from bayesgmm.sampling import Posterior

    view = Posterior.read(post)
    for s in (0, 100):
        prior = view.target.tempered(0.0)(view.unconstrained[s])[0]
        likelihood = log_density(view.draws[s], x).sum()
        lp = float(post["sample_stats"]["lp"].values.ravel()[s])
        assert lp == pytest.approx(prior + likelihood, abs=1e-5)
        np.testing.assert_allclose(draws["means"].values[s], view.draws.means[s])


def test_every_answer_is_given(table, post) -> None:
    assert bg.diagnose(post).table["r_hat"].max() < 1.1
    fit = bg.fit_mixture(table, 2, missing="marginalise")
    contrast = bg.em_vs_posterior(fit, post)
    assert contrast.parameters["inside"].all()
    assert np.isfinite(contrast.prediction.loc["in sample", ["em", "posterior"]]).all()
    assert bg.clusters(post, progressbar=False).n_groups == 2
    assert bg.consensus(post).n_clusters == 2
    assert bg.predictive_checks(post)["p_value"].between(0.001, 0.999).all()
    assert bg.kmeans_contrast(post).ari_em > 0.8
    assert bg.coclustering(post).shape == (120, 120)


def test_evidence_and_loo_agree_with_sampling_from_the_prior(table) -> None:
    """Bridge against annealed importance from the prior, and LOO against a refit without the row."""
    small = table.head(25)
    post = bg.sample_posterior(small, 1, "diag", **QUICK)
    bridge = bg.log_evidence(post, method="bridge")
    smc = bg.log_evidence(post, method="smc", particles=500, repeats=3)
    assert bridge.value == pytest.approx(smc.value, abs=4 * max(smc.se, 0.02))


def test_a_row_that_lacks_more_is_less_certain(post) -> None:
    """Averaged over the complete rows: hiding a telling column leaves the cluster more open."""
    rows = pd.DataFrame([[7.0, 20.0, 5.0], [np.nan, 20.0, 5.0], [np.nan, np.nan, 5.0]], columns=["a", "b", "c"])
    found = bg.memberships(post, rows, missing="marginalise")
    entropy = found["entropy"].values
    assert entropy[0] < entropy[1] < entropy[2]
    with pytest.raises(InputError, match="missing values"):
        bg.memberships(post, rows)


def test_imputations_keep_what_is_there_and_vary_elsewhere(table, post) -> None:
    found = bg.impute(post, 50)
    x = table.to_numpy()
    there = ~np.isnan(x)
    assert np.array_equal(found["missing"].values, ~there)
    assert (found["x"].values[:, there] == x[there]).all()
    drawn = found["x"].values[:, ~there]
    assert np.isfinite(drawn).all()
    assert (drawn.std(0) > 0).all()
    assert np.array_equal(bg.impute(post, 50)["x"].values, found["x"].values)
    with pytest.raises(InputError, match="n_imputations"):
        bg.impute(post, 0)


def test_missingness_that_goes_with_the_group_is_told_from_one_that_does_not() -> None:
    rng = np.random.default_rng(2)
    label = rng.integers(2, size=300)
    x = rng.normal(size=(300, 3)) + 6.0 * label[:, None]
    alike, apart = x.copy(), x.copy()
    alike[rng.uniform(size=300) < 0.2, 0] = np.nan
    apart[rng.uniform(size=300) < np.where(label == 1, 0.35, 0.05), 0] = np.nan
    tables = [bg.missingness(bg.sample_posterior(d, 2, "diag", **QUICK)) for d in (alike, apart)]
    assert tables[0]["p_differs"].iloc[0] < 0.5
    assert tables[1]["p_differs"].iloc[0] > 0.99
    assert tables[1]["share"].max() == pytest.approx(0.35, abs=0.1)
    assert list(tables[0].index.get_level_values("feature").unique()) == ["x0"]


def test_the_tree_keeps_the_holes(post, table, tmp_path) -> None:
    from bayesgmm.sampling import read_draws, write_draws

    write_draws(post, tmp_path / "posterior-2-full.nc")
    again = read_draws(tmp_path / "posterior-2-full.nc")
    np.testing.assert_array_equal(again["observed_data"]["x"].values, table.to_numpy())
    assert bg.log_evidence(again).value == bg.log_evidence(post).value


def test_what_knows_complete_rows_only_says_so(table) -> None:
    with pytest.raises(InputError, match="tempering"):
        bg.sample_posterior(table, 2, sampler="tempering", **QUICK)
    with pytest.raises(InputError, match="missing values"):
        bg.filled_components(as_table(table, missing="marginalise"))


def test_rows_without_a_value_are_named() -> None:
    holes = pd.DataFrame({"a": [1.0, np.nan, 2.0, 3.0], "b": [1.0, np.nan, np.nan, 4.0]}, index=list("wxyz"))
    with pytest.raises(InputError, match="1 row has no value in any of the columns: row 'x'"):
        as_table(holes, missing="marginalise")
    with pytest.raises(InputError, match="column 'b' has no value at all"):
        as_table(holes.assign(b=np.nan).drop("x"), missing="marginalise")
    kept = as_table(holes.drop("x"), missing="marginalise")
    assert (kept.n_obs, kept.n_incomplete, kept.is_complete) == (3, 1, False)
    assert as_table(kept, missing="drop").n_obs == 2


@pytest.mark.slow
def test_report_says_who_lacks_what(table, tmp_path) -> None:
    found = bg.analyze(table, [1, 2], ["full"], draws=250, progressbar=False, missing="marginalise", holdout=0.2)
    page = render_report(found)
    assert "lack at least one value" in page
    assert "Rows by what they lack" in page
    again = bg.load_analysis(found.save(tmp_path / "report"))
    assert render_report(again).count("Rows by what they lack") == 1
    assert np.isfinite(found.contrast.prediction.to_numpy()).all()
