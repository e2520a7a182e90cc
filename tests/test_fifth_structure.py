"""A structure is one file: mclust's EEI, one set of variances for all components, through everything that takes a structure.

Nothing outside mixture/structure/ names it. Value and gradient are compared with a plain NumPy density and with `pm.Mixture`.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from scipy.optimize import minimize
from scipy.special import logsumexp
from scipy.stats import dirichlet, lognorm, norm

import bayesgmm as bg
from bayesgmm.mixture import structure_named
from bayesgmm.posterior.target import Target

K, D = 3, 2
PACKAGE = Path(bg.__file__).parent


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    """Three groups of one elongated shape along the axes."""
    rng = np.random.default_rng(0)
    centres = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 9.0]])
    return centres[rng.choice(3, 120)] + rng.normal(size=(120, D)) * [0.5, 2.0]


@pytest.fixture(scope="module")
def posterior(rows):
    return bg.sample_posterior(rows, K, "EEI", random_seed=0, draws=500, progressbar=False)


def test_no_other_file_names_it():
    named = [p for p in PACKAGE.rglob("*.py") if re.search(r"\bEEI\b", p.read_text("utf-8"))]
    inside = PACKAGE / "mixture"
    # The command line starts without the package, and lists the names; the others are docstrings.
    known = {"cli/options.py", "em/grid.py", "kept/estimator.py"}
    assert {p.relative_to(PACKAGE).as_posix() for p in named if not p.is_relative_to(inside)} <= known
    assert (inside / "structure" / "eei.py") in named


def plain_log_density(target: Target, x: np.ndarray) -> float:
    """Dirichlet, normal and log-normal priors with their Jacobians, and the mixture row by row, in NumPy and SciPy."""
    y, means, log_sd = x[: K - 1], x[K - 1 : K - 1 + K * D].reshape(K, D), x[K - 1 + K * D :]
    logits = np.append(y, -y.sum())
    log_weights = logits - logsumexp(logits)
    priors = target.own_priors
    value = (
        dirichlet(np.full(K, priors.weight_concentration)).logpdf(np.exp(log_weights)) + np.log(K) + log_weights.sum()
    )
    value += norm(priors.mean_location, priors.mean_scale).logpdf(means).sum()
    sd = np.exp(log_sd)
    value += (lognorm(priors.scale.sigma, scale=K ** (-1 / D)).logpdf(sd) + log_sd).sum()
    terms = log_weights + norm(means, sd).logpdf(target.values[:, None, :]).sum(-1)
    return value + logsumexp(terms, axis=1).sum()


def test_density_and_gradient_equal_a_plain_one(rows):
    target = Target.of(rows, K, "EEI")
    assert target.size == K - 1 + K * D + D
    for seed in range(3):
        x = 0.7 * np.random.default_rng(seed).normal(size=target.size)
        value, gradient = target(x)
        assert value == pytest.approx(plain_log_density(target, x), rel=1e-12)
        step = 1e-6
        numeric = [
            (plain_log_density(target, x + step * e) - plain_log_density(target, x - step * e)) / (2 * step)
            for e in np.eye(x.size)
        ]
        np.testing.assert_allclose(gradient, numeric, rtol=1e-6, atol=1e-6)


def test_likelihood_and_gradient_equal_pm_mixture(rows):
    """By PyTensor's own autodiff, through weights, means and the shared standard deviations."""
    target = Target.of(rows, K, "EEI")
    x = 0.5 * np.random.default_rng(1).normal(size=target.size)
    point = pt.dvector("x")
    logits = pt.concatenate([point[: K - 1], -point[: K - 1].sum()[None]])
    means = point[K - 1 : K - 1 + K * D].reshape((K, D))
    chol = pt.broadcast_to(pt.diag(pt.exp(point[K - 1 + K * D :])), (K, D, D))
    weights = pt.special.softmax(logits)
    value = pm.logp(pm.Mixture.dist(weights, pm.MvNormal.dist(means, chol=chol)), target.values).sum()
    theirs = pytensor.function([point], [value, pytensor.grad(value, point)], mode="FAST_COMPILE")(x)
    ours, without = target(x), target.tempered(0.0)(x)
    assert ours[0] - without[0] == pytest.approx(float(theirs[0]), rel=1e-12)
    np.testing.assert_allclose(ours[1] - without[1], theirs[1], rtol=1e-8, atol=1e-8)


