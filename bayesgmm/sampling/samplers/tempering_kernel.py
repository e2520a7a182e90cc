"""Scans of parallel tempering, compiled: component-wise Metropolis moves at each temperature, then exchanges.

A temperature beta stands for prior x likelihood^beta. Each replica keeps N_k(x_i), the density of every row under every one of
its components, so that a move costs one component's exponentials and K additions per row. Moves are made in the
unconstrained coordinates; they treat all components alike, so that a chain visits all K! labellings.

Everything is loops over rows and scalars, with one signature for all structures, K, D and N, whose maps and priors are
called by address: it is compiled once, when tempering is first used.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from ...mixture import exp
from .tempering_layout import covariance_log_prior, fill_factors

__all__ = ["KINDS", "explore", "log_likelihood", "place", "scan_rounds"]

_REASSOCIATE = {"contract", "reassoc", "nsz", "arcp"}
# Kinds of move, the columns of steps and counts.
KINDS = ("mean", "covariance", "weight", "mean from the prior", "pair of weights", "shared covariance")
_MEAN, _COVARIANCE, _WEIGHT, _JUMP, _PAIR, _SHARED = range(6)
_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
# `exp` takes arguments below -600 as -600; rows as unlikely as this under all components are summed by logarithms.
_TINY = math.exp(-590.0)
_LARGEST = 700.0
_LN2 = math.log(2.0)
# Mantissas, below 2 each, whose product cannot overflow.
_CHUNK = 512
_HYPER_STEPS = 5
# Not literals, for each of which numba would compile the callee again.
_NONE, _NO, _YES = np.int64(-1), np.int64(0), np.int64(1)


@njit(nogil=True, cache=True, fastmath=_REASSOCIATE, error_model="numpy")
def _sum_of_logs(values, scratch):
    """Sum of log(values) for positive normal numbers: exponents are added, mantissas multiplied, one log per 512."""
    for i in range(values.size):
        scratch[i] = values[i]
    bits = scratch.view(np.int64)
    result = 0.0
    start = 0
    while start < values.size:
        stop = min(start + _CHUNK, values.size)
        exponents = 0
        for i in range(start, stop):
            exponents += (bits[i] >> 52) - 1023
        for i in range(start, stop):
            bits[i] = (bits[i] & 0xFFFFFFFFFFFFF) | 0x3FF0000000000000
        product = 1.0
        for i in range(start, stop):
            product *= scratch[i]
        result += exponents * _LN2 + math.log(product)
        start = stop
    return result


@njit(nogil=True, cache=True, fastmath=_REASSOCIATE, error_model="numpy")
def _fill_component(mean, factor, features, log_density, density, work):
    """Log density (N,) of the rows under N(mean, factor factor'), and its exponential.

    ``features`` is (D, N); ``work`` (D, N) is overwritten with the whitened rows, by forward substitution.
    """
    n_features, n_rows = features.shape
    constant = -n_features * _HALF_LOG_2PI
    for a in range(n_features):
        constant -= math.log(factor[a, a])
    for i in range(n_rows):
        log_density[i] = constant
    for a in range(n_features):
        centre = mean[a]
        for i in range(n_rows):
            work[a, i] = features[a, i] - centre
        for b in range(a):
            slope = factor[a, b]
            for i in range(n_rows):
                work[a, i] -= slope * work[b, i]
        inverse = 1.0 / factor[a, a]
        for i in range(n_rows):
            work[a, i] *= inverse
            log_density[i] -= 0.5 * work[a, i] * work[a, i]
    for i in range(n_rows):
        density[i] = exp(min(log_density[i], _LARGEST))


@njit(nogil=True, cache=True, error_model="numpy")
def _log_of_row(log_weights, log_density, side, i):
    """log sum_k w_k N_k(x_i) by the largest term."""
    top = -np.inf
    for k in range(log_weights.size):
        top = max(top, log_weights[k] + log_density[side[k], k, i])
    total = 0.0
    for k in range(log_weights.size):
        total += math.exp(log_weights[k] + log_density[side[k], k, i] - top)
    return top + math.log(total)


@njit(nogil=True, cache=True, fastmath=_REASSOCIATE, error_model="numpy")
def log_likelihood(log_weights, log_density, density, side, sample_weight, total, scratch):
    """sum_i v_i log sum_k w_k N_k(x_i); the density of component k is ``density[side[k], k]`` (N,)."""
    n_components = log_weights.size
    n_rows = total.size
    for i in range(n_rows):
        total[i] = 0.0
    for k in range(n_components):
        weight = math.exp(log_weights[k])
        own = density[side[k], k]
        for i in range(n_rows):
            total[i] += weight * own[i]
    smallest = np.inf
    for i in range(n_rows):
        smallest = min(smallest, total[i])
    rest = 0.0
    if smallest < _TINY:
        for i in range(n_rows):
            if total[i] < _TINY:
                value = _log_of_row(log_weights, log_density, side, i)
                rest += value * (sample_weight[i] if sample_weight.size > 0 else 1.0)
                total[i] = 1.0
    if sample_weight.size == 0:
        return rest + _sum_of_logs(total, scratch)
    for i in range(n_rows):
        rest += sample_weight[i] * math.log(total[i])
    return rest


@njit(nogil=True, cache=True, error_model="numpy")
def _fill_log_weights(u, n_components, log_weights):
    """Log softmax of [y, -sum y], y the first K - 1 coordinates; returns their sum, which the Dirichlet prior needs."""
    last = 0.0
    for k in range(n_components - 1):
        log_weights[k] = u[k]
        last -= u[k]
    log_weights[n_components - 1] = last
    top = log_weights[0]
    for k in range(1, n_components):
        top = max(top, log_weights[k])
    total = 0.0
    for k in range(n_components):
        total += math.exp(log_weights[k] - top)
    norm = top + math.log(total)
    result = 0.0
    for k in range(n_components):
        log_weights[k] -= norm
        result += log_weights[k]
    return result


@njit(nogil=True, cache=True, error_model="numpy")
def place(u, layout, features, sample_weight, state):
    """Fill a replica's caches from its coordinates ``u`` (P,), and return its log likelihood.

    ``state`` is (log_weights (K,), factors (2, K, D, D), log_density and density (2, K, N), side (K,), work (D, N),
    total (N,)).
    """
    log_weights, factors, log_density, density, side, work, total = state
    n_components, n_features = log_weights.size, features.shape[0]
    _fill_log_weights(u, n_components, log_weights)
    fill_factors(u, layout, factors[0])
    at_means = n_components - 1
    for k in range(n_components):
        side[k] = 0
        mean = u[at_means + k * n_features : at_means + (k + 1) * n_features]
        _fill_component(mean, factors[0, k], features, log_density[0, k], density[0, k], work)
        for a in range(n_features):
            for b in range(n_features):
                factors[1, k, a, b] = factors[0, k, a, b]
    value = log_likelihood(log_weights, log_density, density, side, sample_weight, total, work[0])
    # A covariance so extreme that its factor is not finite has no density that could be computed.
    return value if np.isfinite(value) else -np.inf


@njit(nogil=True, cache=True, error_model="numpy")
def _try_component(u, k, layout, features, sample_weight, state, changed):
    """Log likelihood with component k (all of them if k < 0) at the proposed coordinates; its caches take the other side.

    ``changed`` says whether the covariance moved as well as the mean.
    """
    log_weights, factors, log_density, density, side, work, total = state
    n_components, n_features = log_weights.size, features.shape[0]
    at_means = n_components - 1
    for j in range(n_components):
        if k >= 0 and j != k:
            continue
        other = 1 - side[j]
        if changed == 0:
            for a in range(n_features):
                for b in range(a + 1):
                    factors[other, j, a, b] = factors[side[j], j, a, b]
        mean = u[at_means + j * n_features : at_means + (j + 1) * n_features]
        _fill_component(mean, factors[other, j], features, log_density[other, j], density[other, j], work)
        side[j] = other
    return log_likelihood(log_weights, log_density, density, side, sample_weight, total, work[0])


@njit(nogil=True, cache=True, error_model="numpy")
def _turn_back(side, k):
    for j in range(side.size):
        if k < 0 or j == k:
            side[j] = 1 - side[j]


@njit(nogil=True, cache=True, error_model="numpy")
def _move_mean(u, k, ll, beta, step, from_prior, layout, features, sample_weight, state, old):
    """The mean of component k: a step along its own axes, or a fresh draw from the prior. Returns (log likelihood, moved)."""
    log_weights, factors, _, _, side, _, _ = state
    location, precision = layout.location, layout.precision
    n_components, n_features = log_weights.size, features.shape[0]
    at = n_components - 1 + k * n_features
    change = 0.0
    for a in range(n_features):
        old[a] = u[at + a]
    if from_prior == 1:
        for a in range(n_features):
            u[at + a] = location[a] + np.random.standard_normal() / math.sqrt(precision[a])
    else:
        for b in range(n_features):
            z = step * np.random.standard_normal()
            for a in range(b, n_features):
                u[at + a] += factors[side[k], k, a, b] * z
        for a in range(n_features):
            was, now = old[a] - location[a], u[at + a] - location[a]
            change -= 0.5 * precision[a] * (now * now - was * was)
    proposed = _try_component(u, k, layout, features, sample_weight, state, _NO)
    if math.log(np.random.random()) < beta * (proposed - ll) + change:
        return proposed, 1
    _turn_back(side, k)
    for a in range(n_features):
        u[at + a] = old[a]
    return ll, 0


@njit(nogil=True, cache=True, error_model="numpy")
def _move_covariance(u, k, ll, beta, step, layout, features, sample_weight, state, old, trial, unused):
    """The covariance coordinates that component k owns, or if k < 0 those that all share."""
    log_weights, factors, _, _, side, _, _ = state
    owner, stretch = layout.owner, layout.stretch
    n_components, n_features = log_weights.size, features.shape[0]
    at = n_components - 1 + n_components * n_features
    before = covariance_log_prior(u, layout, unused)
    for c in range(owner.size):
        old[c] = u[at + c]
        if owner[c] == k:
            u[at + c] += step * stretch[c] * np.random.standard_normal()
    change = covariance_log_prior(u, layout, unused) - before
    proposed = -np.inf
    if np.isfinite(change):
        fill_factors(u, layout, trial)
        for j in range(n_components):
            if k < 0 or j == k:
                for a in range(n_features):
                    for b in range(a + 1):
                        factors[1 - side[j], j, a, b] = trial[j, a, b]
        proposed = _try_component(u, k, layout, features, sample_weight, state, _YES)
        if math.log(np.random.random()) < beta * (proposed - ll) + change:
            return proposed, 1
        _turn_back(side, k)
    for c in range(owner.size):
        u[at + c] = old[c]
    return ll, 0


@njit(nogil=True, cache=True, error_model="numpy")
def _move_hyperparameters(u, layout, unused):
    """Metropolis steps of coordinates that the likelihood does not know, of all sizes: they cost next to nothing."""
    for p in range(u.size - layout.n_hyper, u.size):
        for _ in range(_HYPER_STEPS):
            before, old = covariance_log_prior(u, layout, unused), u[p]
            u[p] += 0.1 * 50.0 ** np.random.random() * np.random.standard_normal()
            if not math.log(np.random.random()) < covariance_log_prior(u, layout, unused) - before:
                u[p] = old


@njit(nogil=True, cache=True, error_model="numpy")
def _move_weights(u, k, other, ll, beta, shift, concentration, features, sample_weight, state, trial):
    """Raise log w_k by ``shift``, and lower that of ``other`` by as much if there is one; then renormalise."""
    log_weights, _, log_density, density, side, work, total = state
    n_components = log_weights.size
    before = 0.0
    for j in range(n_components):
        before += log_weights[j]
        trial[j] = u[j] if j < n_components - 1 else 0.0
    for j in range(n_components - 1):
        if j == k:
            u[j] += shift
        if j == other:
            u[j] -= shift
        if other < 0:
            u[j] -= shift / n_components
    # The caches of weights are refilled from the coordinates either way.
    change = concentration * (_fill_log_weights(u, n_components, log_weights) - before)
    proposed = log_likelihood(log_weights, log_density, density, side, sample_weight, total, work[0])
    if math.log(np.random.random()) < beta * (proposed - ll) + change:
        return proposed, 1
    for j in range(n_components - 1):
        u[j] = trial[j]
    _fill_log_weights(u, n_components, log_weights)
    return ll, 0


@njit(nogil=True, cache=True, error_model="numpy")
def explore(u, ll, beta, steps, counts, layout, features, sample_weight, mass, state, old, trial, unused):
    """One sweep of Metropolis moves that leave prior x likelihood^beta unchanged; returns the log likelihood.

    ``steps`` (6,) and ``counts`` (6, 2), tried and accepted, are the temperature's; ``mass`` is the sum of the row weights.
    """
    log_weights = state[0]
    n_components = log_weights.size
    owner, concentration = layout.owner, layout.concentration
    own, shared = False, False
    for c in range(owner.size):
        own = own or owner[c] >= 0
        shared = shared or owner[c] < 0
    for k in range(n_components):
        n_k = 1.0 + beta * mass * math.exp(log_weights[k])
        step = steps[_MEAN] * math.exp(0.7 * np.random.standard_normal()) / math.sqrt(n_k)
        ll, moved = _move_mean(u, k, ll, beta, step, _NO, layout, features, sample_weight, state, old)
        counts[_MEAN, 0] += 1
        counts[_MEAN, 1] += moved
        if own:
            step = steps[_COVARIANCE] * math.exp(0.7 * np.random.standard_normal()) / math.sqrt(2.0 * n_k)
            ll, moved = _move_covariance(
                u, k, ll, beta, step, layout, features, sample_weight, state, old, trial, unused
            )
            counts[_COVARIANCE, 0] += 1
            counts[_COVARIANCE, 1] += moved
        if n_components > 1:
            shift = steps[_WEIGHT] * math.exp(0.7 * np.random.standard_normal()) * np.random.standard_normal()
            ll, moved = _move_weights(u, k, _NONE, ll, beta, shift, concentration, features, sample_weight, state, old)
            counts[_WEIGHT, 0] += 1
            counts[_WEIGHT, 1] += moved
    if n_components > 1:
        k = np.random.randint(n_components)
        other = (k + 1 + np.random.randint(n_components - 1)) % n_components
        shift = steps[_PAIR] * math.exp(0.7 * np.random.standard_normal()) * np.random.standard_normal()
        ll, moved = _move_weights(u, k, other, ll, beta, shift, concentration, features, sample_weight, state, old)
        counts[_PAIR, 0] += 1
        counts[_PAIR, 1] += moved
    k = np.random.randint(n_components)
    ll, moved = _move_mean(u, k, ll, beta, 0.0, _YES, layout, features, sample_weight, state, old)
    counts[_JUMP, 0] += 1
    counts[_JUMP, 1] += moved
    if shared:
        step = steps[_SHARED] * math.exp(0.7 * np.random.standard_normal()) / math.sqrt(2.0 * (1.0 + beta * mass))
        ll, moved = _move_covariance(
            u, _NONE, ll, beta, step, layout, features, sample_weight, state, old, trial, unused
        )
        counts[_SHARED, 0] += 1
        counts[_SHARED, 1] += moved
    _move_hyperparameters(u, layout, unused)
    return ll


@njit(nogil=True, cache=True, error_model="numpy")
def scan_rounds(
    seed, betas, steps, points, fresh, since_prior, first, thin, layout, features, sample_weight, mass, logs, draws,
    rejected, counts,
):  # fmt: skip
    """S scans of non-reversible parallel tempering, in place; returns the number of restarts.

    Parameters
    ----------
    betas : (T,)
        From 0 to 1.
    steps : (T, 6)
    points : (T, P)
        States; overwritten with the last ones.
    fresh : (S, P)
        Prior draws, one for each scan.
    since_prior : (T,) int64
        Whether the state has come from the prior since it was last at beta = 1; overwritten.
    first : int
        Number of the first scan, for the parity of the exchanges and the thinning.
    logs : (S, T)
        Receives log likelihoods.
    draws : (S // thin, P)
        Receives states at beta = 1.
    rejected : (T - 1,)
        Adds the probability that an exchange of neighbours is rejected.
    counts : (T, 6, 2)
    """
    np.random.seed(seed)
    n_temperatures, size = points.shape
    n_features, n_rows = features.shape
    n_components = layout.n_components
    log_weights = np.empty((n_temperatures, n_components))
    factors = np.zeros((n_temperatures, 2, n_components, n_features, n_features))
    log_density = np.empty((n_temperatures, 2, n_components, n_rows))
    density = np.empty((n_temperatures, 2, n_components, n_rows))
    side = np.zeros((n_temperatures, n_components), dtype=np.int64)
    work = np.empty((n_features, n_rows))
    total = np.empty(n_rows)
    old = np.empty(size)
    unused = np.zeros(size)
    trial = np.empty((n_components, n_features, n_features))
    ll = np.empty(n_temperatures)
    where = np.empty(n_temperatures, dtype=np.int64)
    flags = np.empty(n_temperatures, dtype=np.int64)
    restarts = 0
    for t in range(n_temperatures):
        where[t] = t
        flags[t] = since_prior[t]
        state = (log_weights[t], factors[t], log_density[t], density[t], side[t], work, total)
        ll[t] = place(points[t], layout, features, sample_weight, state)
    for s in range(fresh.shape[0]):
        for t in range(n_temperatures):
            r = where[t]
            state = (log_weights[r], factors[r], log_density[r], density[r], side[r], work, total)
            if t == 0:
                for p in range(size):
                    points[r, p] = fresh[s, p]
                ll[r] = place(points[r], layout, features, sample_weight, state)
                flags[r] = 1
            else:
                ll[r] = explore(
                    points[r], ll[r], betas[t], steps[t], counts[t], layout, features, sample_weight, mass, state, old,
                    trial, unused,
                )  # fmt: skip
            logs[s, t] = ll[r]
        for t in range(n_temperatures - 1):
            log_ratio = (betas[t + 1] - betas[t]) * (logs[s, t] - logs[s, t + 1])
            accept = math.exp(min(0.0, log_ratio))
            rejected[t] += 1.0 - accept
            if (t - first - s) % 2 == 0 and np.random.random() < accept:
                where[t], where[t + 1] = where[t + 1], where[t]
        last = where[n_temperatures - 1]
        restarts += flags[last]
        flags[last] = 0
        if (first + s) % thin == thin - 1:
            for p in range(size):
                draws[s // thin, p] = points[last, p]
    ordered = np.empty((n_temperatures, size))
    for t in range(n_temperatures):
        since_prior[t] = flags[where[t]]
        for p in range(size):
            ordered[t, p] = points[where[t], p]
    for t in range(n_temperatures):
        for p in range(size):
            points[t, p] = ordered[t, p]
    return restarts
