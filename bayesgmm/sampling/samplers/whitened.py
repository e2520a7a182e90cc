"""nutpie on the fused log density, through C pointers: no interpreter and no lock inside a chain, no recompilation.

nutpie samples u with x = mode + M u, where M M' is the Laplace covariance at the mode: in these coordinates the
posterior is close to a standard normal, so that adaptation is short. The C function is generic: shapes and addresses
travel in a record of integers, so that one compilation, kept on disk by numba, serves every structure, K, D and N.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numba import carray, cfunc, types
from nutpie import _lib
from nutpie.sample import CompiledModel

from ...mixture import doubles, integers, multiply_add
from ...posterior import Target, log_density_and_gradient

__all__ = ["WhitenedModel"]

Array = np.ndarray
_FIELDS = (
    "size", "n_model", "n_numbers", "n_data", "model", "numbers", "data", "centre", "spread",
)  # fmt: skip
_N_FIELDS = len(_FIELDS)
_DOUBLES = types.CPointer(types.float64)
_INTEGERS = types.CPointer(types.int64)


@cfunc(types.int64(types.uint64, _DOUBLES, _DOUBLES, _DOUBLES, _INTEGERS), cache=True, error_model="numpy")
def _log_density(size, x_, gradient_, value_, record_):
    """Log density at u = ``x`` and its gradient, as nutpie calls it.

    Codes 1 to 4 mean a point outside the support, which ends a trajectory.
    """
    record = carray(record_, (_N_FIELDS,))
    x = carray(x_, (size,))
    gradient = carray(gradient_, (size,))
    model = carray(integers(record[4]), (record[1],))
    numbers = carray(doubles(record[5]), (record[2],))
    data = carray(integers(record[6]), (record[3],))
    centre = carray(doubles(record[7]), (size,))
    spread = carray(doubles(record[8]), (size, size))
    point = np.empty(size)
    for i in range(size):
        point[i] = centre[i]
    multiply_add(x, spread, True, point, 1, size, size, 1.0)
    slope = np.empty(size)
    value = log_density_and_gradient(point, slope, model, numbers, data)
    multiply_add(slope, spread, False, gradient, 1, size, size, 0.0)
    value_[0] = value
    if not math.isfinite(value):
        return 4
    for i in range(gradient.size):
        if not math.isfinite(gradient[i]):
            return 3
    return 0


@cfunc(types.int64(types.uint64, types.uint64, _DOUBLES, _DOUBLES, _INTEGERS), cache=True)
def _expand(size, n_expanded, x_, out_, record_):
    """Draws are kept as they are: constraining thousands at once in NumPy is faster than one by one."""
    for i in range(size):
        out_[i] = x_[i]
    return 0


@dataclass(frozen=True)
class WhitenedModel(CompiledModel):
    """A `Target` in coordinates u, x = centre + spread u, as nutpie wants its models.

    Attributes
    ----------
    target : Target
    centre : (P,)
    spread : (P, P)
    start : (chains, P)
        Where each chain starts, in u.
    """

    target: Target = field(kw_only=True)
    centre: Array = field(kw_only=True)
    spread: Array = field(kw_only=True)
    start: Array = field(kw_only=True)

    @property
    def n_dim(self) -> int:
        return self.target.size

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {"u": (self.n_dim,)}

    @property
    def coords(self) -> dict[str, Any]:
        return {}

    def _record(self) -> tuple[Array, tuple[Array, ...]]:
        target = self.target
        model, numbers, data = target.arguments
        arrays = model, numbers, data, np.ascontiguousarray(self.centre), np.ascontiguousarray(self.spread)
        sizes = [target.size, model.size, numbers.size, data.size]
        record = np.array([*sizes, *(a.ctypes.data for a in arrays)], dtype=np.int64)
        return record, arrays

    def _make_model(self, init_mean: Array) -> Any:
        record, arrays = self._record()
        # The target keeps the rows that the data's addresses lead to.
        keep_alive = (record, arrays, self.target)
        size, sizes = self.n_dim, {"coordinate": self.n_dim}
        log_density = _lib.LogpFunc(_log_density.address, record.ctypes.data, keep_alive)
        expand = _lib.ExpandFunc(size, size, _expand.address, record.ctypes.data, keep_alive)
        variables = _lib.PyVariable.new_variables(["u"], ["float64"], [(size,)], sizes, {"u": ("coordinate",)})
        starts = iter(np.ascontiguousarray(self.start))
        # nutpie asks once per chain; which chain gets which start does not matter as they are exchangeable.
        make_start = partial(_next_start, starts, self.start[0])
        names = {"coordinate": np.arange(size)}
        return _lib.PyMcModel(log_density, expand, variables, size, sizes, names, make_start, None)

    def _make_sampler(
        self, settings: Any, init_mean: Array, cores: int, progress: Any, callback: Any, rate: int, store: Any
    ) -> Any:
        model = self._make_model(init_mean)
        return _lib.PySampler.from_pymc(settings, cores, model, progress, callback, rate, store)


def _next_start(starts: Any, otherwise: Array, seed: int) -> Array:
    return np.asarray(next(starts, otherwise))
