"""Models that were not sampled: what they could hold at most, by their Laplace approximations.

The Laplace approximation of a mixture's evidence at the posterior's modes near EM's optima,

    log Z ~ log p(y, u*) + P/2 log 2 pi + log det M + log K!,    M M' the inverse of the negative Hessian at u*,

costs a hundredth of sampling the model. It errs on one side: where components overlap, or a mode was missed, the evidence is
larger, by up to some nats as K grows. How much, the sampled models tell: the largest excess of their evidence over their own
Laplace approximation, and one nat, is added to every model that was not sampled. For tables so large that curvatures take
minutes BIC stands in, which knows no prior, with two nats for each parameter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import log, pi
from typing import TYPE_CHECKING

import numpy as np

from ..data import InputError
from ..em import Grid
from ..posterior import Priors, Target
from ..sampling import prepare

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from ..data import Table

__all__ = ["Screen", "screened"]

Cell = tuple[int, str]
# Optima of EM near which modes are looked for, and rows times coordinates beyond which curvatures take minutes.
_OPTIMA = 2
_MOST_WORK = 5_000_000
# Nats added to each bound besides the largest excess seen.
_MARGIN = 1.0
_NATS_PER_PARAMETER = 2.0


@dataclass(frozen=True)
class Screen:
    """Log evidences by approximation, of all models of a grid.

    Attributes
    ----------
    laplace : dict of (n_components, covariance_type) to float
        Minus infinity where the posterior has no density near EM's optima.
    """

    laplace: dict[Cell, float]

    def without(self, cells: Iterable[Cell]) -> Screen:
        """The same for fewer models."""
        gone = set(cells)
        return Screen({cell: value for cell, value in self.laplace.items() if cell not in gone})

    def bounds(self, sampled: Mapping[Cell, float]) -> dict[Cell, float]:
        """Upper bounds of the log evidences of the models that were not sampled, from those (not NaN) that were."""
        own = [sampled[cell] - value for cell, value in self.laplace.items() if np.isfinite(sampled.get(cell, np.nan))]
        excess = max([0.0, *own]) + _MARGIN
        return {cell: value + excess for cell, value in self.laplace.items() if cell not in sampled}


def screened(
    table: Table, grid: Grid, priors: Priors, sample_weight: ArrayLike | None = None, only: Iterable[Cell] | None = None
) -> Screen:
    """Approximate the log evidence of the models of a grid, or of some of them.

    Parameters
    ----------
    table : Table
        The data that the grid was fitted to.
    grid : Grid
    priors : Priors
    sample_weight : (N,), optional
    only : iterable of (n_components, covariance_type), optional
    """
    cells = list(grid.fits) if only is None else list(only)
    return Screen({cell: _approximated(table, grid, cell, priors, sample_weight) for cell in cells})


def _approximated(table: Table, grid: Grid, cell: Cell, priors: Priors, weight: ArrayLike | None) -> float:
    fit = grid.fits[cell]
    if table.n_obs * fit.n_parameters > _MOST_WORK:
        return -fit.bic / 2 + _NATS_PER_PARAMETER * fit.n_parameters
    target = Target.of(table, *cell, priors, weight)
    few = replace(fit, optima=fit.optima[:_OPTIMA])
    try:
        prepared = prepare(target, few, np.random.default_rng(0), further=False)
    except InputError:
        # The priors leave EM's optima no density: chains would find no place to start from either.
        return -np.inf
    masses = [m.value + float(np.log(np.diag(m.spread)).sum()) for m in prepared.modes]
    constant = 0.5 * target.size * log(2 * pi) + target.log_labelings + target.log_jacobian
    return float(np.logaddexp.reduce(masses)) + constant
