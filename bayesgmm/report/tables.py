"""Tables as the page shows them: a caption, typed columns, cells that know how to be sorted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Cell", "Column", "TableView"]


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
