"""The E-step in machine code: natural parameters in, log likelihood and expected sufficient statistics out.

Notation: N rows, D features, S mixtures evaluated side by side, K components, A augmented rows of the
design, P products of them, F = A + P features of phi, B rows of one block.

The log density of a component is linear in phi(x), so that one block of rows costs two matrix products and
one exponential::

    L = theta @ phi          (S*K, B)
    R = softmax of L over the K components of each mixture
    T = R @ phi.T            (S*K, F)

`T` is at once what the M-step needs, the gradient of the log likelihood with respect to `theta` (Fisher's
identity) and additive over blocks of rows. Nothing of size N x K is kept. Everything compiled here releases the
interpreter lock and is cached on disk by numba.

`expect_into` is the one function that is compiled for it, once, whether it is called from Python or from compiled code.
It is plain loops over arrays that its callers allocate: numba takes seconds for array expressions.
"""

from __future__ import annotations

import math

import numpy as np
from numba import float64, int64, intp, njit, void
from numpy.typing import NDArray

from .machine import CALLED_BY_COMPILED, apart, multiply_add, power_of_two

__all__ = [
    "BLOCK", "accumulate", "accumulate_values", "block_log_terms", "exp", "expect_into", "softmax_block",
    "softmax_mixture",
]  # fmt: skip

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
_VECTOR, _MATRIX, _BATCH, _PAIRS = float64[::1], float64[:, ::1], float64[:, :, ::1], int64[:, ::1]


@njit(nogil=True, cache=True, fastmath={"contract"}, error_model="numpy")
def exp(x: float) -> float:
    """exp(x) for x <= 709, accurate to 2 ulp; loops over it are vectorised by the compiler.

    libm's ``exp`` is not vectorised by numba: this is the textbook reduction x = k ln 2 + r with the Taylor polynomial of
    degree 13 on \\|r\\| <= ln(2)/2, written without a branch. Values below -600 are taken as -600.
    """
    v = x if x > _SMALLEST else _SMALLEST
    t = v * _LOG2_E + _ROUND
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
    return p * power_of_two(t)


@njit(nogil=True, cache=True, fastmath=_REASSOCIATE, error_model="numpy", **CALLED_BY_COMPILED)
def _sum_of_logs(values: Array, n: int) -> float:
    """Sum of the logs of the first ``n`` values, all in [1, K]: products of up to 64 take one logarithm. Overwrites them."""
    rounds = 0
    while n > 16 and rounds < 6:
        half = n // 2
        odd = n - 2 * half
        for i in range(half):
            values[i] *= values[half + odd + i]
        n = half + odd
        rounds += 1
    total = 0.0
    for i in range(n):
        total += math.log(values[i])
    return total


# What is called once a block is kept apart, so that it is not optimised again within `expect_into`.
@apart(void(_MATRIX, intp, intp, intp, intp, _MATRIX, _MATRIX))
@njit(nogil=True, cache=True, fastmath=_REASSOCIATE, error_model="numpy")
def softmax_block(terms: Array, n_components: int, first: int, stop: int, size: int, top: Array, norm: Array) -> None:
    """Turn the log terms (S K, B) of the mixtures ``first`` to ``stop`` into responsibilities, in place.

    Of each column below ``size``, ``top`` (S, B) receives the largest term and ``norm`` (S, B) the sum of
    exp(term - top): the log density of a row is ``top + log(norm)``.
    """
    for s in range(first, stop):
        own = s * n_components
        for i in range(size):
            top[s, i] = terms[own, i]
            norm[s, i] = 0.0
        for k in range(own + 1, own + n_components):
            for i in range(size):
                v = terms[k, i]
                top[s, i] = v if v > top[s, i] else top[s, i]
        for k in range(own, own + n_components):
            for i in range(size):
                p = exp(terms[k, i] - top[s, i])
                terms[k, i] = p
                norm[s, i] += p
        for k in range(own, own + n_components):
            for i in range(size):
                terms[k, i] /= norm[s, i]


def softmax_mixture(terms: Array) -> Array:
    """Turn the log terms (K, B) of one mixture into responsibilities in place; the log densities (B,) of the rows."""
    n_components, n_rows = terms.shape
    top, norm = np.empty((2, 1, n_rows))
    softmax_block(terms, n_components, 0, 1, n_rows, top, norm)
    return np.asarray(top[0] + np.log(norm[0]))


@apart(void(_MATRIX, intp, _MATRIX, _VECTOR, _VECTOR, _PAIRS, intp))
@njit(nogil=True, cache=True, fastmath=_REASSOCIATE, error_model="numpy", **CALLED_BY_COMPILED)
def _fill_phi(
    phi: Array, size: int, source: Array, location: Array, precision: Array, pairs: Pairs, start: int
) -> None:
    """phi (F, B) of the rows ``start`` to ``start + size``: the augmented rows, then their products.

    ``source`` holds the augmented rows (A, N), or, where there is a location, the data (N, D), standardised and transposed
    on the way; augmented rows beyond the constant and the features are then the squared norm.
    """
    n_features = location.size
    n_augmented = phi.shape[0] - pairs.shape[0]
    if n_features == 0:
        for a in range(n_augmented):
            for i in range(size):
                phi[a, i] = source[a, start + i]
    else:
        for i in range(size):
            phi[0, i] = 1.0
        # Eight rows at a time: a whole cache line of each row of phi is written at once, and the data are read in order.
        whole = size // 8 * 8
        for block in range(0, whole, 8):
            for a in range(n_features):
                for i in range(block, block + 8):
                    phi[1 + a, i] = (source[start + i, a] - location[a]) * precision[a]
        for a in range(n_features):
            for i in range(whole, size):
                phi[1 + a, i] = (source[start + i, a] - location[a]) * precision[a]
        if n_augmented > 1 + n_features:
            for i in range(size):
                phi[1 + n_features, i] = 0.0
            for a in range(n_features):
                for i in range(size):
                    phi[1 + n_features, i] += phi[1 + a, i] * phi[1 + a, i]
    for p in range(pairs.shape[0]):
        a = pairs[p, 0]
        b = pairs[p, 1]
        for i in range(size):
            phi[n_augmented + p, i] = phi[a, i] * phi[b, i]


