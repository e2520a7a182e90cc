"""The telescoping sampler's sweep, compiled: allocations, filled components, number of components, empty components.

Fruehwirth-Schnatter, Malsiner-Walli & Gruen (2021), Generalized mixtures of finite mixtures and telescoping sampling, Bayesian
Analysis 16, algorithm 1, with the same priors as the rest of the library. Means are conjugate given the covariances;
standard deviations and correlations are not, and move by Metropolis steps on a component's sufficient statistics, which cost
nothing in the number of rows.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

__all__ = ["telescope"]


@njit(nogil=True, cache=True, error_model="numpy")
def _factor(log_sd, odds, correlated, factor):
    """Lower Cholesky factor (D, D) of the covariance, into ``factor``; returns the log of its determinant."""
    n_features = factor.shape[0]
    m = 0
    log_det = 0.0
    for i in range(n_features):
        sd = math.exp(log_sd[i if log_sd.size > 1 else 0])
        remaining = 1.0
        for j in range(n_features):
            factor[i, j] = 0.0
        if correlated:
            for j in range(i):
                factor[i, j] = sd * math.tanh(0.5 * odds[m]) * remaining
                remaining /= math.cosh(0.5 * odds[m])
                m += 1
        factor[i, i] = sd * remaining
        log_det += math.log(factor[i, i])
    return log_det


@njit(nogil=True, cache=True, error_model="numpy")
def _scatter_term(factor, second):
    """Trace of the inverse covariance times the scatter matrix ``second``."""
    half = np.linalg.solve(factor, second)
    return np.trace(np.linalg.solve(factor, np.ascontiguousarray(half.T)))


@njit(nogil=True, cache=True, error_model="numpy")
def _covariance_density(log_sd, odds, correlated, count, second, coefficients, rate, shape, eta, factor):
    """Log density of one group's scales and correlations given ``count`` rows with scatter ``second``, unnormalised."""
    n_features = second.shape[0]
    log_det = _factor(log_sd, odds, correlated, factor)
    if not math.isfinite(log_det):
        return -np.inf
    value = -count * log_det
    if n_features == 1:
        value -= 0.5 * second[0, 0] / factor[0, 0] ** 2
    else:
        value -= 0.5 * _scatter_term(factor, second)
    for e in range(log_sd.size):
        s = log_sd[e]
        value += coefficients[1] * s + coefficients[2] * s * s
        value += coefficients[3] * math.exp(2 * s) + (coefficients[4] - rate) * math.exp(-2 * s)
    m = 0
    if correlated:
        for i in range(n_features):
            for j in range(i):
                b = eta + 0.5 * (n_features - 2 - j)
                value -= 2.0 * b * math.log(math.cosh(0.5 * odds[m]))
                m += 1
    return value


@njit(nogil=True, cache=True, error_model="numpy")
def _allocate(values, log_weights, means, log_sd, odds, shared, correlated, n_components, labels, counts):
    """Draw the component of every row."""
    n_rows, n_features = values.shape
    inverse = np.empty((n_components, n_features, n_features))
    constant = np.empty(n_components)
    factor = np.empty((n_features, n_features))
    identity = np.eye(n_features)
    for k in range(n_components):
        g = 0 if shared else k
        log_det = _factor(log_sd[g], odds[g], correlated, factor)
        inverse[k] = np.linalg.solve(factor, identity)
        constant[k] = log_weights[k] - log_det
    counts[:] = 0
    terms = np.empty(n_components)
    for i in range(n_rows):
        top = -np.inf
        for k in range(n_components):
            distance = 0.0
            for a in range(n_features):
                z = 0.0
                for b in range(a + 1):
                    z += inverse[k, a, b] * (values[i, b] - means[k, b])
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
    order = np.empty(n_components, dtype=np.int64)
    filled = 0
    for k in range(n_components):
        if counts[k] > 0:
            order[filled] = k
            filled += 1
    for new in range(filled):
        old = order[new]
        if old != new:
            counts[new] = counts[old]
            counts[old] = 0
            means[new] = means[old]
            if not shared:
                log_sd[new] = log_sd[old]
                odds[new] = odds[old]
            for i in range(labels.size):
                if labels[i] == old:
                    labels[i] = new
    return filled


@njit(nogil=True, cache=True, error_model="numpy")
def _move_mean(mean, factor, count, total, location, precision):
    """Draw a filled component's mean from its normal full conditional."""
    n_features = mean.size
    inverse = np.linalg.solve(factor, np.eye(n_features))
    own = np.dot(inverse.T, inverse)
    posterior = count * own + np.diag(precision)
    linear = np.dot(own, total) + precision * location
    lower = np.linalg.cholesky(posterior)
    centre = np.linalg.solve(posterior, linear)
    mean[:] = centre + np.linalg.solve(np.ascontiguousarray(lower.T), np.random.standard_normal(n_features))


@njit(nogil=True, cache=True, error_model="numpy")
def _moments(values, labels, filled, means):
    """Sums (K, D) of the rows of each filled component, and scatter (K, D, D) about its mean."""
    n_rows, n_features = values.shape
    first = np.zeros((filled, n_features))
    second = np.zeros((filled, n_features, n_features))
    for i in range(n_rows):
        k = labels[i]
        for a in range(n_features):
            first[k, a] += values[i, a]
            off = values[i, a] - means[k, a]
            for b in range(a + 1):
                second[k, a, b] += off * (values[i, b] - means[k, b])
    for k in range(filled):
        for a in range(n_features):
            for b in range(a):
                second[k, b, a] = second[k, a, b]
    return first, second


