"""Standard errors against closed forms, numerical second derivatives, simulation, and each other."""

import numpy as np
import pytest

from bayesgmm import load_dataset
from bayesgmm.data import InputError, Scaling
from bayesgmm.em import GaussianMixture, fit_mixture, standard_errors
from bayesgmm.em.standard_errors import METHODS
from bayesgmm.mixture import COVARIANCE_TYPES, Mixture, log_density, structure_named

structures = pytest.mark.parametrize("name", COVARIANCE_TYPES)


def two_groups(seed: int, n: int, distance: float = 5.0) -> np.ndarray:
    """Rows of a mixture that has each of the four structures."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 2)) + distance * (rng.uniform(size=(n, 1)) < 0.4)


@structures
def test_one_gaussian(name: str) -> None:
    """se(mean) = sd / sqrt(N), se(variance) = variance sqrt(2 / N), with N D observations for one common variance."""
    x = np.random.default_rng(0).normal(size=(200, 2)) * (1.0 if name == "spherical" else np.array([10.0, 0.1]))
    fit = fit_mixture(x, 1, name)
    se = fit.standard_errors(x)
    variance = np.diag(fit.mixture.dense_covariances[0])
    share = 0.5 if name == "spherical" else 1.0
    np.testing.assert_allclose(se.means[0], np.sqrt(variance / 200), rtol=1e-6)
    np.testing.assert_allclose(np.diag(se.covariances[0]), variance * np.sqrt(2 * share / 200), rtol=1e-6)
    assert se.weights.tolist() == [0.0]


@structures
def test_information_is_minus_the_hessian(name: str) -> None:
    """Louis' identity against second differences, at a point that is no maximum, in logit, means and covariances."""
    x = two_groups(0, 60, 2.5)
    fit = fit_mixture(x, 2, name).mixture
    m = Mixture(fit.structure, np.array([0.55, 0.45]), fit.means + 0.05, 1.05 * fit.covariances)
    correlated = name in ("full", "tied")
    entries = [e for e in np.ndindex(m.covariances.shape) if not correlated or e[-1] <= e[-2]]

    def log_likelihood(step: np.ndarray) -> float:
        odds = m.weights[0] / m.weights[1] * np.exp(step[0])
        covariances = np.array(m.covariances)
        for e, amount in zip(entries, step[5:], strict=True):
            covariances[e] += amount
            if correlated and e[-1] != e[-2]:
                covariances[(*e[:-2], e[-1], e[-2])] += amount
        weights = np.array([odds, 1.0]) / (1 + odds)
        return log_density(Mixture(m.structure, weights, m.means + step[1:5].reshape(2, 2), covariances), x).sum()

    steps = 1e-3 * np.eye(5 + len(entries))
    signs = ((1, 1), (1, -1), (-1, 1), (-1, -1))
    hessian = np.array([[sum(s * t * log_likelihood(s * a + t * b) for s, t in signs) / 4e-6 for b in steps]
                        for a in steps])  # fmt: skip
    se = standard_errors(m, x, Scaling.identity(2))
    expected = np.sqrt(np.diag(np.linalg.inv(-hessian)))
    np.testing.assert_allclose(se.weights, m.weights.prod() * expected[0], rtol=2e-4)
    np.testing.assert_allclose(se.means.ravel(), expected[1:5], rtol=2e-4)
    own = m.structure.compact(se.covariances)
    np.testing.assert_allclose([own[e] for e in entries], expected[5:], rtol=2e-4)


@structures
def test_methods_agree_where_the_model_is_right(name: str) -> None:
    x = two_groups(1, 4000)
    fit = fit_mixture(x, 2, name, n_starts=3, moves=False)
    information, sandwich, bootstrap = (fit.standard_errors(x, method, n_boot=120).table["se"] for method in METHODS)
    np.testing.assert_allclose(sandwich, information, rtol=0.15)
    # A standard deviation of 120 numbers is known to about 1 / sqrt(240) = 6.5%: three of them, and the sampling above.
    np.testing.assert_allclose(bootstrap, information, rtol=0.3)


