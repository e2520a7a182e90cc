"""The marginal log likelihood and its gradient with respect to weights, means, scales and correlation factors.

By Fisher's identity the gradient with respect to the natural parameters is the expected sufficient statistics, so one
E-step (`mixture.kernel.accumulate`) gives value and gradient; what is left is the chain rule for K small matrices.
With y = x - mu, n = sum r, S1 = sum r y, S2 = sum r y y' and covariance L L', L = diag(sd) C:

    d/d mu     = (L L')^-1 S1
    d/d L      = tril(L^-T (L^-1 S2 L^-T - n I))
    d/d log sd = rowsums of L * d/dL
    d/d C      = diag(sd) d/dL

Which structure it is follows from the shapes: scales (G, E) with G in {1, K} groups and E in {1, D} widths, factors
(G, D, D) or none, products of the design or none.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ..mixture.kernel import BLOCK, accumulate

__all__ = ["likelihood_and_gradient"]


# Not literals: for `0` numba would compile the E-step a second time.
_FIRST, _BLOCK = np.int64(0), np.int64(BLOCK)


@njit(nogil=True, cache=True, error_model="numpy")
def _invert_lower(factor, inverse):
    """Inverse of a lower triangular matrix, into ``inverse``."""
    n = factor.shape[0]
    for j in range(n):
        for i in range(j):
            inverse[i, j] = 0.0
        inverse[j, j] = 1.0 / factor[j, j]
        for i in range(j + 1, n):
            total = 0.0
            for m in range(j, i):
                total += factor[i, m] * inverse[m, j]
            inverse[i, j] = -total / factor[i, i]


@njit(nogil=True, cache=True, error_model="numpy")
def _scaled_factors(scales, correlation, factors, inverses, precisions, log_dets):
    """L = diag(sd) C of each group, its inverse, the precision and the log determinant of L."""
    n_groups, n_features = correlation.shape[0], correlation.shape[1]
    for g in range(n_groups):
        log_dets[g] = 0.0
        for i in range(n_features):
            for j in range(n_features):
                factors[g, i, j] = scales[g, i] * correlation[g, i, j] if j <= i else 0.0
            log_dets[g] += np.log(factors[g, i, i])
        _invert_lower(factors[g], inverses[g])
        for i in range(n_features):
            for j in range(i + 1):
                total = 0.0
                for m in range(i, n_features):
                    total += inverses[g, m, i] * inverses[g, m, j]
                precisions[g, i, j] = total
                precisions[g, j, i] = total


@njit(nogil=True, cache=True, error_model="numpy")
def _factor_gradient(factor, inverse, second, count, scales, d_log_scale, d_correlation):
    """Add the gradient of one covariance: ``second`` (D, D) and ``count`` are its centred statistics."""
    n = factor.shape[0]
    whitened = np.dot(np.dot(inverse, second), inverse.T)
    for i in range(n):
        whitened[i, i] -= count
    for i in range(n):
        for j in range(i + 1):
            g = 0.0
            for m in range(i, n):
                g += inverse[m, i] * whitened[m, j]
            d_log_scale[i] += factor[i, j] * g
            d_correlation[i, j] += scales[i] * g


@njit(nogil=True, cache=True, error_model="numpy")
def _correlated(weights, means, scales, correlation, rows, pairs, row_weight, scatter):
    n_components, n_features = means.shape
    n_groups = scales.shape[0]
    shared = pairs.shape[0] == 0
    size = 1 + n_features + pairs.shape[0]
    factors = np.empty((n_groups, n_features, n_features))
    inverses = np.empty((n_groups, n_features, n_features))
    precisions = np.empty((n_groups, n_features, n_features))
    log_dets = np.empty(n_groups)
    _scaled_factors(scales, correlation, factors, inverses, precisions, log_dets)

    theta = np.empty((1, n_components, size))
    for k in range(n_components):
        g = k if n_groups > 1 else 0
        quadratic = 0.0
        for i in range(n_features):
            linear = 0.0
            for j in range(n_features):
                linear += precisions[g, i, j] * means[k, j]
            theta[0, k, 1 + i] = linear
            quadratic += means[k, i] * linear
        theta[0, k, 0] = np.log(weights[k]) - log_dets[g] - 0.5 * (quadratic + n_features * np.log(2 * np.pi))
        for p in range(pairs.shape[0]):
            i, j = pairs[p, 0] - 1, pairs[p, 1] - 1
            theta[0, k, 1 + n_features + p] = -precisions[g, i, j] * (0.5 if i == j else 1.0)

    value, t = accumulate(theta, rows, pairs, row_weight, _FIRST, rows.shape[1], _BLOCK)
    log_likelihood = value[0]
    if shared:
        for i in range(n_features):
            for j in range(n_features):
                log_likelihood -= 0.5 * precisions[0, i, j] * scatter[i, j]

    counts = np.empty(n_components)
    d_means = np.empty((n_components, n_features))
    d_log_scales = np.zeros(scales.shape)
    d_correlation = np.zeros(correlation.shape)
    second = np.empty((n_features, n_features))
    if shared:
        for i in range(n_features):
            for j in range(n_features):
                second[i, j] = scatter[i, j]
    total = 0.0
    for k in range(n_components):
        g = k if n_groups > 1 else 0
        n = t[0, k, 0]
        counts[k] = n
        total += n
        first = t[0, k, 1 : 1 + n_features]
        for i in range(n_features):
            s = 0.0
            for j in range(n_features):
                s += precisions[g, i, j] * (first[j] - n * means[k, j])
            d_means[k, i] = s
        if not shared:
            for p in range(pairs.shape[0]):
                i, j = pairs[p, 0] - 1, pairs[p, 1] - 1
                second[i, j] = t[0, k, 1 + n_features + p]
                second[j, i] = second[i, j]
        for i in range(n_features):
            for j in range(n_features):
                second[i, j] += n * means[k, i] * means[k, j] - first[i] * means[k, j] - means[k, i] * first[j]
        if not shared:
            _factor_gradient(factors[g], inverses[g], second, n, scales[g], d_log_scales[g], d_correlation[g])
    if shared:
        _factor_gradient(factors[0], inverses[0], second, total, scales[0], d_log_scales[0], d_correlation[0])
    return log_likelihood, counts, d_means, d_log_scales, d_correlation


@njit(nogil=True, cache=True, error_model="numpy")
def _uncorrelated(weights, means, scales, rows, pairs, row_weight):
    n_components, n_features = means.shape
    width = scales.shape[1]
    # Spheres use the design's row |x|^2, one precision for all features; otherwise there is a product per feature.
    sphere = pairs.shape[0] == 0
    size = rows.shape[0] + pairs.shape[0]
    theta = np.empty((1, n_components, size))
    for k in range(n_components):
        constant = np.log(weights[k]) - 0.5 * n_features * np.log(2 * np.pi)
        for i in range(n_features):
            sd = scales[k, i if width > 1 else 0]
            precision = 1.0 / (sd * sd)
            theta[0, k, 1 + i] = precision * means[k, i]
            constant -= np.log(sd) + 0.5 * precision * means[k, i] * means[k, i]
            theta[0, k, 1 + n_features + (0 if sphere else i)] = -0.5 * precision
        theta[0, k, 0] = constant

    value, t = accumulate(theta, rows, pairs, row_weight, _FIRST, rows.shape[1], _BLOCK)
    counts = np.empty(n_components)
    d_means = np.empty((n_components, n_features))
    d_log_scales = np.zeros(scales.shape)
    for k in range(n_components):
        n = t[0, k, 0]
        counts[k] = n
        if sphere:
            d_log_scales[k, 0] = t[0, k, 1 + n_features] / (scales[k, 0] * scales[k, 0])
        for i in range(n_features):
            e = i if width > 1 else 0
            precision = 1.0 / (scales[k, e] * scales[k, e])
            first = t[0, k, 1 + i]
            d_means[k, i] = precision * (first - n * means[k, i])
            second = 0.0 if sphere else t[0, k, 1 + n_features + i]
            d_log_scales[k, e] += precision * (second + means[k, i] * (n * means[k, i] - 2.0 * first)) - n
    return value[0], counts, d_means, d_log_scales


@njit(nogil=True, cache=True, error_model="numpy")
def likelihood_and_gradient(weights, means, scales, correlation, rows, pairs, row_weight, scatter):
    """Marginal log likelihood of a mixture and its gradient, from one E-step.

    Parameters
    ----------
    weights : (K,)
    means : (K, D)
    scales : (G, E)
        Standard deviations.
    correlation : (G, D, D) or (0, D, D)
        Lower Cholesky factors of the correlation matrices; none for structures without correlations.
    rows, pairs, row_weight, scatter
        As in `mixture.Design`.

    Returns
    -------
    log_likelihood : float
    counts : (K,)
        Gradient with respect to the log weights, taken as free: the expected rows of each component.
    d_means : (K, D)
    d_log_scales : (G, E)
    d_correlation : like ``correlation``
        Gradient with respect to the lower triangle.
    """
    if correlation.shape[0] > 0:
        return _correlated(weights, means, scales, correlation, rows, pairs, row_weight, scatter)
    value, counts, d_means, d_log_scales = _uncorrelated(weights, means, scales, rows, pairs, row_weight)
    return value, counts, d_means, d_log_scales, np.zeros(correlation.shape)
