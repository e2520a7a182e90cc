"""From one prior to another in steps short enough for importance weights, with moves in between that mend the draws."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from ..posterior import Priors, ScalePrior, Target, systematic
from .psis import smoothed
from .smc_moves import move_components, move_hamiltonian

__all__ = ["between", "walk"]

Array = NDArray[np.float64]
_STEPS = 4
# Pareto k of a step beyond which the path is given up.
_GOOD_K = 0.7


def between(one: Any, other: Any, share: float) -> Any:
    """Priors, or a part of them, a share of the way from one to another of the same family: every number on a straight line.

    Raises
    ------
    ValueError
        If the two have nothing in between: scales of different families, or a location that one of them leaves to K.
    """
    if one == other:
        return one
    if isinstance(one, Priors | ScalePrior) and type(one) is type(other):
        own = {f.name: between(getattr(one, f.name), getattr(other, f.name), share) for f in fields(one)}
        return replace(one, **own)
    if isinstance(one, int | float | tuple) and isinstance(other, int | float | tuple):
        mixed = (1.0 - share) * np.asarray(one, dtype=float) + share * np.asarray(other, dtype=float)
        return float(mixed) if mixed.ndim == 0 else tuple(mixed.tolist())
    raise ValueError(f"there is no prior between {one!r} and {other!r}")


def walk(target: Target, points: Array, priors: Priors, random_seed: int) -> tuple[Array, float, float] | None:
    """Draws (S, P) of ``target`` carried to the posterior under other priors, in a few steps with Markov moves.

    Returns
    -------
    points : (S, P)
    log_ratio : float
        Log of the ratio of normalisers, end over start.
    pareto_k : float
        The largest of the steps'.
    None
        Where a step was too long, or there is no path.
    """
    try:
        stations = [target.with_priors(between(target.priors, priors, (i + 1) / _STEPS)) for i in range(_STEPS)]
    except ValueError:
        return None
    rng = np.random.default_rng(random_seed)
    size = points.shape[1]
    spread = np.linalg.cholesky(np.atleast_2d(np.cov(points.T)) + 1e-10 * np.eye(size))
    log_ratio, worst, here = 0.0, -np.inf, target
    for station in stations:
        ratios = station.log_prior(points) - here.log_prior(points)
        log_weights, pareto_k = smoothed(ratios - ratios.max())
        worst = max(worst, pareto_k)
        if worst > _GOOD_K:
            return None
        log_ratio += float(ratios.max() + logsumexp(log_weights) - np.log(len(points)))
        points = points[systematic(log_weights, len(points), rng)]
        move_hamiltonian(station, points, spread, 1.2 * size**-0.25, 4, 2, rng)
        move_components(station, points, 1, rng)
        here = station
    return points, log_ratio, worst
