"""A checked table of numbers: the form in which data enters both paths.

Everything behind :func:`as_table` may rely on finite float64 values (nan where a value is missing, and only where that
was asked for), at least two rows, no constant column, no row without a value,
unique column names and unique row labels; everything that users pass is brought to that form, or refused,
here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesgmm.data.arguments import check_choice
from bayesgmm.data.errors import InputError
from bayesgmm.data.frames import (
    as_pandas,
    check_complete,
    check_finite,
    check_numeric,
    check_range,
    check_seen,
    check_varied,
    listed,
    numbers,
    requested,
    row_labels,
    unique_names,
    unmasked,
)

if TYPE_CHECKING:
    import pandas as pd

    from bayesgmm.data.account import Account

__all__ = ["MISSING", "Table", "as_table", "rows_to_score"]

# What may become of rows with missing values.
MISSING = ("error", "drop", "marginalise")


@dataclass(frozen=True, eq=False, repr=False)
class Table:
    """Finite numbers with their column names and row labels. Made by :func:`as_table`.

    Attributes
    ----------
    values : ndarray (N, D)
        float64, C-contiguous, read-only, and the table's own: later changes to the data it was made from do
        not reach it.
    columns : tuple of str, length D
        Unique column names.
    index : pandas.Index, length N
        Unique row labels, named ``obs_id``: the labels of the data where they can serve, otherwise 0 .. N-1.
    name : str
        What reports call the data.
    kept : ndarray of bool, or None
        For each row of the data that the table was made from, whether it is a row of the table; None where all are.
    account : Account or None
        What reading a file found and decided.
    carried : DataFrame (N, any) or None
        Columns that are not fitted and go with the rows into tables of results.
    """

    values: np.ndarray
    columns: tuple[str, ...]
    index: pd.Index
    name: str = "data"
    kept: np.ndarray | None = None
    account: Account | None = None
    carried: pd.DataFrame | None = None

    def __post_init__(self) -> None:
        if self.values.shape != (len(self.index), len(self.columns)):
            raise ValueError(
                f"values of shape {self.values.shape} do not match {len(self.index)} row labels and "
                f"{len(self.columns)} column names"
            )
        self.values.flags.writeable = False

    @property
    def n_obs(self) -> int:
        """Number of rows N."""
        return len(self.index)

    @property
    def n_features(self) -> int:
        """Number of columns D."""
        return len(self.columns)

    @cached_property
    def is_complete(self) -> bool:
        """Whether no value is missing."""
        return not np.isnan(self.values).any()

    @property
    def n_incomplete(self) -> int:
        """Number of rows with a missing value."""
        return int(np.isnan(self.values).any(axis=1).sum())

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256, in hexadecimal, of shape, column names and values; row labels and name do not enter."""
        digest = hashlib.sha256(json.dumps([self.values.shape, self.columns]).encode())
        digest.update(self.values.astype("<f8", copy=False).data)
        return digest.hexdigest()

    def of_kept(self, per_row: Any) -> Any:
        """What was given for each row of the data, such as weights, for the rows kept; None stays None.

        What has another length than the data is left as it is, for the check that names it.
        """
        if per_row is None or self.kept is None or np.shape(per_row)[:1] != self.kept.shape:
            return per_row
        return unmasked(per_row)[self.kept]

    def without(self, rows: np.ndarray) -> Table:
        """The rows that are not in a mask (N,), with their labels and what goes with them."""
        kept = np.ones(self.n_obs, dtype=bool) if self.kept is None else self.kept.copy()
        kept[kept] = ~rows
        values = np.ascontiguousarray(self.values[~rows])
        carried = None if self.carried is None else self.carried.loc[~rows]
        return replace(self, values=values, index=self.index[~rows], kept=kept, carried=carried)

    def select(self, columns: str | Iterable[object]) -> Table:
        """Return the table of the named columns, in the order given."""
        chosen = requested(columns, self.columns)
        positions = [self.columns.index(column) for column in chosen]
        return replace(self, values=np.ascontiguousarray(self.values[:, positions]), columns=tuple(chosen))

    def __repr__(self) -> str:
        return f"<Table {self.name!r}: {self.n_obs} rows, {self.n_features} columns ({listed(self.columns)})>"


