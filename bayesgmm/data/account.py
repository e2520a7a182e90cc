"""What was read, told before anything is fitted: rows, columns, types, what is missing, what was left out and why."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Account", "ColumnAccount", "type_in_words"]


@dataclass(frozen=True)
class ColumnAccount:
    """A column of what was read.

    Attributes
    ----------
    name : str
    kind : str
        Type in words.
    missing : int
        Number of rows without a value, among those that the condition chose.
    use : str
        "fitted", "row names", "carried along", or "left out" and why.
    remark : str
        What its values are like, where that matters: whole numbers, heaped.
    """

    name: str
    kind: str
    missing: int
    use: str
    remark: str = ""


@dataclass(frozen=True)
class Account:
    """An account of reading a table.

    Attributes
    ----------
    source : str
    rows_read, rows_used : int
    columns : tuple of ColumnAccount
    notes : tuple of str
        What was found out about the file, and which rows were left out.
    """

    source: str
    rows_read: int
    rows_used: int
    columns: tuple[ColumnAccount, ...]
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @property
    def sentences(self) -> tuple[str, ...]:
        """What was decided while reading, one fact each; empty for a table that was taken as it is."""
        out = tuple(f"{column.name}: {column.use}" for column in self.columns if column.use.startswith("left out"))
        remarks = tuple(f"{column.name}: {column.remark}" for column in self.columns if column.remark)
        return (*self.notes, *out, *remarks)


def type_in_words(column: pd.Series) -> str:
    """The type of a column, as people call it."""
    from pandas.api import types

    dtype = column.dtype
    if types.is_bool_dtype(dtype):
        return "yes or no"
    if types.is_integer_dtype(dtype):
        return "whole numbers"
    if types.is_numeric_dtype(dtype):
        return "numbers"
    if types.is_datetime64_any_dtype(dtype):
        return "dates"
    return "text" if all(isinstance(value, str) for value in column.dropna()) else "mixed"
