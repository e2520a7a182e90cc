"""The marginal likelihood Ops against independent routes: NumPy, `pm.Mixture` of `pm.MvNormal`, PyTensor's autodiff.

Shapes are symbolic throughout, so that each implementation is compiled once for all structures, K, D and N.
"""

from __future__ import annotations

import ctypes
from functools import cache
from importlib.util import find_spec

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.compile.mode import Mode
from pytensor.link.numba.dispatch.basic import numba_funcify_and_cache_key
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

import bayesgmm.posterior.jax_hook  # noqa: F401
from bayesgmm.mixture import Design, structure_named
from bayesgmm.mixture.structure import STRUCTURES
from bayesgmm.posterior.pytensor_op import (
    MarginalLogLikelihood,
    PointwiseLogLikelihood,
    marginal_log_likelihood,
    pointwise_log_likelihood,
)

PLAIN = Mode(linker="py", optimizer="fast_compile")
needs_jax = pytest.mark.skipif(find_spec("jax") is None, reason="JAX is not installed")
IMPLEMENTATIONS = [
    pytest.param("NUMBA", id="numba"),
    pytest.param("JAX", id="jax", marks=needs_jax),
    pytest.param("PLAIN", id="perform"),
]


def inputs() -> list:
    kinds = (pt.dvector, pt.dmatrix, pt.dtensor3, pt.dmatrix, pt.lmatrix, pt.dvector, pt.dmatrix)
    names = ("weights", "means", "factors", "rows", "pairs", "sample_weight", "scatter")
    return [kind(name) for kind, name in zip(kinds, names, strict=True)]


def arguments(structure: str, k: int, d: int, n: int = 60, weighted: bool = False, seed: int = 0) -> list:
    """A mixture and data, as the seven inputs of the Ops."""
    rng = np.random.default_rng([seed, k, d])
    structure = structure_named(structure)
    parts = structure.parts(k, d)
    values = {part.name: part.constrain(0.3 * rng.normal(size=part.length)) for part in parts}
    weight = rng.integers(0, 4, size=n).astype(float) if weighted else None
    design = Design.of(rng.normal(size=(n, d)), structure, weight)
    factors = structure.lower_factors(values, d, np.linalg.cholesky)
    parameters = [rng.dirichlet(np.full(k, 5.0)), rng.normal(size=(k, d)), factors]
    return [*parameters, design.rows, design.pairs, design.sample_weight, design.scatter]


@cache
def compiled(mode: str):
    """Value, gradient with respect to the three parameters, and log densities of the rows."""
    symbols = inputs()
    rows = pointwise_log_likelihood(*symbols, 0.0)
    value = rows.sum()
    outputs = [value, *pytensor.grad(value, symbols[:3]), rows]
    return pytensor.function(symbols, outputs, mode=PLAIN if mode == "PLAIN" else mode)


@cache
def pm_mixture():
    """The same from `pm.Mixture` with a factor per component, gradients by PyTensor's autodiff."""
    weights, means, factors = inputs()[:3]
    data = pt.dmatrix("data")
    rows = pm.logp(pm.Mixture.dist(weights, pm.MvNormal.dist(means, chol=factors)), data)
    value = rows.sum()
    parameters = [weights, means, factors]
    outputs = [value, *pytensor.grad(value, parameters), rows]
    return pytensor.function([*parameters, data], outputs, mode=PLAIN)


def by_pm_mixture(a: list) -> list[np.ndarray]:
    """Value, gradient and log densities for the inputs of the Ops: what components share collects their gradients."""
    weights, means, factors, rows, *_ = a
    k, d = means.shape
    each = np.broadcast_to(factors, (k, d, d))
    value, d_weights, d_means, d_factors, densities = pm_mixture()(weights, means, each, rows[1 : 1 + d].T)
    # Only the lower triangle is a parameter.
    d_factors = np.tril(d_factors if len(factors) == k else d_factors.sum(0, keepdims=True))
    return [value, d_weights, d_means, d_factors, densities]


