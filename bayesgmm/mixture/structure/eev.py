"""Components of one size and shape, each with its own orientation (mclust's EEV)."""

from __future__ import annotations

import numpy as np
from numba import carray
from numpy.typing import NDArray

from ..addresses import doubles
from .curved import OwnAxes, turned
from .maps_oriented import fill_turned, pull_turned

__all__ = ["EEV"]

Array = NDArray[np.float64]


def _constrain(u_, n_components, n_features, numbers_, factors_):
    size = 1 + (n_features - 1) + n_components * (n_features * (n_features - 1) // 2)
    u = carray(doubles(u_), (size,))
    reference = carray(doubles(numbers_), (n_components, n_features, n_features))
    fill_turned(u, 1, 1, reference, carray(doubles(factors_), (n_components, n_features, n_features)))
    return 0


def _pull_back(u_, n_components, n_features, numbers_, factors_, d_factors_, d_u_):
    size = 1 + (n_features - 1) + n_components * (n_features * (n_features - 1) // 2)
    u, d_u = carray(doubles(u_), (size,)), carray(doubles(d_u_), (size,))
    reference = carray(doubles(numbers_), (n_components, n_features, n_features))
    factors = carray(doubles(factors_), (n_components, n_features, n_features))
    d_factors = carray(doubles(d_factors_), (n_components, n_features, n_features))
    pull_turned(u, 1, 1, reference, factors, d_factors, d_u)
    return 0


class EEV(OwnAxes):
    """Components of one size and shape, each with its own orientation: lambda D_k A D_k'."""

    name = "EEV"
    letters = "EEV"
    label = "same size and shape, each component its own orientation"
    maps = _constrain, _pull_back

    def maximise(self, counts: Array, shift: Array, second: Array, start: Array | None = None) -> Array:
        """Closed: each component's principal axes, and the average of their variances along them, in order."""
        values, axes = np.linalg.eigh(self.within(counts, shift, second))
        common = values.sum(-2, keepdims=True) / counts.sum(-1)[..., None, None]
        return turned(np.broadcast_to(common, values.shape), axes)
