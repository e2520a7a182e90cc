"""Axis-parallel components of one shape, each with its own size (mclust's VEI)."""

from __future__ import annotations

import numpy as np
from numba import carray
from numpy.typing import NDArray

from ..addresses import doubles
from .curved import Axial
from .maps import fill_axial, pull_axial
from .spectra import fit_products

__all__ = ["VEI"]

Array = NDArray[np.float64]


def _constrain(u_, n_components, n_features, numbers_, factors_):
    u = carray(doubles(u_), (n_components + n_features - 1,))
    fill_axial(u, n_components, 1, carray(doubles(factors_), (n_components, n_features, n_features)))
    return 0


def _pull_back(u_, n_components, n_features, numbers_, factors_, d_factors_, d_u_):
    d_u = carray(doubles(d_u_), (n_components + n_features - 1,))
    factors = carray(doubles(factors_), (n_components, n_features, n_features))
    d_factors = carray(doubles(d_factors_), (n_components, n_features, n_features))
    pull_axial(n_components, 1, factors, d_factors, d_u)
    return 0


class VEI(Axial):
    """Axis-parallel components of one shape, each with its own size: variances lambda_k a_i."""

    name = "VEI"
    letters = "VEI"
    label = "same shape along the axes, each component its own size"
    maps = _constrain, _pull_back

    def maximise(self, counts: Array, shift: Array, second: Array, start: Array | None = None) -> Array:
        return fit_products(counts, second - counts[..., None] * shift**2, None if start is None else start[..., 0, :])