def by_numpy(a: list) -> np.ndarray:
    weights, means, factors, rows, *_ = a
    k, d = means.shape
    log_terms = [
        np.log(weights[j]) + multivariate_normal(means[j], factor @ factor.T).logpdf(rows[1 : 1 + d].T)
        for j, factor in enumerate(np.broadcast_to(factors, (k, d, d)))
    ]
    return logsumexp(log_terms, axis=0)


# JAX compiles for every shape.
SIZES = {
    "NUMBA": [(1 + d % 4, d) for d in range(1, 11)],
    "PLAIN": [(1 + d % 4, d) for d in range(1, 11)],
    "JAX": [(1, 1), (3, 2), (2, 10)],
}


@pytest.mark.parametrize("mode", IMPLEMENTATIONS)
@pytest.mark.parametrize("structure", STRUCTURES)
def test_equals_pm_mixture_and_numpy(mode, structure):
    for k, d in SIZES[mode]:
        a = arguments(structure, k, d)
        value, *gradient, rows = compiled(mode)(*a)
        expected, *slopes, densities = by_pm_mixture(a)
        np.testing.assert_allclose(by_numpy(a), rows, rtol=1e-9)
        np.testing.assert_allclose(rows, densities, rtol=1e-9)
        np.testing.assert_allclose(value, expected, rtol=1e-10)
        gradient[2], slopes[2] = (pulled_back(structure, k, a[2], g) for g in (gradient[2], slopes[2]))
        for got, wanted in zip(gradient, slopes, strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-7, atol=1e-7)


def pulled_back(structure: str, k: int, factors: np.ndarray, d_factors: np.ndarray) -> np.ndarray:
    """Gradient in the structure's own coordinates: all that is asked of the entries that it does not have."""
    structure, d = structure_named(structure), factors.shape[-1]
    dense = np.broadcast_to(factors @ factors.swapaxes(-1, -2), (k, d, d))
    values, parts = structure.near(structure.disassemble(dense), None), structure.parts(k, d)
    u = np.concatenate([part.unconstrain(values[part.name]) for part in parts])
    numbers = np.concatenate([part.numbers for part in parts])
    d_u = np.zeros_like(u)
    factors, d_factors = np.ascontiguousarray(factors), np.ascontiguousarray(d_factors)
    call = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * 7)(structure.addresses[1])
    call(u.ctypes.data, k, d, numbers.ctypes.data, factors.ctypes.data, d_factors.ctypes.data, d_u.ctypes.data)
    return d_u


@pytest.mark.parametrize(
    ("mode", "structure"),
    [("NUMBA", s) for s in STRUCTURES] + [pytest.param("JAX", "tied", marks=needs_jax), ("PLAIN", "tied")],
)
def test_case_weights_count_rows(mode, structure):
    """Weight 2 is a row given twice, weight 0 a row left out."""
    a = arguments(structure, 2, 3, weighted=True)
    weight = a[5].astype(int)
    values = np.repeat(a[3][1:4].T, weight, axis=0)
    repeated = Design.of(values, structure_named(structure))
    b = [*a[:3], repeated.rows, repeated.pairs, repeated.sample_weight, repeated.scatter]
    value, *gradient, rows = compiled(mode)(*a)
    expected, *slopes, _ = compiled(mode)(*b)
    np.testing.assert_allclose(value, expected, rtol=1e-10)
    np.testing.assert_allclose(rows.sum(), expected, rtol=1e-10)
    for got, wanted in zip(gradient, slopes, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-8, atol=1e-8)


def test_gradient_with_respect_to_weights_counts_the_rows():
    """Along the weights themselves the log likelihood grows by log(c) per row: sum_k w_k d/dw_k = N."""
    a = arguments("full", 3, 2)
    _, d_weights, *_ = compiled("NUMBA")(*a)
    assert d_weights @ a[0] == pytest.approx(60, rel=1e-12)


