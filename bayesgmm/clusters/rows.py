"""Rows to score, and the draws to score them with, both on the standardised scale."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..data import rows_to_score
from ..mixture import Mixture
from ..sampling import Posterior, obs_labels

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ScoredRows", "nowhere_empty", "obs_index", "scored_rows", "training_rows"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ScoredRows:
    """Rows and mixtures on the standardised scale, where no digits are lost to the units of the data.

    Attributes
    ----------
    draws : Mixture
        One leading axis of S draws.
    em : Mixture
        Single.
    values : (N, D)
    obs_id : (N,)
    log_jacobian : float or (N,)
        Of each row: what its log density has more in data units.
    """

    draws: Mixture
    em: Mixture
    values: Array
    obs_id: NDArray[Any]
    log_jacobian: float | Array

    @property
    def n_draws(self) -> int:
        return len(self.draws.weights)

    @property
    def n_components(self) -> int:
        return self.draws.n_components


def training_rows(view: Posterior) -> ScoredRows:
    """The rows that the posterior was sampled from."""
    return _scored(view, view.values, view.obs_id)


def scored_rows(view: Posterior, new_data: Any, missing: str = "error") -> ScoredRows:
    """The rows of ``new_data``, or those that the posterior was sampled from if it is None."""
    if new_data is None:
        return training_rows(view)
    values, index = rows_to_score(new_data, view.columns, missing)
    return _scored(view, values, obs_labels(index))


def _scored(view: Posterior, values: Array, obs_id: NDArray[Any]) -> ScoredRows:
    scaling = view.scaling
    return ScoredRows(
        view.draws.standardised(scaling),
        nowhere_empty(view.em).standardised(scaling),
        scaling.standardise(values),
        obs_id,
        scaling.log_jacobians(values) if np.isnan(values).any() else scaling.log_jacobian,
    )


def nowhere_empty(mixture: Mixture) -> Mixture:
    """The mixture with a positive weight for components that EM has emptied: their logarithm must be finite."""
    return replace(mixture, weights=np.maximum(mixture.weights, np.finfo(float).tiny))


def obs_index(obs_id: NDArray[Any]) -> pd.Index:
    """Row labels as an index of results."""
    import pandas as pd

    return pd.Index(obs_id, name="obs_id")
