"""All components share one set of variances along the axes (mclust's EEI)."""

from __future__ import annotations

import numpy as np
from numba import carray
from numpy.typing import NDArray

from ..addresses import doubles
from .base import Entry, Layout, Structure
from .diag import DIAG
from .maps import fill_axes, pull_axes
from .matrices import LoneVariances
from .parts import Part, Scales

__all__ = ["EEI"]

Array = NDArray[np.float64]


def _constrain(u_, n_components, n_features, numbers_, factors_):
    u = carray(doubles(u_), (n_features,))
    fill_axes(u, 1, n_features, n_features, carray(doubles(factors_), (1, n_features, n_features)))
    return 0


def _pull_back(u_, n_components, n_features, numbers_, factors_, d_factors_, d_u_):
    d_u = carray(doubles(d_u_), (n_features,))
    factors = carray(doubles(factors_), (1, n_features, n_features))
    d_factors = carray(doubles(d_factors_), (1, n_features, n_features))
    pull_axes(1, n_features, n_features, factors, d_factors, d_u)
    return 0


class EEI(LoneVariances, Structure):
    """All components share one set of variances along the axes.

    As for one shared matrix, phi(x) = [1, x] is enough to tell components apart.
    """

    name = "EEI"
    letters = "EEI"
    label = "one set of variances shared by all"
    maps = _constrain, _pull_back

    def shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        return (n_features,)

    def parts(self, n_components: int, n_features: int) -> tuple[Part, ...]:
        return (Scales(("feature",), 1, n_features, n_features),)

    def entries(self, n_components: int, n_features: int) -> tuple[Entry, ...]:
        return tuple(Entry(None, i, i) for i in range(n_features))

    def dense(self, covariances: Array, n_components: int, n_features: int) -> Array:
        one = covariances[..., None, :, None] * np.eye(n_features)
        return np.broadcast_to(one, (*covariances.shape[:-1], n_components, n_features, n_features))

    def compact(self, dense: Array) -> Array:
        return np.diagonal(dense[..., 0, :, :], axis1=-2, axis2=-1)

    def layout(self, n_features: int) -> Layout:
        return Layout(np.empty((0, 2), dtype=np.int64))

    def natural(self, weights: Array, means: Array, covariances: Array) -> Array:
        linear = means / covariances[..., None, :]
        normaliser = 0.5 * np.log(2 * np.pi * covariances).sum(-1)
        constant = np.log(weights) - normaliser[..., None] - 0.5 * (means * linear).sum(-1)
        return np.concatenate([constant[..., None], linear], axis=-1)

    def shared_quadratic(self, covariances: Array, scatter: Array) -> Array | float:
        return -0.5 * (np.diagonal(scatter) / covariances).sum(-1)

    def second_moments(self, statistics: Array, scatter: Array) -> Array:
        return np.broadcast_to(np.diagonal(scatter), (*statistics.shape[:-2], len(scatter)))

    def reduce(self, second: Array) -> Array:
        return np.diagonal(second, axis1=-2, axis2=-1).sum(-2)

    def maximise(self, counts: Array, shift: Array, second: Array, start: Array | None = None) -> Array:
        return (second - (counts[..., None] * shift**2).sum(-2)) / counts.sum(-1)[..., None]

    def n_factors(self, n_components: int) -> int:
        return 1

    def disassemble(self, dense: Array) -> dict[str, Array]:
        return {"scales": np.sqrt(np.diagonal(dense[..., :1, :, :], axis1=-2, axis2=-1))}

    @property
    def pointwise(self) -> Structure:
        return DIAG