def test_pymc_model_has_the_same_density(rows):
    from bayesgmm.posterior.pymc_model import to_value_variables

    target, model = Target.of(rows, K, "EEI"), bg.build_model(rows, K, "EEI")
    assert model["standard_scales"].type.ndim == 1
    x = 0.5 * np.random.default_rng(2).normal(size=target.size)
    compiled = model.compile_logp()
    assert float(compiled(to_value_variables(model, target.coordinates, x))) == pytest.approx(
        target(x)[0] + target.log_jacobian, rel=1e-10
    )


def test_em_reaches_the_maximum_that_a_general_optimiser_finds(rows):
    """L-BFGS on the plain likelihood from EM's solution gains nothing, and a property holds: within-groups pooled variances."""
    fit = bg.fit_mixture(rows, K, "EEI", random_state=0)
    assert fit.outcome == "converged"
    assert fit.n_parameters == K - 1 + K * D + D

    def negative(x: np.ndarray) -> float:
        logits = np.append(x[: K - 1], 0.0)
        means, sd = x[K - 1 : K - 1 + K * D].reshape(K, D), np.exp(x[K - 1 + K * D :])
        terms = logits - logsumexp(logits) + norm(means, sd).logpdf(rows[:, None, :]).sum(-1)
        return -logsumexp(terms, axis=1).sum()

    m = fit.mixture
    start = np.concatenate([np.log(m.weights[:-1] / m.weights[-1]), m.means.ravel(), 0.5 * np.log(m.covariances)])
    assert -negative(start) == pytest.approx(fit.log_likelihood, abs=1e-8)
    assert -minimize(negative, start, method="L-BFGS-B").fun <= fit.log_likelihood + 1e-6


def test_grid_and_estimator(rows):
    grid = bg.fit_grid(rows, [2, 3], ["EEI", "tied", "diag", "full"], random_state=0, progressbar=False)
    level = {name: grid.fits[3, name].log_likelihood for name in ("EEI", "tied", "diag", "full")}
    # What it is nested in can only be better.
    assert level["EEI"] <= min(level["tied"], level["diag"]) + 1e-6
    assert grid.best_cell("bic") == (3, "EEI")
    gm = bg.GaussianMixture(3, covariance_type="EEI", random_state=0).fit(rows)
    assert gm.covariances_.shape == (D,)
    np.testing.assert_allclose(gm.score_samples(rows).sum(), grid.fits[3, "EEI"].log_likelihood, rtol=1e-9)
    np.testing.assert_allclose(gm.predict_proba(rows).sum(1), 1.0)


def test_standard_errors_are_the_inverse_information_of_one_component(rows):
    """One component: sd / sqrt(N) for means, variance * sqrt(2 / N) for variances."""
    fit = bg.fit_mixture(rows, 1, "EEI")
    se = fit.standard_errors(rows)
    variance = np.diag(fit.mixture.dense_covariances[0])
    np.testing.assert_allclose(se.means[0], np.sqrt(variance / len(rows)), rtol=1e-6)
    np.testing.assert_allclose(np.diag(se.covariances[0]), variance * np.sqrt(2 / len(rows)), rtol=1e-6)


def test_posterior_memberships_contrast_and_comparison(rows, posterior):
    assert bg.diagnose(posterior).ok
    covariances = posterior["posterior"]["covariances"].values
    assert (covariances == covariances[:, :, :1]).all()
    assert (covariances[..., 0, 1] == 0).all()
    np.testing.assert_allclose(bg.memberships(posterior)["probability"].sum("cluster"), 1.0)
    contrast = bg.em_vs_posterior(bg.fit_mixture(rows, K, "EEI", random_state=0), posterior)
    assert "covariances[x0, x0]" in contrast.parameters.index
    found = bg.compare({"3 EEI": posterior}, progressbar=False)
    assert np.isfinite(found["elpd"]).all()


def test_evidence_by_two_routes(posterior):
    bridge = bg.log_evidence(posterior, method="bridge", random_seed=0)
    smc = bg.log_evidence(posterior, method="smc", random_seed=0)
    assert bridge.value == pytest.approx(smc.value, abs=5 * np.hypot(bridge.se, smc.se) + 0.05)


def test_report(rows, tmp_path):
    found = bg.analyze(rows, n_components=[2, 3], covariance_types=["EEI"], draws=200, random_seed=0, progressbar=False)
    assert set(found.posteriors) == {"2 EEI", "3 EEI"}
    page = found.save(tmp_path / "report") / "report.html"
    assert "EEI" in page.read_text("utf-8")


def test_its_mclust_name_and_those_of_the_others():
    assert [structure_named(name).name for name in ("VVV", "EEE", "VVI", "VII", "EEI")] == [
        "full", "tied", "diag", "spherical", "EEI",
    ]  # fmt: skip
