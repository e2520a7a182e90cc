"""Axis-parallel components of one size, each with its own shape (mclust's EVI)."""

from __future__ import annotations

import numpy as np
from numba import carray
from numpy.typing import NDArray

from ..addresses import doubles
from .curved import Axial
from .maps import fill_axial, pull_axial
from .spectra import to_common_volume, volumes

__all__ = ["EVI"]

Array = NDArray[np.float64]


def _constrain(u_, n_components, n_features, numbers_, factors_):
    u = carray(doubles(u_), (1 + n_components * (n_features - 1),))
    fill_axial(u, 1, n_components, carray(doubles(factors_), (n_components, n_features, n_features)))
    return 0


def _pull_back(u_, n_components, n_features, numbers_, factors_, d_factors_, d_u_):
    d_u = carray(doubles(d_u_), (1 + n_components * (n_features - 1),))
    factors = carray(doubles(factors_), (n_components, n_features, n_features))
    d_factors = carray(doubles(d_factors_), (n_components, n_features, n_features))
    pull_axial(1, n_components, factors, d_factors, d_u)
    return 0


class EVI(Axial):
    """Axis-parallel components of one size, each with its own shape: lambda a_ki, the product of a component's a_ki one."""

    name = "EVI"
    letters = "EVI"
    label = "same size, each component its own shape along the axes"
    maps = _constrain, _pull_back

    def maximise(self, counts: Array, shift: Array, second: Array, start: Array | None = None) -> Array:
        """Closed: each component's own spread to a common volume, the average of theirs."""
        spreads = second - counts[..., None] * shift**2
        return np.maximum(spreads, np.finfo(float).tiny) * to_common_volume(volumes(spreads), counts)[..., None]