def as_table(
    data: Any, columns: str | Iterable[object] | None = None, name: str | None = None, *, missing: str = "error"
) -> Table:
    """Check data and bring it to the one form that the rest of the library works on.

    Parameters
    ----------
    data : Table, array-like (N,) or (N, D), Series or data frame
        NumPy arrays and what converts to them, pandas, and whatever narwhals reads (polars, pyarrow, ...).
        The columns of an array are called x0, x1, ...
    columns : str or iterable of column names, optional
        The columns to use, in this order; all of them by default. Names that are not strings are compared as
        such.
    name : str, optional
        What reports call the data; by default the name of the table given, or "data".
    missing : {"error", "drop", "marginalise"}
        What becomes of rows without a value in one of the columns: refused, left out, or kept for what they have. A `Table`
        made by "marginalise" needs no such word again.

    Returns
    -------
    Table
        Row labels are those of a pandas index where they are unique and not missing, and 0 .. N-1 otherwise.
        Labels other than numbers, dates and strings (tuples of a MultiIndex, say) become strings.

    Raises
    ------
    InputError
        The data has no numeric column, or a column asked for is unknown, not numeric, complex or constant, or
        has missing or infinite values, or there are fewer than two rows, or two columns have one name. By "marginalise", a
        row has no value at all.
    """
    check_choice("missing", missing, MISSING)
    if isinstance(data, Table):
        table = data if columns is None else data.select(columns)
        if missing == "drop" and not table.is_complete:
            table = table.without(np.isnan(table.values).any(axis=1))
        return table if name is None else replace(table, name=name)

    frame = as_pandas(data)
    names = unique_names(frame)
    if not names:
        raise InputError("the data is empty: it has no columns; pass a table with at least one column of numbers")
    if len(frame) < 2:
        size = "is empty: it has no rows" if len(frame) == 0 else "has one row only"
        raise InputError(f"the data {size}; a mixture needs at least two rows")
    frame = frame.set_axis(names, axis="columns")
    # Only the columns asked for have to be fit for use; the others are looked at for a helpful message alone.
    check_numeric(frame, names if columns is None else requested(columns, names))
    chosen = frame if columns is None else frame[requested(columns, names)]
    values = numbers(chosen)
    kept = None
    if missing == "drop" and np.isnan(values).any():
        kept = ~np.isnan(values).any(axis=1)
        check_complete(values, chosen, kept)
        values, chosen = values[kept], chosen.iloc[kept]
    check_finite(values, chosen, allowed=missing == "marginalise")
    if missing == "marginalise":
        check_seen(values, chosen)
    check_varied(values, chosen)
    check_range(values, chosen)
    name = "data" if name is None else str(name)
    return Table(values, tuple(chosen.columns), row_labels(chosen.index), name, kept)


def rows_to_score(data: Any, columns: tuple[str, ...], missing: str = "error") -> tuple[np.ndarray, pd.Index]:
    """Check data that a fitted model is to score: there may be one row only, and columns may be constant.

    Parameters
    ----------
    data : as for :func:`as_table`
    columns : tuple of str, length D
        What the model was fitted to. Columns are found by name where the data has all of them, and taken in order where
        it has none of them and as many.
    missing : {"error", "marginalise"}
        What becomes of rows with a missing value: refused, or scored by what they have.

    Returns
    -------
    values : ndarray (N, D)
        float64, C-contiguous, columns in the order of ``columns``.
    index : pandas.Index, length N
        Row labels, as :func:`as_table` makes them.

    Raises
    ------
    InputError
        Columns are missing or not numeric, values missing or infinite, or there are no rows.
    """
    frame = as_pandas(data)
    names = unique_names(frame)
    frame = frame.set_axis(names, axis="columns")
    present = [name for name in columns if name in names]
    # The columns of an array have no names of their own: they are found by their order, and there have to be as many.
    unnamed = isinstance(data, np.ndarray | list | tuple) and len(names) != len(columns)
    if len(present) == len(columns) and not unnamed:
        frame = frame[list(columns)]
    elif present or unnamed or len(names) != len(columns):
        lacking = next((name for name in columns if name not in names), None)
        which = "" if lacking is None else f" and none is named {lacking!r}"
        raise InputError(
            f"new_data has {len(names)} columns{which}; give the columns "
            f"{', '.join(columns)} that the posterior was sampled from"
        )
    else:
        frame = frame.set_axis(list(columns), axis="columns")
    if not len(frame):
        raise InputError("new_data has no rows; give at least one")
    check_numeric(frame, list(columns))
    values = numbers(frame)
    check_finite(values, frame, " of new_data", needed=True, allowed=missing == "marginalise")
    if missing == "marginalise":
        check_seen(values, frame)
    return values, row_labels(frame.index)
