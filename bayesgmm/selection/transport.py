"""From one posterior to another of slightly different row weights or priors, by the map between their Laplace approximations.

With row weights (or priors) w and v, densities q_w and q_v and an invertible map T,

    Z_v / Z_w = E_w[ q_v(T x) |det T'| / q_w(x) ],    T x = m_v + M_v M_w^-1 (x - m_w),

m the modes and M M' the inverse curvatures there: a warp (Meng & Schilling 2002) from posterior to posterior. The skewness
of the draws goes with them, so that only the difference between two nearly equal shapes is left to the weights, whose
Pareto k says whether it is small. Where it is not, further maps match the weighted moments (Paananen, Piironen, Buerkner &
Vehtari 2021, Implicitly adaptive importance sampling, Statistics and Computing 31).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from ..mixture import Mixture, single_threaded_blas
from ..posterior import Mode, Target, find_mode
from .psis import smoothed

__all__ = ["Moved", "Transport"]

Array = NDArray[np.float64]
_DRAWS = 1000
# Maps by moments, tried where that by modes does not do.
_MOST_MAPS = 4
# Pareto k below which a mean of importance ratios can be trusted (Vehtari et al. 2024).
_GOOD_K = 0.7
# Share of the mass that a map may carry over the border between two labellings.
_MOST_LOST = 0.02


@dataclass(frozen=True)
class Moved:
    """What a transport found.

    Attributes
    ----------
    log_ratio : float
        Log of the ratio of normalisers, end over start.
    pareto_k : float
        Of the importance ratios.
    lost : float
        Share of the mass that the map carried into another labelling, where it is counted twice or not at all.
    points : (S, P)
        The draws, moved.
    log_weights : (S,)
        Theirs, smoothed, at most 0.
    end : Target
        The density that they were moved to.
    mode : Mode
        Its mode next to the draws.
    """

    log_ratio: float
    pareto_k: float
    lost: float
    points: Array
    log_weights: Array
    end: Target
    mode: Mode

    @property
    def trusted(self) -> bool:
        return self.pareto_k <= _GOOD_K and self.lost <= _MOST_LOST


@dataclass(frozen=True, eq=False)
class Transport:
    """Draws of one posterior, ready to be moved to others.

    Attributes
    ----------
    target : Target
        What the draws are of.
    points : (S, P)
        Draws with aligned labels.
    values : (S,)
        Log densities there.
    mode : Mode
    pivot : Mixture
        Names the labels, standardised.
    """

    target: Target
    points: Array
    values: Array
    mode: Mode
    pivot: Mixture

    @classmethod
    def of(cls, target: Target, points: Array, pivot: Mixture) -> Transport:
        """From draws (S, P) with aligned labels, of which a thousand are used."""
        points = points[:: max(1, len(points) // _DRAWS)][:_DRAWS]
        with single_threaded_blas():
            mode = find_mode(target, points.mean(0))
        return cls(target, points, target.many(points), mode, pivot)

    def to(self, end: Target) -> Moved:
        """To a posterior of the same model, under other row weights or other priors."""
        with single_threaded_blas():
            mode = find_mode(end, self.mode.point)
            standard = np.linalg.solve(self.mode.spread, (self.points - self.mode.point).T)
            points = mode.point + (mode.spread @ standard).T
        log_det = float(np.log(np.diag(mode.spread)).sum() - np.log(np.diag(self.mode.spread)).sum())
        best = tried = self._weighed(end, mode, points, log_det)
        for _ in range(_MOST_MAPS):
            if best.pareto_k <= _GOOD_K or not np.isfinite(tried.log_ratio):
                break
            points, change = _matched(tried)
            log_det += change
            tried = self._weighed(end, mode, points, log_det)
            best = min(best, tried, key=lambda moved: moved.pareto_k)
        return replace(best, lost=self._lost(best))

    def _weighed(self, end: Target, mode: Mode, points: Array, log_det: float) -> Moved:
        ratios = end.many(points) + log_det - self.values
        ratios = np.where(np.isfinite(ratios), ratios, -np.inf)
        if not np.isfinite(top := ratios.max()):
            return Moved(-np.inf, np.inf, 1.0, points, ratios, end, mode)
        log_weights, pareto_k = smoothed(ratios - top)
        log_ratio = float(top + logsumexp(log_weights) - np.log(len(ratios)))
        return Moved(log_ratio, pareto_k, 0.0, points, log_weights, end, mode)

    def _lost(self, moved: Moved) -> float:
        if not np.isfinite(moved.log_ratio):
            return 0.0
        kept = moved.end.are_in_region(moved.points, self.pivot)
        weight = np.exp(moved.log_weights)
        return float(weight[~kept].sum() / weight.sum())


def _matched(moved: Moved) -> tuple[Array, float]:
    """The points, moved so that their means and variances are the weighted ones; the log determinant of that map."""
    weight = np.exp(moved.log_weights)
    weight /= weight.sum()
    mean, sd = moved.points.mean(0), moved.points.std(0)
    goal = weight @ moved.points
    scale = np.sqrt(weight @ (moved.points - goal) ** 2) / sd
    return goal + (moved.points - mean) * scale, float(np.log(scale).sum())
