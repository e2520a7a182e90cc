"""The E-step in machine code: natural parameters in, log likelihood and expected sufficient statistics out.

Notation: N rows, D features, S mixtures evaluated side by side, K components, A augmented rows of the
design, P products of them, F = A + P features of phi, B rows of one block.

The log density of a component is linear in phi(x), so that one block of rows costs two matrix products and
one exponential::

    L = theta @ phi          (S*K, B)
    R = softmax of L over the K components of each mixture
    T = R @ phi.T            (S*K, F)

`T` is at once what the M-step needs, the gradient of the log likelihood with respect to `theta` (Fisher's
identity) and additive over blocks of rows. Nothing of size N x K is kept. Everything here releases the
interpreter lock and is cached on disk by numba.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["BLOCK", "accumulate", "accumulate_values", "block_log_terms", "exp_into", "softmax_block"]

Array = NDArray[np.float64]
Pairs = NDArray[np.int64]

# Rows per block: phi of a block stays in the second-level cache, and its rows, not being a power of two apart, do not
# push each other out of the first.
BLOCK = 320
_LN2_HIGH = 6.93147180369123816490e-01
_LN2_LOW = 1.90821492927058770002e-10
_LOG2_E = 1.4426950408889634
# Adding 1.5 * 2^52 rounds a double to an integer and leaves that integer in the low bits of its mantissa.
_ROUND = 6755399441055744.0
# exp(-600) is far below rounding, and its products with the data are still normal numbers: denormal ones are slow.
_SMALLEST = -600.0
_REASSOCIATE = {"contract", "reassoc", "nsz", "arcp"}


@njit(nogil=True, cache=True, fastmath={"contract"}, error_model="numpy")
def exp_into(x: Array, scratch: Array) -> None:
    """Overwrite ``x`` (n,) with exp(x), for x <= 709; accurate to 2 ulp, vectorised by the compiler.

    libm's scalar ``exp`` is not vectorised by numba: this is the textbook reduction x = k ln 2 + r with the
    Taylor polynomial of degree 13 on \\|r\\| <= ln(2)/2, written without a branch. Values below -600 are taken as -600.
    ``scratch`` (n,) is overwritten.
    """
    n = x.size
    bits = scratch.view(np.int64)
    for i in range(n):
        v = x[i]
        v = v if v > _SMALLEST else _SMALLEST
        t = v * _LOG2_E + _ROUND
        scratch[i] = t
        k = t - _ROUND
        r = (v - k * _LN2_HIGH) - k * _LN2_LOW
        p = 1.6059043836821613e-10
        p = p * r + 2.08767569878681e-09
        p = p * r + 2.505210838544172e-08
        p = p * r + 2.755731922398589e-07
        p = p * r + 2.7557319223985893e-06
        p = p * r + 2.48015873015873e-05
        p = p * r + 1.984126984126984e-04
        p = p * r + 1.388888888888889e-03
        p = p * r + 8.333333333333333e-03
        p = p * r + 4.1666666666666664e-02
        p = p * r + 1.6666666666666666e-01
        p = p * r + 0.5
        p = p * r + 1.0
        p = p * r + 1.0
        x[i] = p
    for i in range(n):
        bits[i] = (bits[i] + 1023) << 52
    for i in range(n):
        x[i] *= scratch[i]


@njit(nogil=True, cache=True, fastmath=_REASSOCIATE, error_model="numpy")
def _sum_of_logs(values: Array, scratch: Array) -> float:
    """Sum of log(values) for values in [1, K]: products of up to 64 of them take one logarithm."""
    n = values.size
    for i in range(n):
        scratch[i] = values[i]
    rounds = 0
    while n > 16 and rounds < 6:
        half = n // 2
        odd = n - 2 * half
        for i in range(half):
            scratch[i] *= scratch[half + odd + i]
        n = half + odd
        rounds += 1
    total = 0.0
    for i in range(n):
        total += math.log(scratch[i])
    return total


@njit(nogil=True, cache=True, fastmath=_REASSOCIATE, error_model="numpy")
def softmax_block(terms: Array, top: Array, norm: Array, scratch: Array) -> None:
    """Turn log terms (K, B) into responsibilities in place.

    ``top`` (B,) receives the largest term of each column and ``norm`` (B,) the sum of exp(term - top): the
    log density of a row is ``top + log(norm)``.
    """
    n_components, n_rows = terms.shape
    for i in range(n_rows):
        top[i] = terms[0, i]
        norm[i] = 0.0
    for k in range(1, n_components):
        for i in range(n_rows):
            v = terms[k, i]
            top[i] = v if v > top[i] else top[i]
    for k in range(n_components):
        row = terms[k]
        for i in range(n_rows):
            row[i] -= top[i]
        exp_into(row, scratch)
        for i in range(n_rows):
            norm[i] += row[i]
    for i in range(n_rows):
        scratch[i] = 1.0 / norm[i]
    for k in range(n_components):
        for i in range(n_rows):
            terms[k, i] *= scratch[i]


@njit(nogil=True, cache=True, fastmath=_REASSOCIATE, error_model="numpy")
def _fill_products(phi: Array, pairs: Pairs) -> None:
    """The last rows of phi (F, B): products of its first ones."""
    n_augmented = phi.shape[0] - pairs.shape[0]
    for p in range(pairs.shape[0]):
        a = pairs[p, 0]
        b = pairs[p, 1]
        for i in range(phi.shape[1]):
            phi[n_augmented + p, i] = phi[a, i] * phi[b, i]


@njit(nogil=True, cache=True, fastmath=_REASSOCIATE, error_model="numpy")
def _fill_phi(phi: Array, rows: Array, pairs: Pairs, first: int) -> None:
    """phi (F, B) of the rows ``first`` to ``first + B``: the augmented rows (A, N), then their products."""
    for a in range(rows.shape[0]):
        for i in range(phi.shape[1]):
            phi[a, i] = rows[a, first + i]
    _fill_products(phi, pairs)


@njit(nogil=True, cache=True, fastmath=_REASSOCIATE, error_model="numpy")
def _fill_phi_from_values(
    phi: Array, values: Array, location: Array, precision: Array, pairs: Pairs, first: int
) -> None:
    """As `_fill_phi`, from the data themselves (N, D), standardised and transposed on the way.

    Augmented rows beyond the constant and the features are the squared norm.
    """
    n_features = values.shape[1]
    for i in range(phi.shape[1]):
        phi[0, i] = 1.0
    # Eight rows at a time: a whole cache line of each row of phi is written at once, and the data are read in order.
    whole = phi.shape[1] // 8 * 8
    for start in range(0, whole, 8):
        for a in range(n_features):
            for i in range(start, start + 8):
                phi[1 + a, i] = (values[first + i, a] - location[a]) * precision[a]
    for a in range(n_features):
        for i in range(whole, phi.shape[1]):
            phi[1 + a, i] = (values[first + i, a] - location[a]) * precision[a]
    if phi.shape[0] - pairs.shape[0] > 1 + n_features:
        for i in range(phi.shape[1]):
            phi[1 + n_features, i] = 0.0
        for a in range(n_features):
            for i in range(phi.shape[1]):
                phi[1 + n_features, i] += phi[1 + a, i] * phi[1 + a, i]
    _fill_products(phi, pairs)


@njit(nogil=True, cache=True, error_model="numpy")
def block_log_terms(theta: Array, rows: Array, pairs: Pairs, first: int, stop: int) -> Array:
    """Log terms ``theta . phi`` (M, stop - first) of the rows ``first`` to ``stop``; theta is (M, F)."""
    phi = np.empty((theta.shape[1], stop - first))
    _fill_phi(phi, rows, pairs, first)
    return np.dot(theta, phi)


@njit(nogil=True, cache=True, fastmath=_REASSOCIATE, error_model="numpy")
def _add_block(
    flat: Array, phi: Array, row_weight: Array, start: int, work: Array, log_likelihood: Array, statistics: Array,
    update: Array,
) -> None:  # fmt: skip
    """Add one block's log likelihood (S,) and statistics (S K, F).

    ``flat`` is theta (S K, F), ``phi`` (F, B) that of the rows from ``start`` on; ``work`` (S K + 3, B) and ``update``
    (F, S K) are overwritten.
    """
    size = phi.shape[1]
    n_terms = flat.shape[0]
    n_components = n_terms // log_likelihood.size
    terms = work[:n_terms]
    top = work[n_terms]
    norm = work[n_terms + 1]
    scratch = work[n_terms + 2]
    np.dot(flat, phi, terms)
    for s in range(log_likelihood.size):
        mine = terms[s * n_components : (s + 1) * n_components]
        softmax_block(mine, top, norm, scratch)
        total = 0.0
        if row_weight.size > 0:
            for i in range(size):
                total += row_weight[start + i] * (top[i] + math.log(norm[i]))
            for k in range(n_components):
                for i in range(size):
                    mine[k, i] *= row_weight[start + i]
        else:
            for i in range(size):
                total += top[i]
            total += _sum_of_logs(norm, scratch)
        log_likelihood[s] += total
    # The transposed product: BLAS takes up to a third less time for it where F is large.
    np.dot(phi, terms.T, update)
    # Loops, not array expressions: the check of shapes behind those costs numba seconds to compile.
    for m in range(n_terms):
        for f in range(statistics.shape[1]):
            statistics[m, f] += update[f, m]


@njit(nogil=True, cache=True, error_model="numpy")
def accumulate(
    theta: Array, rows: Array, pairs: Pairs, row_weight: Array, first: int, stop: int, block: int
) -> tuple[Array, Array]:
    """Log likelihood and expected sufficient statistics of S mixtures over the rows ``first`` to ``stop``.

    Parameters
    ----------
    theta : (S, K, F) float64, C order
        Natural parameters.
    rows : (A, N) float64, C order
        Augmented data: a row of ones, the features, and what the structure adds.
    pairs : (P, 2) int64
        Which augmented rows are multiplied to give the remaining features of phi.
    row_weight : (N,) or (0,) float64
        Case weights; empty for none.
    first, stop : int
        Range of rows.
    block : int
        Rows per block.

    Returns
    -------
    log_likelihood : (S,)
    statistics : (S, K, F)
    """
    flat = theta.reshape((theta.shape[0] * theta.shape[1], theta.shape[2]))
    statistics = np.zeros(flat.shape)
    update = np.empty((flat.shape[1], flat.shape[0]))
    log_likelihood = np.zeros(theta.shape[0])
    size = min(block, stop - first)
    phi = np.empty((theta.shape[2], size))
    work = np.empty((flat.shape[0] + 3, size))
    start = first
    while start < stop:
        size = min(block, stop - start)
        if size < phi.shape[1]:
            phi = np.empty((theta.shape[2], size))
            work = np.empty((flat.shape[0] + 3, size))
        _fill_phi(phi, rows, pairs, start)
        _add_block(flat, phi, row_weight, start, work, log_likelihood, statistics, update)
        start += size
    return log_likelihood, statistics.reshape(theta.shape)


@njit(nogil=True, cache=True, error_model="numpy")
def accumulate_values(
    theta: Array, values: Array, location: Array, precision: Array, pairs: Pairs, row_weight: Array, first: int,
    stop: int, block: int,
) -> tuple[Array, Array]:  # fmt: skip
    """As `accumulate`, from the data themselves: nothing of their size is copied.

    Parameters
    ----------
    values : (N, D) float64, C order
    location, precision : (D,)
        The standardised data are ``(values - location) * precision``.
    """
    flat = theta.reshape((theta.shape[0] * theta.shape[1], theta.shape[2]))
    statistics = np.zeros(flat.shape)
    update = np.empty((flat.shape[1], flat.shape[0]))
    log_likelihood = np.zeros(theta.shape[0])
    size = min(block, stop - first)
    phi = np.empty((theta.shape[2], size))
    work = np.empty((flat.shape[0] + 3, size))
    start = first
    while start < stop:
        size = min(block, stop - start)
        if size < phi.shape[1]:
            phi = np.empty((theta.shape[2], size))
            work = np.empty((flat.shape[0] + 3, size))
        _fill_phi_from_values(phi, values, location, precision, pairs, start)
        _add_block(flat, phi, row_weight, start, work, log_likelihood, statistics, update)
        start += size
    return log_likelihood, statistics.reshape(theta.shape)