@njit(nogil=True, cache=True, error_model="numpy")
def _move_covariance(log_sd, odds, correlated, count, second, coefficients, rate, shape, eta, n_steps):
    """Metropolis steps of one group's scales and correlations, with steps of many sizes."""
    factor = np.empty(second.shape)
    value = _covariance_density(log_sd, odds, correlated, count, second, coefficients, rate, shape, eta, factor)
    for _ in range(n_steps):
        step = 0.03 * 60.0 ** np.random.uniform()
        new_sd = log_sd + step * np.random.standard_normal(log_sd.size)
        new_odds = odds + step * np.random.standard_normal(odds.size)
        proposed = _covariance_density(
            new_sd, new_odds, correlated, count, second, coefficients, rate, shape, eta, factor
        )
        if math.log(np.random.uniform()) < proposed - value:
            log_sd[:] = new_sd
            odds[:] = new_odds
            value = proposed


@njit(nogil=True, cache=True, error_model="numpy")
def _draw_number(filled, groups, log_sd, n_rows, concentration, log_prior, coefficients):
    """Draw K given the partition and the filled components; K only counts the empty ones."""
    largest = log_prior.size - 1
    mass = np.full(largest + 1, -np.inf)
    for k in range(filled, largest + 1):
        if log_prior[k] == -np.inf:
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
    top = mass.max()
    cumulative = np.cumsum(np.exp(mass - top))
    u = np.random.uniform() * cumulative[-1]
    return min(np.searchsorted(cumulative, u), largest)


@njit(nogil=True, cache=True, error_model="numpy")
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
    np.random.seed(seed)
    n_rows, n_features = values.shape
    largest = log_prior.size - 1
    n_groups = 1 if shared else largest
    n_pairs = n_features * (n_features - 1) // 2 if correlated else 0
    means = np.zeros((largest, n_features))
    log_sd = np.zeros((n_groups, width)) - 0.5
    odds = np.zeros((n_groups, n_pairs))
    log_weights = np.full(largest, -math.log(start))
    labels = np.empty(n_rows, dtype=np.int64)
    counts = np.zeros(largest, dtype=np.int64)
    factor = np.empty((n_features, n_features))
    for k in range(start):
        means[k] = values[np.random.randint(n_rows)]
    n_components = start
    rate = hyper[0] / hyper[1] if hyper[0] > 0 else 0.0
    all_k = np.empty(n_draws, dtype=np.int64)
    all_filled = np.empty(n_draws, dtype=np.int64)
    for sweep in range(n_tune + n_draws * thin):
        _allocate(values, log_weights, means, log_sd, odds, shared, correlated, n_components, labels, counts)
        filled = _filled_first(labels, counts, means, log_sd, odds, shared, n_components)
        first, second = _moments(values, labels, filled, means)
        for k in range(filled):
            _factor(log_sd[0 if shared else k], odds[0 if shared else k], correlated, factor)
            _move_mean(means[k], factor, counts[k], first[k], location, precision)
        first, second = _moments(values, labels, filled, means)
        groups = 1 if shared else filled
        for g in range(groups):
            scatter = second[:filled].sum(0) if shared else second[g]
            count = n_rows if shared else counts[g]
            _move_covariance(
                log_sd[g], odds[g], correlated, count, scatter, coefficients[n_components], rate, shape, eta, 4
            )
        if hyper[0] > 0:
            inverse = np.exp(-2.0 * log_sd[:groups]).sum()
            rate = np.random.gamma(hyper[0] + groups * width * shape) / (hyper[1] + inverse)
        n_components = _draw_number(filled, groups, log_sd, n_rows, concentration, log_prior, coefficients)
        own = distributions[n_components]
        for k in range(filled, n_components):
            counts[k] = 0
            means[k] = location + np.random.standard_normal(n_features) / np.sqrt(precision)
            if not shared:
                for e in range(width):
                    log_sd[k, e] = np.interp(np.random.uniform(), own[1], own[0])
                    if hyper[0] > 0:
                        log_sd[k, e] += 0.5 * math.log(rate)
                m = 0
                for i in range(n_features if correlated else 0):
                    for j in range(i):
                        b = eta + 0.5 * (n_features - 2 - j)
                        p = min(max(np.random.beta(b, b), 1e-12), 1.0 - 1e-12)
                        odds[k, m] = math.log(p) - math.log1p(-p)
                        m += 1
        # Logs of gamma variables by log G(a) = log G(a + 1) + log(U) / a: small ones would underflow.
        top = -np.inf
        for k in range(n_components):
            a = concentration + counts[k]
            log_weights[k] = math.log(np.random.gamma(a + 1.0)) + math.log(np.random.uniform()) / a
            top = max(top, log_weights[k])
        norm = 0.0
        for k in range(n_components):
            norm += math.exp(log_weights[k] - top)
        for k in range(n_components):
            log_weights[k] -= top + math.log(norm)
        at = sweep - n_tune
        if at >= 0 and at % thin == 0:
            all_k[at // thin] = n_components
            all_filled[at // thin] = filled
    return all_k, all_filled
