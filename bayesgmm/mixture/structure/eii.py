"""All components share one sphere (mclust's EII)."""

from __future__ import annotations

import numpy as np
from numba import carray
from numpy.typing import NDArray

from ..addresses import doubles
from .base import Entry, Structure
from .eei import EEI
from .maps import fill_axes, pull_axes
from .parts import Part, Scales
from .spherical import SPHERICAL

__all__ = ["EII"]

Array = NDArray[np.float64]


def _constrain(u_, n_components, n_features, numbers_, factors_):
    u = carray(doubles(u_), (1,))
    fill_axes(u, 1, 1, n_features, carray(doubles(factors_), (1, n_features, n_features)))
    return 0


def _pull_back(u_, n_components, n_features, numbers_, factors_, d_factors_, d_u_):
    d_u = carray(doubles(d_u_), (1,))
    factors = carray(doubles(factors_), (1, n_features, n_features))
    d_factors = carray(doubles(d_factors_), (1, n_features, n_features))
    pull_axes(1, 1, n_features, factors, d_factors, d_u)
    return 0


class EII(EEI):
    """All components share one sphere: compact covariances are one variance (..., 1).

    As for one shared matrix, phi(x) = [1, x] is enough to tell components apart.
    """

    name = "EII"
    letters = "EII"
    label = "one sphere shared by all"
    common_scale = True
    maps = _constrain, _pull_back

    def shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        return (1,)

    def parts(self, n_components: int, n_features: int) -> tuple[Part, ...]:
        return (Scales((), 1, 1, n_features),)

    def entries(self, n_components: int, n_features: int) -> tuple[Entry, ...]:
        return (Entry(None, None, None),)

    def compact(self, dense: Array) -> Array:
        return dense[..., 0, 0, :1]

    def natural(self, weights: Array, means: Array, covariances: Array) -> Array:
        linear = means / covariances[..., None, :]
        normaliser = 0.5 * means.shape[-1] * np.log(2 * np.pi * covariances)
        constant = np.log(weights) - normaliser - 0.5 * (means * linear).sum(-1)
        return np.concatenate([constant[..., None], linear], axis=-1)

    def shared_quadratic(self, covariances: Array, scatter: Array) -> Array | float:
        return -0.5 * np.trace(scatter) / covariances[..., 0]

    def second_moments(self, statistics: Array, scatter: Array) -> Array:
        return np.full((*statistics.shape[:-2], 1), np.trace(scatter))

    def reduce(self, second: Array) -> Array:
        return np.trace(second, axis1=-2, axis2=-1).sum(-1, keepdims=True)

    def maximise(self, counts: Array, shift: Array, second: Array, start: Array | None = None) -> Array:
        between = (counts * (shift**2).sum(-1)).sum(-1, keepdims=True)
        return (second - between) / (shift.shape[-1] * counts.sum(-1, keepdims=True))

    def disassemble(self, dense: Array) -> dict[str, Array]:
        variances = np.diagonal(dense[..., :1, :, :], axis1=-2, axis2=-1).mean(-1, keepdims=True)
        return {"scales": np.sqrt(variances)}

    @property
    def pointwise(self) -> Structure:
        return SPHERICAL
