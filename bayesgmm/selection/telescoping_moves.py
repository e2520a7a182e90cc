"""Moves of the telescoping sampler's filled components, given which rows they hold: means and covariances, compiled.

Means are conjugate given the covariances; standard deviations and correlations are not, and move by Metropolis steps on a
component's sufficient statistics, which cost nothing in the number of rows.

A covariance is known by its unconstrained coordinates, those of the structure with one component: factors come from the
structure's compiled map, prior densities from the terms of the prior, both called by address (``model`` and ``numbers`` as
`Target.arguments` has them).

Loops over arrays that the caller allocates: numba takes a second for each array expression and each call of linear algebra.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from ..mixture import call_constrain
from ..posterior import log_prior_and_gradient

__all__ = ["fill_factor", "fill_scatter", "fill_sums", "move_covariance", "move_mean"]

_STEPS = 4
# Not a literal: for `0` numba would compile the density a second time.
_PROPOSED = np.int64(0)


@njit(nogil=True, cache=True, error_model="numpy")
def fill_factor(u, g, model, factor, inverse):
    """Lower Cholesky factor (D, D) of the covariance at u[g], and its inverse; returns the log of the determinant."""
    n_features = factor.shape[0]
    # Structures of scales and correlations read no numbers.
    call_constrain(model[3], u.ctypes.data + 8 * g * u.shape[1], 1, n_features, model.ctypes.data, factor.ctypes.data)
    log_det = 0.0
    for i in range(n_features):
        log_det += math.log(factor[i, i])
        inverse[i, i] = 1.0 / factor[i, i]
        for j in range(n_features):
            if j > i:
                inverse[i, j] = 0.0
        for j in range(i):
            total = 0.0
            for q in range(j, i):
                total += factor[i, q] * inverse[q, j]
            inverse[i, j] = -total * inverse[i, i]
    return log_det


@njit(nogil=True, cache=True, error_model="numpy")
def _covariance_density(u, g, model, numbers, count, second, s, factor, inverse, gradient):
    """Log density of the coordinates u[g] of a covariance given ``count`` rows with scatter second[s], unnormalised."""
    n_features = factor.shape[0]
    log_det = fill_factor(u, g, model, factor, inverse)
    if not math.isfinite(log_det):
        return -math.inf
    value = log_prior_and_gradient(u[g], gradient, model, numbers) - count * log_det
    # The trace of the inverse covariance times the scatter matrix.
    for m in range(n_features):
        for a in range(m + 1):
            for b in range(m + 1):
                value -= 0.5 * inverse[m, a] * inverse[m, b] * second[s, a, b]
    return value


@njit(nogil=True, cache=True, error_model="numpy")
def move_covariance(u, g, model, numbers, count, second, size, proposal, factor, inverse, gradient):
    """Metropolis steps of the ``size`` coordinates of one group's covariance, with steps of many sizes."""
    value = _covariance_density(u, g, model, numbers, count, second, g, factor, inverse, gradient)
    for _ in range(_STEPS):
        step = 0.03 * 60.0 ** np.random.uniform()
        for m in range(u.shape[1]):
            proposal[0, m] = u[g, m]
            if m < size:
                proposal[0, m] += step * np.random.standard_normal()
        new = _covariance_density(proposal, _PROPOSED, model, numbers, count, second, g, factor, inverse, gradient)
        if math.log(np.random.uniform()) < new - value:
            for m in range(size):
                u[g, m] = proposal[0, m]
            value = new


@njit(nogil=True, cache=True, error_model="numpy")
def move_mean(means, k, inverse, count, sums, location, precision, lower):
    """Draw a filled component's mean from its normal full conditional; ``inverse`` is of the covariance's factor.

    The conditional has precision Q = count P + diag(precision), P the inverse covariance, and Q times its mean is
    P sums + diag(precision) location. With Q = L L', L y = that vector and z standard normal, the draw solves L' x = y + z.
    """
    n_features = location.size
    for i in range(n_features):
        linear = precision[i] * location[i]
        for j in range(n_features):
            own = 0.0
            for m in range(max(i, j), n_features):
                own += inverse[m, i] * inverse[m, j]
            linear += own * sums[k, j]
            if j <= i:
                lower[i, j] = count * own
        lower[i, i] += precision[i]
        means[k, i] = linear
    for i in range(n_features):
        for j in range(i + 1):
            total = lower[i, j]
            for m in range(j):
                total -= lower[i, m] * lower[j, m]
            lower[i, j] = math.sqrt(total) if i == j else total / lower[j, j]
        total = means[k, i]
        for m in range(i):
            total -= lower[i, m] * means[k, m]
        means[k, i] = total / lower[i, i]
    for i in range(n_features):
        means[k, i] += np.random.standard_normal()
    for i in range(n_features - 1, -1, -1):
        total = means[k, i]
        for m in range(i + 1, n_features):
            total -= lower[m, i] * means[k, m]
        means[k, i] = total / lower[i, i]


@njit(nogil=True, cache=True, error_model="numpy")
def fill_sums(values, labels, filled, sums):
    """Sums (K, D) of the rows of each filled component."""
    for k in range(filled):
        for a in range(values.shape[1]):
            sums[k, a] = 0.0
    for i in range(values.shape[0]):
        for a in range(values.shape[1]):
            sums[labels[i], a] += values[i, a]


@njit(nogil=True, cache=True, error_model="numpy")
def fill_scatter(values, labels, filled, means, shared, second):
    """Scatter (K, D, D) of each filled component about its mean; that of all of them in second[0] where ``shared``."""
    n_rows, n_features = values.shape
    groups = 1 if shared else filled
    for g in range(groups):
        for a in range(n_features):
            for b in range(n_features):
                second[g, a, b] = 0.0
    for i in range(n_rows):
        k = labels[i]
        g = 0 if shared else k
        for a in range(n_features):
            off = values[i, a] - means[k, a]
            for b in range(a + 1):
                second[g, a, b] += off * (values[i, b] - means[k, b])
    for g in range(groups):
        for a in range(n_features):
            for b in range(a):
                second[g, b, a] = second[g, a, b]
