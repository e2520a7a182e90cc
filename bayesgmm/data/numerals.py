"""Numbers written for people: decimal commas, thousands separators, marks for what is missing.

``1,5`` and ``1.234,5`` show a decimal comma, ``1.5`` and ``1,234.5`` a decimal point, ``1,234`` neither. A column decides for
itself; one that shows neither follows the others, and where those do not tell, the user is asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Numerals", "decimal_shown", "read_numerals"]

# Written where a value is missing, beside what pandas knows (empty, NA, NaN, null, None, n/a, ...).
_MISSING = frozenset(
    {"?", "-", "--", "---", ".", "..", "*", "–", "—", "na", "n.a.", "n.d.", "k.a.", "missing", "unknown"}
)
_BLANK_MARKS = " \u00a0\u202f\u2009"  # blank, no-break, narrow no-break, thin
_QUOTES = "'\u2019"

_PLAIN_POINT = re.compile(r"[+-]?\d*\.\d+(?:e[+-]?\d+)?|[+-]?\d+\.(?:e[+-]?\d+)?", re.I)
_PLAIN_COMMA = re.compile(r"[+-]?\d*,\d+(?:e[+-]?\d+)?|[+-]?\d+,", re.I)
# Three digits after one mark, and no leading zero: a decimal or a thousand.
_EITHER_POINT = re.compile(r"[+-]?[1-9]\d{0,2}\.\d{3}")
_EITHER_COMMA = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")
_THOUSANDS_COMMA = re.compile(r"[+-]?[1-9]\d{0,2}(?:(?:,\d{3})+\.\d*|(?:,\d{3}){2,})")
_THOUSANDS_POINT = re.compile(r"[+-]?[1-9]\d{0,2}(?:(?:\.\d{3})+,\d*|(?:\.\d{3}){2,})")


@dataclass
class Numerals:
    """What became of the columns of text.

    Attributes
    ----------
    notes : list of str
        What was taken for numbers, in words.
    refused : dict of str to str
        Columns that hold numbers which cannot be read with certainty, and the line to say if they are used.
    """

    notes: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)


def decimal_shown(cells: Iterable[str]) -> tuple[str | None, str | None, str | None]:
    """The cells that show a decimal point, show a decimal comma, and could be either; None where there is none."""
    point = comma = either = None
    for cell in cells:
        if "." not in cell and "," not in cell:
            continue
        if _THOUSANDS_COMMA.fullmatch(cell):
            point = point or cell
        elif _THOUSANDS_POINT.fullmatch(cell):
            comma = comma or cell
        elif _EITHER_COMMA.fullmatch(cell):
            either = either or cell
        elif _PLAIN_COMMA.fullmatch(cell):
            comma = comma or cell
        elif _PLAIN_POINT.fullmatch(cell) and not _EITHER_POINT.fullmatch(cell):
            point = point or cell
    return point, comma, either


def read_numerals(frame: pd.DataFrame, decimal: str | None, others_show: str | None = None) -> Numerals:
    """Turn the columns of text that hold numbers into numbers, in place.

    Parameters
    ----------
    frame : DataFrame
    decimal : {".", ","} or None
        What the user says; None lets each column decide.
    others_show : {".", ","} or None
        The decimal mark of the columns that are numbers already, if they have one.
    """
    result = Numerals()
    found = {name: _cells(frame[name]) for name in frame.columns if _is_text(frame[name])}
    texts: dict[str, pd.Series] = {name: cells for name, cells in found.items() if cells is not None}
    shown = {name: decimal_shown(cells.unique()) for name, cells in texts.items()}
    points = others_show == "." or any(point and not comma for point, comma, _ in shown.values())
    commas = others_show == "," or any(comma and not point for point, comma, _ in shown.values())
    common = None if points == commas else "." if points else ","
    for name, cells in texts.items():
        point, comma, either = shown[name]
        if decimal is None and point and comma:
            result.refused[name] = (
                f"column {name!r} has decimals after a point, as in {point!r}, and after a comma, as in {comma!r}; write "
                "them all alike"
            )
            continue
        own = decimal or ("." if point else "," if comma else common)
        if own is None and either and _converted(cells, ".") is not None:
            result.refused[name] = (
                f"column {name!r} holds numbers such as {either!r}, which may be {either.replace(',', '.')} or "
                f"{either.replace(',', '')}; say which with --decimal , or --decimal ."
            )
            continue
        _replace(frame, name, cells, own or ".", result)
    return result


def _is_text(column: pd.Series) -> bool:
    from pandas.api import types

    return types.is_string_dtype(column.dtype) or types.is_object_dtype(column.dtype)


def _cells(column: pd.Series) -> pd.Series | None:
    """Texts without blanks around them, missing ones left out; None where a value is no text or none is a number."""
    present = column.dropna()
    if not len(present) or not all(isinstance(value, str) for value in present):
        return None
    cells = present.str.strip().str.replace("\u2212", "-")
    cells = cells[(cells != "") & ~cells.str.lower().isin(_MISSING)]
    return cells if cells.str.contains(r"\d").any() else None


def _replace(frame: pd.DataFrame, name: str, cells: pd.Series, decimal: str, result: Numerals) -> None:
    import pandas as pd

    converted = _converted(cells, decimal)
    if converted is None:
        return
    numbers, thousands = converted
    marks = frame[name].dropna().drop(cells.index).str.strip()
    column = pd.Series(np.nan, index=frame.index)
    column[numbers.index] = numbers
    whole = len(numbers) == len(frame) and np.all(np.mod(numbers, 1) == 0) and np.all(np.abs(numbers) < 2**53)
    frame[name] = column.astype(np.int64) if whole else column
    if thousands:
        result.notes.append(f"{name}: {thousands!r} taken as the mark of thousands")
    if len(marks):
        named = ", ".join(repr(mark) for mark in sorted(set(marks) - {""})) or "blanks"
        result.notes.append(f"{name}: {named} taken as missing, in {len(marks)} row{'s' if len(marks) > 1 else ''}")


def _converted(cells: pd.Series, decimal: str) -> tuple[pd.Series, str | None] | None:
    """Texts as numbers, and the mark of thousands that they have; None where one of them is no number."""
    marks = ("," if decimal == "." else ".") + _BLANK_MARKS + _QUOTES
    joined = "".join(cells.unique())
    used = [mark for mark in marks if mark in joined]
    if len(used) > 1:
        return None
    end = rf"(?:{re.escape(decimal)}\d*)?(?:[eE][+-]?\d+)?|[+-]?{re.escape(decimal)}\d+(?:[eE][+-]?\d+)?"
    pattern = rf"[+-]?\d+{end}"
    if used:
        mark = re.escape(used[0])
        pattern = rf"[+-]?(?:\d{{1,3}}(?:{mark}\d{{3}})+|\d+){end}"
    if not cells.str.fullmatch(pattern).all():
        return None
    plain = cells.str.replace(used[0], "", regex=False) if used else cells
    return plain.str.replace(decimal, ".", regex=False).astype(float), used[0] if used else None
