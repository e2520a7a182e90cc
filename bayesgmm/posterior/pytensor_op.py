"""The marginal log likelihood as PyTensor Ops: value and gradient from one E-step.

`MarginalLogLikelihood` is what samplers evaluate. `PointwiseLogLikelihood` is its summands, row by row, which is
what an observed variable of a PyMC model returns; summed over all rows it is rewritten to the former, and its
gradient is the former's other outputs, so that a model's log density and gradient cost one E-step together, while
`pymc.compute_log_likelihood` still finds one value per row.

Both are compiled by numba, where nothing depends on the shapes and the machine code stays on disk; run in plain
Python; and, once `jax_hook` is imported, compiled by JAX.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytensor.tensor as pt
from numba import njit
from pytensor.gradient import DisconnectedType, disconnected_type, grad_not_implemented
from pytensor.graph.basic import Apply, Variable
from pytensor.graph.op import Op
from pytensor.graph.rewriting.basic import node_rewriter
from pytensor.link.numba.dispatch.basic import numba_njit, register_funcify_default_op_cache_key
from pytensor.tensor.basic import get_underlying_scalar_constant_value
from pytensor.tensor.exceptions import NotScalarConstantError
from pytensor.tensor.math import Sum
from pytensor.tensor.rewriting.basic import register_canonicalize

from ..mixture import invert_lower, kernel, narrow, narrow_log_terms, natural, softmax_block
from . import gradient
from .gradient import likelihood_and_gradient

__all__ = ["MarginalLogLikelihood", "PointwiseLogLikelihood", "marginal_log_likelihood", "pointwise_log_likelihood"]

_DTYPES = ("float64",) * 4 + ("int64",) + ("float64",) * 2
_NDIMS = (1, 2, 3, 2, 2, 1, 2)
# PyTensor's cache knows an Op by its name alone: without this it would keep running machine code of older sources.
_SOURCES = (kernel.__file__, narrow.__file__, natural.__file__, gradient.__file__, __file__)
_VERSION = int(sha256(b"".join(Path(source).read_bytes() for source in _SOURCES)).hexdigest()[:15], 16)


def _as_inputs(inputs: Sequence[Any]) -> list[Variable]:
    """Seven tensors of the types that the compiled code reads."""
    names = ("weights", "means", "factors", "rows", "pairs", "sample_weight", "scatter")
    tensors = []
    for name, value, dtype, ndim in zip(names, inputs, _DTYPES, _NDIMS, strict=True):
        tensor = pt.as_tensor(value)
        if tensor.type.ndim != ndim:
            raise ValueError(f"{name} has {tensor.type.ndim} dimensions; the likelihood needs {ndim}")
        tensors.append(tensor if tensor.type.dtype == dtype else tensor.astype(dtype))
    return tensors


def _chain(inputs: Sequence[Variable], slopes: Sequence[Variable], factor: Any) -> list[Variable]:
    """Gradient with respect to the seven inputs, from the gradient outputs; none of the data is differentiated."""
    counts, d_means, d_factors = slopes
    data = [disconnected_type() for _ in range(4)]
    return [factor * counts / inputs[0], factor * d_means, factor * d_factors, *data]


_CONNECTED = [True] * 3 + [False] * 4


class MarginalLogLikelihood(Op):
    """Log likelihood of a mixture and its gradient.

    Inputs
        weights (K,), means (K, D), covariance factors (G, D, D), rows (A, N), pairs (P, 2), sample_weight (N or 0,),
        scatter (D, D), as in `gradient.likelihood_and_gradient`.
    Outputs
        log likelihood (), and its gradient with respect to log weights taken as free (K,), means (K, D) and the lower
        triangles of the factors (G, D, D).
    """

    __props__ = ()

    def make_node(self, *inputs: Any) -> Apply:
        return Apply(self, _as_inputs(inputs), [pt.dscalar(), pt.dvector(), pt.dmatrix(), pt.dtensor3()])

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[Any]:
        return [(), *shapes[:3]]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[connected] * 4 for connected in _CONNECTED]

    def perform(self, node: Apply, inputs: Sequence[Any], output_storage: Any) -> None:
        for storage, value in zip(output_storage, _evaluate(*inputs), strict=True):
            storage[0] = np.asarray(value)

    def pullback(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], cotangents: Sequence[Variable]
    ) -> list[Variable]:
        if not all(isinstance(slope.type, DisconnectedType) for slope in cotangents[1:]):
            comment = "Second derivatives of the marginal likelihood are not available."
            return [
                grad_not_implemented(self, i, x, comment) if connected else disconnected_type()
                for i, (x, connected) in enumerate(zip(inputs, _CONNECTED, strict=True))
            ]
        return _chain(inputs, outputs[1:], cotangents[0])


class PointwiseLogLikelihood(Op):
    """Log density of each row, times its case weight (N,): the summands of `MarginalLogLikelihood`.

    Inputs are the same, and a constant to be added to each log density, such as the log Jacobian of a scaling.
    """

    __props__ = ()

    def make_node(self, *inputs: Any) -> Apply:
        *seven, constant = inputs
        return Apply(self, [*_as_inputs(seven), pt.as_tensor(constant, dtype="float64")], [pt.dvector()])

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[Any]:
        return [(shapes[3][1],)]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[connected] for connected in (*_CONNECTED, False)]

    def perform(self, node: Apply, inputs: Sequence[Any], output_storage: Any) -> None:
        output_storage[0][0] = _evaluate_rows(*inputs)

    def pullback(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], cotangents: Sequence[Variable]
    ) -> list[Variable]:
        *seven, _ = inputs
        [cotangent] = cotangents
        try:
            # The gradient of a sum: the same factor for every row.
            factor = get_underlying_scalar_constant_value(cotangent)
        except NotScalarConstantError:
            return [
                *_chain(seven, marginal_log_likelihood(*_reweighted(seven, cotangent))[1:], 1.0),
                disconnected_type(),
            ]
        return [*_chain(seven, marginal_log_likelihood(*seven)[1:], factor), disconnected_type()]


def _reweighted(seven: Sequence[Variable], factor: Variable) -> list[Variable]:
    """The same inputs with every row's case weight multiplied by ``factor`` (N,)."""
    *parameters, rows, pairs, sample_weight, scatter = seven
    # Case weights may be left empty: then they are ones.
    weight = factor * pt.concatenate([sample_weight, pt.ones_like(factor)])[: rows.shape[1]]
    values = rows[1 : 1 + scatter.shape[0]]
    return [*parameters, rows, pairs, weight, pt.dot(values * weight, values.T)]


