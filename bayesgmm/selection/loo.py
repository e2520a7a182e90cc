"""Leave-one-out predictive densities of a sampled mixture, in blocks of rows, with the difficult rows refitted.

PSIS-LOO (Vehtari, Gelman & Gabry 2017) where its diagnostic allows. A row with Pareto k > 0.7 is left out in earnest
(`refit.Refit`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from ..mixture import draw_responsibilities
from ..sampling import Posterior
from .psis import psis_loo
from .refit import Refit, Told

__all__ = ["Loo", "leave_one_out", "of_chains"]

Array = NDArray[np.float64]
MAX_K = 0.7
# Rows refitted at most, worst first, and rows of data beyond which a refit costs too much.
MAX_REFITS = 40
MAX_ROWS_TO_REFIT = 20_000
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


def leave_one_out(
    view: Posterior, *, refit: bool = True, elsewhere: bool = True, random_seed: int = 0, told: Told | None = None
) -> Loo:
    """PSIS-LOO in blocks of rows.

    Parameters
    ----------
    view : Posterior
    refit : bool
        Whether rows with k > 0.7 are left out in earnest: the 40 worst, and none beyond 20,000 rows.
    elsewhere : bool
        Whether, for those, modes that no draw has reached are looked for.
    random_seed : int
    told : function of two int, optional
        Called before each row that is refitted with the number of those done and their total.

    Raises
    ------
    InputError
        If rows are to be refitted and the posterior has no unconstrained draws.
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
    if refit and n_rows <= MAX_ROWS_TO_REFIT:
        view.sampled_target()
        worst = np.argsort(-np.where(np.isnan(shape), np.inf, shape), kind="stable")[:MAX_REFITS]
        high = np.sort(worst[~(shape[worst] <= MAX_K)])
        densities = Refit(view, random_seed, elsewhere).without(high, told)
        done = np.isfinite(densities)
        refitted = high[done]
        elpd[refitted] = densities[done]
    return Loo(elpd, float(weight @ (lppd - elpd)), shape, refitted, reff, weight)
