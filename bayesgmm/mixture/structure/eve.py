"""Components of one size and orientation, each with its own shape (mclust's EVE)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .curved import SharedAxes, turned
from .parts import Orientations, Part, Shapes, Volumes
from .spectra import volumes

__all__ = ["EVE"]

Array = NDArray[np.float64]


class EVE(SharedAxes):
    """Components of one size and orientation, each with its own shape: lambda D A_k D'."""

    name = "EVE"
    letters = "EVE"
    label = "same size and orientation, each component its own shape"

    def maximise(self, counts: Array, shift: Array, second: Array, start: Array | None = None) -> Array:
        """Axes by turns (`rotation.turn_axes`); along them each component's own spread to a common volume."""
        within = self.within(counts, shift, second)
        axes, spreads = self.turned_to(counts, within, start)
        own = volumes(spreads)
        common = own.sum(-1, keepdims=True) / counts.sum(-1, keepdims=True)
        return turned(spreads * (common / own)[..., None], axes[..., None, :, :])

    def parts(self, n_components: int, n_features: int) -> tuple[Part, ...]:
        n_pairs = n_features * (n_features - 1) // 2
        return (
            Volumes((), 1, 1, n_features),
            Shapes(("cluster", "contrast"), n_components, n_features - 1, n_features),
            Orientations(("pair",), 1, n_pairs, n_features),
        )
