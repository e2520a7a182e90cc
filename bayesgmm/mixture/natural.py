"""Natural parameters and second moments of single components, compiled: what E-steps over different rows share.

Nothing here knows a structure. ``pairs`` says which products of features phi(x) holds: all, squares (``along_axes``), or none;
``sphere`` says that the squared norm stands for the squares.
"""

from __future__ import annotations

import math

from numba import boolean, float64, int64, intp, njit, void

from .machine import CALLED_BY_COMPILED, apart

__all__ = ["fill_second", "fill_theta", "invert_lower"]

_LOG_2_PI = math.log(2 * math.pi)
_MATRIX, _BATCH, _PAIRS = float64[:, ::1], float64[:, :, ::1], int64[:, ::1]


@njit(nogil=True, cache=True, error_model="numpy", **CALLED_BY_COMPILED)
def invert_lower(factors, g, inverse):
    """Inverse of the lower triangular factors[g] into inverse[g]; returns the log of the factor's determinant."""
    n = factors.shape[1]
    log_det = 0.0
    for j in range(n):
        log_det += math.log(factors[g, j, j])
        for i in range(j):
            inverse[g, i, j] = 0.0
        inverse[g, j, j] = 1.0 / factors[g, j, j]
        for i in range(j + 1, n):
            total = 0.0
            for m in range(j, i):
                total += factors[g, i, m] * inverse[g, m, j]
            inverse[g, i, j] = -total / factors[g, i, i]
    return log_det


@apart(void(float64, _MATRIX, intp, _BATCH, intp, float64, boolean, boolean, _PAIRS, _BATCH, intp, intp))
@njit(nogil=True, cache=True, error_model="numpy", **CALLED_BY_COMPILED)
def fill_theta(log_weight, means, row, precision, g, log_det, along_axes, sphere, pairs, theta, s, k):
    """theta[s, k]: natural parameters of the component with mean means[row], precision[g], as phi's products want them."""
    n_features = means.shape[1]
    quadratic = 0.0
    for i in range(n_features):
        linear = 0.0
        if along_axes:
            linear = precision[g, i, i] * means[row, i]
        else:
            for j in range(n_features):
                linear += precision[g, i, j] * means[row, j]
        theta[s, k, 1 + i] = linear
        quadratic += means[row, i] * linear
    theta[s, k, 0] = log_weight - log_det - 0.5 * (quadratic + n_features * _LOG_2_PI)
    if sphere:
        theta[s, k, 1 + n_features] = -0.5 * precision[g, 0, 0]
    for p in range(pairs.shape[0]):
        i, j = pairs[p, 0] - 1, pairs[p, 1] - 1
        theta[s, k, 1 + n_features + p] = -precision[g, i, j] * (0.5 if i == j else 1.0)


@apart(void(_BATCH, intp, intp, _MATRIX, intp, boolean, boolean, _PAIRS, _MATRIX))
@njit(nogil=True, cache=True, error_model="numpy", **CALLED_BY_COMPILED)
def fill_second(t, s, k, means, row, along_axes, sphere, pairs, second):
    """Second moments (D, D) of t[s, k] about means[row], from sums about zero; squares alone where axes suffice.

    What was not summed pair by pair stays as ``second`` has it.
    """
    n_features = means.shape[1]
    n = t[s, k, 0]
    for p in range(pairs.shape[0]):
        i, j = pairs[p, 0] - 1, pairs[p, 1] - 1
        second[i, j] = t[s, k, 1 + n_features + p]
        second[j, i] = second[i, j]
    if sphere:
        for i in range(n_features):
            second[i, i] = t[s, k, 1 + n_features] / n_features
    for i in range(n_features):
        for j in range(i if along_axes else 0, i + 1 if along_axes else n_features):
            second[i, j] += (
                n * means[row, i] * means[row, j] - t[s, k, 1 + i] * means[row, j] - means[row, i] * t[s, k, 1 + j]
            )
