"""Components of one size and shape, each with its own orientation (mclust's EEV)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .curved import OwnAxes, turned
from .parts import Orientations, Part, Shapes, Volumes

__all__ = ["EEV"]

Array = NDArray[np.float64]


class EEV(OwnAxes):
    """Components of one size and shape, each with its own orientation: lambda D_k A D_k'."""

    name = "EEV"
    letters = "EEV"
    label = "same size and shape, each component its own orientation"

    def maximise(self, counts: Array, shift: Array, second: Array, start: Array | None = None) -> Array:
        """Closed: each component's principal axes, and the average of their variances along them, in order."""
        values, axes = np.linalg.eigh(self.within(counts, shift, second))
        common = values.sum(-2, keepdims=True) / counts.sum(-1)[..., None, None]
        return turned(np.broadcast_to(common, values.shape), axes)

    def parts(self, n_components: int, n_features: int) -> tuple[Part, ...]:
        n_pairs = n_features * (n_features - 1) // 2
        return (
            Volumes((), 1, 1, n_features),
            Shapes(("contrast",), 1, n_features - 1, n_features),
            Orientations(("cluster", "pair"), n_components, n_pairs, n_features),
        )
