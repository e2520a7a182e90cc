"""A table from text: encoding, layout and decimal mark are found or given, and pandas reads it."""

from __future__ import annotations

import csv
import warnings
import zipfile
import zlib
from lzma import LZMAError
from typing import TYPE_CHECKING, Any

from bayesgmm.data.dialect import BLANKS, Dialect, find_dialect
from bayesgmm.data.encoding import survey
from bayesgmm.data.errors import InputError
from bayesgmm.data.numerals import decimal_shown
from bayesgmm.data.source import Source, unreadable

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["DAMAGED", "checked_decimal", "decimal_of", "options_for", "read_text", "tidied"]

# What the standard library raises for files that are cut short or no archives.
DAMAGED = (OSError, EOFError, zipfile.BadZipFile, zlib.error, LZMAError, RuntimeError, NotImplementedError)
_DECIMALS = {".": ".", ",": ",", "point": ".", "comma": ","}


def read_text(
    source: Source, encoding: str | None, separator: str | None, decimal: str | None
) -> tuple[pd.DataFrame, list[str], str | None]:
    """The table in a text, all of it.

    Returns
    -------
    frame : DataFrame
        Columns that are no plain numbers are text still (`numerals.read_numerals`). Row names, as R writes them, are the index.
    notes : list of str
        What was found out about the text, in words, where that is not a comma-separated UTF-8 file with its header on top.
    decimal : {".", ","} or None
        The decimal mark of the columns that are numbers.

    Raises
    ------
    InputError
        The text cannot be unpacked, decoded or cut into a table.
    """
    import pandas as pd

    try:
        found = survey(source, encoding)
        dialect = find_dialect(found.head, source.shown, separator)
        mark = checked_decimal(decimal) or decimal_of(found.head, dialect)
        with source.open() as stream, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what they would say is in the types, or refused
            frame = pd.read_csv(stream, **options_for(dialect), encoding=found.encoding, decimal=mark)
    except UnicodeError as error:
        raise unreadable(source, error, f"{encoding or 'text'}") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, csv.Error) as error:
        raise unreadable(source, error, f"text with one line per row, cut at {dialect.shown}") from None
    except DAMAGED as error:
        raise unreadable(source, error) from None
    return tidied(frame, dialect), _notes(found.encoding, found.guessed, dialect, mark, separator), mark


def checked_decimal(decimal: str | None) -> str | None:
    """The decimal mark that a user gives.

    Raises
    ------
    InputError
    """
    if decimal is None:
        return None
    if decimal.lower() not in _DECIMALS:
        raise InputError(f"--decimal {decimal} is none: give . or ,")
    return _DECIMALS[decimal.lower()]


def options_for(dialect: Dialect) -> dict[str, Any]:
    """For pandas."""
    options: dict[str, Any] = {
        "sep": dialect.separator,
        "skiprows": dialect.above,
        "header": 0,
        "skipinitialspace": True,
        "low_memory": False,
        "engine": "c",
    }
    if dialect.commented:
        options |= {"header": None, "names": list(dialect.names)}
    if dialect.trailing:
        options |= {"index_col": False}
    return options


def tidied(frame: pd.DataFrame, dialect: Dialect) -> pd.DataFrame:
    """Without columns that neither name nor value fills; an unnamed first column becomes the row labels."""
    frame = frame.set_axis([str(name).strip() for name in frame.columns], axis="columns")
    if dialect.row_names:
        return frame
    unnamed = [frame.columns[j] for j, name in enumerate(dialect.names) if not name]
    if unnamed and unnamed[0] == frame.columns[0] and frame.shape[1] > 1:
        frame = frame.set_index(unnamed.pop(0)).rename_axis(None)
    return frame.drop(columns=[name for name in unnamed if frame[name].isna().all()])


def decimal_of(head: str, dialect: Dialect) -> str:
    """The decimal mark that most of the text's numbers are read with: a comma where the first lines show no point."""
    if dialect.separator == ",":
        return "."
    lines = head.split("\n")[dialect.above :]
    delimiter = " " if dialect.separator == BLANKS else dialect.separator
    cells: set[str] = set()
    try:
        for fields in csv.reader(lines, delimiter=delimiter, skipinitialspace=True):
            cells.update(field.strip() for field in fields)
    except csv.Error:
        return "."
    point, comma, _ = decimal_shown(cells)
    return "," if comma and not point else "."


def _notes(encoding: str, guessed: bool, dialect: Dialect, decimal: str, separator: str | None) -> list[str]:
    notes = []
    if guessed:
        form = "Latin-1" if encoding == "latin-1" else "Latin-1 (Windows-1252)"
        notes.append(f"read as {form}, for it is not UTF-8: give --encoding if letters look wrong")
    elif not encoding.startswith("utf-8"):
        notes.append(f"encoding: {encoding.upper()}")
    if dialect.skipped:
        first = dialect.skipped[0]
        count = "one line" if len(dialect.skipped) == 1 else f"{len(dialect.skipped)} lines"
        notes.append(f"passed over {count} above the header: {first if len(first) <= 60 else first[:57] + '...'!r}")
    if separator is None and len(dialect.names) > 1 and dialect.separator not in (",", "\t"):
        notes.append(f"separated by {dialect.shown}")
    if decimal == ",":
        notes.append("decimal comma")
    return notes
