"""Axis-parallel components of one shape, each with its own size (mclust's VEI)."""

from __future__ import annotations

import numpy as np
from numba import carray
from numpy.typing import NDArray

from ..addresses import CONSTRAIN, PULL_BACK, address_of, doubles
from .curved import Axial
from .maps import fill_axial, pull_axial
from .parts import Part, Shapes, Volumes
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

    def maximise(self, counts: Array, shift: Array, second: Array, start: Array | None = None) -> Array:
        return fit_products(counts, second - counts[..., None] * shift**2, None if start is None else start[..., 0, :])

    def parts(self, n_components: int, n_features: int) -> tuple[Part, ...]:
        return (
            Volumes(("cluster",), n_components, 1, n_features),
            Shapes(("contrast",), 1, n_features - 1, n_features),
        )

    @property
    def addresses(self) -> tuple[int, int]:
        return address_of(_constrain, CONSTRAIN), address_of(_pull_back, PULL_BACK)
