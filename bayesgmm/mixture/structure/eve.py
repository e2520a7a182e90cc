"""Components of one size and orientation, each with its own shape (mclust's EVE)."""

from __future__ import annotations

import numpy as np
from numba import carray
from numpy.typing import NDArray

from ..addresses import doubles
from .curved import SharedAxes, turned
from .maps_oriented import fill_turned, pull_turned
from .spectra import to_common_volume, volumes

__all__ = ["EVE"]

Array = NDArray[np.float64]


def _constrain(u_, n_components, n_features, numbers_, factors_):
    size = 1 + n_components * (n_features - 1) + (n_features * (n_features - 1) // 2)
    u = carray(doubles(u_), (size,))
    reference = carray(doubles(numbers_), (1, n_features, n_features))
    fill_turned(u, 1, n_components, reference, carray(doubles(factors_), (n_components, n_features, n_features)))
    return 0


def _pull_back(u_, n_components, n_features, numbers_, factors_, d_factors_, d_u_):
    size = 1 + n_components * (n_features - 1) + (n_features * (n_features - 1) // 2)
    u, d_u = carray(doubles(u_), (size,)), carray(doubles(d_u_), (size,))
    reference = carray(doubles(numbers_), (1, n_features, n_features))
    factors = carray(doubles(factors_), (n_components, n_features, n_features))
    d_factors = carray(doubles(d_factors_), (n_components, n_features, n_features))
    pull_turned(u, 1, n_components, reference, factors, d_factors, d_u)
    return 0


class EVE(SharedAxes):
    """Components of one size and orientation, each with its own shape: lambda D A_k D'."""

    name = "EVE"
    letters = "EVE"
    label = "same size and orientation, each component its own shape"
    maps = _constrain, _pull_back

    def maximise(self, counts: Array, shift: Array, second: Array, start: Array | None = None) -> Array:
        """Axes by turns (`rotation.turn_axes`); along them each component's own spread to a common volume."""
        within = self.within(counts, shift, second)
        axes, spreads = self.turned_to(counts, within, start)
        raised = spreads * to_common_volume(volumes(spreads), counts)[..., None]
        return turned(raised, axes[..., None, :, :])
