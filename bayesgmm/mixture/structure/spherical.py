"""Spheres with their own radii (mclust's VII, scikit-learn's spherical)."""

from __future__ import annotations

import numpy as np
from numba import carray
from numpy.typing import NDArray

from ..addresses import doubles
from .base import Entry, Layout, Structure
from .maps import fill_axes, pull_axes
from .matrices import LoneVariances
from .parts import Part, Scales

__all__ = ["SPHERICAL", "Spherical"]

Array = NDArray[np.float64]


def _constrain(u_, n_components, n_features, numbers_, factors_):
    u = carray(doubles(u_), (n_components,))
    fill_axes(u, n_components, 1, n_features, carray(doubles(factors_), (n_components, n_features, n_features)))
    return 0


def _pull_back(u_, n_components, n_features, numbers_, factors_, d_factors_, d_u_):
    d_u = carray(doubles(d_u_), (n_components,))
    factors = carray(doubles(factors_), (n_components, n_features, n_features))
    d_factors = carray(doubles(d_factors_), (n_components, n_features, n_features))
    pull_axes(n_components, 1, n_features, factors, d_factors, d_u)
    return 0


class Spherical(LoneVariances, Structure):
    """Spheres with their own radii (mclust's VII). The design carries |x|^2 as one row of its own."""

    name = "spherical"
    letters = "VII"
    label = "each component its own sphere"
    common_scale = True
    maps = _constrain, _pull_back

    def shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        return (n_components,)

    def dense(self, covariances: Array, n_components: int, n_features: int) -> Array:
        return covariances[..., None, None] * np.eye(n_features)

    def compact(self, dense: Array) -> Array:
        return dense[..., 0, 0]

    def layout(self, n_features: int) -> Layout:
        return Layout(np.empty((0, 2), dtype=np.int64), squared_norm=True)

    def natural(self, weights: Array, means: Array, covariances: Array) -> Array:
        precision = 1.0 / covariances
        linear = means * precision[..., None]
        constant = np.log(weights) - 0.5 * (
            (means * linear).sum(-1) + means.shape[-1] * np.log(2 * np.pi * covariances)
        )
        return np.concatenate([constant[..., None], linear, -0.5 * precision[..., None]], axis=-1)

    def second_moments(self, statistics: Array, scatter: Array) -> Array:
        return statistics[..., -1]

    def reduce(self, second: Array) -> Array:
        return np.trace(second, axis1=-2, axis2=-1)

    def maximise(self, counts: Array, shift: Array, second: Array, start: Array | None = None) -> Array:
        return (second / counts - (shift**2).sum(-1)) / shift.shape[-1]

    def parts(self, n_components: int, n_features: int) -> tuple[Part, ...]:
        return (Scales(("cluster",), n_components, 1, n_features),)

    def entries(self, n_components: int, n_features: int) -> tuple[Entry, ...]:
        return tuple(Entry(k, None, None) for k in range(n_components))

    def n_factors(self, n_components: int) -> int:
        return n_components

    def disassemble(self, dense: Array) -> dict[str, Array]:
        variances = np.diagonal(dense, axis1=-2, axis2=-1).mean(-1, keepdims=True)
        return {"scales": np.sqrt(variances)}


SPHERICAL = Spherical()