_EXPECT = void(
    _BATCH, _MATRIX, _VECTOR, _VECTOR, _PAIRS, _VECTOR, intp, intp, _MATRIX, _MATRIX, _MATRIX, _MATRIX, _VECTOR, _BATCH
)  # fmt: skip


@apart(_EXPECT)
@njit(nogil=True, cache=True, fastmath=_REASSOCIATE, error_model="numpy")
def expect_into(
    theta: Array, source: Array, location: Array, precision: Array, pairs: Pairs, sample_weight: Array, first: int, stop: int,
    phi: Array, terms: Array, top: Array, norm: Array, log_likelihood: Array, statistics: Array,
) -> None:  # fmt: skip
    """One E-step of S mixtures over the rows ``first`` to ``stop``; all arrays are in C order.

    Parameters
    ----------
    theta : (S, K, F)
        Natural parameters.
    source, location, precision, pairs
        As in `accumulate_values`, or as in `accumulate` where ``location`` is empty.
    sample_weight : (N,) or (0,)
    phi, terms, top, norm : (F, B), (S K, B), (S, B), (S, B)
        Work space for blocks of B rows.
    log_likelihood, statistics : (S,), (S, K, F)
        Results: what they held is lost.
    """
    n_mixtures, n_components, n_products = theta.shape
    n_terms = n_mixtures * n_components
    for s in range(n_mixtures):
        log_likelihood[s] = 0.0
        for k in range(n_components):
            for f in range(n_products):
                statistics[s, k, f] = 0.0
    for start in range(first, stop, phi.shape[1]):
        size = min(phi.shape[1], stop - start)
        _fill_phi(phi, size, source, location, precision, pairs, start)
        multiply_add(theta, phi, False, terms, n_terms, size, n_products, 0.0)
        for s in range(n_mixtures):
            # One mixture after the other: its terms are still in the cache.
            softmax_block(terms, n_components, s, s + 1, size, top, norm)
            total = 0.0
            if sample_weight.size > 0:
                for i in range(size):
                    total += sample_weight[start + i] * (top[s, i] + math.log(norm[s, i]))
                for k in range(s * n_components, (s + 1) * n_components):
                    for i in range(size):
                        terms[k, i] *= sample_weight[start + i]
            else:
                for i in range(size):
                    total += top[s, i]
                total += _sum_of_logs(norm[s], size)
            log_likelihood[s] += total
        multiply_add(terms, phi, True, statistics, n_terms, n_products, size, 1.0)


@njit(nogil=True, cache=True, error_model="numpy")
def accumulate(
    theta: Array, rows: Array, pairs: Pairs, sample_weight: Array, first: int, stop: int, block: int
) -> tuple[Array, Array]:
    """Log likelihood and expected sufficient statistics of S mixtures over the rows ``first`` to ``stop``.

    For compiled callers; those that evaluate often should keep the work space and take `expect_into`.

    Parameters
    ----------
    theta : (S, K, F) float64, C order
        Natural parameters.
    rows : (A, N) float64, C order
        Augmented data: a row of ones, the features, and what the structure adds.
    pairs : (P, 2) int64
        Which augmented rows are multiplied to give the remaining features of phi.
    sample_weight : (N,) or (0,) float64
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
    n_mixtures, n_components, n_products = theta.shape
    size = max(1, min(block, stop - first))
    phi = np.empty((n_products, size))
    terms = np.empty((n_mixtures * n_components, size))
    top = np.empty((n_mixtures, size))
    norm = np.empty((n_mixtures, size))
    none = np.empty(0)
    log_likelihood = np.empty(n_mixtures)
    statistics = np.empty((n_mixtures, n_components, n_products))
    expect_into(
        theta, rows, none, none, pairs, sample_weight, first, stop, phi, terms, top, norm, log_likelihood, statistics
    )
    return log_likelihood, statistics


def accumulate_values(
    theta: Array, values: Array, location: Array, precision: Array, pairs: Pairs, sample_weight: Array, first: int,
    stop: int, block: int,
) -> tuple[Array, Array]:  # fmt: skip
    """As `accumulate`, from the data themselves: nothing of their size is copied. Called from Python.

    Parameters
    ----------
    values : (N, D) float64, C order
    location, precision : (D,)
        The standardised data are ``(values - location) * precision``.
    """
    n_mixtures, n_components, n_products = theta.shape
    size = max(1, min(block, stop - first))
    phi, terms = np.empty((n_products, size)), np.empty((n_mixtures * n_components, size))
    top, norm = np.empty((n_mixtures, size)), np.empty((n_mixtures, size))
    log_likelihood, statistics = np.empty(n_mixtures), np.empty(theta.shape)
    expect_into(
        theta, values, location, precision, pairs, sample_weight, first, stop, phi, terms, top, norm, log_likelihood,
        statistics,
    )  # fmt: skip
    return log_likelihood, statistics


def block_log_terms(theta: Array, rows: Array, pairs: Pairs) -> Array:
    """Log terms ``theta . phi`` (M, B) of augmented rows (A, B); theta is (M, F)."""
    phi = np.empty((theta.shape[1], rows.shape[1]))
    phi[: len(rows)] = rows
    np.multiply(rows[pairs[:, 0]], rows[pairs[:, 1]], out=phi[len(rows) :])
    return np.asarray(theta @ phi)
