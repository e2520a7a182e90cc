"""Markov moves of a cloud of particles, compiled: Hamiltonian moves where the cloud has one shape, component moves where
it has K! of them.

Each move leaves the density it is given unchanged, whatever its steps: nothing is adapted within a call.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..mixture import blocks_of, call_constrain, run_parallel, single_threaded_blas
from ..posterior import MeansTerm, Target, log_density_and_gradient

__all__ = ["move_components", "move_hamiltonian"]

Array = NDArray[np.float64]
# Particles per task: enough that compiled code dominates, few enough that all cores have work to the end.
_CHUNK = 64


@njit(nogil=True, cache=True, error_model="numpy")
def _hamiltonian(
    points, values, seed, spread, step, n_steps, n_moves,
    model, numbers, data,
):  # fmt: skip
    """Hamiltonian Monte Carlo with mass matrix (spread spread')^-1 on each of points (S, P), in place; acceptance."""
    np.random.seed(seed)
    n_particles, size = points.shape
    slope = np.empty(size)
    accepted = 0.0
    for s in range(n_particles):
        log_density_and_gradient(points[s].copy(), slope, model, numbers, data)
        current = np.dot(spread.T, slope)
        for _ in range(n_moves):
            momentum = np.random.standard_normal(size)
            energy = values[s] - 0.5 * np.dot(momentum, momentum)
            # A random step keeps trajectories from closing on themselves.
            eps = step * np.random.uniform(0.6, 1.2)
            x = points[s].copy()
            gradient = current.copy()
            value = values[s]
            for _ in range(n_steps):
                momentum += 0.5 * eps * gradient
                x += eps * np.dot(spread, momentum)
                value = log_density_and_gradient(x, slope, model, numbers, data)
                if not np.isfinite(value):
                    break
                gradient = np.dot(spread.T, slope)
                momentum += 0.5 * eps * gradient
            if not np.isfinite(value):
                continue
            proposed = value - 0.5 * np.dot(momentum, momentum)
            accepted += min(1.0, np.exp(min(0.0, proposed - energy))) / (n_particles * n_moves)
            if np.log(np.random.uniform()) < proposed - energy:
                points[s] = x
                values[s] = value
                current = gradient
    return accepted


@njit(nogil=True, cache=True)
def _random_step():
    """A step size between 0.03 and 3, log-uniform: some of the steps suit any density."""
    return 0.03 * 100.0 ** np.random.uniform()


@njit(nogil=True, cache=True, error_model="numpy")
def _shift_mean(x, at, start, k, step, n_components, n_features, n_factors, constrain, factors):
    """Move the mean of component k by ``step`` times a draw from its own Gaussian. Symmetric: its covariance stays.

    ``constrain`` are the addresses of the structure's map and of the numbers that it reads.
    """
    call_constrain(constrain[0], x.ctypes.data + 8 * start, n_components, n_features, constrain[1], factors.ctypes.data)
    g = k if n_factors > 1 else 0
    z = np.random.standard_normal(n_features)
    for i in range(n_features):
        for j in range(i + 1):
            x[at + i] += step * factors[g, i, j] * z[j]


@njit(nogil=True, cache=True, error_model="numpy")
def _propose(x, move, table, scales, at_rate, location, precision, n_components, n_factors, constrain, factors):
    """Make one kind of proposal in place; what it adds to the log acceptance ratio, nan for a move that there is not.

    Kinds, for each component: mean, mean from the prior, covariance, weight; then the rate, and an exchange of scales and rate.
    """
    n_features = location.size
    at_means = n_components - 1
    k = move // 4
    kind = move % 4 if move < 4 * n_components else 4 + move % 4
    step = _random_step()
    correction = 0.0
    if kind == 0:
        at_covariances = at_means + n_components * n_features
        at = at_means + k * n_features
        _shift_mean(x, at, at_covariances, k, step, n_components, n_features, n_factors, constrain, factors)
    elif kind == 1:
        for i in range(n_features):
            at = at_means + k * n_features + i
            old = x[at]
            x[at] = location[i] + np.random.standard_normal() / np.sqrt(precision[i])
            correction += 0.5 * precision[i] * ((x[at] - location[i]) ** 2 - (old - location[i]) ** 2)
    elif kind == 2:
        correction = np.nan
        for p in range(table.shape[0]):
            if table[p, 2] == 1 or k == 0:
                for m in range(table[p, 0] + k * table[p, 1], table[p, 0] + (k + 1) * table[p, 1]):
                    x[m] += step * np.random.standard_normal()
                    correction = 0.0
    elif kind == 3 and n_components > 1:
        # One log weight moves; the coordinates are log weights less their mean.
        shift = step * np.random.standard_normal()
        for j in range(n_components - 1):
            x[j] -= shift / n_components
        if k < n_components - 1:
            x[k] += shift
    elif kind > 3 and at_rate >= 0:
        shift = step * np.random.standard_normal()
        x[at_rate] += shift
        if kind == 5:
            # All scales with their rate: variances and rate grow by one factor.
            for m in range(scales[0], scales[1]):
                x[m] += 0.5 * shift
    else:
        correction = np.nan
    return correction


@njit(nogil=True, cache=True, error_model="numpy")
def _components(
    points, values, seed, n_sweeps, table, scales, at_rate, location, precision,
    model, numbers, data,
):  # fmt: skip
    """Metropolis sweeps over weights, means and covariances, one component at a time; returns the acceptance rate.

    Every proposal treats all components alike, so that the sweeps serve a cloud spread over all K! labellings. ``table`` says
    where the parts of the covariances lie (`Coordinates.table`), ``scales`` where those begin and end that have the rate at
    ``at_rate``, -1 for none.
    """
    np.random.seed(seed)
    n_particles, size = points.shape
    n_components, n_factors = model[0], model[2]
    factors = np.empty((n_factors, location.size, location.size))
    gradient = np.empty(size)
    constrain = (model[3], numbers.ctypes.data + 8 * model[6 + 2 * model[5]])
    accepted = 0
    tried = 0
    for s in range(n_particles):
        for _ in range(n_sweeps):
            for move in range(4 * n_components + 2):
                x = points[s].copy()
                correction = _propose(
                    x, move, table, scales, at_rate, location, precision, n_components, n_factors, constrain, factors
                )
                if np.isnan(correction):
                    continue
                value = log_density_and_gradient(x, gradient, model, numbers, data)
                tried += 1
                if np.isfinite(value) and np.log(np.random.uniform()) < value - values[s] + correction:
                    points[s] = x
                    values[s] = value
                    accepted += 1
    return accepted / max(tried, 1)


def _in_chunks(
    function: Callable[..., float], target: Target, points: Array, rng: np.random.Generator, *settings: object
) -> float:
    """Apply a compiled move to all particles, in place, on all cores; the mean acceptance."""
    values = target.many(points)
    arguments = target.arguments
    parts = blocks_of(len(points), _CHUNK)
    # One seed per chunk of fixed size: the same numbers on any number of cores.
    seeds = rng.integers(2**32, size=len(parts))

    def over(task: tuple[slice, int]) -> float:
        part, seed = task
        return function(points[part], values[part], seed, *settings, *arguments)

    with single_threaded_blas():
        rates = run_parallel(over, list(zip(parts, seeds, strict=True)))
    sizes = [part.stop - part.start for part in parts]
    return float(np.average(rates, weights=sizes))


def move_hamiltonian(
    target: Target, points: Array, spread: Array, step: float, n_steps: int, n_moves: int, rng: np.random.Generator
) -> float:
    """Hamiltonian moves of points (S, P) in place; returns the mean acceptance probability.

    Parameters
    ----------
    spread : (P, P)
        Cholesky factor of (an estimate of) the covariance of the density.
    """
    return _in_chunks(_hamiltonian, target, points, rng, np.ascontiguousarray(spread), step, n_steps, n_moves)


def move_components(target: Target, points: Array, n_sweeps: int, rng: np.random.Generator) -> float:
    """Sweeps of component moves of points (S, P) in place; returns the acceptance rate."""
    c = target.coordinates
    scales, at_rate = (0, 0), -1
    if c.with_rate:
        scales, at_rate = (c.where("scales").start, c.where("scales").stop), c.where("rate").start
    [means] = [term for term in target.terms if isinstance(term, MeansTerm)]
    prior = np.ascontiguousarray(means.location), means.spread**-2.0
    return _in_chunks(_components, target, points, rng, n_sweeps, c.table, scales, at_rate, *prior)
