"""Leave-one-out predictive densities of a sampled mixture, in blocks of rows, with the difficult rows refitted.

PSIS-LOO (Vehtari, Gelman & Gabry 2017) where its diagnostic allows. A row with Pareto k > 0.7 is refitted: the draws are
annealed to the posterior without that row by sequential Monte Carlo (`smc.anneal`), whose normalising ratio is that row's
density. Unlike moment matching this does not suppose that one affine map brings one posterior to the other, which fails where
the row left out decides whether a component exists.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from ..mixture import draw_responsibilities
from ..posterior import Target
from ..sampling import Posterior, pointwise_log_likelihood
from .psis import psis_loo
from .smc import anneal
from .smc_moves import move_components, move_hamiltonian

__all__ = ["Loo", "leave_one_out", "of_chains"]

Array = NDArray[np.float64]
MAX_K = 0.7
# Rows refitted at most, worst first, and rows of data beyond which a refit costs too much.
MAX_REFITS = 40
MAX_ROWS_TO_REFIT = 20_000
_PARTICLES = 1000
_ROWS_FOR_REFF = 50
_BLOCK_BYTES = 2**26


@dataclass(frozen=True, eq=False)
class Loo:
    """Leave-one-out results.

    A row of case weight w counts w times, and one of its copies is left out (all of it, where w is below one).

    Attributes
    ----------
    elpd_rows : (N,)
        Log predictive density of each row from the others, of the data as given.
    p_loo : float
        Effective number of parameters.
    pareto_k : (N,)
        Before refitting.
    refitted : (R,) int
        Rows that were refitted.
    reff : float
    sample_weight : (N,)
    """

    elpd_rows: Array
    p_loo: float
    pareto_k: Array
    refitted: NDArray[np.intp]
    reff: float
    sample_weight: Array

    @property
    def elpd(self) -> float:
        return total(self.elpd_rows, self.sample_weight)[0]

    @property
    def se(self) -> float:
        return total(self.elpd_rows, self.sample_weight)[1]

    @property
    def n_high_k(self) -> int:
        """Rows with Pareto k above 0.7, refitted or not."""
        return int(np.sum(self.pareto_k > MAX_K))


def total(values: Array, sample_weight: Array) -> tuple[float, float]:
    """Sum over rows (N,) that count ``sample_weight`` (N,) times, and its standard error."""
    n = float(sample_weight.sum())
    mean = float(sample_weight @ values) / n
    return n * mean, sqrt(n * float(sample_weight @ (values - mean) ** 2) / max(n - 1, 1e-12))


def of_chains(view: Posterior, chains: list[int]) -> Posterior:
    """The view of some of the chains."""
    which = np.concatenate([np.arange(c * view.n_draws, (c + 1) * view.n_draws) for c in chains])
    return replace(view, draws=view.draws[which], unconstrained=view.unconstrained[which], n_chains=len(chains))


def relative_efficiency(view: Posterior) -> float:
    """Effective draws per draw, of the likelihood of evenly spaced rows: labels do not enter."""
    from arviz_stats.base import array_stats

    n = len(view.values)
    rows = view.values[np.linspace(0, n - 1, min(n, _ROWS_FOR_REFF)).astype(int)]
    shares = []
    for block in draw_responsibilities(view.draws, rows):
        likelihood = np.exp(block.log_density - block.log_density.max(0)).T
        ess = array_stats.ess(likelihood.reshape(-1, view.n_chains, view.n_draws), method="mean")
        shares.append(np.asarray(ess) / len(view.draws.weights))
    return float(np.clip(np.nanmean(np.concatenate(shares)), 1e-3, 1.0))


def leave_one_out(view: Posterior, target: Target | None, random_seed: int = 0) -> Loo:
    """PSIS-LOO in blocks of rows.

    Parameters
    ----------
    view : Posterior
    target : Target, optional
        What rows with k > 0.7 are refitted with; without it, or beyond 20,000 rows, none is.
    """
    n_rows = len(view.values)
    reff = relative_efficiency(view)
    elpd, lppd, shape = np.empty((3, n_rows))
    weight = view.sample_weight
    left_out = np.minimum(weight, 1.0)
    for block in draw_responsibilities(view.draws, view.values, _BLOCK_BYTES):
        own = block.rows
        elpd[own], lppd[own], shape[own] = psis_loo(block.log_density, reff, left_out[own])
    refitted = np.empty(0, dtype=np.intp)
    if target is not None and n_rows <= MAX_ROWS_TO_REFIT:
        worst = np.argsort(-np.where(np.isnan(shape), np.inf, shape), kind="stable")[:MAX_REFITS]
        refitted = np.sort(worst[~(shape[worst] <= MAX_K)])
        elpd[refitted] = _refit(target, view, refitted, random_seed)
    return Loo(elpd, float(weight @ (lppd - elpd)), shape, refitted, reff, weight)


def _refit(target: Target, view: Posterior, rows: NDArray[np.intp], random_seed: int) -> Array:
    """Log densities (R,) of rows under the posterior without each, of the data as given."""
    if not rows.size:
        return np.empty(0)
    points = view.unconstrained[:: max(1, len(view.unconstrained) // _PARTICLES)][:_PARTICLES]
    if target.n_components > 1:
        points = target.coordinates.permuted(points, target.labels(points, view.em.standardised(view.scaling)))
    size = points.shape[1]
    spread = np.linalg.cholesky(np.atleast_2d(np.cov(points.T)) + 1e-10 * np.eye(size))
    step = 1.2 * size**-0.25

    def move(target: Target, cloud: Array, rng: np.random.Generator) -> float:
        acceptance = move_hamiltonian(target, cloud, spread, step, 4, 2, rng)
        move_components(target, cloud, 1, rng)
        return acceptance

    start = target.filled_weight
    jacobian = view.scaling.log_jacobian
    densities = []
    for row in rows:
        stop = start.copy()
        stop[row] = max(start[row] - 1.0, 0.0)
        rng = np.random.default_rng([random_seed, int(row)])
        without = anneal(target, points, start, stop, move, rng)
        if start[row] >= 1.0:
            densities.append(jacobian - without.log_ratio)
        else:
            own = pointwise_log_likelihood(target.mixtures(without.points), target.values[[row]])[:, 0]
            densities.append(jacobian + float(logsumexp(own)) - np.log(len(own)))
    return np.array(densities)
