"""Chains that have settled in different modes: which ones, and what weight each deserves.

Chains that never exchange places do not carry the masses of their modes in their number. Following Yao, Vehtari & Gelman (2022,
Stacking for non-mixing Bayesian computations) the modes are weighted by stacking: so that the leave-one-out predictive
density of their mixture is largest. These are predictive weights, not posterior probabilities of the modes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..checks import APART_R_HAT, label_free
from ..sampling import Posterior
from .loo import Loo, leave_one_out, of_chains
from .stacking import log_mixture, stacking_weights

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["Modes", "grouped_chains", "separate_modes"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class Modes:
    """Groups of chains that each stay in a mode of their own, heaviest first.

    Attributes
    ----------
    chains : tuple of tuples of int
    weights : (M,)
        Stacking weights.
    loo : tuple of Loo
    table : DataFrame
        One row per mode: chains, stacking weight, elpd, mean log likelihood, weights and means of the components.
    """

    chains: tuple[tuple[int, ...], ...]
    weights: Array
    loo: tuple[Loo, ...]
    table: pd.DataFrame

    @property
    def elpd_rows(self) -> Array:
        """Log leave-one-out density of each row (N,) under the stacked mixture of the modes."""
        return log_mixture(np.stack([m.elpd_rows for m in self.loo], axis=1), self.weights)

    def __repr__(self) -> str:
        return f"{len(self.chains)} modes, weighted by stacking\n\n{self.table.round(3).to_string()}"

    def _repr_html_(self) -> str:
        return f"<p>{len(self.chains)} modes, weighted by stacking</p>{self.table.round(3).to_html()}"


def separate_modes(post: xr.DataTree, *, refit: bool = True, random_seed: int = 0) -> Modes:
    """Group the chains by the mode they have settled in, and weight the modes by stacking.

    Parameters
    ----------
    post : DataTree
    refit : bool
        Refit rows with Pareto k > 0.7.

    Returns
    -------
    Modes
        With a single mode of weight one where the chains agree.
    """
    view = Posterior.read(post)
    quantities = label_free(view)
    groups = grouped_chains(view, quantities)
    views = [of_chains(view, group) for group in groups]
    loos = [leave_one_out(v, refit=refit, elsewhere=False, random_seed=random_seed) for v in views]
    weights = stacking_weights(np.stack([m.elpd_rows for m in loos], axis=1), view.sample_weight)
    order = np.argsort(-weights, kind="stable")
    log_likelihood = quantities["log likelihood"].reshape(view.n_chains, view.n_draws)
    means = [float(log_likelihood[group].mean()) for group in groups]
    return Modes(
        tuple(tuple(groups[m]) for m in order),
        weights[order],
        tuple(loos[m] for m in order),
        _table([(groups[m], float(weights[m]), loos[m], means[m], views[m]) for m in order]),
    )


def grouped_chains(view: Posterior, quantities: dict[str, Array] | None = None) -> list[list[int]]:
    """The chains by the mode they have settled in, told apart by label-free quantities."""
    quantities = label_free(view) if quantities is None else quantities
    return _grouped(np.stack(list(quantities.values())).reshape(-1, view.n_chains, view.n_draws))


def _grouped(quantities: Array) -> list[list[int]]:
    """Chains in groups: two chains go together if no quantity (Q, chain, draw) tells them apart."""
    from arviz_stats.base import array_stats

    n_chains = quantities.shape[1]
    varies = np.ptp(quantities, axis=(1, 2)) > 0
    label = list(range(n_chains))
    for a in range(n_chains):
        for b in range(a):
            with np.errstate(divide="ignore", invalid="ignore"):
                worst = np.max(array_stats.rhat(quantities[varies][:, [a, b]])) if varies.any() else 1.0
            if worst < APART_R_HAT:
                label = [label[b] if own == label[a] else own for own in label]
    return [[c for c in range(n_chains) if label[c] == own] for own in dict.fromkeys(label)]


def _table(modes: list[tuple[list[int], float, Loo, float, Posterior]]) -> pd.DataFrame:
    import pandas as pd

    rows = []
    for chains, weight, loo, log_likelihood, view in modes:
        row = {
            "chains": ", ".join(map(str, chains)),
            "stacking_weight": weight,
            "elpd": loo.elpd,
            "log_likelihood": log_likelihood,
        }
        for k in range(view.n_components):
            row[f"weight[{k}]"] = float(view.draws.weights[:, k].mean())
            for i, column in enumerate(view.columns):
                row[f"mean[{k}, {column}]"] = float(view.draws.means[:, k, i].mean())
        rows.append(row)
    return pd.DataFrame(rows, index=pd.RangeIndex(len(rows), name="mode"))
