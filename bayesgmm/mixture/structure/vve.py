"""Components of one orientation, each with its own size and shape (mclust's VVE)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .curved import SharedAxes, turned
from .parts import Orientations, Part, Shapes, Volumes

__all__ = ["VVE"]

Array = NDArray[np.float64]


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
