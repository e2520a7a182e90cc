"""The E-step for narrow components: centred at each component's mean and whitened by its Cholesky factor.

The expanded form of `kernel` subtracts numbers of size |mu|^2 / sigma^2 from each other. Where sigma is tiny against
the spread of the data no digits are left; here differences x - mu are taken first. Matrix products as there, one per
component: about three times as slow.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .kernel import softmax_block

__all__ = ["accumulate_narrow", "narrow_log_terms"]

Array = NDArray[np.float64]
_REASSOCIATE = {"contract", "reassoc", "nsz", "arcp"}


@njit(nogil=True, cache=True, error_model="numpy")
def _centre(x: Array, mean: Array, y: Array) -> None:
    """Fill y (D, B) with x (D, B) minus ``mean`` (D,)."""
    for a in range(y.shape[0]):
        for i in range(y.shape[1]):
            y[a, i] = x[a, i] - mean[a]


@njit(nogil=True, cache=True, fastmath=_REASSOCIATE, error_model="numpy")
def _terms(inverse: Array, constant: Array, means: Array, x: Array, y: Array, z: Array, terms: Array) -> None:
    """Fill terms (K, B) with constant - |W (x - mu)|^2 / 2, W the inverse Cholesky factor (K, D, D).

    ``x`` is (D, B); ``y`` and ``z`` (D, B) are overwritten.
    """
    n_components, n_features = means.shape
    for k in range(n_components):
        _centre(x, means[k], y)
        np.dot(inverse[k], y, z)
        row = terms[k]
        for i in range(row.size):
            row[i] = constant[k]
        for a in range(n_features):
            for i in range(row.size):
                row[i] -= 0.5 * z[a, i] * z[a, i]


@njit(nogil=True, cache=True, error_model="numpy")
def narrow_log_terms(inverse: Array, constant: Array, means: Array, x: Array) -> Array:
    """Log of weight times density (K, N) of x (D, N) under one mixture."""
    terms = np.empty((means.shape[0], x.shape[1]))
    _terms(inverse, constant, means, x, np.empty(x.shape), np.empty(x.shape), terms)
    return terms


@njit(nogil=True, cache=True, fastmath=_REASSOCIATE, error_model="numpy")
def _add_moments(x: Array, mean: Array, r: Array, y: Array, z: Array, second: Array, t: Array) -> None:
    """Add the moments of one component, weights r (B,), to t (1 + D + D^2,)."""
    n_features, size = y.shape
    _centre(x, mean, y)
    total = 0.0
    for i in range(size):
        total += r[i]
    t[0] += total
    for a in range(n_features):
        part = 0.0
        for i in range(size):
            z[a, i] = r[i] * y[a, i]
            part += z[a, i]
        t[1 + a] += part
    np.dot(z, y.T, second)
    for a in range(n_features):
        for b in range(n_features):
            t[1 + n_features + a * n_features + b] += second[a, b]


@njit(nogil=True, cache=True, error_model="numpy")
def accumulate_narrow(
    inverse: Array, constant: Array, means: Array, values: Array, location: Array, precision: Array, row_weight: Array,
    first: int, stop: int, block: int,
) -> tuple[Array, Array]:  # fmt: skip
    """As `kernel.accumulate_values`, with statistics [1, y, y y'] (S, K, 1 + D + D^2) of y = x - mean.

    ``values`` is (N, D); x is their standardised form.
    """
    n_mixtures, n_components, n_features = means.shape
    weighted = row_weight.size > 0
    statistics = np.zeros((n_mixtures, n_components, 1 + n_features + n_features * n_features))
    log_likelihood = np.zeros(n_mixtures)
    second = np.empty((n_features, n_features))
    start = first
    while start < stop:
        size = min(block, stop - start)
        terms = np.empty((n_components, size))
        x = np.empty((n_features, size))
        y = np.empty((n_features, size))
        z = np.empty((n_features, size))
        top = np.empty(size)
        norm = np.empty(size)
        scratch = np.empty(size)
        for a in range(n_features):
            for i in range(size):
                x[a, i] = (values[start + i, a] - location[a]) * precision[a]
        for s in range(n_mixtures):
            _terms(inverse[s], constant[s], means[s], x, y, z, terms)
            softmax_block(terms, top, norm, scratch)
            for i in range(size):
                w = row_weight[start + i] if weighted else 1.0
                log_likelihood[s] += w * (top[i] + math.log(norm[i]))
                if weighted:
                    for k in range(n_components):
                        terms[k, i] *= w
            for k in range(n_components):
                _add_moments(x, means[s, k], terms[k], y, z, second, statistics[s, k])
        start += size
    return log_likelihood, statistics
