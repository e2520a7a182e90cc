"""Markov moves of a cloud of particles, compiled: Hamiltonian moves where the cloud has one shape, component moves where
it has K! of them.

Each move leaves the density it is given unchanged, whatever its steps: nothing is adapted within a call.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..mixture import run_parallel, single_threaded_blas
from ..posterior.density import Density, log_density_and_gradient

__all__ = ["move_components", "move_hamiltonian"]

Array = NDArray[np.float64]
# Particles per task: enough that compiled code dominates, few enough that all cores have work to the end.
_CHUNK = 64


@njit(nogil=True, cache=True, error_model="numpy")
def _hamiltonian(
    points, values, seed, spread, step, n_steps, n_moves,
    n_components, scale_shape, correlated, rows, pairs, row_weight, scatter, prior,
):  # fmt: skip
    """Hamiltonian Monte Carlo with mass matrix (spread spread')^-1 on each of points (S, P), in place; acceptance."""
    np.random.seed(seed)
    n_particles, size = points.shape
    slope = np.empty(size)
    accepted = 0.0
    for s in range(n_particles):
        log_density_and_gradient(
            points[s], slope, n_components, scale_shape, correlated, rows, pairs, row_weight, scatter, prior
        )
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
                value = log_density_and_gradient(
                    x, slope, n_components, scale_shape, correlated, rows, pairs, row_weight, scatter, prior
                )
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
def _shift_mean(x, at, k, step, n_features, scale_shape, correlated, at_scales, at_correlations):
    """Move the mean of component k by ``step`` times a draw from its own Gaussian. Symmetric: its covariance stays."""
    groups, width = scale_shape
    g = k if groups > 1 else 0
    z = np.random.standard_normal(n_features)
    n_pairs = n_features * (n_features - 1) // 2
    m = at_correlations + g * n_pairs
    for i in range(n_features):
        off = 0.0
        remaining = 1.0
        if correlated:
            for j in range(i):
                off += np.tanh(0.5 * x[m]) * remaining * z[j]
                remaining /= np.cosh(0.5 * x[m])
                m += 1
        off += remaining * z[i]
        x[at + i] += step * np.exp(x[at_scales + g * width + (i if width > 1 else 0)]) * off


@njit(nogil=True, cache=True, error_model="numpy")
def _components(
    points, values, seed, n_sweeps, n_components, scale_shape, correlated, rows, pairs, row_weight, scatter, prior
):
    """Metropolis sweeps over weights, means and covariances, one component at a time; returns the acceptance rate.

    Every proposal treats all components alike, so that the sweeps serve a cloud spread over all K! labellings.
    """
    np.random.seed(seed)
    n_particles, size = points.shape
    n_features = scatter.shape[0]
    groups, width = scale_shape
    n_pairs = n_features * (n_features - 1) // 2 if correlated else 0
    at_means = n_components - 1
    at_scales = at_means + n_components * n_features
    at_correlations = at_scales + groups * width
    at_rate = at_correlations + groups * n_pairs
    location = prior[9 : 9 + n_features]
    precision = prior[9 + n_features : 9 + 2 * n_features]
    # Kinds of move: mean, mean from the prior, covariance, weight; then the rate and an exchange of scale and rate.
    n_kinds = 4 * n_components + 2
    gradient = np.empty(size)
    accepted = 0
    tried = 0
    for s in range(n_particles):
        for _ in range(n_sweeps):
            for move in range(n_kinds):
                x = points[s].copy()
                k = move // 4
                kind = move % 4 if move < 4 * n_components else 4 + move % 4
                step = _random_step()
                correction = 0.0
                if kind == 0:
                    at = at_means + k * n_features
                    _shift_mean(x, at, k, step, n_features, scale_shape, correlated, at_scales, at_correlations)
                elif kind == 1:
                    for i in range(n_features):
                        at = at_means + k * n_features + i
                        old = x[at]
                        x[at] = location[i] + np.random.standard_normal() / np.sqrt(precision[i])
                        correction += 0.5 * precision[i] * ((x[at] - location[i]) ** 2 - (old - location[i]) ** 2)
                elif kind == 2:
                    if k >= groups:
                        continue
                    for e in range(width):
                        x[at_scales + k * width + e] += step * np.random.standard_normal()
                    for m in range(n_pairs):
                        x[at_correlations + k * n_pairs + m] += step * np.random.standard_normal()
                elif kind == 3:
                    if n_components == 1:
                        continue
                    # One log weight moves; the coordinates are log weights less their mean.
                    shift = step * np.random.standard_normal()
                    for j in range(n_components - 1):
                        x[j] -= shift / n_components
                    if k < n_components - 1:
                        x[k] += shift
                else:
                    if at_rate >= size:
                        continue
                    shift = step * np.random.standard_normal()
                    x[at_rate] += shift
                    if kind == 5:
                        # All scales with their rate: variances and rate grow by one factor.
                        for m in range(at_scales, at_correlations):
                            x[m] += 0.5 * shift
                value = log_density_and_gradient(
                    x, gradient, n_components, scale_shape, correlated, rows, pairs, row_weight, scatter, prior
                )
                tried += 1
                if np.isfinite(value) and np.log(np.random.uniform()) < value - values[s] + correction:
                    points[s] = x
                    values[s] = value
                    accepted += 1
    return accepted / max(tried, 1)


def _in_chunks(
    function: Callable[..., float], density: Density, points: Array, rng: np.random.Generator, *settings: object
) -> float:
    """Apply a compiled move to all particles, in place, on all cores; the mean acceptance."""
    values = density.many(points)
    arguments = density.arguments
    parts = [slice(a, min(a + _CHUNK, len(points))) for a in range(0, len(points), _CHUNK)]
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
    density: Density, points: Array, spread: Array, step: float, n_steps: int, n_moves: int, rng: np.random.Generator
) -> float:
    """Hamiltonian moves of points (S, P) in place; returns the mean acceptance probability.

    Parameters
    ----------
    spread : (P, P)
        Cholesky factor of (an estimate of) the covariance of the density.
    """
    return _in_chunks(_hamiltonian, density, points, rng, np.ascontiguousarray(spread), step, n_steps, n_moves)


def move_components(density: Density, points: Array, n_sweeps: int, rng: np.random.Generator) -> float:
    """Sweeps of component moves of points (S, P) in place; returns the acceptance rate."""
    return _in_chunks(_components, density, points, rng, n_sweeps)
