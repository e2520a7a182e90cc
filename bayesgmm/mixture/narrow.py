"""The E-step for narrow components: centred at each component's mean and whitened by its Cholesky factor.

The expanded form of `kernel` subtracts numbers of size |mu|^2 / sigma^2 from each other. Where sigma is tiny against
the spread of the data no digits are left; here differences x - mu are taken first. Matrix products as there, one per
component: about three times as slow.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from .kernel import softmax_block

__all__ = ["accumulate_narrow", "narrow_log_terms"]

_REASSOCIATE = {"contract", "reassoc", "nsz", "arcp"}


@njit(nogil=True, cache=True, error_model="numpy")
def _centre(values, first, mean, y):
    """Fill y (D, B) with the rows ``first`` to ``first + B`` minus ``mean`` (D,)."""
    for a in range(y.shape[0]):
        for i in range(y.shape[1]):
            y[a, i] = values[a, first + i] - mean[a]


@njit(nogil=True, cache=True, fastmath=_REASSOCIATE, error_model="numpy")
def _terms(inverse, constant, means, values, first, y, z, terms):
    """Fill terms (K, B) with constant - |W (x - mu)|^2 / 2, W the inverse Cholesky factor (K, D, D).

    ``y`` and ``z`` (D, B) are overwritten.
    """
    n_components, n_features = means.shape
    for k in range(n_components):
        _centre(values, first, means[k], y)
        np.dot(inverse[k], y, z)
        row = terms[k]
        for i in range(row.size):
            row[i] = constant[k]
        for a in range(n_features):
            for i in range(row.size):
                row[i] -= 0.5 * z[a, i] * z[a, i]


@njit(nogil=True, cache=True, error_model="numpy")
def narrow_log_terms(inverse, constant, means, values):
    """Log of weight times density (K, N) of values (D, N) under one mixture."""
    terms = np.empty((means.shape[0], values.shape[1]))
    y = np.empty(values.shape)
    _terms(inverse, constant, means, values, 0, y, np.empty(values.shape), terms)
    return terms


@njit(nogil=True, cache=True, fastmath=_REASSOCIATE, error_model="numpy")
def _add_moments(values, first, mean, r, y, z, second, t):
    """Add the moments of one component, weights r (B,), to t (1 + D + D^2,)."""
    n_features, size = y.shape
    _centre(values, first, mean, y)
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
def accumulate_narrow(inverse, constant, means, values, row_weight, first, stop, block):
    """As `kernel.accumulate`, with statistics [1, y, y y'] (S, K, 1 + D + D^2) of y = x - mean."""
    n_mixtures, n_components, n_features = means.shape
    weighted = row_weight.size > 0
    statistics = np.zeros((n_mixtures, n_components, 1 + n_features + n_features * n_features))
    log_likelihood = np.zeros(n_mixtures)
    second = np.empty((n_features, n_features))
    start = first
    while start < stop:
        size = min(block, stop - start)
        terms = np.empty((n_components, size))
        y = np.empty((n_features, size))
        z = np.empty((n_features, size))
        top = np.empty(size)
        norm = np.empty(size)
        scratch = np.empty(size)
        for s in range(n_mixtures):
            _terms(inverse[s], constant[s], means[s], values, start, y, z, terms)
            softmax_block(terms, top, norm, scratch)
            for i in range(size):
                w = row_weight[start + i] if weighted else 1.0
                log_likelihood[s] += w * (top[i] + math.log(norm[i]))
                if weighted:
                    for k in range(n_components):
                        terms[k, i] *= w
            for k in range(n_components):
                _add_moments(values, start, means[s, k], terms[k], y, z, second, statistics[s, k])
        start += size
    return log_likelihood, statistics
