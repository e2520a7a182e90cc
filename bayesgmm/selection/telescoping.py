"""The telescoping sampler's sweep, compiled: allocations, filled components, number of components, empty components.

Fruehwirth-Schnatter, Malsiner-Walli & Gruen (2021), Generalized mixtures of finite mixtures and telescoping sampling, Bayesian
Analysis 16, algorithm 1, with the same priors as the rest of the library.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from .telescoping_moves import fill_factor, fill_scatter, fill_sums, move_covariance, move_mean

__all__ = ["telescope"]


@njit(nogil=True, cache=True, error_model="numpy")
def _allocate(
    values, log_weights, means, log_sd, odds, shared, correlated, n_components, labels, counts, inverses, factor
):
    """Draw the component of every row."""
    n_rows, n_features = values.shape
    terms = np.empty(n_components)
    constant = np.empty(n_components)
    for k in range(n_components):
        constant[k] = log_weights[k] - fill_factor(log_sd, odds, 0 if shared else k, correlated, factor, inverses[k])
    for k in range(counts.size):
        counts[k] = 0
    for i in range(n_rows):
        top = -math.inf
        for k in range(n_components):
            distance = 0.0
            for a in range(n_features):
                z = 0.0
                for b in range(a + 1):
                    z += inverses[k, a, b] * (values[i, b] - means[k, b])
                distance += z * z
            terms[k] = constant[k] - 0.5 * distance
            top = max(top, terms[k])
        total = 0.0
        for k in range(n_components):
            total += math.exp(terms[k] - top)
            terms[k] = total
        u = np.random.uniform() * total
        k = 0
        while terms[k] < u and k < n_components - 1:
            k += 1
        labels[i] = k
        counts[k] += 1


@njit(nogil=True, cache=True, error_model="numpy")
def _filled_first(labels, counts, means, log_sd, odds, shared, n_components):
    """Renumber components so that the filled ones come first; returns how many they are."""
    filled = 0
    for old in range(n_components):
        if counts[old] == 0:
            continue
        new = filled
        filled += 1
        if old == new:
            continue
        counts[new] = counts[old]
        counts[old] = 0
        for a in range(means.shape[1]):
            means[new, a] = means[old, a]
        if not shared:
            for e in range(log_sd.shape[1]):
                log_sd[new, e] = log_sd[old, e]
            for m in range(odds.shape[1]):
                odds[new, m] = odds[old, m]
        for i in range(labels.size):
            if labels[i] == old:
                labels[i] = new
    return filled


@njit(nogil=True, cache=True, error_model="numpy")
def _draw_number(filled, groups, log_sd, n_rows, concentration, log_prior, coefficients, mass):
    """Draw K given the partition and the filled components; K only counts the empty ones."""
    largest = log_prior.size - 1
    top = -math.inf
    for k in range(largest + 1):
        mass[k] = -math.inf
        if k < filled or log_prior[k] == -math.inf:
            continue
        total = concentration * k
        mass[k] = log_prior[k] + math.lgamma(k + 1.0) - math.lgamma(k - filled + 1.0)
        mass[k] += math.lgamma(total) - math.lgamma(n_rows + total)
        # The prior of the scales may depend on K.
        for g in range(groups):
            for e in range(log_sd.shape[1]):
                s = log_sd[g, e]
                mass[k] += coefficients[k, 0] + coefficients[k, 1] * s + coefficients[k, 2] * s * s
                mass[k] += coefficients[k, 3] * math.exp(2 * s) + coefficients[k, 4] * math.exp(-2 * s)
        top = max(top, mass[k])
    total = 0.0
    for k in range(largest + 1):
        total += math.exp(mass[k] - top)
        mass[k] = total
    u = np.random.uniform() * total
    k = 0
    while mass[k] < u and k < largest:
        k += 1
    return k


@njit(nogil=True, cache=True, error_model="numpy")
def _quantile(distributions, k, p):
    """Where the piecewise linear distribution function distributions[k, 1] of the points distributions[k, 0] is ``p``."""
    low, high = 0, distributions.shape[2] - 1
    while high - low > 1:
        middle = (low + high) // 2
        if distributions[k, 1, middle] <= p:
            low = middle
        else:
            high = middle
    share = (p - distributions[k, 1, low]) / (distributions[k, 1, high] - distributions[k, 1, low])
    return distributions[k, 0, low] + share * (distributions[k, 0, high] - distributions[k, 0, low])


@njit(nogil=True, cache=True, error_model="numpy")
def _draw_empty(
    filled, n_components, counts, means, log_sd, odds, shared, correlated, distributions, location, precision, eta,
    shift,
):  # fmt: skip
    """Draw the empty components from the prior; ``shift`` is the log scale of their rate, halved."""
    n_features = location.size
    for k in range(filled, n_components):
        counts[k] = 0
        for a in range(n_features):
            means[k, a] = location[a] + np.random.standard_normal() / math.sqrt(precision[a])
        if shared:
            continue
        for e in range(log_sd.shape[1]):
            log_sd[k, e] = _quantile(distributions, n_components, np.random.uniform()) + shift
        m = 0
        for i in range(n_features if correlated else 0):
            for j in range(i):
                b = eta + 0.5 * (n_features - 2 - j)
                p = min(max(np.random.beta(b, b), 1e-12), 1.0 - 1e-12)
                odds[k, m] = math.log(p) - math.log1p(-p)
                m += 1


@njit(nogil=True, cache=True, error_model="numpy")
def _draw_log_weights(concentration, counts, n_components, log_weights):
    """Logs of Dirichlet weights, by log G(a) = log G(a + 1) + log(U) / a: small gamma variables would underflow."""
    top = -math.inf
    for k in range(n_components):
        a = concentration + counts[k]
        log_weights[k] = math.log(np.random.gamma(a + 1.0)) + math.log(np.random.uniform()) / a
        top = max(top, log_weights[k])
    norm = 0.0
    for k in range(n_components):
        norm += math.exp(log_weights[k] - top)
    for k in range(n_components):
        log_weights[k] -= top + math.log(norm)


@njit(nogil=True, cache=True, error_model="numpy")
def _start(values, start, means, log_sd, odds, log_weights):
    """``start`` components of equal weight at rows of the data."""
    for k in range(start):
        row = np.random.randint(values.shape[0])
        for a in range(values.shape[1]):
            means[k, a] = values[row, a]
        log_weights[k] = -math.log(start)
    for g in range(log_sd.shape[0]):
        for e in range(log_sd.shape[1]):
            log_sd[g, e] = -0.5
        for m in range(odds.shape[1]):
            odds[g, m] = 0.0


@njit(nogil=True, cache=True, error_model="numpy")
def _run(
    seed, n_tune, thin, values, start, concentration, log_prior, coefficients, distributions,
    location, precision, eta, hyper, shape, shared, correlated,
    means, log_sd, odds, log_weights, labels, counts, sums, second, inverses, square, new_sd, new_odds, mass,
    all_k, all_filled,
):  # fmt: skip
    """The sweeps of one chain, in the work space that `telescope` allocates."""
    np.random.seed(seed)
    _start(values, start, means, log_sd, odds, log_weights)
    n_rows, n_components = values.shape[0], start
    rate = hyper[0] / hyper[1] if hyper[0] > 0 else 0.0
    factor, inverse = square[0], square[1]
    for sweep in range(n_tune + all_k.size * thin):
        _allocate(
            values, log_weights, means, log_sd, odds, shared, correlated, n_components, labels, counts, inverses, factor
        )
        filled = _filled_first(labels, counts, means, log_sd, odds, shared, n_components)
        groups = 1 if shared else filled
        fill_sums(values, labels, filled, sums)
        for k in range(filled):
            fill_factor(log_sd, odds, 0 if shared else k, correlated, factor, inverse)
            move_mean(means, k, inverse, counts[k], sums, location, precision, factor)
        fill_scatter(values, labels, filled, means, shared, second)
        for g in range(groups):
            move_covariance(
                log_sd, odds, g, correlated, n_rows if shared else counts[g], second, coefficients, n_components, rate, eta,
                new_sd, new_odds, factor, inverse,
            )  # fmt: skip
        if hyper[0] > 0:
            total = 0.0
            for g in range(groups):
                for e in range(log_sd.shape[1]):
                    total += math.exp(-2.0 * log_sd[g, e])
            rate = np.random.gamma(hyper[0] + groups * log_sd.shape[1] * shape) / (hyper[1] + total)
        n_components = _draw_number(filled, groups, log_sd, n_rows, concentration, log_prior, coefficients, mass)
        _draw_empty(
            filled, n_components, counts, means, log_sd, odds, shared, correlated, distributions, location, precision, eta,
            0.5 * math.log(rate) if hyper[0] > 0 else 0.0,
        )  # fmt: skip
        _draw_log_weights(concentration, counts, n_components, log_weights)
        at = sweep - n_tune
        if at >= 0 and at % thin == 0:
            all_k[at // thin] = n_components
            all_filled[at // thin] = filled


def telescope(
    seed, n_tune, n_draws, thin, values, start, concentration, log_prior, coefficients, distributions,
    location, precision, eta, hyper, shape, shared, width, correlated,
):  # fmt: skip
    """Run one chain.

    Parameters
    ----------
    values : (N, D)
    start : int
        Components at the start.
    log_prior : (M + 1,)
        Log prior of K = 0..M.
    coefficients : (M + 1, 5)
        Of the scale prior for each K (`ScalePrior.coefficients`).
    distributions : (M + 1, 2, Q)
        For each K, points of the log standard deviation and its prior distribution function there, for rate one where the rate
        is unknown.
    hyper : (2,)
        Shape and rate of the unknown rate's prior; zeros for none.

    Returns
    -------
    n_components, n_filled : (draws,)
    """
    (n_rows, d), largest = values.shape, log_prior.size - 1
    n_groups = 1 if shared else largest
    n_pairs = d * (d - 1) // 2 if correlated else 0
    all_k, all_filled = np.empty((2, n_draws), dtype=np.int64)
    _run(
        seed, n_tune, thin, values, start, concentration, log_prior, coefficients, distributions,
        location, precision, eta, hyper, shape, bool(shared), bool(correlated),
        np.empty((largest, d)), np.empty((n_groups, width)), np.empty((n_groups, n_pairs)), np.empty(largest),
        np.empty(n_rows, dtype=np.int64), np.empty(largest, dtype=np.int64), np.empty((largest, d)),
        np.empty((largest, d, d)), np.empty((largest, d, d)), np.empty((2, d, d)), np.empty((1, width)),
        np.empty((1, n_pairs)), np.empty(largest + 1), all_k, all_filled,
    )  # fmt: skip
    return all_k, all_filled
