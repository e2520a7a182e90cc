"""Tempered sequential Monte Carlo: from one posterior to another by changing the weights of the rows.

Del Moral, Doucet & Jasra (2006) with the adaptive steps of Zhou, Johansen & Aston (2016). With all row weights going from
0 to 1 a cloud of prior draws becomes the posterior, all K! labellings of it at once, and the product of the mean
incremental weights is the evidence. With one row's weight going from 1 to 0 posterior draws become those of the
posterior without that row, and the product is that row's leave-one-out predictive density.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from ..posterior import Target, systematic
from ..sampling import prior_draws
from .smc_moves import move_components

__all__ = ["Annealed", "anneal", "smc_log_evidence"]

Array = NDArray[np.float64]
Move = Callable[[Target, Array, np.random.Generator], float]
# A step is as long as leaves this share of the particles effective.
_KEPT = 0.9
_MAX_STEPS = 2000


@dataclass(frozen=True)
class Annealed:
    """Particles at the end of a path, and what was gathered on the way.

    Attributes
    ----------
    points : (S, P)
    log_ratio : float
        Log of the ratio of normalisers, end over start.
    n_steps : int
    acceptance : float
        Of the moves of the last step.
    """

    points: Array
    log_ratio: float
    n_steps: int
    acceptance: float


_TOO_INFORMATIVE = "the data are too many or too informative for tempering from the prior; use method='bridge'"


def _slope(first: Target, last: Target, points: Array) -> Array:
    """Log densities are linear along the path, so one difference (S,) gives the weights of any step."""
    slope = last.many(points) - first.many(points)
    return np.where(np.isfinite(slope), slope, -np.inf)


def anneal(
    target: Target,
    points: Array,
    start: Array,
    stop: Array,
    move: Move,
    rng: np.random.Generator,
    kept: float = _KEPT,
) -> Annealed:
    """Carry particles from the posterior with row weights ``start`` (N,) to that with ``stop`` (N,).

    Parameters
    ----------
    target : Target
    points : (S, P)
        Draws at the start; not changed.
    move : function of (target, points, rng)
        Leaves the density unchanged, moves the points in place.
    kept : float
        Share of the particles that a step leaves effective.

    Raises
    ------
    RuntimeError
        If the path takes more than 2,000 steps: the start and the end have nothing in common.
    """
    points = points.copy()
    first, last = target.reweighted(start), target.reweighted(stop)
    position, log_ratio, n_steps, acceptance = 0.0, 0.0, 0, 0.0
    while position < 1.0:
        if n_steps == _MAX_STEPS:
            raise RuntimeError(
                f"annealing stopped at {position:.3g} of its path after {n_steps} steps: {_TOO_INFORMATIVE}"
            )
        slope = _slope(first, last, points)
        step = _step_size(slope, 1.0 - position, kept)
        log_weights = step * slope
        log_ratio += float(logsumexp(log_weights) - np.log(len(points)))
        position = 1.0 if step >= 1.0 - position else position + step
        points = points[systematic(log_weights, len(points), rng)]
        acceptance = move(target.reweighted(start + position * (stop - start)), points, rng)
        n_steps += 1
    return Annealed(points, log_ratio, n_steps, acceptance)


def _step_size(slope: Array, most: float, kept: float) -> float:
    """The longest step, up to ``most``, after which a share ``kept`` of the particles is effective."""

    def effective(step: float) -> float:
        log_weights = step * slope
        return float(np.exp(2 * logsumexp(log_weights) - logsumexp(2 * log_weights)) / len(slope))

    if effective(most) >= kept:
        return most
    low, high = 0.0, most
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if effective(middle) >= kept else (low, middle)
    return max(low, most * 1e-12)


def smc_log_evidence(
    target: Target, *, particles: int = 1000, sweeps: int = 5, repeats: int = 4, random_seed: int = 0
) -> tuple[Array, Array]:
    """Log evidence of the standardised data by tempering from the prior.

    Parameters
    ----------
    particles : int
    sweeps : int
        Sweeps of component moves per step.
    repeats : int
        Independent runs.

    Returns
    -------
    values : (repeats,)
    points : (repeats * particles, P)
        Posterior draws, spread over all labellings.
    """
    full = target.filled_weight

    def move(target: Target, points: Array, rng: np.random.Generator) -> float:
        return move_components(target, points, sweeps, rng)

    values, clouds = [], []
    for seed in np.random.SeedSequence(random_seed).spawn(repeats):
        rng = np.random.default_rng(seed)
        start = prior_draws(target.coordinates, target.own_priors, particles, rng)
        run = anneal(target, start, np.zeros_like(full), full, move, rng)
        values.append(run.log_ratio)
        clouds.append(run.points)
    return np.array(values), np.concatenate(clouds)
