"""Each component has its own covariance matrix (mclust's VVV, scikit-learn's full)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numba import carray
from numpy.typing import NDArray

from ..addresses import doubles
from .base import Entry, Layout, Structure
from .maps import fill_correlated, fill_scales, pull_correlated
from .matrices import (
    Matrices,
    correlated_factors,
    correlated_parts,
    inverse_cholesky,
    lower_triangle,
    outer,
    scales_and_correlations,
)
from .parts import Part

__all__ = ["FULL", "Full"]

Array = NDArray[np.float64]


def _constrain(u_, n_components, n_features, numbers_, factors_):
    size = n_components * n_features * (n_features + 1) // 2
    u = carray(doubles(u_), (size,))
    sd = np.empty((n_components, n_features))
    fill_scales(carray(doubles(u_), (n_components, n_features)), sd)
    fill_correlated(
        u,
        n_components * n_features,
        n_components,
        sd,
        carray(doubles(factors_), (n_components, n_features, n_features)),
    )
    return 0


def _pull_back(u_, n_components, n_features, numbers_, factors_, d_factors_, d_u_):
    size = n_components * n_features * (n_features + 1) // 2
    u, d_u = carray(doubles(u_), (size,)), carray(doubles(d_u_), (size,))
    factors = carray(doubles(factors_), (n_components, n_features, n_features))
    d_factors = carray(doubles(d_factors_), (n_components, n_features, n_features))
    sd, d_logs = np.empty((n_components, n_features)), carray(doubles(d_u_), (n_components, n_features))
    fill_scales(carray(doubles(u_), (n_components, n_features)), sd)
    pull_correlated(u, n_components * n_features, n_components, sd, factors, d_factors, d_logs, d_u)
    return 0


class Full(Matrices, Structure):
    """Each component has its own covariance matrix."""

    name = "full"
    letters = "VVV"
    label = "each component its own matrix"
    maps = _constrain, _pull_back

    def shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        return (n_components, n_features, n_features)

    def dense(self, covariances: Array, n_components: int, n_features: int) -> Array:
        return covariances

    def compact(self, dense: Array) -> Array:
        return dense

    def layout(self, n_features: int) -> Layout:
        return Layout(np.stack(lower_triangle(n_features)[:2], axis=1).astype(np.int64) + 1)

    def natural(self, weights: Array, means: Array, covariances: Array) -> Array:
        n_features = means.shape[-1]
        inverse, half_log_det = inverse_cholesky(covariances)
        precision = np.swapaxes(inverse, -1, -2) @ inverse
        linear = (precision @ means[..., None])[..., 0]
        quadratic = (means * linear).sum(-1)
        constant = np.log(weights) - half_log_det - 0.5 * (quadratic + n_features * np.log(2 * np.pi))
        i, j, times = lower_triangle(n_features)
        return np.concatenate([constant[..., None], linear, precision[..., i, j] * times], axis=-1)

    def second_moments(self, statistics: Array, scatter: Array) -> Array:
        n_features = scatter.shape[-1]
        i, j, _ = lower_triangle(n_features)
        second = np.empty((*statistics.shape[:-1], n_features, n_features))
        second[..., i, j] = statistics[..., 1 + n_features :]
        second[..., j, i] = statistics[..., 1 + n_features :]
        return second

    def reduce(self, second: Array) -> Array:
        return second

    def maximise(self, counts: Array, shift: Array, second: Array, start: Array | None = None) -> Array:
        return second / counts[..., None, None] - outer(shift)

    def add_ridge(self, covariances: Array, ridge: float) -> Array:
        return covariances + ridge * np.eye(covariances.shape[-1])

    def precision_cholesky(self, covariances: Array) -> Array:
        return np.swapaxes(inverse_cholesky(covariances)[0], -1, -2)

    def parts(self, n_components: int, n_features: int) -> tuple[Part, ...]:
        return correlated_parts(n_components, n_features, ("cluster",))

    def entries(self, n_components: int, n_features: int) -> tuple[Entry, ...]:
        upper = [(i, j) for i in range(n_features) for j in range(i, n_features)]
        return tuple(Entry(k, i, j) for k in range(n_components) for i, j in upper)

    def n_factors(self, n_components: int) -> int:
        return n_components

    def assemble(self, parts: Mapping[str, Any], n_features: int) -> Any:
        return correlated_factors(parts)

    def disassemble(self, dense: Array) -> dict[str, Array]:
        return scales_and_correlations(dense)


FULL = Full()
