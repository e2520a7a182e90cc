"""The E-step over groups of rows in machine code: rows that do not all see the same features, or belong anywhere.

A group with observed features ``o`` runs the E-step of `kernel` with the marginal mixture (w, mu_o, S_oo), over the components
that it may belong to. With B = S_mo S_oo^-1 and the group's moments about the mean, n, f = sum r y_o and M = sum r y_o y_o',
what the features ``m`` that it does not see add follows from these alone (Little & Rubin 2019, chapter 11)::

    sum r E[y_m]       = B f
    sum r E[y_m y_o']  = B M
    sum r E[y_m y_m']  = n (S_mm - B S_om) + B M B'

By Fisher's identity these completed moments are the gradient of the log likelihood of what was observed.

Noise is component K: its log density is a constant of the group, its only statistic a count. Compiled once it is needed.
"""

from __future__ import annotations

import math

import numpy as np
from numba import boolean, float64, int64, intp, njit, void

from .kernel import BLOCK, expect_into
from .machine import CALLED_BY_COMPILED, apart
from .narrow import expect_narrow_into
from .natural import fill_second, fill_theta

__all__ = ["FULL_PRODUCTS", "NO_PRODUCTS", "SQUARED_NORM", "SQUARES", "expect_groups_into"]

# Which products of features a layout sums.
FULL_PRODUCTS, SQUARES, SQUARED_NORM, NO_PRODUCTS = range(4)
_VECTOR, _MATRIX, _BATCH, _FOURFOLD = float64[::1], float64[:, ::1], float64[:, :, ::1], float64[:, :, :, ::1]
_INTEGERS, _TABLE = int64[::1], int64[:, ::1]


@njit(nogil=True, cache=True, error_model="numpy", **CALLED_BY_COMPILED)
def _fill_factor(covariances, s, c, features, g, lower, at):
    """lower[at]: Cholesky factor of the block of covariances[s, c] that group g sees."""
    d = lower.shape[1]
    for i in range(d):
        for j in range(i + 1):
            total = covariances[s, c, features[g, i], features[g, j]]
            for m in range(j):
                total -= lower[at, i, m] * lower[at, j, m]
            if i == j:
                lower[at, i, i] = math.sqrt(total)
            else:
                lower[at, i, j] = total / lower[at, j, j]


@apart(void(_FOURFOLD, _TABLE, intp, boolean, _BATCH, _BATCH, _BATCH, _VECTOR))
@njit(nogil=True, cache=True, error_model="numpy", **CALLED_BY_COMPILED)
def _fill_marginals(covariances, features, g, along_axes, inverse, precision, regression, log_dets):
    """Of the blocks that group g sees, for S mixtures and C covariances of each: (S C, d, d), (S C, D - d, d), (S C,)."""
    n_mixtures, n_own, n_features, _ = covariances.shape
    d = inverse.shape[1]
    lower = np.zeros((1, d, d))
    for s in range(n_mixtures):
        for c in range(n_own):
            at = s * n_own + c
            _fill_factor(covariances, s, c, features, g, lower, 0)
            log_dets[at] = 0.0
            for i in range(d):
                log_dets[at] += math.log(lower[0, i, i])
            # Column by column: L^-1, then its own products.
            for j in range(d):
                for i in range(j):
                    inverse[at, i, j] = 0.0
                inverse[at, j, j] = 1.0 / lower[0, j, j]
                for i in range(j + 1, d):
                    total = 0.0
                    if not along_axes:
                        for m in range(j, i):
                            total += lower[0, i, m] * inverse[at, m, j]
                    inverse[at, i, j] = -total / lower[0, i, i]
            for i in range(d):
                for j in range(i + 1):
                    total = 0.0
                    if i == j or not along_axes:
                        for m in range(i, d):
                            total += inverse[at, m, i] * inverse[at, m, j]
                    precision[at, i, j] = total
                    precision[at, j, i] = total
            for a in range(n_features - d):
                for i in range(d):
                    total = 0.0
                    if not along_axes:
                        for j in range(d):
                            total += covariances[s, c, features[g, d + a], features[g, j]] * precision[at, j, i]
                    regression[at, a, i] = total


