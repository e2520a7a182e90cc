"""Rows to score, and the draws to score them with, both on the standardised scale."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..mixture import Mixture
from ..posterior.convert import PosteriorView, obs_labels
from ..tables import InputError

# A table to score may have one row or constant columns, which `as_table` rightly refuses to fit; all else is the same.
from ..tables.table import _as_pandas, _check_numeric, _numbers, _row_labels, _unique_names

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ScoredRows", "check_mass", "new_rows", "nowhere_empty", "obs_index", "scored_rows", "training_rows"]

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
    log_jacobian : float
        Of one row: what its log density has more in data units.
    """

    draws: Mixture
    em: Mixture
    values: Array
    obs_id: NDArray[Any]
    log_jacobian: float

    @property
    def n_draws(self) -> int:
        return len(self.draws.weights)

    @property
    def n_components(self) -> int:
        return self.draws.n_components


def training_rows(view: PosteriorView) -> ScoredRows:
    """The rows that the posterior was sampled from."""
    return _scored(view, view.values, view.obs_id)


def scored_rows(view: PosteriorView, new_data: Any) -> ScoredRows:
    """The rows of ``new_data``, or those that the posterior was sampled from if it is None."""
    return training_rows(view) if new_data is None else _scored(view, *new_rows(new_data, view.columns))


def _scored(view: PosteriorView, values: Array, obs_id: NDArray[Any]) -> ScoredRows:
    scaling = view.scaling
    return ScoredRows(
        view.draws.standardised(scaling),
        nowhere_empty(view.em).standardised(scaling),
        scaling.standardise(values),
        obs_id,
        scaling.log_jacobian,
    )


def new_rows(data: Any, columns: tuple[str, ...]) -> tuple[Array, NDArray[Any]]:
    """Check a table to be scored: values (N, D) in the order of ``columns``, and row labels (N,).

    Columns are found by name where the table has all of ``columns``, and taken in order where it has none of them and
    as many.

    Raises
    ------
    InputError
        Columns are missing or not numeric, values missing or infinite, or there are no rows.
    """
    frame = _as_pandas(data)
    names = _unique_names(frame)
    frame = frame.set_axis(names, axis="columns")
    present = [name for name in columns if name in names]
    if len(present) == len(columns):
        frame = frame[list(columns)]
    elif present or len(names) != len(columns):
        lacking = next(name for name in columns if name not in names)
        raise InputError(
            f"new_data has {len(names)} columns and none is named {lacking!r}; give the columns "
            f"{', '.join(columns)} that the posterior was sampled from"
        )
    else:
        frame = frame.set_axis(list(columns), axis="columns")
    if not len(frame):
        raise InputError("new_data has no rows; give at least one")
    _check_numeric(frame, list(columns))
    values = _numbers(frame)
    finite = np.isfinite(values)
    if not finite.all():
        i, j = (int(at[0]) for at in np.nonzero(~finite))
        raise InputError(
            f"column {columns[j]!r} of new_data has a missing or infinite value in row {i} (counted from 0); "
            "impute or drop that row"
        )
    return values, obs_labels(_row_labels(frame.index))


def nowhere_empty(mixture: Mixture) -> Mixture:
    """The mixture with a positive weight for components that EM has emptied: their logarithm must be finite."""
    return replace(mixture, weights=np.maximum(mixture.weights, np.finfo(float).tiny))


def obs_index(obs_id: NDArray[Any]) -> pd.Index:
    """Row labels as an index of results."""
    import pandas as pd

    return pd.Index(obs_id, name="obs_id")


def check_mass(ci_prob: float, name: str = "ci_prob") -> None:
    """Refuse a mass that is none.

    Raises
    ------
    InputError
    """
    if not 0 < ci_prob < 1:
        raise InputError(f"{name}={ci_prob!r} is not the mass of an interval; give a number between 0 and 1")
