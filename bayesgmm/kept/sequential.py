"""An old posterior as the prior of new rows: its draws tempered into the posterior given both.

Sequential Monte Carlo (Del Moral, Doucet & Jasra 2006): draws of the old posterior are weighted by the likelihood of the new
rows to a power that grows from 0 to 1, so that half of the effective size is kept at each stage, resampled, and moved by
random-walk Metropolis steps under p_old(u) L(u)^power. Where draws have to move, the old posterior's density is that of the
normal with their mean and covariance, on the unconstrained scale (simplex of the weights, means, log standard
deviations, log odds of partial correlations). Weights and resampling use the draws themselves. The product of the mean weights
is the density of the new rows given the old ones, p(new | old).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..data import Scaling, Table
from ..mixture import Mixture
from ..posterior import Priors, Target

__all__ = ["Tempered", "tempered_into"]

Array = NDArray[np.float64]

_PARTICLES = 1000
# Effective share of the particles that a stage keeps, and the acceptance at which a random walk mixes well.
_KEPT, _ACCEPTANCE = 0.5, 0.25
# Moves of a stage: until the particles' average squared way is their variance, half of what it is for independent draws, and
# not more than so many.
_MOST_MOVES = 80


@dataclass(frozen=True)
class Tempered:
    """Draws given both.

    Attributes
    ----------
    draws : Mixture
        In the units of the data, labels as in the old draws.
    log_predictive : float
        log p(new rows | old rows), in the units of the data.
    stages : int
    """

    draws: Mixture
    log_predictive: float
    stages: int


@dataclass(frozen=True)
class _Normal:
    """The old posterior where draws have to move."""

    mean: Array
    factor: Array

    @classmethod
    def of(cls, points: Array) -> _Normal:
        covariance = np.atleast_2d(np.cov(points.T))
        covariance[np.diag_indices(len(covariance))] += 1e-10 + 1e-6 * np.diag(covariance)
        return cls(points.mean(axis=0), np.linalg.cholesky(covariance))

    def log_density(self, points: Array) -> Array:
        """Up to a constant."""
        from scipy.linalg import solve_triangular

        return -0.5 * (solve_triangular(self.factor, (points - self.mean).T, lower=True) ** 2).sum(axis=0)


def tempered_into(old: Mixture, new: Table, scaling: Scaling, rng: np.random.Generator) -> Tempered:
    """Draws of the posterior given old and new rows.

    Parameters
    ----------
    old : Mixture
        One leading axis of S aligned draws, in the units of the data.
    new : Table
    scaling : Scaling
        Of the old rows.
    rng : numpy.random.Generator
    """
    target = Target(new, old.structure, old.n_components, Priors(), scaling)
    # The prior alone does not depend on the rows: two of them are enough.
    two = replace(new, values=np.array(new.values[:2]), index=new.index[:2])
    without = replace(target, table=two).tempered(0.0)

    def log_likelihood(points: Array) -> Array:
        with np.errstate(all="ignore"):
            value = target.many(points) - without.many(points)
        return np.where(np.isfinite(value), value, -np.inf)

    standard = old.standardised(scaling)
    points = target.coordinates.unconstrain(standard.weights, standard.means, standard.dense_covariances)
    prior = _Normal.of(points)
    points = points[_systematic(np.full(len(points), 1.0 / len(points)), _PARTICLES, rng)]
    log_l, power, evidence, stages = log_likelihood(points), 0.0, 0.0, 0
    step = 2.38 / np.sqrt(points.shape[1])
    while power < 1.0:
        reached = _next_power(log_l, power)
        log_w = (reached - power) * log_l
        top = log_w.max()
        weight = np.exp(log_w - top)
        evidence += float(top + np.log(weight.mean()))
        chosen = _systematic(weight / weight.sum(), len(points), rng)
        points, log_l, power = points[chosen], log_l[chosen], reached
        points, log_l, step = _moved(points, log_l, power, prior, log_likelihood, step, rng)
        stages += 1
    draws = target.mixtures(points).in_data_units(scaling)
    return Tempered(draws, evidence + target.log_jacobian, stages)


def _systematic(weight: Array, n: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Systematic resampling: n indices, each as often as its weight says, to within one."""
    edges = np.cumsum(weight)
    at = (np.arange(n) + rng.uniform()) / n * edges[-1]
    return np.minimum(np.searchsorted(edges, at), len(weight) - 1)


def _next_power(log_l: Array, power: float) -> float:
    """The largest power at which the weights keep their share of the effective size, by bisection."""

    def share(to: float) -> float:
        log_w = (to - power) * log_l
        weight = np.exp(log_w - log_w.max())
        return float(weight.sum() ** 2 / (weight**2).sum() / len(weight))

    if share(1.0) >= _KEPT:
        return 1.0
    low, high = power, 1.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if share(middle) >= _KEPT else (low, middle)
    return max(low, np.nextafter(power, 1.0))


def _moved(points, log_l, power, prior, log_likelihood, step, rng):  # type: ignore[no-untyped-def]
    """Random-walk Metropolis from every particle (S, P), until they have moved as far as they are apart."""
    from_start = points
    spread = _Normal.of(points)
    variance = (spread.factor**2).sum()
    current = prior.log_density(points) + power * log_l
    for _ in range(_MOST_MOVES):
        proposed = points + step * rng.standard_normal(points.shape) @ spread.factor.T
        new_l = log_likelihood(proposed)
        value = prior.log_density(proposed) + power * new_l
        accepted = np.log(rng.uniform(size=len(points))) < value - current
        points = np.where(accepted[:, None], proposed, points)
        log_l, current = np.where(accepted, new_l, log_l), np.where(accepted, value, current)
        step *= float(np.exp(accepted.mean() - _ACCEPTANCE))
        if ((points - from_start) ** 2).sum(axis=1).mean() >= variance:
            break
    return points, log_l, step
