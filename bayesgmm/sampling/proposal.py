"""Mixtures of Gaussians fitted to posterior draws, from which further points are proposed.

The posterior has K! congruent copies, one per naming of the components. A proposal is fitted to draws of one of K! congruent
regions: the points whose components keep their labels when they are assigned to a pivot (`Target.in_region`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..em import EMFit, fit_mixture
from ..mixture import Mixture, drawn_rows, log_density

__all__ = ["Proposal", "count_of"]

Array = NDArray[np.float64]
# Gaussians that make up the proposal, tried in turn while BIC improves.
_COUNTS = (1, 2, 4, 8)
_MAX_DRAWS = 4000
# A proposal has to be near the draws, not at an optimum.
_EM_STEPS = 60
_WIDER = 1.1


@dataclass(frozen=True)
class Proposal:
    """A mixture of Gaussians in whitened coordinates, x = centre + spread u."""

    mixture: Mixture
    centre: Array
    spread: Array

    @classmethod
    def fitted(cls, points: Array, count: int, rng: np.random.Generator) -> Proposal:
        """``count`` Gaussians by a few steps of EM on points (S, P)."""
        points = points[rng.permutation(len(points))[:_MAX_DRAWS]]
        centre, size = points.mean(0), points.shape[1]
        spread = np.linalg.cholesky(np.atleast_2d(np.cov(points.T)) + 1e-10 * np.eye(size))
        mixture = Mixture.from_dense("full", np.ones(1), np.zeros((1, size)), np.eye(size)[None])
        if count > 1:
            u = np.linalg.solve(spread, (points - centre).T).T
            mixture = _few_steps(u, count, rng).mixture
        wider = Mixture(mixture.structure, mixture.weights, mixture.means, mixture.covariances * _WIDER)
        return cls(wider, centre, spread)

    def draw(self, n_draws: int, rng: np.random.Generator) -> Array:
        """Points (S, P)."""
        which = rng.choice(self.mixture.n_components, size=n_draws, p=self.mixture.weights)
        return self.centre + drawn_rows(self.mixture, (which,), rng) @ self.spread.T

    def log_density(self, points: Array) -> Array:
        """At points (S, P)."""
        u = np.linalg.solve(self.spread, (points - self.centre).T).T
        return log_density(self.mixture, u) - float(np.log(np.diag(self.spread)).sum())


def _few_steps(points: Array, count: int, rng: np.random.Generator) -> EMFit:
    seed = int(rng.integers(2**31))
    return fit_mixture(points, count, "full", n_starts=2, max_iter=_EM_STEPS, moves=False, random_state=seed)


def count_of(points: Array, rng: np.random.Generator) -> int:
    """How many Gaussians BIC wants for points (S, P)."""
    points = points[rng.permutation(len(points))[:_MAX_DRAWS]]
    whitened = (points - points.mean(0)) / points.std(0)
    best, best_bic = 1, np.inf
    for count in _COUNTS:
        if count * points.shape[1] * (points.shape[1] + 3) / 2 > len(points):
            break
        value = _few_steps(whitened, count, rng).bic
        if not value < best_bic:
            break
        best, best_bic = count, value
    return best
