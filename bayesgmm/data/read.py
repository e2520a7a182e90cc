"""A table from a file, or from the name of a bundled set."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from bayesgmm.data.datasets import bundled_names, default_columns, load_dataset
from bayesgmm.data.errors import InputError
from bayesgmm.data.table import Table, as_table

if TYPE_CHECKING:
    import pandas as pd

_TEXT_SUFFIXES = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")
_PARQUET_SUFFIXES = (".parquet", ".pq")


def read_table(source: str | Path, columns: str | Iterable[object] | None = None) -> Table:
    """Read a CSV or Parquet file, or take a bundled set.

    Parameters
    ----------
    source : str or Path
        A text file with one header line (.csv, .tsv, .txt, each also with .gz; separated by commas,
        semicolons, tabs or blanks, whichever the header line shows), a Parquet file (.parquet, .pq), or a
        name of :func:`list_datasets`.
    columns : str or iterable of column names, optional
        The columns to use; by default all columns of a file and the features of a bundled set (iris without
        species).

    Returns
    -------
    Table
        Named after the file or the set. An unnamed first column, such as the row names that R writes, becomes
        the row labels.

    Raises
    ------
    InputError
        The file is missing, unreadable, empty or of another kind, or its columns are not fit for use (see
        :func:`as_table`).
    """
    if isinstance(source, str) and source in bundled_names():
        return as_table(load_dataset(source), default_columns(source) if columns is None else columns, source)
    path = Path(source)
    lower = path.name.lower()
    suffix = next((s for s in (*_TEXT_SUFFIXES, *_PARQUET_SUFFIXES) if lower.endswith(s)), None)
    if not path.exists():
        raise InputError(
            f"there is no file {str(source)!r}, nor a bundled set of that name; give a CSV or Parquet file "
            f"or one of {', '.join(bundled_names())}"
        )
    if path.is_dir():
        raise InputError(f"{str(source)!r} is a folder; give a CSV or Parquet file in it")
    if suffix is None:
        raise InputError(
            f"file {str(source)!r} is of no known kind; save it as CSV or Parquet with one of the endings "
            f"{', '.join((*_TEXT_SUFFIXES, *_PARQUET_SUFFIXES))}"
        )
    frame = _read_parquet(path) if suffix in _PARQUET_SUFFIXES else _read_text(path)
    return as_table(frame, columns, path.name[: -len(suffix)] or path.name)


def _read_parquet(path: Path) -> pd.DataFrame:
    import pandas as pd
    import pyarrow

    try:
        return pd.read_parquet(path, engine="pyarrow")
    except (pyarrow.ArrowException, OSError) as error:
        raise _unreadable(path, "Parquet", error) from None


def _read_text(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        header = _header_line(path)
        separator = next((mark for mark in "\t,;" if mark in header), None)
        names = header.split() if separator is None else next(csv.reader([header], delimiter=separator))
        _check_header(path, [name.strip() for name in names])
        frame = pd.read_csv(path, sep=separator or r"\s+", encoding="utf-8-sig", skipinitialspace=True)
    except (OSError, EOFError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise _unreadable(path, "UTF-8 text with one line per row", error) from None
    if frame.shape[1] > 1 and not names[0].strip():
        frame = frame.set_index(frame.columns[0])
    return frame


def _header_line(path: Path) -> str:
    """The first line that is not blank."""
    opener = gzip.open if path.suffix.lower() == ".gz" else open
    with opener(path, "rt", encoding="utf-8-sig", newline=None) as lines:
        line = next((line for line in lines if line.strip()), None)
    if line is None:
        raise InputError(f"file {str(path)!r} is empty; give a file with a header line and rows of numbers")
    return line.rstrip("\n")


def _check_header(path: Path, names: list[str]) -> None:
    """Refuse what pandas passes over in silence: two columns of one name, data in place of the header."""
    named = [name for name in names if name]
    twice = next((name for j, name in enumerate(named) if name in named[:j]), None)
    if all(_is_number(name) for name in named) and not _counts_up(named):
        raise InputError(
            f"the first line of {str(path)!r} holds numbers where column names should be; add a header line"
        )
    if twice is not None:
        raise InputError(f"two columns of {str(path)!r} are named {twice!r}; rename one of them")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _counts_up(names: list[str]) -> bool:
    """Whether the names are consecutive integers, which are true headers: 0, 1, 2, ... or a run of years."""
    if not all(name.isdecimal() for name in names):
        return False
    numbers = [int(name) for name in names]
    start = numbers[0] if len(numbers) > 1 else 0
    return numbers == list(range(start, start + len(numbers)))


def _unreadable(path: Path, kind: str, error: Exception) -> InputError:
    reason = " ".join(str(error).split())[:160] or type(error).__name__
    return InputError(f"file {str(path)!r} cannot be read as {kind} ({reason}); save it anew in that form")