def graph(*outputs, symbols):
    return pytensor.function(symbols, list(outputs), mode="NUMBA").maker.fgraph


def test_value_and_gradient_cost_one_pass():
    symbols = inputs()
    value = 2 * pointwise_log_likelihood(*symbols, 1.0).sum()
    ops = [n.op for n in graph(value, *pytensor.grad(value, symbols[:3]), symbols=symbols).toposort()]
    assert sum(isinstance(op, MarginalLogLikelihood) for op in ops) == 1
    assert not any(isinstance(op, PointwiseLogLikelihood) for op in ops)


@pytest.mark.parametrize("weighted", [False, True])
def test_any_combination_of_rows_has_its_gradient(weighted):
    """sum_i c_i l_i is the likelihood with case weights c_i w_i, the added constant included."""
    symbols = inputs()
    factor = pt.dvector("factor")
    value = (factor * pointwise_log_likelihood(*symbols, 0.7)).sum()
    outputs = [value, *pytensor.grad(value, symbols[:3])]
    f = pytensor.function([*symbols, factor], outputs, mode=PLAIN)
    a = arguments("tied", 2, 2, weighted=weighted)
    c = np.random.default_rng(0).uniform(size=60)
    weight = c * a[5] if weighted else c
    design = Design.of(a[3][1:3].T, structure_named("tied"), weight)
    b = [*a[:5], design.sample_weight, design.scatter]
    got, *gradient = f(*a, c)
    expected, *slopes, _ = compiled("PLAIN")(*b)
    assert got == pytest.approx(expected + 0.7 * weight.sum(), rel=1e-10)
    for g, s in zip(gradient, slopes, strict=True):
        np.testing.assert_allclose(g, s, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("weighted", [False, True])
def test_constant_is_added_to_every_row(weighted):
    symbols = inputs()
    rows = pointwise_log_likelihood(*symbols, 0.7)
    f = pytensor.function(symbols, [rows.sum(), rows], mode=PLAIN)
    a = arguments("diag", 2, 2, weighted=weighted)
    weight = a[5] if weighted else np.ones(60)
    value, densities = f(*a)
    assert value == pytest.approx(compiled("PLAIN")(*a)[0] + 0.7 * weight.sum())
    np.testing.assert_allclose(densities, weight * (by_numpy(a) + 0.7), rtol=1e-10)


@pytest.mark.parametrize("op", [marginal_log_likelihood, pointwise_log_likelihood])
def test_compiled_code_is_kept_on_disk(op):
    symbols = inputs() if op is marginal_log_likelihood else [*inputs(), 0.0]
    node = op.make_node(*symbols)
    _, key = numba_funcify_and_cache_key(op, node=node)
    assert key is not None


def test_second_derivatives_are_refused_by_name():
    symbols = inputs()
    slope = pytensor.grad(marginal_log_likelihood(*symbols)[0], symbols[1]).sum()
    with pytest.raises(Exception, match="Second derivatives of the marginal likelihood are not available"):
        pytensor.grad(slope, symbols[1])


def test_wrong_number_of_dimensions_is_named():
    symbols = inputs()
    symbols[2] = pt.dvector("factors")
    with pytest.raises(ValueError, match="factors has 1 dimensions; the likelihood needs 3"):
        marginal_log_likelihood(*symbols)


def test_shapes_follow_from_the_inputs():
    symbols = inputs()
    outputs = [*marginal_log_likelihood(*symbols), pointwise_log_likelihood(*symbols, 0.0)]
    f = pytensor.function(symbols, [o.shape for o in outputs], mode=PLAIN)
    assert not [n for n in f.maker.fgraph.toposort() if "LogLikelihood" in str(n.op)]
    assert [tuple(s) for s in f(*arguments("full", 3, 2))] == [(), (3,), (3, 2), (3, 2, 2), (60,)]
