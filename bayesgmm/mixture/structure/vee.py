"""Components of one shape and orientation, each with its own size (mclust's VEE)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numba import carray
from numpy.typing import NDArray

from ..addresses import doubles
from .curved import Triangular
from .maps_oriented import fill_sheared, pull_sheared
from .matrices import scales_and_correlations, volume
from .spectra import volumes_and_shapes

__all__ = ["VEE"]

Array = NDArray[np.float64]
# Rounds of the maximisation, and the relative change of the matrix below which it ends.
_ROUNDS, _CLOSE = 200, 1e-12


def _constrain(u_, n_components, n_features, numbers_, factors_):
    size = n_components + (n_features - 1) + (n_features * (n_features - 1) // 2)
    u = carray(doubles(u_), (size,))
    factors = carray(doubles(factors_), (n_components, n_features, n_features))
    fill_sheared(u, n_components, 1, 1, False, factors)
    return 0


def _pull_back(u_, n_components, n_features, numbers_, factors_, d_factors_, d_u_):
    size = n_components + (n_features - 1) + (n_features * (n_features - 1) // 2)
    u, d_u = carray(doubles(u_), (size,)), carray(doubles(d_u_), (size,))
    factors = carray(doubles(factors_), (n_components, n_features, n_features))
    d_factors = carray(doubles(d_factors_), (n_components, n_features, n_features))
    pull_sheared(u, n_components, 1, 1, False, factors, d_factors, d_u)
    return 0


class VEE(Triangular):
    """Components of one shape and orientation, each with its own size: lambda_k C, the determinant of C one."""

    name = "VEE"
    letters = "VEE"
    label = "same shape and orientation, each component its own size"
    maps = _constrain, _pull_back

    def maximise(self, counts: Array, shift: Array, second: Array, start: Array | None = None) -> Array:
        """Sizes for the matrix and the matrix for the sizes in turn (Celeux & Govaert 1995, section 3, model lambda_k C)."""
        within = self.within(counts, shift, second)
        rows = within.shape[-1] * counts
        shape = _without_volume(within.sum(-3) if start is None else start[..., 0, :, :])
        for _ in range(_ROUNDS):
            sizes = np.einsum("...ij,...kij->...k", np.linalg.inv(shape), within) / rows
            new = _without_volume((within / sizes[..., None, None]).sum(-3))
            change = np.abs(new - shape).max(initial=0.0)
            shape = new
            if not change > _CLOSE * np.abs(shape).max(initial=0.0):
                break
        sizes = np.einsum("...ij,...kij->...k", np.linalg.inv(shape), within) / rows
        return sizes[..., None, None] * shape[..., None, :, :]

    def assemble(self, parts: Mapping[str, Any], n_features: int) -> Any:
        return (parts["volume"] * parts["shape"])[..., :, :, None] * parts["correlations"]

    def disassemble(self, dense: Array) -> dict[str, Array]:
        own = scales_and_correlations(dense)
        return volumes_and_shapes(self.letters, own["scales"]) | {"correlations": own["correlations"][..., :1, :, :]}


def _without_volume(matrix: Array) -> Array:
    """Matrices (..., D, D) with determinant one."""
    return np.asarray(matrix / volume(matrix)[..., None, None])
