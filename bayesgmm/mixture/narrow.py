"""The E-step for narrow components: centred at each component's mean and whitened by its Cholesky factor.

The expanded form of `kernel` subtracts numbers of size |mu|^2 / sigma^2 from each other. Where sigma is tiny against
the spread of the data no digits are left; here differences x - mu are taken first, at about D times the cost.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from .kernel import softmax_block

__all__ = ["accumulate_narrow", "narrow_log_terms"]


@njit(nogil=True, cache=True, error_model="numpy")
def _terms(inverse, constant, means, values, first, terms):
    """Fill terms (K, B) with constant - |W (x - mu)|^2 / 2, W the inverse Cholesky factor (K, D, D)."""
    n_components, n_features = means.shape
    for k in range(n_components):
        for i in range(terms.shape[1]):
            distance = 0.0
            for a in range(n_features):
                z = 0.0
                for b in range(a + 1):
                    z += inverse[k, a, b] * (values[b, first + i] - means[k, b])
                distance += z * z
            terms[k, i] = constant[k] - 0.5 * distance


@njit(nogil=True, cache=True, error_model="numpy")
def narrow_log_terms(inverse, constant, means, values):
    """Log of weight times density (K, N) of values (D, N) under one mixture."""
    terms = np.empty((means.shape[0], values.shape[1]))
    _terms(inverse, constant, means, values, 0, terms)
    return terms


@njit(nogil=True, cache=True, error_model="numpy")
def accumulate_narrow(inverse, constant, means, values, row_weight, first, stop, block):
    """As `kernel.accumulate`, with statistics [1, y, y y'] (S, K, 1 + D + D^2) of y = x - mean."""
    n_mixtures, n_components, n_features = means.shape
    weighted = row_weight.size > 0
    statistics = np.zeros((n_mixtures, n_components, 1 + n_features + n_features * n_features))
    log_likelihood = np.zeros(n_mixtures)
    y = np.empty(n_features)
    start = first
    while start < stop:
        size = min(block, stop - start)
        terms = np.empty((n_components, size))
        top = np.empty(size)
        norm = np.empty(size)
        scratch = np.empty(size)
        for s in range(n_mixtures):
            _terms(inverse[s], constant[s], means[s], values, start, terms)
            softmax_block(terms, top, norm, scratch)
            for i in range(size):
                w = row_weight[start + i] if weighted else 1.0
                log_likelihood[s] += w * (top[i] + math.log(norm[i]))
                for k in range(n_components):
                    r = w * terms[k, i]
                    t = statistics[s, k]
                    t[0] += r
                    for a in range(n_features):
                        y[a] = values[a, start + i] - means[s, k, a]
                        t[1 + a] += r * y[a]
                    for a in range(n_features):
                        for b in range(n_features):
                            t[1 + n_features + a * n_features + b] += r * y[a] * y[b]
        start += size
    return log_likelihood, statistics
