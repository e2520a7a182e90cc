"""Components of one volume, each with its own shape and orientation (mclust's EVV)."""

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
from .spectra import to_common_volume, volumes

__all__ = ["EVV"]

Array = NDArray[np.float64]


def _constrain(u_, n_components, n_features, numbers_, factors_):
    size = 1 + n_components * (n_features - 1) + n_components * (n_features * (n_features - 1) // 2)
    u = carray(doubles(u_), (size,))
    factors = carray(doubles(factors_), (n_components, n_features, n_features))
    fill_sheared(u, 1, n_components, n_components, True, factors)
    return 0


def _pull_back(u_, n_components, n_features, numbers_, factors_, d_factors_, d_u_):
    size = 1 + n_components * (n_features - 1) + n_components * (n_features * (n_features - 1) // 2)
    u, d_u = carray(doubles(u_), (size,)), carray(doubles(d_u_), (size,))
    factors = carray(doubles(factors_), (n_components, n_features, n_features))
    d_factors = carray(doubles(d_factors_), (n_components, n_features, n_features))
    pull_sheared(u, 1, n_components, n_components, True, factors, d_factors, d_u)
    return 0


class EVV(Triangular):
    """Components of one volume, each with its own shape and orientation: lambda D_k A_k D_k'."""

    name = "EVV"
    letters = "EVV"
    label = "same volume, each component its own shape and orientation"
    maps = _constrain, _pull_back

    def maximise(self, counts: Array, shift: Array, second: Array, start: Array | None = None) -> Array:
        """Closed: each component's own matrix to a common volume, the average of theirs."""
        within = self.within(counts, shift, second)
        return within * to_common_volume(volume(within), counts)[..., None, None]

    def assemble(self, parts: Mapping[str, Any], n_features: int) -> Any:
        """The volume is that of the whole matrix: correlations take none of it away."""
        factors = parts["shape"][..., :, :, None] * parts["correlations"]
        own = np.exp(np.log((parts["correlations"] * np.eye(n_features)).sum(-1)).mean(-1))
        return (parts["volume"] / own[..., None])[..., None] * factors

    def disassemble(self, dense: Array) -> dict[str, Array]:
        own = scales_and_correlations(dense)
        volume = np.exp(0.5 * np.linalg.slogdet(dense)[1].mean(-1) / dense.shape[-1])
        shape = own["scales"] / volumes(own["scales"])[..., None]
        return {"volume": volume[..., None, None], "shape": shape, "correlations": own["correlations"]}
