"""EM against the posterior: every column against its definition, the standard errors against two other routes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import multivariate_normal
from sklearn.mixture import GaussianMixture as TheirMixture

from bayesgmm.clusters.rows import scored_rows, training_rows
from bayesgmm.contrast.em import em_vs_posterior
from bayesgmm.contrast.prediction import affordable_folds, log_predictive
from bayesgmm.data import InputError, Scaling
from bayesgmm.em import GaussianMixture, fit_mixture, membership_intervals
from bayesgmm.em.standard_errors import standard_errors
from bayesgmm.mixture import Mixture, log_density, responsibilities
from bayesgmm.sampling.posterior import Posterior

from ..membership_fixtures import laplace_posterior, two_groups


@pytest.fixture(scope="module")
def data():
    return pd.DataFrame(two_groups(80, 4.0), columns=["left", "up"])


@pytest.fixture(scope="module")
def fit(data):
    return fit_mixture(data, 2)


@pytest.fixture(scope="module")
def post(data, fit):
    return laplace_posterior(data, 2, fit=fit, draws=500)


@pytest.fixture(scope="module")
def contrast(fit, post):
    return em_vs_posterior(fit, post, holdout=two_groups(30, 4.0, seed=8))


def test_parameters_are_summaries_of_the_draws(contrast, post, fit):
    table = contrast.parameters
    draws = post["posterior"]["covariances"].sel(cluster=1, feature="left", feature_bis="up").values.ravel()
    row = table.loc["covariances[1, left, up]"]
    assert row["em"] == pytest.approx(fit.mixture.dense_covariances[1, 0, 1])
    assert row["mean"] == pytest.approx(draws.mean())
    assert row["sd"] == pytest.approx(draws.std(ddof=1))
    assert (row["lb"], row["ub"]) == pytest.approx(tuple(np.quantile(draws, [0.055, 0.945])))
    assert row["z"] == pytest.approx((row["em"] - draws.mean()) / draws.std(ddof=1))
    assert row["inside"] == (row["lb"] <= row["em"] <= row["ub"])
    assert table.index[:3].tolist() == ["weights[0]", "weights[1]", "means[0, left]"]


@pytest.mark.parametrize(
    ("covariance_type", "names"),
    [
        ("tied", ["covariances[x0, x0]", "covariances[x0, x1]", "covariances[x1, x1]"]),
        ("diag", [f"covariances[{c}, {f}, {f}]" for c in (0, 1) for f in ("x0", "x1")]),
        ("spherical", ["covariances[0]", "covariances[1]"]),
    ],
)
def test_each_structure_lists_its_distinct_covariances(covariance_type, names):
    table = em_vs_posterior(None, laplace_posterior(two_groups(80, 5.0), 2, covariance_type)).parameters
    assert [name for name in table.index if name.startswith("cov")] == names
    assert np.isfinite(table.to_numpy(dtype=float)).all()


def test_memberships_equal_the_direct_formulas(contrast, post, fit, data):
    rows = training_rows(Posterior.read(post))
    draws = np.stack([responsibilities(rows.draws[s], rows.values)[0] for s in range(rows.n_draws)])
    p, r = draws.mean(0), responsibilities(fit.mixture, data.to_numpy())[0]
    own = r.argmax(1)
    at = np.arange(80)
    lb = np.quantile(draws, 0.055, axis=0)[at, own]
    table = contrast.memberships
    np.testing.assert_array_equal(table["em_assignment"], own)
    np.testing.assert_allclose(table["em_probability"], r.max(1), atol=1e-10)
    np.testing.assert_allclose(table["posterior_probability"], p[at, own], atol=1e-10)
    np.testing.assert_allclose(table["total_variation"], 0.5 * np.abs(r - p).sum(1), atol=1e-10)
    np.testing.assert_array_equal(table["flips"], own != p.argmax(1))
    np.testing.assert_allclose(table["posterior_modal_probability"], p.max(1), atol=1e-10)
    np.testing.assert_allclose(table["lb"], lb, atol=1e-10)
    np.testing.assert_array_equal(table["em_open"], r.max(1) < 0.9)
    np.testing.assert_array_equal(table["posterior_open"], p.max(1) < 0.9)
    gm = GaussianMixture.from_fit(fit)
    delta = membership_intervals(gm.standard_errors(data), data.to_numpy(), 0.89)
    np.testing.assert_allclose(table["delta_probability"], delta.probability[at, own], atol=1e-9)
    np.testing.assert_allclose(table["delta_lb"], delta.lb[at, own], atol=1e-9)
    np.testing.assert_allclose(table["delta_ub"], delta.ub[at, own], atol=1e-9)
    np.testing.assert_array_equal(table["delta_open"], delta.probability.max(1) < 0.9)


def test_predictions_equal_the_direct_formulas(contrast, post, fit):
    new = two_groups(30, 4.0, seed=8)
    view = Posterior.read(post)
    draws = view.draws
    density = np.zeros(30)
    for s in range(len(draws.weights)):
        for w, m, c in zip(draws.weights[s], draws.means[s], draws.dense_covariances[s], strict=True):
            density += w * multivariate_normal(m, c).pdf(new) / len(draws.weights)
    np.testing.assert_allclose(log_predictive(scored_rows(view, new)), np.log(density), atol=1e-9)
    row = contrast.prediction.loc["holdout"]
    difference = np.log(density) - log_density(fit.mixture, new)
    assert row["posterior"] == pytest.approx(np.log(density).sum())
    assert row["em"] == pytest.approx(log_density(fit.mixture, new).sum())
    assert row["se"] == pytest.approx(np.sqrt(30) * difference.std(ddof=1))
    assert contrast.prediction.loc["in sample", "em"] == pytest.approx(fit.log_likelihood)


def test_any_form_of_the_same_fit_gives_the_same(contrast, post, fit, data):
    estimator = GaussianMixture.from_fit(fit)
    theirs = TheirMixture(2, random_state=0, means_init=fit.mixture.means[::-1], tol=1e-10, max_iter=2000, reg_covar=0)
    for gm, tolerance in ((None, 1e-8), (estimator, 1e-8), (theirs.fit(data.to_numpy()), 1e-2)):
        other = em_vs_posterior(gm, post)
        np.testing.assert_allclose(other.parameters["em"], contrast.parameters["em"], rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(
            other.memberships["em_probability"], contrast.memberships["em_probability"], atol=tolerance
        )


def test_cross_validation_scores_every_row_once(data):
    post = laplace_posterior(data, 1)
    table = em_vs_posterior(None, post, folds=4).prediction
    assert table.loc["cross-validated", "n_rows"] == 80
    # Rows that a fit has not seen are predicted worse than those it has, by both.
    assert table.loc["cross-validated", "em"] < table.loc["in sample", "em"]


def test_cross_validation_is_automatic_where_it_takes_seconds(data):
    post = laplace_posterior(data, 1, draws=500)
    table = em_vs_posterior(None, post, folds="auto").prediction
    pd.testing.assert_frame_equal(table, em_vs_posterior(None, post, folds=5).prediction)
    # Too few rows, too many rows, and a column that some part would see constant.
    assert affordable_folds(Posterior.read(laplace_posterior(data[:49], 1)), 0) is None
    assert affordable_folds(Posterior.read(laplace_posterior(two_groups(2001), 1)), 0) is None
    lone = data.assign(up=np.eye(80)[0])
    assert affordable_folds(Posterior.read(laplace_posterior(lone, 1, "diag")), 0) is None


def test_summary_says_what_the_tables_say(contrast):
    words = contrast.summary
    unsure = int(contrast.added.loc["row intervals", "to em"])
    assert unsure > 0
    assert f"quoted for {unsure} rows a probability that is not known to within 0.05" in words
    for name in ("em", "em_intervals", "posterior"):
        assert f" {int(contrast.answers.loc['open rows', name])}" in words
        assert f" {contrast.answers.loc['expected misallocations', name]:.2f}" in words
    assert "EM's standard errors" in words
    assert "holdout (30 rows)" in words
    assert repr(contrast) == words
    assert "<table" in contrast._repr_html_()


def test_plot_shows_all_parameters_and_the_most_open_rows(contrast):
    left, right = contrast.plot().axes
    assert len(left.collections[-1].get_offsets()) == len(contrast.parameters)
    rows = contrast.memberships["posterior_modal_probability"].nsmallest(25).index
    assert [label.get_text() for label in right.get_yticklabels()] == [f"row {label}" for label in rows]
    np.testing.assert_allclose(
        right.collections[-1].get_offsets()[:, 0], contrast.memberships.loc[rows, "em_probability"]
    )


def test_refuses_another_model(post, data):
    with pytest.raises(InputError, match="n_components is 3 in gm and 2"):
        em_vs_posterior(fit_mixture(data, 3), post)
    with pytest.raises(InputError, match="covariance_type is 'diag'"):
        em_vs_posterior(fit_mixture(data, 2, "diag"), post)
    with pytest.raises(InputError, match="not fitted"):
        em_vs_posterior(GaussianMixture(2), post)
    with pytest.raises(InputError, match="gm is a str"):
        em_vs_posterior("em", post)
    with pytest.raises(InputError, match=r"folds=1\b"):
        em_vs_posterior(None, post, folds=1)
    with pytest.raises(InputError, match=r"open_below=1\b"):
        em_vs_posterior(None, post, open_below=1)
    with pytest.raises(InputError, match=r"certain=0\b"):
        em_vs_posterior(None, post, certain=0)


@pytest.mark.parametrize(("covariance_type", "share"), [("full", 1), ("tied", 1), ("diag", 1), ("spherical", 0.5)])
def test_standard_errors_of_one_gaussian(covariance_type, share):
    """se(mean) = sd / sqrt(N), se(variance) = variance sqrt(2 / N), with N D observations for one common variance."""
    x = two_groups(200) * [10.0, 0.1] if covariance_type != "spherical" else two_groups(200)
    fit = fit_mixture(x, 1, covariance_type)
    se = standard_errors(fit.mixture, x, fit.scaling)
    variance = np.diag(fit.mixture.dense_covariances[0])
    np.testing.assert_allclose(se.means[0], np.sqrt(variance / 200), rtol=1e-6)
    np.testing.assert_allclose(np.diag(se.covariances[0]), variance * np.sqrt(2 * share / 200), rtol=1e-6)
    assert se.weights.tolist() == [0.0]


def test_standard_errors_equal_those_of_the_numerical_hessian():
    """One feature, two components: second differences of the log likelihood in (w0, means, variances) themselves."""
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(0, 1, 120), rng.normal(4, 1.5, 80)])[:, None]
    fit = fit_mixture(x, 2)
    m = fit.mixture
    point = np.array([m.weights[0], *m.means.ravel(), *m.covariances.ravel()])

    def log_likelihood(p):
        mixture = Mixture(m.structure, np.array([p[0], 1 - p[0]]), p[1:3, None], p[3:, None, None])
        return log_density(mixture, x).sum()

    steps = 1e-3 * np.eye(5)
    hessian = np.array(
        [
            [sum(s * t * log_likelihood(point + s * a + t * b) for s in (1, -1) for t in (1, -1)) / 4e-6 for b in steps]
            for a in steps
        ]
    )
    expected = np.sqrt(np.diag(np.linalg.inv(-hessian)))
    se = standard_errors(m, x, fit.scaling)
    found = [se.weights[0], *se.means.ravel(), *se.covariances.ravel()]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_no_standard_errors_where_components_are_one():
    m = Mixture.from_dense("full", np.array([0.5, 0.5]), np.zeros((2, 1)), np.ones((2, 1, 1)))
    x = np.random.default_rng(0).normal(size=(50, 1))
    assert np.isnan(standard_errors(m, x, Scaling.of(x)).means).all()
    edge = Mixture.from_dense("full", np.array([1.0, 0.0]), np.zeros((2, 1)), np.ones((2, 1, 1)))
    assert np.isnan(standard_errors(edge, x, Scaling.of(x)).weights).all()
