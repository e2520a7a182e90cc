"""The density of incomplete rows: value and gradient against JAX's, row by row, and the PyMC model of the same."""

import ctypes
from importlib.util import find_spec

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.mixture import Design, log_density, structure_named
from bayesgmm.posterior import Target
from bayesgmm.posterior.grouped_gradient import grouped_rows
from bayesgmm.posterior.pymc_model import to_value_variables

from ..incomplete_fixtures import hidden, two_groups

# Those that the posterior path knows.
SAMPLED = ["full", "tied", "diag", "spherical", "EEI"]
needs_jax = pytest.mark.skipif(find_spec("jax") is None, reason="JAX is not installed")


def compiled(x: np.ndarray, name: str, weight: np.ndarray | None, parameters: list) -> tuple:
    """Log likelihood and its gradient, called as compiled code calls it."""
    design = Design.of(x, structure_named(name), weight)
    weights, means, factors = (np.ascontiguousarray(p, dtype=float) for p in parameters)
    address, read, kept = grouped_rows(design, len(weights))
    data = np.array([address, *read], dtype=np.int64)
    out = [np.empty(weights.shape), np.empty(means.shape), np.empty(factors.shape)]
    call = ctypes.CFUNCTYPE(ctypes.c_double, *[ctypes.c_int64] * 10)(address)
    arrays = [a.ctypes.data for a in (weights, means, factors, *out)]
    value = call(data.ctypes.data, *means.shape, len(factors), *arrays)
    assert kept
    return value, *out


def by_jax(x: np.ndarray, weight: np.ndarray, parameters: list) -> tuple:
    """The same by JAX's own gradient of marginal densities, one row after the other."""
    import jax
    import jax.numpy as jnp
    from jax.scipy.special import logsumexp
    from jax.scipy.stats import multivariate_normal

    jax.config.update("jax_enable_x64", True)

    def log_likelihood(log_weights, means, factors):
        lower = jnp.broadcast_to(jnp.tril(factors), (len(means), *factors.shape[1:]))
        dense = lower @ jnp.swapaxes(lower, -1, -2)
        total = 0.0
        for row, w in zip(x, weight, strict=True):
            o = np.flatnonzero(~np.isnan(row))
            terms = [
                log_weights[k] + multivariate_normal.logpdf(row[o], means[k][o], dense[k][o][:, o])
                for k in range(len(means))
            ]
            total += w * logsumexp(jnp.stack(terms))
        return total

    weights, means, factors = parameters
    value, slopes = jax.value_and_grad(log_likelihood, argnums=(0, 1, 2))(np.log(weights), means, factors)
    return float(value), *(np.asarray(s) for s in slopes)


@needs_jax
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", SAMPLED)
def test_likelihood_and_gradient_are_those_of_the_rows(name, weighted) -> None:
    """To 1e-10. Of factors that have only a diagonal the rest of the triangle is no coordinate and is not compared."""
    rng = np.random.default_rng(1)
    structure, k, d = structure_named(name), 3, 3
    x = hidden(rng.normal(size=(15, d)), 0.4, rng)
    values = {p.name: p.constrain(0.4 * rng.normal(size=p.length)) for p in structure.parts(k, d)}
    parameters = [rng.dirichlet(np.full(k, 3.0)), rng.normal(size=(k, d)), structure.assemble(values, d)]
    weight = rng.uniform(0.2, 2, 15) if weighted else None
    found = compiled(x, name, weight, parameters)
    expected = by_jax(x, np.ones(15) if weight is None else weight, parameters)
    free = (np.abs(parameters[2]) > 0).any(0) if structure.layout(d).along_axes else np.tril(np.ones((d, d))) > 0
    assert found[0] == pytest.approx(expected[0], rel=1e-12)
    np.testing.assert_allclose(found[1], expected[1], rtol=0, atol=1e-10)
    np.testing.assert_allclose(found[2], expected[2], rtol=0, atol=1e-10)
    own, other = found[3][:, free], expected[3][:, free]
    if structure.common_scale:  # what is pulled back is the sum of the diagonal
        own, other = own.sum(1), other.sum(1)
    np.testing.assert_allclose(own, other, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", SAMPLED)
def test_gradient_on_the_unconstrained_scale(name) -> None:
    """Against central differences of the density, prior and transforms included; and the value by `log_density`."""
    rng = np.random.default_rng(2)
    x = two_groups(rng, 60)
    weight = rng.uniform(0.3, 2, 60)
    target = Target.of(x, 3, name, sample_weight=weight, missing="marginalise")
    u = 0.5 * rng.normal(size=target.size)
    value, gradient = target(u)
    h = 1e-5
    steps = np.eye(target.size) * h
    differences = [(target(u + e)[0] - target(u - e)[0]) / (2 * h) for e in steps]
    np.testing.assert_allclose(gradient, differences, rtol=1e-6, atol=1e-5)
    likelihood = float(weight @ log_density(target.mixtures(u[None])[0], target.values))
    assert value - target.tempered(0.0)(u)[0] == pytest.approx(likelihood, rel=1e-12)
    assert target.many(np.stack([u, u]))[1] == value


def test_pymc_model_has_the_same_density() -> None:
    rng = np.random.default_rng(3)
    x, weight = two_groups(rng, 40), rng.uniform(0.3, 2, 40)
    target = Target.of(x, 2, "full", sample_weight=weight, missing="marginalise")
    model = bg.build_model(x, 2, "full", sample_weight=weight, missing="marginalise")
    u = 0.5 * rng.normal(size=target.size)
    value = to_value_variables(model, target.coordinates, u)
    # The compiled density is of rows on a grid of 1e-9 standard deviations (`Scaling.rows`).
    assert float(model.compile_logp()(value)) == pytest.approx(target(u)[0] + target.log_jacobian, rel=1e-9)
    slope = model.compile_dlogp()(value)
    np.testing.assert_allclose(np.sort(slope), np.sort(target(u)[1]), rtol=1e-6, atol=1e-6)


def test_no_incomplete_code_is_compiled_for_complete_rows() -> None:
    from bayesgmm.mixture import grouped

    before = len(grouped.expect_groups_into.dispatcher.overloads)
    x = np.random.default_rng(4).normal(size=(50, 2))
    bg.fit_mixture(x, 2)
    Target.of(x, 2)(np.zeros(11))
    assert len(grouped.expect_groups_into.dispatcher.overloads) == before
