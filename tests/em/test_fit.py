"""A whole fit: search, judgement, weights, seeds, and data that are hard to fit."""

import numpy as np
import pytest

from bayesgmm.data import InputError
from bayesgmm.em import fit_mixture
from bayesgmm.em.criteria import aic, bic
from bayesgmm.em.search.moves import closest_merges, doubled, perturbed, split
from bayesgmm.mixture import COVARIANCE_TYPES, log_density

structures = pytest.mark.parametrize("name", COVARIANCE_TYPES)


@structures
def test_account_is_consistent(values, name: str) -> None:
    x = values("faithful")
    fit = fit_mixture(x, 3, name)
    assert fit.log_likelihood == pytest.approx(log_density(fit.mixture, x).sum(), rel=1e-10)
    assert fit.aic == pytest.approx(aic(fit.log_likelihood, fit.n_parameters))
    assert fit.bic == pytest.approx(bic(fit.log_likelihood, fit.n_parameters, 272))
    assert fit.icl >= fit.bic
    assert fit.map_counts.sum() == 272
    assert np.all(np.diff(fit.mixture.weights) <= 0)
    assert np.all(np.diff(fit.trace) >= -1e-9 * abs(fit.log_likelihood))
    assert fit.optima[0].log_likelihood == pytest.approx(fit.log_likelihood)
    assert all(o.log_likelihood <= fit.log_likelihood + 1e-4 for o in fit.optima if not o.spurious)
    for word in ("log likelihood", "BIC", "ICL", "df", "outcome", "starts"):
        assert word in repr(fit)
    assert "<pre>" in fit._repr_html_()


def test_icl_uses_most_probable_labels(values) -> None:
    """ICL = BIC - 2 sum_i log max_k z_ik, here by SciPy-free brute force."""
    x = values("faithful")
    fit = fit_mixture(x, 2, "full")
    from bayesgmm.mixture import responsibilities

    z, _ = responsibilities(fit.mixture, x)
    assert fit.icl == pytest.approx(fit.bic - 2 * np.log(z.max(1)).sum())
    assert fit.entropy == pytest.approx(-(z * np.log(np.maximum(z, 1e-300))).sum(), rel=1e-8)


@structures
def test_weights_repeat_and_drop_rows(values, name: str) -> None:
    x = values("faithful")
    weight = np.random.default_rng(0).integers(0, 3, size=len(x))
    weighted = fit_mixture(x, 2, name, sample_weight=weight)
    repeated = fit_mixture(np.repeat(x, weight, axis=0), 2, name)
    assert weighted.log_likelihood == pytest.approx(repeated.log_likelihood, abs=1e-4)
    assert weighted.bic == pytest.approx(repeated.bic, abs=1e-3)
    np.testing.assert_allclose(weighted.mixture.means, repeated.mixture.means, rtol=1e-3)


@structures
def test_one_seed_one_result(values, name: str) -> None:
    x = values("iris")
    one, two = (fit_mixture(x, 3, name, random_state=7) for _ in range(2))
    np.testing.assert_array_equal(one.mixture.means, two.mixture.means)
    np.testing.assert_array_equal(one.mixture.covariances, two.mixture.covariances)
    assert one.log_likelihood == two.log_likelihood


@structures
def test_units_and_order_of_rows_do_not_matter(values, name: str) -> None:
    x = values("faithful")
    # One factor for all columns, so that spheres stay spheres.
    scale = np.array([1e8, 1e8]) if name == "spherical" else np.array([1e-8, 1e8])
    plain = fit_mixture(x, 2, name)
    other = fit_mixture(x[::-1] * scale, 2, name)
    shift = 272 * np.log(scale).sum()
    assert other.log_likelihood + shift == pytest.approx(plain.log_likelihood, abs=1e-3)
    assert other.outcome == "converged"
    np.testing.assert_allclose(other.mixture.means / scale, plain.mixture.means, rtol=1e-3)


@pytest.mark.parametrize("init", ["random", "k-means++", "kmeans", "random_from_data"])
def test_leaves_the_saddle_on_faithful(values, init: str) -> None:
    """scikit-learn's random and k-means++ starts stop at the one-component saddle (tied, two components)."""
    x = values("faithful")
    saddle = fit_mixture(x, 1, "tied").log_likelihood
    fit = fit_mixture(x, 2, "tied", init=init, n_starts=3)
    assert fit.log_likelihood == pytest.approx(-1140.186759, abs=1e-4)
    assert fit.log_likelihood > saddle + 100


def test_leaves_an_exact_saddle(values) -> None:
    """All components equal: EM alone stays there for ever."""
    x = values("faithful")
    one = fit_mixture(x, 1, "tied")
    stuck = fit_mixture(x, 2, "tied", n_starts=0, extra_starts=(doubled(one.mixture),), moves=False)
    assert stuck.log_likelihood == pytest.approx(one.log_likelihood, abs=1e-6)
    free = fit_mixture(x, 2, "tied", n_starts=0, extra_starts=(doubled(one.mixture),))
    assert free.log_likelihood == pytest.approx(-1140.186759, abs=1e-4)