@apart(
    void(_VECTOR, _MATRIX, _BATCH, intp, _FOURFOLD, intp, intp, _BATCH, _TABLE, intp, boolean, intp, _BATCH, _FOURFOLD)
)
@njit(nogil=True, cache=True, error_model="numpy", **CALLED_BY_COMPILED)
def _add_completed(count, f, m, row, covariances, s, c, regression, features, g, along_axes, k, first, second):
    """Add to component k the moments count[row], f[row], m[row] of what group g sees, and what follows for the rest."""
    n_own, n_features, d = covariances.shape[1], covariances.shape[2], m.shape[1]
    at = s * n_own + c
    for i in range(d):
        first[s, k, features[g, i]] += f[row, i]
        for j in range(d):
            second[s, k, features[g, i], features[g, j]] += m[row, i, j]
    cross = np.zeros((n_features - d, d))
    for a in range(n_features - d):
        own = features[g, d + a]
        if along_axes:
            second[s, k, own, own] += count[row] * covariances[s, c, own, own]
            continue
        for j in range(d):
            first[s, k, own] += regression[at, a, j] * f[row, j]
            for i in range(d):
                cross[a, i] += regression[at, a, j] * m[row, j, i]
        for i in range(d):
            second[s, k, own, features[g, i]] += cross[a, i]
            second[s, k, features[g, i], own] += cross[a, i]
        for b in range(a + 1):
            other = features[g, d + b]
            total = count[row] * covariances[s, c, own, other]
            for i in range(d):
                total += regression[at, b, i] * (cross[a, i] - count[row] * covariances[s, c, own, features[g, i]])
            second[s, k, own, other] += total
            if a != b:
                second[s, k, other, own] += total


@njit(nogil=True, cache=True, error_model="numpy", **CALLED_BY_COMPILED)
def _pairs_of(kind, d):
    """Which of [1, x] are multiplied (P, 2)."""
    size = 0
    if kind == FULL_PRODUCTS:
        size = d * (d + 1) // 2
    elif kind == SQUARES:
        size = d
    pairs = np.empty((size, 2), dtype=np.int64)
    p = 0
    for i in range(d):
        for j in range(i + 1):
            if kind == FULL_PRODUCTS or (kind == SQUARES and i == j):
                pairs[p, 0] = i + 1
                pairs[p, 1] = j + 1
                p += 1
    return pairs


@apart(
    void(_MATRIX, _MATRIX, _BATCH, _VECTOR, intp, intp, _TABLE, intp, intp, _VECTOR, _MATRIX, _VECTOR, intp, intp, _BATCH,
         _VECTOR, _VECTOR, _MATRIX, _BATCH)
)  # fmt: skip
@njit(nogil=True, cache=True, error_model="numpy")
def _expanded_moments(
    weights, own_means, precision, log_dets, n_own, kind, members, g, n_members, log_uniform, x, weight, first, size, scatter,
    log_likelihood, count, f, m,
):  # fmt: skip
    """Moments about the mean (S J,), (S J, d), (S J, d, d), from the expanded form: quick."""
    n_mixtures, d = weights.shape[0], own_means.shape[1]
    along_axes = SQUARES <= kind <= SQUARED_NORM
    sphere = kind == SQUARED_NORM
    pairs = _pairs_of(kind, d)
    theta = np.zeros((n_mixtures, n_members, 1 + d + sphere + pairs.shape[0]))
    for s in range(n_mixtures):
        for j in range(n_members):
            k, row = members[g, j], s * n_members + j
            log_weight = math.log(weights[s, k])
            if log_uniform.size > 0 and k == weights.shape[1] - 1:
                theta[s, j, 0] = log_weight + log_uniform[g]
                continue
            c = s * n_own + (k if n_own > 1 else 0)
            fill_theta(log_weight, own_means, row, precision, c, log_dets[c], along_axes, sphere, pairs, theta, s, j)
    block = min(BLOCK, size)
    phi, terms = np.empty((theta.shape[2], block)), np.empty((n_mixtures * n_members, block))
    top, norm = np.empty((n_mixtures, block)), np.empty((n_mixtures, block))
    none, t = np.zeros(d), np.empty(theta.shape)
    one = np.ones(d)
    expect_into(theta, x, none, one, pairs, weight, 0, size, phi, terms, top, norm, log_likelihood, t)
    for s in range(n_mixtures):
        for j in range(n_members):
            row = s * n_members + j
            count[row] = t[s, j, 0]
            for i in range(d):
                f[row, i] = t[s, j, 1 + i] - count[row] * own_means[row, i]
            second = np.zeros((d, d))
            if kind == NO_PRODUCTS:
                # Their sum over components is that of all rows: any split will do.
                for i in range(d if j == 0 else 0):
                    for b in range(d):
                        second[i, b] = scatter[first, i, b]
                        log_likelihood[s] -= 0.5 * precision[s * n_own, i, b] * scatter[first, i, b]
            fill_second(t, s, j, own_means, row, along_axes, sphere, pairs, second)
            for i in range(d):
                for b in range(d):
                    m[row, i, b] = second[i, b]


