"""Components of one orientation, each with its own size and shape (mclust's VVE)."""

from __future__ import annotations

import numpy as np
from numba import carray
from numpy.typing import NDArray

from ..addresses import CONSTRAIN, PULL_BACK, address_of, doubles
from .curved import SharedAxes, turned
from .maps_oriented import fill_turned, pull_turned
from .parts import Orientations, Part, Shapes, Volumes

__all__ = ["VVE"]

Array = NDArray[np.float64]


def _constrain(u_, n_components, n_features, numbers_, factors_):
    size = n_components + n_components * (n_features - 1) + (n_features * (n_features - 1) // 2)
    u = carray(doubles(u_), (size,))
    reference = carray(doubles(numbers_), (1, n_features, n_features))
    fill_turned(
        u, n_components, n_components, reference, carray(doubles(factors_), (n_components, n_features, n_features))
    )
    return 0


def _pull_back(u_, n_components, n_features, numbers_, factors_, d_factors_, d_u_):
    size = n_components + n_components * (n_features - 1) + (n_features * (n_features - 1) // 2)
    u, d_u = carray(doubles(u_), (size,)), carray(doubles(d_u_), (size,))
    reference = carray(doubles(numbers_), (1, n_features, n_features))
    factors = carray(doubles(factors_), (n_components, n_features, n_features))
    d_factors = carray(doubles(d_factors_), (n_components, n_features, n_features))
    pull_turned(u, n_components, n_components, reference, factors, d_factors, d_u)
    return 0


class VVE(SharedAxes):
    """Components of one orientation, each with its own size and shape: lambda_k D A_k D'."""

    name = "VVE"
    letters = "VVE"
    label = "same orientation, each component its own size and shape"

    def maximise(self, counts: Array, shift: Array, second: Array, start: Array | None = None) -> Array:
        """Axes by turns (`rotation.turn_axes`); along them each component's own variances."""
        within = self.within(counts, shift, second)
        axes, spreads = self.turned_to(counts, within, start)
        return turned(spreads / counts[..., None], axes[..., None, :, :])

    def parts(self, n_components: int, n_features: int) -> tuple[Part, ...]:
        n_pairs = n_features * (n_features - 1) // 2
        return (
            Volumes(("cluster",), n_components, 1, n_features),
            Shapes(("cluster", "contrast"), n_components, n_features - 1, n_features),
            Orientations(("pair",), 1, n_pairs, n_features),
        )

    @property
    def addresses(self) -> tuple[int, int]:
        return address_of(_constrain, CONSTRAIN), address_of(_pull_back, PULL_BACK)