def test_spikes_do_not_win() -> None:
    rng = np.random.default_rng(0)
    x = np.vstack([rng.normal(size=(100, 2)), rng.normal(size=(100, 2)) + 6, 1e-5 * rng.normal(size=(6, 2)) + 3])
    fit = fit_mixture(x, 3, "full")
    assert fit.outcome == "converged"
    assert fit.smallest_eigenvalue > 1e-4
    assert any(o.spurious and o.log_likelihood > fit.log_likelihood for o in fit.optima)


@structures
def test_moves_keep_what_they_promise(values, name: str) -> None:
    x = values("faithful")
    fit = fit_mixture(x, 3, name).mixture
    two = doubled(fit)
    np.testing.assert_allclose(log_density(two, x), log_density(fit, x), rtol=1e-9)
    assert split(fit, 0).n_components == 4
    assert [m.n_components for m in closest_merges(fit, 10)] == [2, 2, 2]
    assert perturbed(fit, 0.1, 4, np.random.default_rng(0)).means.shape == (4, 3, 2)
    for m in (split(fit, 1), closest_merges(fit, 1)[0]):
        np.testing.assert_allclose(m.weights @ m.means, fit.weights @ fit.means, rtol=1e-9)


ZOO = {
    "duplicated rows": np.repeat(np.random.default_rng(0).normal(size=(12, 2)), 8, axis=0),
    "collinear columns": np.random.default_rng(1).normal(size=(60, 1)) @ np.array([[1.0, -2.0, 0.5]]) + [0, 1, 2],
    "one row repeated": np.vstack([np.random.default_rng(2).normal(size=(60, 2)), np.tile([[0.3, 0.3]], (40, 1))]),
    "fewer rows than K D": np.random.default_rng(3).normal(size=(7, 4)),
    "groups 1e8 apart": np.vstack([np.random.default_rng(4).normal(size=(50, 2)) + c for c in (0.0, 1e8)]),
    "columns 1e-8 and 1e8": np.random.default_rng(5).normal(size=(80, 2)) * [1e-8, 1e8],
    "far from the origin": np.random.default_rng(6).normal(size=(80, 2)) + 1e7,
    "two values": np.repeat([[0.0, 1.0], [1.0, 0.0]], 20, axis=0),
    "heavy tails": np.random.default_rng(7).standard_cauchy(size=(100, 2)),
}


@structures
@pytest.mark.parametrize("k", [1, 2, 3, 5])
@pytest.mark.parametrize("case", ZOO)
def test_degenerate_data_have_a_named_outcome(case: str, k: int, name: str) -> None:
    fit = fit_mixture(ZOO[case], k, name)
    assert np.isfinite(fit.log_likelihood)
    assert np.isfinite(fit.mixture.means).all()
    assert np.isfinite(fit.mixture.covariances).all()
    assert fit.outcome in ("converged", "not converged", "saddle", "spurious", "degenerate")
    assert fit.remedy


def test_collinear_columns_are_named() -> None:
    import pandas as pd

    rng = np.random.default_rng(0)
    df = pd.DataFrame(rng.normal(size=(50, 3)), columns=["a", "b", "c"])
    df["d"] = 2 * df["a"] - df["c"]
    fit = fit_mixture(df, 2, "full")
    assert fit.outcome == "degenerate"
    assert fit.collinear == ("a", "c", "d")
    assert "columns a, c, d are collinear" in fit.evidence
    assert "drop one of" in fit.remedy
    assert fit_mixture(df, 2, "diag").outcome == "converged"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_components": 5}, "n_components=5 is more than the 4 rows"),
        ({"n_components": 0}, "n_components=0: give a whole number, at least 1"),
        ({"n_components": 1, "max_iter": 0}, "max_iter=0"),
        ({"n_components": 1, "n_starts": 0}, "n_starts=0"),
        ({"n_components": 1, "ridge": -1.0}, "ridge=-1.0"),
        ({"n_components": 1, "init": "luck"}, "init='luck'"),
        ({"n_components": 1, "sample_weight": [1, 1]}, "sample_weight has shape"),
        ({"n_components": 1, "sample_weight": [1, -1, 1, 1]}, "sample_weight of row 1 is -1"),
        ({"n_components": 1, "sample_weight": [0, 0, 0, 0]}, "sample_weight is zero"),
    ],
)
def test_errors_name_the_culprit(arguments: dict, message: str) -> None:
    x = np.random.default_rng(0).normal(size=(4, 2))
    with pytest.raises(InputError, match=message):
        fit_mixture(x, **arguments)


def test_bad_tables_are_refused() -> None:
    x = np.ones((10, 2))
    x[:, 0] = np.arange(10)
    with pytest.raises(InputError, match="column 'x1' is constant"):
        fit_mixture(x, 1)
    x[3, 1] = np.nan
    with pytest.raises(InputError, match="missing"):
        fit_mixture(x, 1)