@apart(
    void(_MATRIX, _MATRIX, _BATCH, _VECTOR, intp, _TABLE, intp, intp, _VECTOR, _MATRIX, _VECTOR, intp, _VECTOR, _VECTOR,
         _MATRIX, _BATCH)
)  # fmt: skip
@njit(nogil=True, cache=True, error_model="numpy")
def _whitened_moments(
    weights, own_means, inverse, log_dets, n_own, members, g, n_members, log_uniform, x, weight, size, log_likelihood, count,
    f, m,
):  # fmt: skip
    """As `_expanded_moments`, for narrow components: differences from the mean are taken first."""
    n_mixtures, d = weights.shape[0], own_means.shape[1]
    own, constant = np.zeros((n_mixtures, n_members, d, d)), np.empty((n_mixtures, n_members))
    for s in range(n_mixtures):
        for j in range(n_members):
            k = members[g, j]
            if log_uniform.size > 0 and k == weights.shape[1] - 1:
                constant[s, j] = math.log(weights[s, k]) + log_uniform[g]
                continue
            c = s * n_own + (k if n_own > 1 else 0)
            constant[s, j] = math.log(weights[s, k]) - log_dets[c] - 0.5 * d * math.log(2 * math.pi)
            for a in range(d):
                for b in range(d):
                    own[s, j, a, b] = inverse[c, a, b]
    block = min(BLOCK, size)
    y, terms, top, norm = np.empty((d, block)), np.empty((n_members, block)), np.empty((1, block)), np.empty((1, block))
    t = np.zeros((n_mixtures, n_members, 1 + d + d * d))
    centres = own_means.reshape((n_mixtures, n_members, d))
    expect_narrow_into(
        own, constant, centres, x, np.zeros(d), np.ones(d), weight, 0, size, y, terms, top, norm, log_likelihood, t
    )
    for s in range(n_mixtures):
        for j in range(n_members):
            row = s * n_members + j
            count[row] = t[s, j, 0]
            for a in range(d):
                f[row, a] = t[s, j, 1 + a]
                for b in range(d):
                    m[row, a, b] = t[s, j, 1 + d + max(a, b) * d + min(a, b)]


_EXPECT_GROUPS = void(
    _MATRIX, _BATCH, _FOURFOLD, intp, boolean, _TABLE, _INTEGERS, _TABLE, _INTEGERS, _VECTOR, _VECTOR, _VECTOR, _TABLE,
    _BATCH, intp, intp, _VECTOR, _MATRIX, _BATCH, _FOURFOLD,
)  # fmt: skip


@apart(_EXPECT_GROUPS)
@njit(nogil=True, cache=True, error_model="numpy")
def expect_groups_into(
    weights, means, covariances, kind, narrow, features, n_seen, members, n_members, log_uniform, values, weight, tasks,
    scatter, first_task, last_task, log_likelihood, counts, first, second,
):  # fmt: skip
    """One E-step of S mixtures over some tasks of `groups.Groups`; adds to the last four.

    Parameters
    ----------
    weights : (S, K) or (S, K + 1)
        The last one is that of noise, where ``log_uniform`` is not empty.
    means, covariances : (S, K, D), (S, C, D, D)
        C is K, or 1 where all share one.
    kind : int
        Which products of features are summed.
    narrow : bool
        Take differences from the mean first.
    log_likelihood, counts, first, second : (S,), (S, K or K + 1), (S, K, D), (S, K, D, D)
        Moments about the means, completed.
    """
    n_mixtures, n_own, n_features, _ = covariances.shape
    along_axes = SQUARES <= kind <= SQUARED_NORM
    value = np.empty(n_mixtures)
    for t in range(first_task, last_task):
        g, start, size, at = tasks[t]
        d, n_here = n_seen[g], n_members[g]
        x = values[at : at + size * d].reshape((size, d))
        own_weight = weight[start : start + size] if weight.size > 0 else weight
        inverse, precision = np.empty((n_mixtures * n_own, d, d)), np.empty((n_mixtures * n_own, d, d))
        regression, log_dets = np.empty((n_mixtures * n_own, n_features - d, d)), np.empty(n_mixtures * n_own)
        _fill_marginals(covariances, features, g, along_axes, inverse, precision, regression, log_dets)
        own_means = np.zeros((n_mixtures * n_here, d))
        for s in range(n_mixtures):
            for j in range(n_here):
                if members[g, j] < means.shape[1]:
                    for i in range(d):
                        own_means[s * n_here + j, i] = means[s, members[g, j], features[g, i]]
        count, f = np.empty(n_mixtures * n_here), np.empty((n_mixtures * n_here, d))
        m = np.empty((n_mixtures * n_here, d, d))
        for s in range(n_mixtures):
            value[s] = 0.0
        if narrow:
            _whitened_moments(
                weights, own_means, inverse, log_dets, n_own, members, g, n_here, log_uniform, x, own_weight, size, value,
                count, f, m,
            )  # fmt: skip
        else:
            _expanded_moments(
                weights, own_means, precision, log_dets, n_own, kind, members, g, n_here, log_uniform, x, own_weight, t,
                size, scatter, value, count, f, m,
            )  # fmt: skip
        for s in range(n_mixtures):
            log_likelihood[s] += value[s]
            for j in range(n_here):
                k, row = members[g, j], s * n_here + j
                counts[s, k] += count[row]
                if k < means.shape[1]:
                    c = k if n_own > 1 else 0
                    _add_completed(
                        count, f, m, row, covariances, s, c, regression, features, g, along_axes, k, first, second
                    )
