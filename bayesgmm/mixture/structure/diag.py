"""Axis-parallel components with their own variances (mclust's VVI, scikit-learn's diag)."""

from __future__ import annotations

import numpy as np
from numba import carray
from numpy.typing import NDArray

from ..addresses import doubles
from .base import Entry, Layout, Structure
from .maps import fill_axes, pull_axes
from .matrices import LoneVariances
from .parts import Part, Scales

__all__ = ["DIAG", "Diag"]

Array = NDArray[np.float64]


def _constrain(u_, n_components, n_features, numbers_, factors_):
    u = carray(doubles(u_), (n_components * n_features,))
    fill_axes(
        u, n_components, n_features, n_features, carray(doubles(factors_), (n_components, n_features, n_features))
    )
    return 0


def _pull_back(u_, n_components, n_features, numbers_, factors_, d_factors_, d_u_):
    d_u = carray(doubles(d_u_), (n_components * n_features,))
    factors = carray(doubles(factors_), (n_components, n_features, n_features))
    d_factors = carray(doubles(d_factors_), (n_components, n_features, n_features))
    pull_axes(n_components, n_features, n_features, factors, d_factors, d_u)
    return 0


class Diag(LoneVariances, Structure):
    """Axis-parallel components with their own variances (mclust's VVI)."""

    name = "diag"
    letters = "VVI"
    label = "each component its own variances"
    maps = _constrain, _pull_back

    def shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        return (n_components, n_features)

    def dense(self, covariances: Array, n_components: int, n_features: int) -> Array:
        return covariances[..., None] * np.eye(n_features)

    def compact(self, dense: Array) -> Array:
        return np.diagonal(dense, axis1=-2, axis2=-1)

    def layout(self, n_features: int) -> Layout:
        features = np.arange(1, n_features + 1, dtype=np.int64)
        return Layout(np.stack([features, features], axis=1))

    def natural(self, weights: Array, means: Array, covariances: Array) -> Array:
        precision = 1.0 / covariances
        linear = means * precision
        constant = np.log(weights) - 0.5 * (
            (means * linear).sum(-1) + np.log(covariances).sum(-1) + means.shape[-1] * np.log(2 * np.pi)
        )
        return np.concatenate([constant[..., None], linear, -0.5 * precision], axis=-1)

    def second_moments(self, statistics: Array, scatter: Array) -> Array:
        return statistics[..., 1 + scatter.shape[-1] :]

    def reduce(self, second: Array) -> Array:
        return np.diagonal(second, axis1=-2, axis2=-1)

    def maximise(self, counts: Array, shift: Array, second: Array, start: Array | None = None) -> Array:
        return second / counts[..., None] - shift**2

    def parts(self, n_components: int, n_features: int) -> tuple[Part, ...]:
        return (Scales(("cluster", "feature"), n_components, n_features, n_features),)

    def entries(self, n_components: int, n_features: int) -> tuple[Entry, ...]:
        return tuple(Entry(k, i, i) for k in range(n_components) for i in range(n_features))

    def n_factors(self, n_components: int) -> int:
        return n_components

    def disassemble(self, dense: Array) -> dict[str, Array]:
        return {"scales": np.sqrt(np.diagonal(dense, axis1=-2, axis2=-1))}


DIAG = Diag()
