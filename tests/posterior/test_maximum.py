"""The posterior maximum: that of PyMC's density, found by two other routes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

import bayesgmm as bg
from bayesgmm.mixture import COVARIANCE_TYPES, responsibilities
from bayesgmm.posterior.pymc_model import to_value_variables
from bayesgmm.posterior.target import Target

SCALES = {
    "log-normal": bg.LogNormalScale(),
    "half-normal": bg.HalfNormalScale(0.7),
    "inverse gamma": bg.InverseGammaScale(3.0, 0.8),
    "unknown rate": bg.InverseGammaScale(2.0, hyper=(0.2, 2.0)),
}


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    rng = np.random.default_rng(5)
    own = rng.normal(size=(90, 2)) @ np.array([[1.0, 0.0], [0.6, 0.7]])
    return 3.0 + 10.0 * np.concatenate([own[:60], 0.5 * own[60:] + [3.0, -1.0]])


@pytest.mark.parametrize(
    ("name", "scale"),
    [*((name, "log-normal") for name in COVARIANCE_TYPES), *(("diag", scale) for scale in list(SCALES)[1:])],
)
def test_it_is_the_maximum_of_the_pymc_density(name: str, scale: str, rows: np.ndarray) -> None:
    """PyMC's own log density, without the transforms' Jacobians, has the same value there and is flat."""
    priors = bg.Priors(scale=SCALES[scale], weight_concentration=3.0, correlation_eta=1.5)
    fit = bg.find_map(rows, 2, name, priors)
    assert fit.outcome == "converged"
    target = Target.of(rows, 2, name, priors)
    density = target.without_jacobian()
    model = bg.build_model(rows, 2, name, priors)
    value = model.compile_logp(jacobian=False, mode="FAST_COMPILE")
    # The unknown rate is not part of a mixture: its maximum given the scales is found again.
    standard = fit.mixture.standardised(target.scaling)

    def at(log_rate: float) -> np.ndarray:
        return density.coordinates.unconstrain(standard.weights, standard.means, standard.dense_covariances, log_rate)

    log_rate = 0.0
    if scale == "unknown rate":
        log_rate = minimize_scalar(lambda r: -density(at(r))[0], bracket=(-2.0, 2.0), tol=1e-12).x
    names = model.value_vars
    point = to_value_variables(model, density.coordinates, at(log_rate))
    assert float(value(point)) == pytest.approx(fit.log_posterior, abs=1e-7)
    gradient = model.compile_dlogp(jacobian=False, mode="FAST_COMPILE")(point)
    assert np.abs(gradient).max() < 1e-3
    rng = np.random.default_rng(0)
    for _ in range(20):
        near = {v.name: point[v.name] + 0.05 * rng.standard_normal(point[v.name].shape) for v in names}
        assert float(value(near)) < fit.log_posterior


def test_penalised_em_comes_to_the_same_point(rows: np.ndarray) -> None:
    """An EM whose M-step maximises the penalised expectation, written for diagonal covariances, as the second route.

    M-step: weights (n_k + a - 1) / (N + K (a - 1)); means (n_k xbar / v + m0 / t^2) / (n_k / v + 1 / t^2) given the
    variances; each standard deviation by a line search on its own penalised expectation.
    """
    priors = bg.Priors(weight_concentration=3.0)
    target = Target.of(rows, 2, "diag", priors)
    z = target.scaling.standardise(rows)
    mixture = bg.fit_mixture(rows, 2, "diag").mixture.standardised(target.scaling)
    m, s = priors.scale.resolved(2, 2), priors.scale.sigma
    for _ in range(400):
        r, _ = responsibilities(mixture, z)
        counts = r.sum(0)
        weights = (counts + 2.0) / (counts + 2.0).sum()
        means, variances = mixture.means.copy(), mixture.covariances.copy()
        for k in range(2):
            for j in range(2):
                v = variances[k, j]
                means[k, j] = (r[:, k] @ z[:, j] / v) / (counts[k] / v + 0.25)
                square = r[:, k] @ (z[:, j] - means[k, j]) ** 2

                def loss(u: float, square: float = square, n: float = counts[k]) -> float:
                    # The density of the standard deviation itself has -u from 1 / sd.
                    return n * u + 0.5 * square * np.exp(-2 * u) + 0.5 * ((u - m) / s) ** 2 + u

                variances[k, j] = np.exp(2 * minimize_scalar(loss, bracket=(-1.0, 1.0), tol=1e-12).x)
        mixture = type(mixture)(mixture.structure, weights, means, variances)
    own = mixture.reordered(mixture.canonical_order()).in_data_units(target.scaling)
    fit = bg.find_map(rows, 2, "diag", priors)
    assert np.allclose(fit.mixture.weights, own.weights, atol=1e-6)
    assert np.allclose(fit.mixture.means, own.means, atol=1e-4)
    assert np.allclose(fit.mixture.covariances, own.covariances, rtol=1e-5)


def test_a_flat_prior_leaves_maximum_likelihood_and_rows_of_weight_two_count_twice(rows: np.ndarray) -> None:
    flat = bg.Priors(mean_scale=1e6, scale=bg.HalfNormalScale(1e6), correlation_eta=1.0, weight_concentration=1.0)
    fit, em = bg.find_map(rows, 2, "diag", flat), bg.fit_mixture(rows, 2, "diag")
    assert fit.log_likelihood == pytest.approx(em.log_likelihood, abs=1e-6)
    assert fit.log_likelihood <= em.log_likelihood + 1e-6
    twice = bg.find_map(rows, 2, "full", sample_weight=np.full(len(rows), 2.0))
    doubled = bg.find_map(np.concatenate([rows, rows]), 2, "full")
    assert twice.log_posterior == pytest.approx(doubled.log_posterior, rel=1e-9)
    assert np.allclose(twice.mixture.means, doubled.mixture.means, atol=1e-4)


@pytest.mark.parametrize(
    ("priors", "word"),
    [
        (bg.Priors(weight_concentration=0.5), "weight_concentration"),
        (bg.Priors(correlation_eta=0.5), "correlation_eta"),
    ],
)
def test_priors_without_a_maximum_are_refused(priors: bg.Priors, word: str, rows: np.ndarray) -> None:
    with pytest.raises(bg.InputError, match=word):
        bg.find_map(rows, 2, "full", priors)
