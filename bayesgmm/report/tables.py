"""Tables as the page shows them: a caption, typed columns, cells that know how to be sorted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from .numbers import MISSING, significant

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Cell", "Column", "TableView", "frame_table"]


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes
    ----------
    text : str
    detail : str
        Shown smaller, below the text: an interval, say.
    sort : float or str, optional
        What to sort by where the text does not do.
    badge : bool
        Show the text as a verdict.
    """

    text: str
    detail: str = ""
    sort: float | str | None = None
    badge: bool = False


@dataclass(frozen=True)
class Column:
    """Head of a column: its name, whether it holds numbers, and what it means where the name does not say."""

    name: str
    numeric: bool = True
    help: str = ""

    @classmethod
    def text(cls, name: str) -> Column:
        """A column of words."""
        return cls(name, numeric=False)


@dataclass(frozen=True)
class TableView:
    """A table.

    Attributes
    ----------
    name : str
        Id on the page.
    caption : str
        What it shows, with the kind and mass of its intervals.
    columns : tuple of Column
        The first column names the row.
    rows : tuple of tuples of Cell
    marked : frozenset of int
        Rows set off: the best by a criterion, the headline model.
    note : str
    searchable : bool
        Sortable by its heads, with a search box.
    """

    name: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    marked: frozenset[int] = field(default_factory=frozenset)
    note: str = ""
    searchable: bool = False

    @classmethod
    def of(
        cls, name: str, caption: str, columns: Sequence[Column | str], rows: Iterable[Iterable[Any]], **options: Any
    ) -> TableView:
        """From names and plain values; text stays text, everything is escaped when rendered."""
        heads = tuple(c if isinstance(c, Column) else Column(c) for c in columns)
        body = tuple(tuple(c if isinstance(c, Cell) else Cell(str(c)) for c in row) for row in rows)
        for row in body:
            if len(row) != len(heads):
                raise ValueError(f"a row of table {name!r} has {len(row)} cells for {len(heads)} columns")
        return cls(name, caption, heads, body, **options)


def frame_table(name: str, caption: str, frame: pd.DataFrame, heads: dict[str, str] | None = None) -> TableView:
    """Any table of results, its index first where that has a name or labels."""
    if frame.index.name is not None or frame.index.dtype.kind not in "iu":
        frame = frame.rename_axis(frame.index.name or "").reset_index()
    heads = heads or {}
    columns = [
        Column(heads.get(str(c), str(c).replace("_", " ")), numeric=frame[c].dtype.kind in "iuf") for c in frame.columns
    ]
    return TableView.of(name, caption, columns, [[_any_cell(v) for v in row] for row in frame.itertuples(index=False)])


def _any_cell(value: Any) -> Cell:
    if isinstance(value, bool | np.bool_):
        return Cell("yes" if value else "no")
    if isinstance(value, int | np.integer):
        return Cell(str(value), sort=int(value))
    if isinstance(value, float | np.floating):
        return Cell(MISSING if np.isnan(value) else significant(value, 4), sort=float(value))
    return Cell(str(value))
