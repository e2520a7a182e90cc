"""Moves of the telescoping sampler's filled components, given which rows they hold: means and covariances, compiled.

Means are conjugate given the covariances; standard deviations and correlations are not, and move by Metropolis steps on a
component's sufficient statistics, which cost nothing in the number of rows.

Loops over arrays that the caller allocates: numba takes a second for each array expression and each call of linear algebra.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

__all__ = ["fill_factor", "fill_scatter", "fill_sums", "move_covariance", "move_mean"]

_STEPS = 4
# Not a literal: for `0` numba would compile the density a second time.
_PROPOSED = np.int64(0)


@njit(nogil=True, cache=True, error_model="numpy")
def fill_factor(log_sd, odds, g, correlated, factor, inverse):
    """Lower Cholesky factor (D, D) of the covariance of group ``g``, and its inverse; returns the log of the determinant."""
    n_features = factor.shape[0]
    m = 0
    log_det = 0.0
    for i in range(n_features):
        sd = math.exp(log_sd[g, i if log_sd.shape[1] > 1 else 0])
        remaining = 1.0
        for j in range(n_features):
            factor[i, j] = 0.0
            inverse[i, j] = 0.0
        if correlated:
            for j in range(i):
                factor[i, j] = sd * math.tanh(0.5 * odds[g, m]) * remaining
                remaining /= math.cosh(0.5 * odds[g, m])
                m += 1
        factor[i, i] = sd * remaining
        log_det += math.log(factor[i, i])
        inverse[i, i] = 1.0 / factor[i, i]
        for j in range(i):
            total = 0.0
            for q in range(j, i):
                total += factor[i, q] * inverse[q, j]
            inverse[i, j] = -total * inverse[i, i]
    return log_det


@njit(nogil=True, cache=True, error_model="numpy")
def _covariance_density(
    log_sd, odds, g, correlated, count, second, s, coefficients, n_components, rate, eta, factor, inverse
):
    """Log density of the scales and correlations of group ``g`` given ``count`` rows with scatter second[s], unnormalised."""
    n_features = factor.shape[0]
    log_det = fill_factor(log_sd, odds, g, correlated, factor, inverse)
    if not math.isfinite(log_det):
        return -math.inf
    value = -count * log_det
    # The trace of the inverse covariance times the scatter matrix.
    for m in range(n_features):
        for a in range(m + 1):
            for b in range(m + 1):
                value -= 0.5 * inverse[m, a] * inverse[m, b] * second[s, a, b]
    for e in range(log_sd.shape[1]):
        x = log_sd[g, e]
        value += coefficients[n_components, 1] * x + coefficients[n_components, 2] * x * x
        value += coefficients[n_components, 3] * math.exp(2 * x)
        value += (coefficients[n_components, 4] - rate) * math.exp(-2 * x)
    m = 0
    if correlated:
        for i in range(n_features):
            for j in range(i):
                b = eta + 0.5 * (n_features - 2 - j)
                value -= 2.0 * b * math.log(math.cosh(0.5 * odds[g, m]))
                m += 1
    return value


@njit(nogil=True, cache=True, error_model="numpy")
def move_covariance(
    log_sd, odds, g, correlated, count, second, coefficients, n_components, rate, eta, new_sd, new_odds, factor, inverse
):
    """Metropolis steps of one group's scales and correlations, with steps of many sizes."""
    value = _covariance_density(
        log_sd, odds, g, correlated, count, second, g, coefficients, n_components, rate, eta, factor, inverse
    )
    for _ in range(_STEPS):
        step = 0.03 * 60.0 ** np.random.uniform()
        for e in range(log_sd.shape[1]):
            new_sd[0, e] = log_sd[g, e] + step * np.random.standard_normal()
        for m in range(odds.shape[1]):
            new_odds[0, m] = odds[g, m] + step * np.random.standard_normal()
        proposed = _covariance_density(
            new_sd, new_odds, _PROPOSED, correlated, count, second, g, coefficients, n_components, rate, eta, factor,
            inverse,
        )  # fmt: skip
        if math.log(np.random.uniform()) < proposed - value:
            for e in range(log_sd.shape[1]):
                log_sd[g, e] = new_sd[0, e]
            for m in range(odds.shape[1]):
                odds[g, m] = new_odds[0, m]
            value = proposed


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
