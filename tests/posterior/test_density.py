"""The fused log density: its gradient, its coordinates, and its prior against SciPy and `pm.LKJCorr`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pymc as pm
import pytest
from scipy.stats import dirichlet, gamma, norm

from bayesgmm.data import InputError
from bayesgmm.mixture import structure_named
from bayesgmm.mixture.structure import STRUCTURES
from bayesgmm.posterior.coordinates import Coordinates
from bayesgmm.posterior.priors import HalfNormalScale, InverseGammaScale, Priors
from bayesgmm.posterior.target import Target
from bayesgmm.posterior.terms import has_rate

PRIORS = [
    Priors(),
    Priors(scale=HalfNormalScale(0.8), mean_location=0.3),
    Priors(scale=InverseGammaScale(2.0, 0.5), correlation_eta=1.0),
    Priors(scale=InverseGammaScale(2.0, hyper=(0.2, 1.5)), weight_concentration=1.0),
]


def make(structure: str, k: int, d: int, priors: Priors, n: int = 40, weight=None) -> Target:
    values = np.random.default_rng(d).normal(size=(n, d))
    return Target.of_rows(values, k, structure, priors, weight)


def prior_only(structure: str, k: int, d: int, priors: Priors) -> Target:
    """With case weights zero there is no likelihood."""
    return make(structure, k, d, priors, weight=np.zeros(40))


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("priors", PRIORS, ids=["lognormal", "halfnormal", "inverse-gamma", "hyper"])
def test_gradient_is_that_of_the_value(structure, priors):
    """Central differences at step h err by O(h^2)."""
    has_scales = any(part.name == "scales" for part in structure_named(structure).parts(2, 2))
    if has_rate(priors) and not has_scales:
        with pytest.raises(InputError, match="no prior for volumes and shapes"):
            make(structure, 3, 2, priors)(np.zeros(1))
        return
    for k, d in [(1, 1), (3, 2), (2, 3)]:
        density = make(structure, k, d, priors)
        x = np.random.default_rng(0).normal(size=density.size) * 0.6
        _, gradient = density(x)
        step = 1e-5
        numeric = [(density(x + step * e)[0] - density(x - step * e)[0]) / (2 * step) for e in np.eye(x.size)]
        np.testing.assert_allclose(gradient, numeric, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize(("k", "d"), [(1, 1), (1, 3), (3, 2), (2, 4)])
def test_coordinates_round_trip(structure, k, d):
    coordinates = Coordinates(structure_named(structure), k, d, with_rate=True)
    x = np.random.default_rng(0).normal(size=(6, coordinates.size))
    # Where axes have no names of their own, in the naming that comes back.
    x = coordinates.permuted(x, np.broadcast_to(np.arange(k), (6, k))).reshape(2, 3, -1)
    weights, means, _ = coordinates.constrain(x)
    covariances = coordinates.mixture(x).dense_covariances
    assert weights.shape == (2, 3, k)
    assert covariances.shape == (2, 3, k, d, d)
    np.testing.assert_allclose(weights.sum(-1), 1)
    back = coordinates.unconstrain(weights, means, covariances, log_rate=0.0)
    np.testing.assert_allclose(back[..., :-1], x[..., :-1], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("priors", PRIORS[:3], ids=["lognormal", "halfnormal", "inverse-gamma"])
def test_prior_is_the_product_of_its_parts(priors):
    """Dirichlet with the Jacobian K prod(w) of the simplex transform, normal means, and the density of log sd."""
    k, d = 3, 2
    density = prior_only("diag", k, d, priors)
    x = np.random.default_rng(0).normal(size=density.size)
    weights, means, scales = density.coordinates.values(x).values()
    expected = dirichlet(np.full(k, priors.weight_concentration)).logpdf(weights)
    expected += np.log(k) + np.log(weights).sum()
    expected += norm(priors.mean_location, priors.mean_scale).logpdf(means).sum()
    expected += priors.scale.log_density(np.log(scales), k, d).sum()
    assert density(x)[0] == pytest.approx(expected)


def test_unknown_rate_has_its_gamma_prior():
    """p(rate) p(scales | rate) on the log scale, where the fixed-rate prior at that rate is the second factor."""
    k, d = 2, 2
    hyper = prior_only("diag", k, d, PRIORS[3])
    x = np.random.default_rng(0).normal(size=hyper.size)
    rate = np.exp(x[-1])
    fixed = prior_only("diag", k, d, replace(PRIORS[3], scale=InverseGammaScale(2.0, rate)))
    assert hyper(x)[0] == pytest.approx(fixed(x[:-1])[0] + gamma(0.2, scale=1 / 1.5).logpdf(rate) + x[-1])


@pytest.mark.parametrize("d", [2, 3, 4])
@pytest.mark.parametrize("eta", [1.0, 2.0, 3.7])
def test_correlations_have_the_lkj_density(d, eta):
    """log p(z) = log LKJ(L(z)) + log |dL / dz|, L the Cholesky factor that `pm.LKJCorr` describes."""
    density = prior_only("full", 1, d, Priors(correlation_eta=eta))
    rng = np.random.default_rng(d)
    fixed, z = rng.normal(size=2 * d), rng.normal(size=d * (d - 1) // 2)

    def factor(z):
        return density.coordinates.values(np.concatenate([fixed, z]))["correlations"][0]

    below = np.tril_indices(d, -1)
    step = 1e-6
    jacobian = [(factor(z + step * e)[below] - factor(z - step * e)[below]) / (2 * step) for e in np.eye(z.size)]
    lkj = pm.logp(pm.LKJCorr.dist(d, eta), factor(z)).eval(mode="FAST_COMPILE")
    x = np.concatenate([fixed, z])
    _, means, scales, _ = density.coordinates.values(x).values()
    others = norm(0, 2).logpdf(means).sum() + Priors().scale.log_density(np.log(scales), 1, d).sum()
    assert density(x)[0] == pytest.approx(lkj + np.linalg.slogdet(np.array(jacobian))[1] + others, rel=1e-6)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_relabelling_the_components_changes_nothing(structure):
    density = make(structure, 3, 2, Priors())
    c = density.coordinates
    x = c.permuted(np.random.default_rng(0).normal(size=(1, density.size)), np.arange(3)[None])[0]
    m, order = c.mixture(x), [2, 0, 1]
    other = c.unconstrain(m.weights[order], m.means[order], m.dense_covariances[order])
    assert density(other)[0] == pytest.approx(density(x)[0], rel=1e-10)


def test_far_out_the_density_is_low_and_the_gradient_points_back():
    """Partial correlations within 1e-15 of one neither overflow nor lose the direction."""
    density = prior_only("full", 1, 2, Priors())
    for z in (40.0, 400.0, -400.0):
        value, gradient = density(np.array([0.0, 0.0, 0.0, 0.0, z]))
        assert np.isfinite(value)
        assert gradient[-1] * np.sign(z) == pytest.approx(-2.0)
