"""A table from whatever a user names: a file of any common kind, a part of one, standard input, a bundled set."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.data.account import Account, ColumnAccount, type_in_words
from bayesgmm.data.datasets import bundled_names, default_columns, load_dataset
from bayesgmm.data.errors import InputError
from bayesgmm.data.formats import read_binary
from bayesgmm.data.frames import listed, requested, unique_names
from bayesgmm.data.numerals import read_numerals
from bayesgmm.data.roles import ask_about_labels, date_text, left_out, peculiarities
from bayesgmm.data.source import Source, find_source
from bayesgmm.data.table import Table, as_table
from bayesgmm.data.text import checked_decimal, read_text
from bayesgmm.data.where import rows_where

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["read_table"]

# What `carry` may be besides names.
_ALL = "all"


def read_table(
    source: str | Path,
    columns: str | Iterable[object] | None = None,
    *,
    encoding: str | None = None,
    separator: str | None = None,
    decimal: str | None = None,
    where: str | None = None,
    id: str | None = None,
    carry: str | Iterable[object] | None = None,
    missing: str = "error",
) -> Table:
    """Read a file, a part of one, or a bundled set.

    Parameters
    ----------
    source : str or Path
        - text with a header line (.csv, .tsv, .txt, .tab, .dat), separated by commas, semicolons, tabs, bars or blanks;
        - JSON lines (.jsonl, .ndjson, .json); both also packed: .gz, .bz2, .xz, .zip;
        - Parquet (.parquet, .pq), Feather or Arrow (.feather, .arrow);
        - Excel (.xlsx, .xls, .xlsb, .ods), of which ``DATA.xlsx::Sheet2`` names a sheet (needs ``bayesgmm[excel]``);
        - DuckDB (.duckdb; needs ``bayesgmm[duckdb]``) or SQLite (.sqlite, .db): ``DATA.duckdb::SELECT ...`` or ``::table``;
        - ``-``, standard input;
        - a name of :func:`list_datasets`.
    columns : str or iterable of column names, optional
        The columns to fit. By default the features of a bundled set, and of a file all columns but empty ones, dates and
        identifiers.
    encoding, separator, decimal : str, optional
        Of text; found where not given. ``separator`` is a character, or tab, blank, ...; ``decimal`` is "." or ",".
    where : str, optional
        Only rows that meet this condition, such as ``"age > 18"``; see :func:`bayesgmm.data.where.rows_where`.
    id : str, optional
        The column that names the rows.
    carry : "all" or iterable of column names, optional
        Columns that are not fitted and stand in ``memberships.csv`` beside the rows they belong to.
    missing : {"error", "drop", "marginalise"}
        What becomes of rows without a value in a column that is fitted: refused, left out, or kept for what they have.

    Returns
    -------
    Table
        Named after the file or the set; its ``account`` says what was read and what was left out. An unnamed first column,
        such as the row names that R writes, becomes the row labels where ``id`` names none.

    Raises
    ------
    InputError
        The file is missing, unreadable, empty or of another kind, or its columns are not fit for use (see
        :func:`as_table`); one line names the culprit and the remedy.
    """
    checked_decimal(decimal)
    features: tuple[str, ...] | None = None
    notes: list[str] = []
    refused: dict[str, str] = {}
    if isinstance(source, str) and source in bundled_names():
        frame, name, shown, features = load_dataset(source), source, source, default_columns(source)
    else:
        found = find_source(source)
        frame, notes, refused = _frame(found, encoding, separator, decimal)
        name, shown = found.name, found.shown
    frame = frame.set_axis(unique_names(frame), axis="columns")
    request = _Request(frame, shown, refused)
    rows_read = len(frame)
    kept = np.ones(rows_read, dtype=bool) if where is None else request.chosen(where)
    frame = request.named(id)[kept]
    carried = request.carried(carry, id)
    out, used = request.fitted(columns, features, id, carried)
    table = as_table(frame, used, name, missing=missing) if used is not None else as_table(frame, None, name)
    if where is not None:
        notes.append(f"{kept.sum():,} of {rows_read:,} rows meet {where}")
    if (dropped := len(frame) - table.n_obs) > 0:
        notes.append(f"{dropped:,} rows with missing values left out")
    if (lacking := table.n_incomplete) > 0:
        notes.append(f"{lacking:,} rows with missing values used for what they have")
    account = Account(
        shown, rows_read, table.n_obs, _columns(request.frame[kept], table, out, id, carried), tuple(notes)
    )
    beside = None
    if carried:
        rows = request.frame.loc[kept, carried]
        beside = (rows if table.kept is None else rows[table.kept]).set_axis(table.index)
    return replace(table, account=account, carried=beside)


def _frame(
    source: Source, encoding: str | None, separator: str | None, decimal: str | None
) -> tuple[pd.DataFrame, list[str], dict[str, str]]:
    """All columns, those written for people as numbers; notes; and columns that may not be used, with the reason."""
    if source.kind == "text":
        frame, notes, shows = read_text(source, encoding, separator, decimal)
    else:
        for option, value in (("encoding", encoding), ("separator", separator)):
            if value is not None:
                raise InputError(f"--{option} is for text, and {source.shown!r} is {source.kind}; leave it out")
        frame, notes = read_binary(source)
        shows = None
    if decimal is None and shows == ".":  # pandas' own, until a column shows one
        shows = "." if any(dtype.kind == "f" for dtype in frame.dtypes if hasattr(dtype, "kind")) else None
    numerals = read_numerals(frame, checked_decimal(decimal), shows)
    return frame, [*notes, *numerals.notes], numerals.refused


@dataclass
class _Request:
    """What is asked of the columns of a frame."""

    frame: pd.DataFrame
    shown: str
    refused: dict[str, str]

    def chosen(self, where: str) -> np.ndarray:
        """Rows (N,) that meet the condition."""
        kept = rows_where(self.frame, where)
        for name, why in self.refused.items():
            if name in where:
                raise InputError(why)
        if kept.sum() < 2:
            count = "no row meets" if not kept.any() else "one row only meets"
            raise InputError(f"--where {where!r}: {count} it; a mixture needs at least two rows")
        return kept

    def named(self, id: str | None) -> pd.DataFrame:
        """The frame with its rows named by a column."""
        if id is None:
            return self.frame
        (name,) = requested([id], list(self.frame.columns))
        column = self.frame[name]
        if column.isna().any():
            row = int(np.flatnonzero(column.isna())[0])
            raise InputError(f"--id {name}: row {row} (counted from 0) has no name; choose another column")
        if not column.is_unique:
            twice = column[column.duplicated()].iloc[0]
            first, second = np.flatnonzero((column == twice).to_numpy())[:2]
            raise InputError(
                f"--id {name}: rows {first} and {second} (counted from 0) are both named {twice!r}; choose a column whose "
                "values are all different"
            )
        return self.frame.set_index(name, drop=False)

    def carried(self, carry: str | Iterable[object] | None, id: str | None) -> list[str]:
        """The columns to carry along, "all" resolved."""
        if carry is None:
            return []
        available = [name for name in self.frame.columns if name != id]
        return available if carry == _ALL or list(carry) == [_ALL] else requested(carry, available)

    def fitted(
        self,
        columns: str | Iterable[object] | None,
        features: tuple[str, ...] | None,
        id: str | None,
        carried: list[str],
    ) -> tuple[dict[str, str], list[str] | None]:
        """Columns left out with the reason, and those to fit; None where none is left, for the error that says so."""
        names = list(self.frame.columns)
        if columns is not None:
            used = requested(columns, names)
            out = {name: "not asked for" for name in names if name not in used}
            date = next((name for name in used if date_text(self.frame[name])), None)
            if date is not None:
                raise InputError(
                    f"column {date!r} holds dates; a mixture needs numbers: count days from a day of your choice in a new "
                    "column, or leave it out"
                )
        elif features is not None:
            used, out = list(features), {name: "no feature of the set" for name in names if name not in features}
        else:
            out = left_out(self.frame.drop(columns=[id] if id in names else []))
            used = [name for name in names if name not in out and name != id]
            ask_about_labels(self.frame, used)
            if not used and not any(why != "empty" for why in out.values()):
                return out, None
        for name in used:
            if name in self.refused:
                raise InputError(self.refused[name])
        if not used:
            raise InputError(
                f"no numeric column among {listed(names)}: {_reasons(out)}; a Gaussian mixture needs at least one column of "
                "numbers, named with --columns"
            )
        return out, used


def _reasons(out: dict[str, str]) -> str:
    return ", ".join(f"{name!r} is left out ({why})" for name, why in list(out.items())[:5])


def _columns(
    frame: pd.DataFrame, table: Table, out: dict[str, str], id: str | None, carried: list[str]
) -> tuple[ColumnAccount, ...]:
    accounts = []
    for name in frame.columns:
        remark = None
        if name in table.columns:
            use = "fitted"
            remark = peculiarities(table.values[:, table.columns.index(name)])
        elif name == id:
            use = "row names"
        else:
            use = "carried along" if name in carried else f"left out: {out.get(name, 'not asked for')}"
        missing = int(frame[name].isna().sum())
        accounts.append(ColumnAccount(name, type_in_words(frame[name]), missing, use, remark or ""))
    return tuple(accounts)