marginal_log_likelihood = MarginalLogLikelihood()
pointwise_log_likelihood = PointwiseLogLikelihood()


@register_canonicalize
@node_rewriter([Sum])
def sum_of_rows(fgraph: Any, node: Apply) -> list[Variable] | None:
    """The sum of `PointwiseLogLikelihood` over all rows is `MarginalLogLikelihood`."""
    [summands] = node.inputs
    if summands.owner is None or not isinstance(summands.owner.op, PointwiseLogLikelihood):
        return None
    *seven, constant = summands.owner.inputs
    _, _, _, rows, _, sample_weight, _ = seven
    total = pt.switch(pt.eq(sample_weight.shape[0], 0), rows.shape[1].astype("float64"), sample_weight.sum())
    return [marginal_log_likelihood(*seven)[0] + constant * total]


@njit(nogil=True, cache=True, error_model="numpy")
def _evaluate(weights, means, factors, rows, pairs, sample_weight, scatter):  # type: ignore[no-untyped-def]
    counts, d_means, d_factors = np.empty(weights.shape), np.empty(means.shape), np.empty(factors.shape)
    # Contiguous arrays of one type: whatever the graph brings, numba compiles the E-step once.
    value = likelihood_and_gradient(
        np.ascontiguousarray(weights),
        np.ascontiguousarray(means),
        np.ascontiguousarray(factors),
        np.ascontiguousarray(rows),
        np.ascontiguousarray(pairs),
        np.ascontiguousarray(sample_weight),
        np.ascontiguousarray(scatter),
        counts,
        d_means,
        d_factors,
    )
    return value, counts, d_means, d_factors


@njit(nogil=True, cache=True, error_model="numpy")
def _evaluate_rows(weights, means, factors, rows, pairs, sample_weight, scatter, constant):  # type: ignore[no-untyped-def]
    n_components, n_features = means.shape
    n_rows = rows.shape[1]
    # Inverse factors (K, D, D) and log normalisers (K,), weights included.
    lower = np.empty((n_components, n_features, n_features))
    inverse = np.empty((n_components, n_features, n_features))
    normaliser = np.empty(n_components)
    for k in range(n_components):
        for i in range(n_features):
            for j in range(n_features):
                lower[k, i, j] = factors[k if factors.shape[0] > 1 else 0, i, j]
        log_det = invert_lower(lower, k, inverse)
        normaliser[k] = np.log(weights[k]) - log_det - 0.5 * n_features * np.log(2 * np.pi)
    centres = np.ascontiguousarray(means)
    result = np.empty(n_rows)
    # Blocks, so that K x N is never held.
    for first in range(0, n_rows, 1024):
        stop = min(first + 1024, n_rows)
        values = np.ascontiguousarray(rows[1 : 1 + n_features, first:stop])
        terms = narrow_log_terms(inverse, normaliser, centres, values)
        top, norm = np.empty((1, stop - first)), np.empty((1, stop - first))
        softmax_block(terms, terms.shape[0], 0, 1, stop - first, top, norm)
        for i in range(stop - first):
            weight = sample_weight[first + i] if sample_weight.size > 0 else 1.0
            result[first + i] = weight * (top[0, i] + np.log(norm[0, i]) + constant.item())
    return result


@register_funcify_default_op_cache_key(MarginalLogLikelihood)
def _numba_marginal(op: MarginalLogLikelihood, **kwargs: Any) -> tuple[Any, int]:
    @numba_njit
    def marginal_log_likelihood(weights, means, factors, rows, pairs, sample_weight, scatter):  # type: ignore[no-untyped-def]
        value, counts, d_means, d_factors = _evaluate(weights, means, factors, rows, pairs, sample_weight, scatter)
        return np.asarray(value), counts, d_means, d_factors

    return marginal_log_likelihood, _VERSION


@register_funcify_default_op_cache_key(PointwiseLogLikelihood)
def _numba_pointwise(op: PointwiseLogLikelihood, **kwargs: Any) -> tuple[Any, int]:
    @numba_njit
    def pointwise_log_likelihood(weights, means, factors, rows, pairs, sample_weight, scatter, constant):  # type: ignore[no-untyped-def]
        return _evaluate_rows(weights, means, factors, rows, pairs, sample_weight, scatter, constant)

    return pointwise_log_likelihood, _VERSION
