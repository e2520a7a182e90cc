"""The telescoping sampler's sweep, compiled: allocations, filled components, number of components, empty components.

Fruehwirth-Schnatter, Malsiner-Walli & Gruen (2021), Generalized mixtures of finite mixtures and telescoping sampling, Bayesian
Analysis 16, algorithm 1, with the same priors as the rest of the library. For structures of scales and correlations.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from ..posterior import log_prior_and_gradient
from .telescoping_moves import fill_factor, fill_scatter, fill_sums, move_covariance, move_mean

__all__ = ["telescope"]


@njit(nogil=True, cache=True, error_model="numpy")
def _drawn(log_mass, size, top):
    """Draw an index in proportion to exp(log_mass[:size]), of which ``top`` is the largest; the masses are overwritten."""
    total = 0.0
    for k in range(size):
        total += math.exp(log_mass[k] - top)
        log_mass[k] = total
    u = np.random.uniform() * total
    k = 0
    while log_mass[k] < u and k < size - 1:
        k += 1
    return k


@njit(nogil=True, cache=True, error_model="numpy")
def _allocate(values, log_weights, means, u, shared, model, n_components, labels, counts, inverses, factor):
    """Draw the component of every row."""
    terms = np.empty(n_components)
    constant = np.empty(n_components)
    for k in range(n_components):
        constant[k] = log_weights[k] - fill_factor(u, 0 if shared else k, model, factor, inverses[k])
    for k in range(counts.size):
        counts[k] = 0
    for i in range(values.shape[0]):
        top = -math.inf
        for k in range(n_components):
            distance = 0.0
            for a in range(values.shape[1]):
                z = 0.0
                for b in range(a + 1):
                    z += inverses[k, a, b] * (values[i, b] - means[k, b])
                distance += z * z
            terms[k] = constant[k] - 0.5 * distance
            top = max(top, terms[k])
        labels[i] = _drawn(terms, n_components, top)
        counts[labels[i]] += 1


@njit(nogil=True, cache=True, error_model="numpy")
def _filled_first(labels, counts, means, u, shared, n_components):
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
        for m in range(0 if shared else u.shape[1]):
            u[new, m] = u[old, m]
        for i in range(labels.size):
            if labels[i] == old:
                labels[i] = new
    return filled


@njit(nogil=True, cache=True, error_model="numpy")
def _draw_number(filled, groups, u, n_rows, concentration, log_prior, model, numbers, gradient, mass):
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
        # The prior of the covariances may depend on K.
        for g in range(groups):
            mass[k] += log_prior_and_gradient(u[g], gradient, model, numbers[k])
        top = max(top, mass[k])
    return _drawn(mass, largest + 1, top)


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
def _draw_empty(filled, n_components, counts, means, u, shared, distributions, exponents, location, precision, rate):
    """Draw the empty components from the prior; variances are ``rate`` times those of rate one."""
    width = u.shape[1] - 1 - exponents.size
    for k in range(filled, n_components):
        counts[k] = 0
        for a in range(location.size):
            means[k, a] = location[a] + np.random.standard_normal() / math.sqrt(precision[a])
        if shared:
            continue
        for e in range(width):
            u[k, e] = _quantile(distributions, n_components, np.random.uniform()) + 0.5 * math.log(rate)
        for m in range(exponents.size):
            p = min(max(np.random.beta(exponents[m], exponents[m]), 1e-12), 1.0 - 1e-12)
            u[k, width + m] = math.log(p) - math.log1p(-p)


@njit(nogil=True, cache=True, error_model="numpy")
def _draw_rate(u, groups, width, hyper):
    """Draw the scales' common rate from its gamma full conditional, and note its log with every component."""
    total = 0.0
    for g in range(groups):
        for e in range(width):
            total += math.exp(-2.0 * u[g, e])
    rate = np.random.gamma(hyper[0] + groups * width * hyper[2]) / (hyper[1] + total)
    for g in range(u.shape[0]):
        u[g, u.shape[1] - 1] = math.log(rate)
    return rate


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
def _start(values, start, width, log_rate, means, u, log_weights):
    """``start`` components of equal weight at rows of the data."""
    for k in range(start):
        row = np.random.randint(values.shape[0])
        for a in range(values.shape[1]):
            means[k, a] = values[row, a]
        log_weights[k] = -math.log(start)
    for g in range(u.shape[0]):
        for m in range(u.shape[1]):
            u[g, m] = -0.5 if m < width else 0.0
        u[g, u.shape[1] - 1] = log_rate