def test_information_is_the_spread_over_samples() -> None:
    """200 samples: estimates spread as their standard errors say, within 4 / sqrt(400) = 20%."""
    truth = np.array([[5.0, 5.0], [0.0, 0.0]])
    start = Mixture(structure_named("full"), np.array([0.4, 0.6]), truth, np.stack([np.eye(2)] * 2))
    options = {"n_starts": 0, "extra_starts": (start,), "moves": False}
    fits = [fit_mixture(two_groups(seed, 300), 2, **options) for seed in range(200)]
    assert all(f.mixture.weights[0] > 0.5 for f in fits)
    errors = [f.standard_errors(two_groups(seed, 300)) for seed, f in enumerate(fits[:40])]
    for part in ("weights", "means"):
        spread = np.std([getattr(f.mixture, part) for f in fits], axis=0)
        stated = np.mean([getattr(e, part) for e in errors], axis=0)
        np.testing.assert_allclose(stated, spread, rtol=0.2)
    spread = np.std([f.mixture.covariances for f in fits], axis=0)
    np.testing.assert_allclose(np.mean([e.covariances for e in errors], axis=0), spread, rtol=0.25)


def test_sandwich_holds_where_the_model_is_wrong() -> None:
    """One Gaussian on heavy-tailed rows: the variance of a variance is (m4 - m2^2) / N, not 2 m2^2 / N."""
    x = np.random.default_rng(2).standard_t(6, size=(5000, 1))
    fit = fit_mixture(x, 1)
    centred = x[:, 0] - x.mean()
    expected = np.sqrt(((centred**4).mean() - (centred**2).mean() ** 2) / 5000)
    se = fit.standard_errors(x, "sandwich")
    assert se.covariances[0, 0, 0] == pytest.approx(expected, rel=1e-6)
    assert fit.standard_errors(x).covariances[0, 0, 0] < 0.9 * expected


def test_follow_the_units_and_the_weights() -> None:
    x = two_groups(3, 300)
    scale = np.array([1e-6, 1e5])
    plain, other = (fit_mixture(v, 2).standard_errors(v) for v in (x, x * scale))
    np.testing.assert_allclose(other.means, plain.means * scale, rtol=1e-4)
    np.testing.assert_allclose(other.covariances, plain.covariances * np.outer(scale, scale), rtol=1e-4)
    weight = np.random.default_rng(0).integers(0, 3, size=300).astype(float)
    fit = fit_mixture(x, 2, sample_weight=weight)
    repeated = np.repeat(x, weight.astype(int), axis=0)
    for method in ("information", "sandwich"):
        weighted = fit.standard_errors(x, method, sample_weight=weight)
        np.testing.assert_allclose(weighted.means, fit.standard_errors(repeated, method).means, rtol=1e-8)


def test_estimator_and_table() -> None:
    df = load_dataset("faithful")
    gm = GaussianMixture(2, random_state=0).fit(df)
    se, same = gm.standard_errors(df), gm.result_.standard_errors(df)
    np.testing.assert_allclose(se.covariances, same.covariances, rtol=1e-10)
    assert se.table.index[-1] == "covariances[1, waiting, waiting]"
    assert len(se.table) == gm.result_.n_parameters + 1
    np.testing.assert_allclose(se.table["estimate"].iloc[:2], gm.weights_)
    assert "information" in repr(se)
    assert "<table" in se._repr_html_()
    one, two = (gm.standard_errors(df, "bootstrap", n_boot=5, random_state=3) for _ in range(2))
    np.testing.assert_array_equal(one.means, two.means)
    assert one.n_boot == 5
    tied = fit_mixture(df, 2, "tied").standard_errors(df).table
    assert "covariances[eruptions, waiting]" in tied.index
    assert "covariances[1]" in fit_mixture(df, 2, "spherical").standard_errors(df).table.index


def test_none_where_there_is_no_answer() -> None:
    m = Mixture.from_dense("full", np.array([0.5, 0.5]), np.zeros((2, 1)), np.ones((2, 1, 1)))
    x = np.random.default_rng(0).normal(size=(50, 1))
    assert np.isnan(standard_errors(m, x).means).all()
    edge = Mixture.from_dense("full", np.array([1.0, 0.0]), np.zeros((2, 1)), np.ones((2, 1, 1)))
    assert np.isnan(standard_errors(edge, x, method="sandwich").weights).all()
    with pytest.raises(InputError, match="method='guess'"):
        standard_errors(m, x, method="guess")
    with pytest.raises(InputError, match="n_boot=1"):
        standard_errors(m, x, method="bootstrap", n_boot=1)
