"""Outside variables: what was measured of the rows and is no part of the mixture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..data import InputError, as_pandas

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Variable", "covariates_of", "variables_of"]

Array = NDArray[np.float64]
# A column of more different texts names rows rather than kinds of them.
_MOST_LEVELS = 50


@dataclass(frozen=True)
class Variable:
    """One outside variable of the N rows.

    Attributes
    ----------
    name : str
    values : (N,)
        Numbers, or the position of each row's level; what is missing is not looked at.
    observed : (N,)
    levels : tuple of str, or None
        Of a category; None for a number.
    """

    name: str
    values: Array
    observed: NDArray[np.bool_]
    levels: tuple[str, ...] | None


def variables_of(y: Any, obs_id: NDArray[Any], categorical: Sequence[str] = ()) -> list[Variable]:
    """Read outside variables, row by row of the posterior.

    Parameters
    ----------
    y : Series, frame, dict or array, (N,) or (N, Q)
        A pandas object whose row labels hold all of ``obs_id`` is matched by them (it may have further rows, and another
        order); anything else by position.
    obs_id : (N,)
    categorical : sequence of str
        Numeric columns that are categories. Texts, booleans and columns of zeros and ones are.

    Raises
    ------
    InputError
        The rows do not match, or a column is not fit for use.
    """
    frame = _matched(y, obs_id, "y")
    unknown = [name for name in categorical if name not in frame.columns]
    if unknown:
        raise InputError(f"categorical names {unknown[0]!r}, and y has {', '.join(map(str, frame.columns))}")
    return [_variable(frame[name], str(name), name in categorical) for name in frame.columns]


def covariates_of(covariates: Any, obs_id: NDArray[Any]) -> tuple[Array, tuple[str, ...]]:
    """Columns of numbers (N, P), missing values as NaN, and their names; texts become indicators of all but their first level.

    Raises
    ------
    InputError
        As `variables_of`.
    """
    columns, names = [], []
    frame = _matched(covariates, obs_id, "covariates")
    for variable in (_variable(frame[name], str(name), False, switches=False) for name in frame.columns):
        if variable.levels is None:
            columns.append(variable.values)
            names.append(variable.name)
            continue
        for at, level in enumerate(variable.levels[1:], 1):
            columns.append(np.where(variable.observed, variable.values == at, np.nan))
            names.append(f"{variable.name} = {level}")
    if not columns:
        raise InputError("covariates have one level each and explain nothing; leave them out")
    return np.column_stack(columns), tuple(names)


def _matched(data: Any, obs_id: NDArray[Any], what: str) -> pd.DataFrame:
    import pandas as pd

    frame = as_pandas(data)
    if frame.shape[1] == 0:
        raise InputError(f"{what} has no column; give at least one outside variable")
    twice = frame.columns[frame.columns.duplicated()]
    if len(twice):
        raise InputError(f"{what} has two columns named {twice[0]!r}; rename one")
    labels = pd.Index(obs_id)
    if isinstance(data, pd.Series | pd.DataFrame) and frame.index.is_unique and labels.isin(frame.index).all():
        return frame.loc[labels]
    if len(frame) != len(labels):
        raise InputError(
            f"{what} has {len(frame)} rows and the posterior {len(labels)}; give a value for each, or a pandas object whose "
            "row labels hold those of the posterior"
        )
    return frame


def _variable(column: pd.Series, name: str, categorical: bool, switches: bool = True) -> Variable:
    """One column; with ``switches`` one of zeros and ones is a category."""
    import pandas as pd

    observed = column.notna().to_numpy()
    if not observed.any():
        raise InputError(f"y: column {name!r} has no value; leave it out")
    numeric = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    if numeric:
        values = column.to_numpy(dtype=float, na_value=np.nan)
        if np.isinf(values[observed]).any():
            raise InputError(f"y: column {name!r} has an infinite value; replace it, or leave it missing")
        if not categorical and not (switches and np.isin(values[observed], (0.0, 1.0)).all()):
            return Variable(name, np.where(observed, values, 0.0), observed, None)
    elif pd.api.types.is_datetime64_any_dtype(column):
        raise InputError(f"y: column {name!r} holds dates; count days from a day of your choice, or leave it out")
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.cat.remove_unused_categories()
    codes, levels = pd.factorize(column, sort=True)
    if len(levels) > _MOST_LEVELS:
        raise InputError(
            f"y: column {name!r} has {len(levels)} different values; give categories, at most {_MOST_LEVELS}"
        )
    said = tuple(f"{level:g}" if numeric else str(level) for level in levels)
    return Variable(name, np.maximum(codes, 0).astype(float), observed, said)
