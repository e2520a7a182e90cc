"""The log density of incomplete rows as PyTensor Ops, for PyMC models: `pytensor_op` for rows that do not see all features.

They run in plain Python, also within graphs compiled by numba. Once `jax_hook` is imported, JAX compiles them.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytensor.tensor as pt
from numpy.typing import NDArray
from pytensor.gradient import disconnected_type, grad_not_implemented
from pytensor.graph.basic import Apply, Variable
from pytensor.graph.op import Op
from pytensor.link.numba.dispatch.basic import generate_fallback_impl, numba_funcify_and_cache_key

from ..mixture import Design, Mixture, expected_statistics, log_density, structure_named

__all__ = ["SeenGradient", "SeenLogLikelihood"]

Array = NDArray[np.float64]


class _Seen(Op):
    """An Op over rows of which each has some of its values.

    Parameters
    ----------
    seen : (N, D) bool
        What each row has; what stands in the place of the rest counts for nothing.
    """

    __props__ = ("_key",)

    def __init__(self, seen: NDArray[np.bool_]) -> None:
        self.seen, self._key = seen, seen.tobytes()

    def _mixture(self, weights: Array, means: Array, factors: Array) -> Mixture:
        return Mixture(structure_named("full"), weights, means, factors @ np.swapaxes(factors, -1, -2))

    def _rows(self, values: Array) -> Array:
        return np.where(self.seen, values, np.nan)


class SeenLogLikelihood(_Seen):
    """Log density (N,) of what each row has, from weights (K,), means (K, D), factors (K, D, D) and values (N, D)."""

    def make_node(self, *inputs: Any) -> Apply:
        return Apply(self, [pt.as_tensor(x, dtype="float64") for x in inputs], [pt.dvector()])

    def perform(self, node: Apply, inputs: Sequence[Any], output_storage: Any) -> None:
        *parameters, values = inputs
        output_storage[0][0] = log_density(self._mixture(*parameters), self._rows(values))

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[Any]:
        return [(shapes[3][0],)]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[True], [True], [True], [False]]

    def pullback(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], cotangents: Sequence[Variable]
    ) -> list[Variable]:
        slopes = SeenGradient(self.seen)(*inputs, cotangents[0])
        return [*slopes, disconnected_type()]


class SeenGradient(_Seen):
    """Gradient of the sum of `SeenLogLikelihood` times factors (N,), in weights, means and the factors' lower triangles."""

    def make_node(self, *inputs: Any) -> Apply:
        tensors = [pt.as_tensor(x, dtype="float64") for x in inputs]
        return Apply(self, tensors, [pt.dvector(), pt.dmatrix(), pt.dtensor3()])

    def perform(self, node: Apply, inputs: Sequence[Any], output_storage: Any) -> None:
        weights, means, factors, values, factor = inputs
        mixture = self._mixture(weights, means, factors)
        t = expected_statistics(mixture, Design.of(self._rows(values), mixture.structure, factor))
        # About the means, completed: the chain rule of `gradient`.
        inverse = np.linalg.inv(factors)
        upper = np.swapaxes(inverse, -1, -2)
        white = inverse @ t.second @ upper - t.counts[:, None, None] * np.eye(means.shape[1])
        output_storage[0][0] = t.counts / weights
        output_storage[1][0] = (upper @ (inverse @ t.first[..., None]))[..., 0]
        output_storage[2][0] = np.tril(upper @ white)

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[Any]:
        return list(shapes[:3])

    def pullback(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], cotangents: Sequence[Variable]
    ) -> list[Variable]:
        return [grad_not_implemented(self, i, x, "Second derivatives are not available.") for i, x in enumerate(inputs)]


def _in_python(op: Op, node: Apply, **kwargs: Any) -> tuple[Any, None]:
    with warnings.catch_warnings():
        # It says that this runs in Python: that is meant.
        warnings.simplefilter("ignore", UserWarning)
        return generate_fallback_impl(op, node, **kwargs), None


for kind in (SeenLogLikelihood, SeenGradient):
    numba_funcify_and_cache_key.register(kind)(_in_python)
