"""What the columns of a file are for: measurements to fit, and names, dates and labels that are not.

Nothing here looks at a column that the user asked for by name. The rules, in this order:

- empty: no value at all;
- a date: typed so, or every text is one, day and month and year apart;
- an identifier: every value its own, and text (of ten rows or more), or whole numbers under a name such as ``id`` or counted
  from 0 or 1 in the order of the rows;
- a label: few whole numbers under a name such as ``class``: the user is asked.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.data.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ask_about_labels", "date_text", "left_out", "peculiarities"]

_IDENTIFIER = frozenset(
    {"id", "ids", "uid", "uuid", "guid", "identifier", "key", "index", "rownames", "rowname", "row", "rowid", "nr", "no",
     "number", "serial", "code", "customerid", "userid", "obs", "case", "caseid", "subject", "sku", "isbn", "unnamed"}
)  # fmt: skip
_LABEL = frozenset(
    {"class", "classes", "label", "labels", "group", "groups", "cluster", "clusters", "species", "target", "category",
     "segment", "cultivar", "diagnosis", "truth", "klasse", "gruppe", "classe", "clase", "grupo"}
)  # fmt: skip
_DATE = re.compile(
    r"\d{4}[-/.]\d{1,2}([-/.]\d{1,2})?([T ]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?( ?(Z|[+-]\d{2}:?\d{2}))?)?"
    r"|\d{1,2}(?P<mark>[-/. ])(\d{1,2}|[A-Za-z]{3,9})\.?(?P=mark) ?\d{2,4}( \d{1,2}:\d{2}(:\d{2})?)?"
    r"|\d{1,2}:\d{2}(:\d{2})?"
)
# Fewer rows show neither an identifier nor a count.
_FEWEST = 10
_MOST_LABELS = 20
_HEAPED = 0.5
_MASS = 0.2


def left_out(frame: pd.DataFrame) -> dict[str, str]:
    """Columns that are no measurements, and why, in words."""
    found = {name: _reason(name, frame[name]) for name in frame.columns}
    return {name: why for name, why in found.items() if why}


def ask_about_labels(frame: pd.DataFrame, names: list[str]) -> None:
    """Refuse to take for a measurement what looks like known groups, and ask.

    Raises
    ------
    InputError
        Naming the column, and how to say what it is.
    """
    for name in names:
        column = frame[name].dropna()
        if not _words(name) & _LABEL or not _is_whole(column):
            continue
        distinct = int(column.nunique())
        if 2 <= distinct <= min(_MOST_LABELS, len(column) // 5):
            rest = ",".join(other for other in names if other != name)
            raise InputError(
                f"column {name!r} holds {distinct} whole numbers and looks like known groups; is it a measurement? Leave it "
                f"out with --columns {rest[:200]}, or name all columns, {name} among them, to fit it too"
            )


def date_text(column: pd.Series) -> bool:
    """Whether a column holds dates or times, as such or as text."""
    from pandas.api import types

    dtype = column.dtype
    if types.is_datetime64_any_dtype(dtype) or types.is_timedelta64_dtype(dtype):
        return True
    present = column.dropna()
    if not len(present) or types.is_numeric_dtype(dtype):
        return False
    if all(hasattr(value, "isoformat") for value in present):
        return True
    return all(isinstance(value, str) and _DATE.fullmatch(value.strip()) is not None for value in present)


def peculiarities(column: np.ndarray) -> str | None:
    """What a Gaussian mixture is not made for, in words: whole numbers, heaped on round ones or on one value; (N,) finite."""
    found = []
    values, counts = np.unique(column, return_counts=True)
    whole = bool(np.all(np.mod(column, 1) == 0))
    if whole and len(values) <= max(100, len(column) // 10):
        found.append(f"{len(values)} whole numbers")
    most = int(counts.argmax())
    if counts[most] > _MASS * len(column) and len(values) > 5:
        found.append(f"{100 * counts[most] / len(column):.0f}% of rows at {values[most]:g}")
    elif whole and len(values) > 10 and (heap := _heap(column)) is not None:
        found.append(heap)
    return "; ".join(found) or None


def _heap(column: np.ndarray) -> str | None:
    """Round numbers far more often than one value in ten or five has them: a binomial test at five standard errors."""
    n = len(column)
    for step in (10, 5):
        share = float(np.mean(np.mod(column, step) == 0))
        expected = 1 / step
        if share > max(_HEAPED, expected + 5 * np.sqrt(expected * (1 - expected) / n)) and share < 1:
            return f"heaped: {100 * share:.0f}% are multiples of {step}"
    return None


def _reason(name: str, column: pd.Series) -> str | None:
    from pandas.api import types

    present = column.dropna()
    if not len(present):
        return "empty"
    if date_text(column):
        return "dates"
    distinct = len(present) == len(column) and len(column) >= _FEWEST and present.is_unique
    if not distinct:
        return None
    if types.is_numeric_dtype(column.dtype):
        named = bool(_words(name) & _IDENTIFIER) and _is_whole(column)
        return "an identifier" if named else "row numbers" if _counts_rows(column) else None
    return "an identifier: every text is another" if all(isinstance(value, str) for value in present) else None


def _words(name: str) -> set[str]:
    """The words of a name: CustomerID, customer_id and Customer Id are alike."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return {word for word in re.split(r"[\W_\d]+", apart.lower()) if word} | {re.sub(r"[\W_]+", "", name.lower())}


def _is_whole(column: pd.Series) -> bool:
    from pandas.api import types

    if (
        not types.is_numeric_dtype(column.dtype)
        or types.is_bool_dtype(column.dtype)
        or types.is_complex_dtype(column.dtype)
    ):
        return False
    values = column.to_numpy(dtype=float, na_value=np.nan)
    return bool(len(values)) and bool(np.all(np.isfinite(values)) and np.all(np.mod(values, 1) == 0))


def _counts_rows(column: pd.Series) -> bool:
    if not _is_whole(column):
        return False
    values = column.to_numpy(dtype=float)
    return values[0] in (0, 1) and bool(np.all(np.diff(values) == 1))
