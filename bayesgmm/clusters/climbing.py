"""Modal EM in machine code: one climb.

One step of modal EM (Li, Ray & Lindsay 2007) goes from x to

    x + M^-1 g,   g = sum_k p_k P_k (mu_k - x),   M = sum_k p_k P_k,

P_k the precisions and p_k the responsibilities at x. By Jensen's inequality the log density at any x + d is at least

    log f(x) + g'd - d'Md / 2,                                                                              (1)

a concave quadratic whose maximum is that step. The density never falls along the segment from x to the next iterate: a
climb stays in the component of the superlevel set that it started in. Where (1) exceeds the height of the pass to any
other mode lies an ellipsoid within that set: a row inside climbs to the same mode without climbing at all. About a mode m
(g = 0) it is {d : d'Md < 2 gap}, gap = log f(m) - log f(pass).

Close to a mode, where EM is slow, Newton's method takes over if the log density is concave there.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

__all__ = ["ARRIVED", "climb_from", "gradients", "information", "log_density_at", "solve"]

_MAX_STEPS = 500
# Squared length of an EM step, in the metric M, at which a climb has arrived.
ARRIVED = 1e-20
# Squared length of an EM step below which Newton's method is tried, and of its own step above which that is not trusted.
_SLOW = 0.04
_TRUSTED = 0.04
# Terms so far below the largest do not change a sum of doubles.
_NEGLIGIBLE = -40.0


@njit(nogil=True, cache=True, error_model="numpy")
def log_density_at(x, means, inverse, constant, p, y):
    """Log density at x (D,); fills the responsibilities p (K,) and y (K, D) = W_k (x - mu_k).

    ``inverse`` (K, D, D) are the inverse Cholesky factors W_k, ``constant`` (K,) the log normalisers with the weights.
    """
    n_components, d = means.shape
    top = -np.inf
    for k in range(n_components):
        total = 0.0
        for a in range(d):
            value = 0.0
            for b in range(a + 1):
                value += inverse[k, a, b] * (x[b] - means[k, b])
            y[k, a] = value
            total += value * value
        p[k] = constant[k] - 0.5 * total
        top = max(top, p[k])
    norm = 0.0
    for k in range(n_components):
        p[k] = math.exp(p[k] - top) if p[k] - top > _NEGLIGIBLE else 0.0
        norm += p[k]
    for k in range(n_components):
        p[k] /= norm
    return top + math.log(norm)


@njit(nogil=True, cache=True, error_model="numpy")
def _factorise(matrix):
    """Cholesky factor of a matrix (D, D) in its lower triangle; False where it is not positive definite."""
    for a in range(matrix.shape[0]):
        for b in range(a + 1):
            value = matrix[a, b]
            for c in range(b):
                value -= matrix[a, c] * matrix[b, c]
            if a != b:
                matrix[a, b] = value / matrix[b, b]
            elif value > 0.0:
                matrix[a, a] = math.sqrt(value)
            else:
                return False
    return True


@njit(nogil=True, cache=True, error_model="numpy")
def solve(matrix, right, step):
    """Solve matrix (D, D) step = right by Cholesky, overwriting the lower triangle; the squared length right' step.

    Returns -1 where the matrix is not positive definite.
    """
    d = right.size
    if not _factorise(matrix):
        return -1.0
    length = 0.0
    for a in range(d):
        value = right[a]
        for b in range(a):
            value -= matrix[a, b] * step[b]
        step[a] = value / matrix[a, a]
        length += step[a] * step[a]
    for a in range(d - 1, -1, -1):
        value = step[a]
        for b in range(a + 1, d):
            value -= matrix[b, a] * step[b]
        step[a] = value / matrix[a, a]
    return length


@njit(nogil=True, cache=True, error_model="numpy")
def information(p, precision, matrix):
    """Fill the lower triangle of matrix (D, D) with M = sum_k p_k P_k."""
    d = matrix.shape[0]
    for a in range(d):
        for b in range(a + 1):
            matrix[a, b] = 0.0
    for k in range(p.size):
        if p[k] > 0.0:
            for a in range(d):
                for b in range(a + 1):
                    matrix[a, b] += p[k] * precision[k, a, b]


@njit(nogil=True, cache=True, error_model="numpy")
def gradients(p, y, inverse, own, total):
    """Fill own (K, D) with g_k = P_k (mu_k - x) and total (D,) with their mean g, from what `log_density_at` left."""
    n_components, d = y.shape
    for a in range(d):
        total[a] = 0.0
    for k in range(n_components):
        if p[k] > 0.0:
            for a in range(d):
                value = 0.0
                for b in range(a, d):
                    value -= inverse[k, b, a] * y[k, b]
                own[k, a] = value
                total[a] += p[k] * value


@njit(nogil=True, cache=True, error_model="numpy")
def _newton(p, precision, own, total, matrix, step):
    """Fill step (D,) with Newton's, by the negative Hessian M - sum p_k g_k g_k' + g g'; its squared length in M.

    Returns infinity where the log density is not concave.
    """
    information(p, precision, matrix)
    d = total.size
    for a in range(d):
        for b in range(a + 1):
            value = total[a] * total[b]
            for k in range(p.size):
                if p[k] > 0.0:
                    value -= p[k] * own[k, a] * own[k, b]
            matrix[a, b] += value
    if solve(matrix, total, step) < 0.0:
        return np.inf
    # In M, not in the Hessian: where that is nearly singular a step may be short in it and lead to another mode.
    information(p, precision, matrix)
    length = 0.0
    for a in range(d):
        value = 0.5 * matrix[a, a] * step[a]
        for b in range(a):
            value += matrix[a, b] * step[b]
        length += 2.0 * value * step[a]
    return length


@njit(nogil=True, cache=True, error_model="numpy")
def _capturing(x, modes, metric, reach, n_modes):
    """The mode whose ellipsoid holds x, or -1."""
    d = x.size
    for m in range(n_modes):
        total = 0.0
        for a in range(d):
            value = 0.5 * metric[m, a, a] * (x[a] - modes[m, a])
            for b in range(a):
                value += metric[m, a, b] * (x[b] - modes[m, b])
            total += 2.0 * value * (x[a] - modes[m, a])
        if total <= reach[m]:
            return m
    return -1


@njit(nogil=True, cache=True, error_model="numpy")
def climb_from(x, means, inverse, constant, precision, modes, metric, reach, n_modes, p, y, own, work):
    """Climb from x (D,), in place; the mode that captures it, or -1 where it arrives at an unknown one.

    ``work`` (D + 4, D) is overwritten.
    """
    d = x.size
    matrix, total, step, trial = work[:d], work[d], work[d + 1], work[d + 2]
    found = _capturing(x, modes, metric, reach, n_modes)
    if found >= 0:
        return found
    value = log_density_at(x, means, inverse, constant, p, y)
    for _ in range(_MAX_STEPS):
        gradients(p, y, inverse, own, total)
        information(p, precision, matrix)
        length = solve(matrix, total, step)
        if not length > ARRIVED:
            return -1
        jumped = False
        if length < _SLOW:
            for a in range(d):
                trial[a] = step[a]
            newton = _newton(p, precision, own, total, matrix, step)
            if newton < _TRUSTED:
                for a in range(d):
                    step[a] += x[a]
                reached = log_density_at(step, means, inverse, constant, p, y)
                jumped = reached >= value
            if jumped:
                for a in range(d):
                    x[a] = step[a]
                value = reached
            else:
                for a in range(d):
                    step[a] = trial[a]
        if not jumped:
            for a in range(d):
                x[a] += step[a]
            value = log_density_at(x, means, inverse, constant, p, y)
        found = _capturing(x, modes, metric, reach, n_modes)
        if found >= 0:
            return found
    return -1
