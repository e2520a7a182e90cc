"""The marginal log likelihood and its gradient with respect to weights, means and covariance factors.

By Fisher's identity the gradient with respect to the natural parameters is the expected sufficient statistics, so one
E-step (`mixture.kernel.expect_into`) gives value and gradient; what is left is the chain rule for G small matrices.
With y = x - mu, n = sum r, S1 = sum r y, S2 = sum r y y' and covariance L L':

    d/d mu = (L L')^-1 S1
    d/d L  = tril(L^-T (L^-1 S2 L^-T - n I))

Nothing here knows a structure. The design says which products of features were summed: all of them, squares, their sum, or
none where all components share one factor and the scatter of the data stands for the sum over components. Of second moments
that were not summed one by one, any split will do whose sum is right: what the structure pulls back is their sum.
"""

from __future__ import annotations

import math

import numpy as np
from numba import boolean, carray, float64, int64, intp, njit, void

from ..mixture import (
    BLOCK,
    CALLED_BY_COMPILED,
    LIKELIHOOD,
    Design,
    address_of,
    apart,
    doubles,
    expect_into,
    fill_second,
    fill_theta,
    integers,
    invert_lower,
)

__all__ = ["complete_rows", "fill_factor_gradient", "fill_precision", "likelihood_and_gradient"]


# Not a literal: for `0` numba would compile a function a second time.
_FIRST = np.int64(0)
_VECTOR, _MATRIX, _BATCH, _PAIRS = float64[::1], float64[:, ::1], float64[:, :, ::1], int64[:, ::1]
_LIKELIHOOD = float64(_VECTOR, _MATRIX, _BATCH, _MATRIX, _PAIRS, _VECTOR, _MATRIX, _VECTOR, _MATRIX, _BATCH)


@njit(nogil=True, cache=True, error_model="numpy", **CALLED_BY_COMPILED)
def fill_precision(inverse, g, precision):
    """precision[g] = L^-T L^-1, from the lower triangular L^-1."""
    n = inverse.shape[1]
    for i in range(n):
        for j in range(i + 1):
            total = 0.0
            for m in range(i, n):
                total += inverse[g, m, i] * inverse[g, m, j]
            precision[g, i, j] = total
            precision[g, j, i] = total


@apart(void(_BATCH, intp, _MATRIX, float64, boolean, _MATRIX, _BATCH))
@njit(nogil=True, cache=True, error_model="numpy", **CALLED_BY_COMPILED)
def fill_factor_gradient(inverse, g, second, count, along_axes, half, d_factors):
    """d_factors[g] from the second moments about the mean and their count; ``half`` (D, D) is overwritten."""
    n = second.shape[0]
    if along_axes:
        for i in range(n):
            for j in range(n):
                d_factors[g, i, j] = 0.0
            scale = inverse[g, i, i]
            d_factors[g, i, i] = scale * (scale * scale * second[i, i] - count)
        return
    for i in range(n):
        for j in range(n):
            half[i, j] = 0.0
        for m in range(i + 1):
            for j in range(n):
                half[i, j] += inverse[g, i, m] * second[m, j]
    # L^-1 S2 L^-T - n I, which is symmetric, in place of S2.
    for i in range(n):
        for j in range(i + 1):
            total = -count if i == j else 0.0
            for m in range(j + 1):
                total += half[i, m] * inverse[g, j, m]
            second[i, j] = total
            second[j, i] = total
    for i in range(n):
        for j in range(n):
            d_factors[g, i, j] = 0.0
        for m in range(i, n):
            for j in range(i + 1):
                d_factors[g, i, j] += inverse[g, m, i] * second[m, j]