@njit(nogil=True, cache=True, error_model="numpy")
def _move_filled(
    values, labels, counts, filled, shared, means, u, model, numbers, location, precision, sums, second, proposal, square,
    gradient,
):  # fmt: skip
    """Move means, then covariances, of the filled components given their rows."""
    factor, inverse = square[0], square[1]
    fill_sums(values, labels, filled, sums)
    for k in range(filled):
        fill_factor(u, 0 if shared else k, model, factor, inverse)
        move_mean(means, k, inverse, counts[k], sums, location, precision, factor)
    fill_scatter(values, labels, filled, means, shared, second)
    for g in range(1 if shared else filled):
        count = values.shape[0] if shared else counts[g]
        move_covariance(u, g, model, numbers, count, second, u.shape[1] - 1, proposal, factor, inverse, gradient)


@njit(nogil=True, cache=True, error_model="numpy")
def _run(
    seed, n_tune, thin, values, start, concentration, log_prior, model, numbers, distributions, exponents,
    location, precision, hyper, shared,
    means, u, log_weights, labels, counts, sums, second, inverses, square, proposal, gradient, mass,
    all_k, all_filled,
):  # fmt: skip
    """The sweeps of one chain, in the work space that `telescope` allocates."""
    np.random.seed(seed)
    rate = hyper[0] / hyper[1] if hyper[0] > 0 else 1.0
    width = u.shape[1] - 1 - exponents.size
    _start(values, start, width, math.log(rate), means, u, log_weights)
    n_components = start
    for sweep in range(n_tune + all_k.size * thin):
        _allocate(values, log_weights, means, u, shared, model, n_components, labels, counts, inverses, square[0])
        filled = _filled_first(labels, counts, means, u, shared, n_components)
        groups = 1 if shared else filled
        _move_filled(
            values, labels, counts, filled, shared, means, u, model, numbers[n_components], location, precision, sums,
            second, proposal, square, gradient,
        )  # fmt: skip
        if hyper[0] > 0:
            rate = _draw_rate(u, groups, width, hyper)
        n_components = _draw_number(
            filled, groups, u, values.shape[0], concentration, log_prior, model, numbers, gradient, mass
        )
        _draw_empty(filled, n_components, counts, means, u, shared, distributions, exponents, location, precision, rate)
        _draw_log_weights(concentration, counts, n_components, log_weights)
        at = sweep - n_tune
        if at >= 0 and at % thin == 0:
            all_k[at // thin] = n_components
            all_filled[at // thin] = filled


def telescope(
    seed, n_tune, n_draws, thin, values, start, concentration, log_prior, model, numbers, distributions, exponents,
    location, precision, hyper, width, shared,
):  # fmt: skip
    """Run one chain.

    Parameters
    ----------
    values : (N, D)
    start : int
        Components at the start.
    log_prior : (M + 1,)
        Log prior of K = 0..M.
    model : (...) int64
        The structure's map and the terms of one component's covariance, as `Target.arguments` has them.
    numbers : (M + 1, L)
        What the terms read, for each K.
    distributions : (M + 1, 2, Q)
        For each K, points of the log standard deviation and its prior distribution function there (`ScalesTerm.distribution`).
    exponents : (pairs,)
        Of the partial correlations' Beta distributions; empty where there are no correlations.
    hyper : (3,)
        Shape and rate of the unknown rate's prior, and the shape of the variances' prior; zeros for none.
    width : int
        Scales of a component.
    shared : bool
        Whether all components have one covariance.

    Returns
    -------
    n_components, n_filled : (draws,)
    """
    (n_rows, d), largest = values.shape, log_prior.size - 1
    # The coordinates of a covariance, and the log of the rate.
    size = width + exponents.size + 1
    all_k, all_filled = np.empty((2, n_draws), dtype=np.int64)
    _run(
        seed, n_tune, thin, values, start, concentration, log_prior, model, numbers, distributions, exponents,
        location, precision, hyper, bool(shared),
        np.empty((largest, d)), np.empty((1 if shared else largest, size)), np.empty(largest),
        np.empty(n_rows, dtype=np.int64), np.empty(largest, dtype=np.int64), np.empty((largest, d)),
        np.empty((largest, d, d)), np.empty((largest, d, d)), np.empty((2, d, d)), np.empty((1, size)),
        np.empty(size), np.empty(largest + 1), all_k, all_filled,
    )  # fmt: skip
    return all_k, all_filled
