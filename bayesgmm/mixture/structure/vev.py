"""Components of one shape, each with its own size and orientation (mclust's VEV)."""

from __future__ import annotations

import numpy as np
from numba import carray
from numpy.typing import NDArray

from ..addresses import doubles
from .curved import OwnAxes, turned
from .maps_oriented import fill_turned, pull_turned
from .spectra import fit_products

__all__ = ["VEV"]

Array = NDArray[np.float64]


def _constrain(u_, n_components, n_features, numbers_, factors_):
    size = n_components + (n_features - 1) + n_components * (n_features * (n_features - 1) // 2)
    u = carray(doubles(u_), (size,))
    reference = carray(doubles(numbers_), (n_components, n_features, n_features))
    fill_turned(u, n_components, 1, reference, carray(doubles(factors_), (n_components, n_features, n_features)))
    return 0


def _pull_back(u_, n_components, n_features, numbers_, factors_, d_factors_, d_u_):
    size = n_components + (n_features - 1) + n_components * (n_features * (n_features - 1) // 2)
    u, d_u = carray(doubles(u_), (size,)), carray(doubles(d_u_), (size,))
    reference = carray(doubles(numbers_), (n_components, n_features, n_features))
    factors = carray(doubles(factors_), (n_components, n_features, n_features))
    d_factors = carray(doubles(d_factors_), (n_components, n_features, n_features))
    pull_turned(u, n_components, 1, reference, factors, d_factors, d_u)
    return 0


class VEV(OwnAxes):
    """Components of one shape, each with its own size and orientation: lambda_k D_k A D_k'."""

    name = "VEV"
    letters = "VEV"
    label = "same shape, each component its own size and orientation"
    maps = _constrain, _pull_back

    def maximise(self, counts: Array, shift: Array, second: Array, start: Array | None = None) -> Array:
        """Each component's principal axes, and along them, in order, the sizes and the shape of VEI (Celeux & Govaert 1995)."""
        values, axes = np.linalg.eigh(self.within(counts, shift, second))
        shape = None if start is None else np.linalg.eigvalsh(start[..., 0, :, :])
        return turned(fit_products(counts, values, shape), axes)
