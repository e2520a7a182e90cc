"""All components share one covariance matrix (mclust's EEE, scikit-learn's tied)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numba import carray
from numpy.typing import NDArray

from ..addresses import doubles
from .base import Entry, Layout, Structure
from .full import FULL
from .maps import fill_correlated, fill_scales, pull_correlated
from .matrices import Matrices, correlated_factors, correlated_parts, inverse_cholesky, scales_and_correlations
from .parts import Part

__all__ = ["Tied"]

Array = NDArray[np.float64]


def _constrain(u_, n_components, n_features, numbers_, factors_):
    size = 1 * n_features * (n_features + 1) // 2
    u = carray(doubles(u_), (size,))
    sd = np.empty((1, n_features))
    fill_scales(carray(doubles(u_), (1, n_features)), sd)
    fill_correlated(u, n_features, 1, sd, carray(doubles(factors_), (1, n_features, n_features)))
    return 0


def _pull_back(u_, n_components, n_features, numbers_, factors_, d_factors_, d_u_):
    size = 1 * n_features * (n_features + 1) // 2
    u, d_u = carray(doubles(u_), (size,)), carray(doubles(d_u_), (size,))
    factors = carray(doubles(factors_), (1, n_features, n_features))
    d_factors = carray(doubles(d_factors_), (1, n_features, n_features))
    sd, d_logs = np.empty((1, n_features)), carray(doubles(d_u_), (1, n_features))
    fill_scales(carray(doubles(u_), (1, n_features)), sd)
    pull_correlated(u, n_features, 1, sd, factors, d_factors, d_logs, d_u)
    return 0


class Tied(Matrices, Structure):
    """All components share one covariance matrix (mclust's EEE).

    The quadratic part is the same for all components, so that phi(x) = [1, x] is enough to tell them apart; the
    rest of the log likelihood depends on the data only through their scatter matrix, computed once.
    """

    name = "tied"
    letters = "EEE"
    label = "one matrix shared by all"
    maps = _constrain, _pull_back

    def shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        return (n_features, n_features)

    def dense(self, covariances: Array, n_components: int, n_features: int) -> Array:
        shape = (*covariances.shape[:-2], n_components, n_features, n_features)
        return np.broadcast_to(covariances[..., None, :, :], shape)

    def compact(self, dense: Array) -> Array:
        return dense[..., 0, :, :]

    def layout(self, n_features: int) -> Layout:
        return Layout(np.empty((0, 2), dtype=np.int64))

    def natural(self, weights: Array, means: Array, covariances: Array) -> Array:
        n_features = means.shape[-1]
        inverse, half_log_det = inverse_cholesky(covariances)
        precision = np.swapaxes(inverse, -1, -2) @ inverse
        linear = means @ precision
        quadratic = (means * linear).sum(-1)
        normaliser = half_log_det + 0.5 * n_features * np.log(2 * np.pi)
        constant = np.log(weights) - normaliser[..., None] - 0.5 * quadratic
        return np.concatenate([constant[..., None], linear], axis=-1)

    def shared_quadratic(self, covariances: Array, scatter: Array) -> Array | float:
        inverse, _ = inverse_cholesky(covariances)
        return -0.5 * ((inverse @ scatter) * inverse).sum((-2, -1))

    def second_moments(self, statistics: Array, scatter: Array) -> Array:
        return np.broadcast_to(scatter, (*statistics.shape[:-2], *scatter.shape))

    def reduce(self, second: Array) -> Array:
        return second.sum(-3)

    def maximise(self, counts: Array, shift: Array, second: Array, start: Array | None = None) -> Array:
        between = np.swapaxes(shift * counts[..., None], -1, -2) @ shift
        return (second - between) / counts.sum(-1)[..., None, None]

    def add_ridge(self, covariances: Array, ridge: float) -> Array:
        return covariances + ridge * np.eye(covariances.shape[-1])

    def precision_cholesky(self, covariances: Array) -> Array:
        return np.swapaxes(inverse_cholesky(covariances)[0], -1, -2)

    @property
    def pointwise(self) -> Structure:
        return FULL

    def parts(self, n_components: int, n_features: int) -> tuple[Part, ...]:
        return correlated_parts(1, n_features, ())

    def entries(self, n_components: int, n_features: int) -> tuple[Entry, ...]:
        return tuple(Entry(None, i, j) for i in range(n_features) for j in range(i, n_features))

    def n_factors(self, n_components: int) -> int:
        return 1

    def assemble(self, parts: Mapping[str, Any], n_features: int) -> Any:
        return correlated_factors(parts)

    def disassemble(self, dense: Array) -> dict[str, Array]:
        return scales_and_correlations(dense[..., :1, :, :])