@apart(_LIKELIHOOD)
@njit(nogil=True, cache=True, error_model="numpy")
def likelihood_and_gradient(weights, means, factors, rows, pairs, sample_weight, scatter, counts, d_means, d_factors):
    """Marginal log likelihood of a mixture; its gradient, from the same E-step, is written into the last three.

    Parameters
    ----------
    weights : (K,)
    means : (K, D)
    factors : (G, D, D)
        Lower triangular covariance factors: one for each component, or one for all.
    rows, pairs, sample_weight, scatter
        As in `mixture.Design`.
    counts : (K,)
        With respect to the log weights, taken as free: the expected rows of each component.
    d_means : (K, D)
    d_factors : (G, D, D)
        With respect to the lower triangles.
    """
    n_components, n_features = means.shape
    n_factors, n_pairs = factors.shape[0], pairs.shape[0]
    sphere = rows.shape[0] > 1 + n_features
    common = n_pairs == 0 and not sphere
    along_axes = not common
    for p in range(n_pairs):
        if pairs[p, 0] != pairs[p, 1]:
            along_axes = False
    inverse = np.empty((n_factors, n_features, n_features))
    precision = np.empty((n_factors, n_features, n_features))
    log_dets = np.empty(n_factors)
    for g in range(n_factors):
        if along_axes:
            log_dets[g] = 0.0
            for i in range(n_features):
                inverse[g, i, i] = 1.0 / factors[g, i, i]
                precision[g, i, i] = inverse[g, i, i] * inverse[g, i, i]
                log_dets[g] += math.log(factors[g, i, i])
        else:
            log_dets[g] = invert_lower(factors, g, inverse)
            fill_precision(inverse, g, precision)
    theta = np.empty((1, n_components, rows.shape[0] + n_pairs))
    for k in range(n_components):
        g = k if n_factors > 1 else 0
        log_weight = math.log(weights[k])
        fill_theta(log_weight, means, k, precision, g, log_dets[g], along_axes, sphere, pairs, theta, _FIRST, k)
    size = BLOCK if rows.shape[1] > BLOCK else rows.shape[1]
    # Of no rows there are no blocks; their size must not be zero all the same.
    size = size if size > 0 else 1
    terms = np.empty((n_components, size))
    phi, top, norm = np.empty((theta.shape[2], size)), np.empty((1, size)), np.empty((1, size))
    none, value, t = np.empty(0), np.empty(1), np.empty(theta.shape)
    expect_into(theta, rows, none, none, pairs, sample_weight, 0, rows.shape[1], phi, terms, top, norm, value, t)
    log_likelihood = value[0]

    second = np.empty((n_features, n_features))
    half = np.empty((n_features, n_features))
    if common:
        for i in range(n_features):
            for j in range(n_features):
                log_likelihood -= 0.5 * precision[0, i, j] * scatter[i, j]
                second[i, j] = scatter[i, j]
    total = 0.0
    for k in range(n_components):
        g = k if n_factors > 1 else 0
        counts[k] = t[0, k, 0]
        total += counts[k]
        for i in range(n_features):
            slope = 0.0
            for j in range(i if along_axes else 0, i + 1 if along_axes else n_features):
                slope += precision[g, i, j] * (t[0, k, 1 + j] - counts[k] * means[k, j])
            d_means[k, i] = slope
        fill_second(t, _FIRST, k, means, k, along_axes, sphere, pairs, second)
        if not common:
            fill_factor_gradient(inverse, g, second, counts[k], along_axes, half, d_factors)
    if common:
        fill_factor_gradient(inverse, _FIRST, second, total, along_axes, half, d_factors)
    return log_likelihood


def _of_complete_rows(data_, k, d, g, weights_, means_, factors_, counts_, d_means_, d_factors_):
    data = carray(integers(data_), (9,))
    rows, pairs = carray(doubles(data[5]), (data[1], data[2])), carray(integers(data[6]), (data[3], 2))
    sample_weight, scatter = carray(doubles(data[7]), (data[4],)), carray(doubles(data[8]), (d, d))
    weights, means = carray(doubles(weights_), (k,)), carray(doubles(means_), (k, d))
    factors, d_factors = carray(doubles(factors_), (g, d, d)), carray(doubles(d_factors_), (g, d, d))
    counts, d_means = carray(doubles(counts_), (k,)), carray(doubles(d_means_), (k, d))
    return likelihood_and_gradient(
        weights, means, factors, rows, pairs, sample_weight, scatter, counts, d_means, d_factors
    )


def complete_rows(design: Design) -> tuple[int, list[int]]:
    """The compiled likelihood of rows that are all alike, and what it reads of them: sizes and addresses.

    The arrays belong to the design, which has to be kept.
    """
    arrays = design.rows, design.pairs, design.sample_weight, design.scatter
    sizes = [*design.rows.shape, len(design.pairs), design.sample_weight.size]
    return address_of(_of_complete_rows, LIKELIHOOD), [*sizes, *(a.ctypes.data for a in arrays)]
