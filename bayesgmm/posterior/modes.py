"""The mode of the log posterior density, its curvature, and the Laplace approximation that checks itself.

Both the sampler's coordinates (`nuts`) and the fast path use the same mode and curvature.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..em import EMFit
from ..mixture import Mixture
from .resampling import systematic
from .target import Target

__all__ = ["LaplaceDraws", "Mode", "find_mode", "sample_laplace", "starting_mixtures"]

Array = NDArray[np.float64]
_STEP = 1e-4
# The prior alone bounds every direction's standard deviation by about this much on the unconstrained scale.
_LARGEST_SD = 3.0
# Beyond this size a dense curvature costs more than it saves; its diagonal is used.
_LARGEST_DENSE = 800


@dataclass(frozen=True)
class Mode:
    """A mode of the unconstrained log density.

    Attributes
    ----------
    point : (P,)
    value : float
        Log density there.
    spread : (P, P)
        Lower triangular M with M M' the inverse of the (floored) negative Hessian.
    smallest_curvature : float
        Smallest eigenvalue of the negative Hessian, before flooring; not positive at a saddle or a ridge.
    gradient_norm : float
        Norm of M' gradient: distance to the mode in posterior standard deviations.
    """

    point: Array
    value: float
    spread: Array
    smallest_curvature: float
    gradient_norm: float


def _negative_hessian(target: Target, point: Array) -> Array:
    """By central differences of the exact gradient (P, P)."""
    columns = []
    for i in range(point.size):
        shift = np.zeros(point.size)
        shift[i] = _STEP
        columns.append((target(point - shift)[1] - target(point + shift)[1]) / (2 * _STEP))
    hessian = np.stack(columns)
    return 0.5 * (hessian + hessian.T)


def _floored_spread(hessian: Array) -> tuple[Array, float]:
    if hessian.shape[0] == 0:
        return np.empty((0, 0)), np.inf
    values, vectors = np.linalg.eigh(hessian)
    floored = np.maximum(values, _LARGEST_SD**-2.0)
    return np.linalg.cholesky((vectors / floored) @ vectors.T), float(values[0])


def _climbed(target: Target, start: Array, max_iter: int) -> Array:
    """Where L-BFGS comes to from ``start`` (P,)."""
    from scipy.optimize import minimize

    def negative(x: Array) -> tuple[float, Array]:
        value, gradient = target(x)
        if not np.isfinite(value):
            return 1e300, np.zeros_like(x)
        return -value, -gradient

    options = {"maxiter": max_iter, "maxfun": 4 * max_iter, "maxcor": 20, "ftol": 1e-13, "gtol": 1e-7}
    point: Array = minimize(negative, start, jac=True, method="L-BFGS-B", options=options).x
    return point


def find_mode(target: Target, start: Array, max_iter: int = 2000) -> Mode:
    """The mode near ``start`` (P,) by L-BFGS, finished by Newton steps, with its curvature.

    With the Jacobians in the density (`Target.jacobian`) it is where draws concentrate on the unconstrained scale.
    """
    point = _climbed(target, start, max_iter) if start.size > 0 else start
    if start.size > _LARGEST_DENSE:
        return _diagonal_mode(target, point)
    for _ in range(5):
        value, gradient = target(point)
        spread, smallest = _floored_spread(_negative_hessian(target, point))
        slope = spread.T @ gradient
        if np.linalg.norm(slope) < 1e-6:
            break
        candidate = point + spread @ slope
        if not target(candidate)[0] > value:
            break
        point = candidate
    value, gradient = target(point)
    return Mode(point, value, spread, smallest, float(np.linalg.norm(spread.T @ gradient)))


def _diagonal_mode(target: Target, point: Array) -> Mode:
    """The curvature along each coordinate only, by one perturbation of all at once (Hutchinson's estimator)."""
    rng = np.random.default_rng(0)
    estimate = np.zeros(point.size)
    n_probes = 30
    for _ in range(n_probes):
        probe = rng.choice([-1.0, 1.0], size=point.size)
        estimate += probe * (target(point - _STEP * probe)[1] - target(point + _STEP * probe)[1]) / (2 * _STEP)
    curvature = np.maximum(estimate / n_probes, _LARGEST_SD**-2.0)
    value, gradient = target(point)
    sd = curvature**-0.5
    return Mode(point, value, np.diag(sd), float(estimate.min() / n_probes), float(np.linalg.norm(sd * gradient)))


def starting_mixtures(fit: EMFit) -> list[Mixture]:
    """The EM optimum first, then the other optima, spurious ones too: which of them count, the prior decides. In data units."""
    return [fit.mixture, *(optimum.mixture for optimum in fit.optima)]


@dataclass(frozen=True)
class LaplaceDraws:
    """Draws from the Laplace approximation, corrected by importance resampling.

    Attributes
    ----------
    unconstrained : (S, P)
    pareto_k : float
        Shape of the tail of the importance ratios; above 0.7 the draws are not to be trusted (Vehtari et al. 2024).
    ess : float
        Effective draws among the S, from the smoothed ratios.
    """

    unconstrained: Array
    pareto_k: float
    ess: float


def sample_laplace(target: Target, mode: Mode, n_draws: int, seed: int | np.random.Generator) -> LaplaceDraws:
    """Draw from N(mode, M M'), smooth the importance ratios (PSIS) and resample ``n_draws`` of them.

    Four times as many proposals as draws are made, so that resampling repeats few.
    """
    from arviz_stats.base import array_stats

    rng = np.random.default_rng(seed)
    z = rng.standard_normal((4 * n_draws, target.size))
    proposals = mode.point + z @ mode.spread.T
    ratios = target.many(proposals) + 0.5 * (z**2).sum(1)
    ratios = np.where(np.isfinite(ratios), ratios, -np.inf)
    finite = ratios - ratios.max()
    # psislw takes log likelihoods, whose negatives are the log ratios of leave-one-out.
    log_weights, pareto_k = array_stats.psislw(-finite, axis=-1)
    weights = np.exp(log_weights - log_weights.max())
    weights /= weights.sum()
    # Systematic resampling repeats the fewest draws for given weights.
    chosen = systematic(log_weights, n_draws, rng)
    rng.shuffle(chosen)
    ess = min(1.0 / np.sum(weights**2), n_draws)
    return LaplaceDraws(proposals[chosen], float(pareto_k), float(ess))
