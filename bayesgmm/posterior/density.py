"""The log posterior density on the unconstrained scale, compiled once for every structure, prior, K, D and N.

The same density as the PyMC model's (`pymc_model.build_model`; the tests assert it, value and gradient): the simplex
transform, the structure's map to covariance factors and the terms of the prior, both called by address, and the likelihood,
in one function that samplers call through a C pointer.

A model is handed over as two vectors: ``model`` (int64) holds K, D, the number G of factors, the addresses of the
structure's map and of its gradient, the number of terms, for each term its address and where its numbers begin, and where those
of the structure do;
``numbers`` (float64) holds the constant, the power of the likelihood, and the numbers of the terms. The rows are a third,
``data`` (int64): the address of their likelihood, and what that reads (`gradient.complete_rows`). So the density knows nothing
of what kind of rows they are.
"""

from __future__ import annotations

import math

import numpy as np
from numba import float64, int64, njit
from numpy.typing import NDArray

from ..mixture import CALLED_BY_COMPILED, add_term, apart, call_constrain, call_likelihood, call_pullback

__all__ = ["log_densities", "log_density_and_gradient", "log_prior_and_gradient"]

Array = NDArray[np.float64]
_VECTOR = float64[::1]


@njit(nogil=True, cache=True, error_model="numpy")
def log_prior_and_gradient(x, gradient, model, numbers):
    """Log prior density at ``x`` (P,), Jacobians included; ``gradient`` (P,) is overwritten."""
    for i in range(gradient.size):
        gradient[i] = 0.0
    value = numbers[0]
    at, start = x.ctypes.data, numbers.ctypes.data
    slope = gradient.ctypes.data
    for t in range(model[5]):
        value += add_term(model[6 + 2 * t], at, start + 8 * model[7 + 2 * t], slope)
    return value


@njit(nogil=True, cache=True, error_model="numpy", **CALLED_BY_COMPILED)
def _fill_weights(x, weights):
    """Weights (K,): the softmax of [y, -sum(y)]."""
    n = weights.size
    last = 0.0
    top = 0.0
    for k in range(n - 1):
        weights[k] = x[k]
        last -= x[k]
        top = max(top, x[k])
    weights[n - 1] = last
    top = max(top, last)
    norm = 0.0
    for k in range(n):
        weights[k] = math.exp(weights[k] - top)
        norm += weights[k]
    for k in range(n):
        weights[k] /= norm


@apart(float64(_VECTOR, _VECTOR, int64[::1], _VECTOR, int64[::1]))
@njit(nogil=True, cache=True, error_model="numpy")
def log_density_and_gradient(x, gradient, model, numbers, data):
    """Log posterior density at the unconstrained point ``x`` (P,); its gradient is written into ``gradient`` (P,)."""
    n_components, n_features, n_factors = model[0], model[1], model[2]
    value = log_prior_and_gradient(x, gradient, model, numbers)
    weights = np.empty(n_components)
    _fill_weights(x, weights)
    means = np.empty((n_components, n_features))
    m = n_components - 1
    for k in range(n_components):
        for i in range(n_features):
            means[k, i] = x[m]
            m += 1
    factors = np.empty((n_factors, n_features, n_features))
    at = x.ctypes.data + 8 * m
    own = numbers.ctypes.data + 8 * model[6 + 2 * model[5]]
    call_constrain(model[3], at, n_components, n_features, own, factors.ctypes.data)

    counts = np.empty(n_components)
    d_means = np.empty((n_components, n_features))
    d_factors = np.empty((n_factors, n_features, n_features))
    power = numbers[1]
    value += power * call_likelihood(
        data[0], data.ctypes.data, n_components, n_features, n_factors, weights.ctypes.data, means.ctypes.data,
        factors.ctypes.data, counts.ctypes.data, d_means.ctypes.data, d_factors.ctypes.data,
    )  # fmt: skip
    total = 0.0
    for k in range(n_components):
        total += counts[k]
    last = counts[n_components - 1] - total * weights[n_components - 1]
    for k in range(n_components - 1):
        gradient[k] += power * (counts[k] - total * weights[k] - last)
    m = n_components - 1
    for k in range(n_components):
        for i in range(n_features):
            gradient[m] += power * d_means[k, i]
            m += 1
    for g in range(n_factors):
        for i in range(n_features):
            for j in range(n_features):
                d_factors[g, i, j] *= power
    slope = gradient.ctypes.data + 8 * m
    call_pullback(model[4], at, n_components, n_features, own, factors.ctypes.data, d_factors.ctypes.data, slope)
    # Read after the calls, so that the arrays lent to them live until then.
    return math.nan if math.isnan(factors[0, 0, 0] + d_factors[0, 0, 0] + weights[0] + means[0, 0]) else value


@njit(nogil=True, cache=True, error_model="numpy")
def log_densities(points, values, model, numbers, data):
    """Log densities at ``points`` (S, P), into ``values`` (S,)."""
    point = np.empty(points.shape[1])
    gradient = np.empty(points.shape[1])
    for s in range(points.shape[0]):
        for i in range(point.size):
            point[i] = points[s, i]
        values[s] = log_density_and_gradient(point, gradient, model, numbers, data)
