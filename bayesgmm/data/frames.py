"""Any data that a user passes, as a pandas frame, and the checks of its columns: what `as_table` is made of.

pandas and narwhals are imported where they are used: `import bayesgmm` must stay light.
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesgmm.data.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

# Beyond these a variance over- or underflows, with room for sums of it.
_LARGEST = 1e145
MOST_COLUMNS = 1000

__all__ = [
    "MOST_COLUMNS",
    "as_pandas",
    "check_complete",
    "check_finite",
    "check_numeric",
    "check_range",
    "check_seen",
    "check_varied",
    "listed",
    "numbers",
    "requested",
    "row_labels",
    "unique_names",
    "unmasked",
]


def as_pandas(data: Any) -> pd.DataFrame:
    """Any data a user passes as a pandas frame, nothing checked but what cannot be a table at all."""
    import narwhals.stable.v2 as nw
    import pandas as pd

    if isinstance(data, str | bytes):
        raise InputError(f"the data is the string {_short(data)}; read a file or bundled set with read_table first")
    if isinstance(data, dict):
        try:
            data = pd.DataFrame(data)
        except ValueError as error:
            raise InputError(
                f"the dict cannot be read as columns ({_one_line(error)}); give lists of one length"
            ) from None
    if isinstance(data, pd.DataFrame):
        return data
    if isinstance(data, pd.Series):
        return data.to_frame("x0" if data.name is None else data.name)
    try:
        native = nw.from_native(data, allow_series=True, pass_through=True)
        # Arrays with labels (xarray) offer themselves as Arrow streams too, melted into one long column.
        if native is data and hasattr(data, "__arrow_c_stream__") and not hasattr(data, "dtype"):
            import pyarrow

            native = nw.from_native(pyarrow.table(data))
    except nw.exceptions.DuplicateError as error:
        raise InputError(f"two columns have one name ({_one_line(error)}); rename one of them") from None
    if isinstance(native, nw.LazyFrame):
        native = native.collect()
    if isinstance(native, nw.DataFrame):
        return native.to_pandas()
    if isinstance(native, nw.Series):
        return native.to_pandas().to_frame(native.name or "x0")
    return _from_array(data)


def _from_array(data: Any) -> pd.DataFrame:
    """An array-like (N,) or (N, D) as a frame with columns x0, x1, ..."""
    import pandas as pd

    if hasattr(data, "toarray") and hasattr(data, "nnz"):
        raise InputError("the data is a sparse matrix, which a Gaussian mixture cannot use; pass data.toarray()")
    if isinstance(data, np.ma.MaskedArray):
        data = unmasked(data)
    try:
        array = np.asarray(data)
    except (ValueError, TypeError) as error:
        raise InputError(f"the data cannot be read as an array ({_one_line(error)}); give rows of one length") from None
    if array.dtype.names is not None:
        return pd.DataFrame(array)
    if array.ndim == 0:
        raise InputError(f"the data is a single {type(data).__name__}, not a table; pass rows and columns of numbers")
    if array.ndim > 2:
        raise InputError(f"the data has {array.ndim} dimensions; reshape it to rows x columns")
    if array.ndim == 1:
        array = array[:, np.newaxis]
    return pd.DataFrame(array, columns=[f"x{j}" for j in range(array.shape[1])])


def unmasked(values: Any) -> np.ndarray:
    """Numbers as float64; what a mask hides becomes NaN, whatever number lies under it."""
    if isinstance(values, np.ma.MaskedArray):
        return np.ma.filled(values.astype(np.float64), np.nan)
    return np.asarray(values, dtype=np.float64)


def unique_names(frame: pd.DataFrame) -> list[str]:
    """Column names as strings, no two the same."""
    names = [str(column) for column in frame.columns]
    twice = next((name for j, name in enumerate(names) if name in names[:j]), None)
    if twice is not None:
        raise InputError(f"two columns are named {twice!r}; rename one of them")
    return names


def requested(columns: str | Iterable[object], available: Sequence[str]) -> list[str]:
    """The names asked for, as strings, checked against those there are."""
    names = [columns] if isinstance(columns, str) else [str(column) for column in columns]
    if not names:
        raise InputError(f"no column was asked for; choose from {listed(available)}")
    for j, name in enumerate(names):
        if name not in available:
            raise InputError(f"there is no column {name!r}; the data has {listed(available)}")
        if name in names[:j]:
            raise InputError(f"column {name!r} was asked for twice; name it once")
    return names


def _is_numeric(column: pd.Series) -> bool:
    """Whether a column holds numbers (complex ones included, booleans not)."""
    from pandas.api import types

    if types.is_object_dtype(column.dtype):
        return types.infer_dtype(column, skipna=True) in {
            "integer", "floating", "mixed-integer-float", "decimal", "complex",
        }  # fmt: skip
    return types.is_numeric_dtype(column.dtype) and not types.is_bool_dtype(column.dtype)


def check_numeric(frame: pd.DataFrame, chosen: list[str]) -> None:
    """Refuse the first of the ``chosen`` columns that holds no real numbers."""
    from pandas.api import types

    numeric = [name for name in frame.columns if _is_numeric(frame[name])]
    if not numeric:
        raise InputError(
            f"no numeric column among {listed(list(frame.columns))}; a Gaussian mixture needs at least one "
            "column of numbers"
        )
    for name in chosen:
        if name not in numeric:
            raise InputError(
                f"column {name!r} is not numeric: {_first_not_numeric(frame[name])}; "
                f"choose numeric columns with columns={_bounded(numeric, repr, '[', ']')} "
                f"(--columns {_bounded(numeric, str, '', '', ',')})"
            )
        dtype = frame[name].dtype
        if types.is_complex_dtype(dtype) or types.infer_dtype(frame[name], skipna=True) == "complex":
            raise InputError(f"column {name!r} is complex; pass its real and imaginary parts as two columns")


def _first_not_numeric(column: pd.Series) -> str:
    """What shows that a column is not numeric: its first value that is no number, and where that is."""
    present = np.flatnonzero(column.notna().to_numpy())
    if present.size == 0:
        return "all its values are missing"
    for i in present:
        value = column.iloc[i]
        if not _is_number_as_text(value):
            return f"it holds {_short(value)} in {_row(column.index, int(i))}"
    value = column.iloc[present[0]]
    return f"its numbers are stored as text, such as {_short(value)} in {_row(column.index, int(present[0]))}"


def _is_number_as_text(value: object) -> bool:
    try:
        return isinstance(value, str) and float(value) is not None
    except ValueError:
        return False


def numbers(frame: pd.DataFrame) -> np.ndarray:
    """The values of numeric columns, (N, D) float64 in C order, missing ones as NaN."""
    values = np.empty(frame.shape)
    for j, name in enumerate(frame.columns):
        try:
            values[:, j] = frame[name].to_numpy(dtype=np.float64, na_value=np.nan)
        except (OverflowError, TypeError, ValueError) as error:
            raise InputError(
                f"column {name!r} cannot be read as floating-point numbers ({_one_line(error)}); convert it"
            ) from None
    return values


def check_finite(
    values: np.ndarray, frame: pd.DataFrame, of: str = "", *, needed: bool = False, allowed: bool = False
) -> None:
    """Refuse missing values, naming the columns, and infinite ones, naming the first column with any.

    ``of`` names the table in the message; a column that is ``needed`` cannot be left out; missing values may be ``allowed``.
    """
    otherwise = "" if needed else ", or leave the column out"
    option = "" if needed else (
        ": missing='drop' (--missing drop) leaves them out, missing='marginalise' (--missing marginalise) uses what they have"
    )  # fmt: skip
    absent = np.isnan(values) & (not allowed)
    if (columns := np.flatnonzero(absent.any(axis=0))).size > 1:
        counts = [f"{str(frame.columns[j])!r} {int(absent[:, j].sum())}" for j in columns[:10]]
        more = f" and {columns.size - 10} more" if columns.size > 10 else ""
        rows = np.flatnonzero(absent.any(axis=1))
        raise InputError(
            f"{columns.size} columns{of} have missing values ({', '.join(counts)}{more}), in {rows.size} of {len(values)} "
            f"rows, the first in {_row(frame.index, int(rows[0]))}; drop or impute those rows"
            f"{otherwise.replace('column', 'columns')}{option}"
        )
    for kind, wrong, remedy in (
        ("missing", absent, f"drop or impute those rows{otherwise}{option}"),
        ("infinite", np.isinf(values), f"correct or drop those rows{otherwise}"),
    ):
        for j, name in enumerate(frame.columns):
            rows = np.flatnonzero(wrong[:, j])
            if rows.size:
                count = f"one {kind} value, in" if rows.size == 1 else f"{rows.size} {kind} values, the first in"
                raise InputError(f"column {name!r}{of} has {count} {_row(frame.index, int(rows[0]))}; {remedy}")


def check_complete(values: np.ndarray, frame: pd.DataFrame, kept: np.ndarray) -> None:
    """Refuse to go on with fewer than two complete rows, naming the column that misses most."""
    if kept.sum() < 2:
        absent = np.isnan(values).sum(axis=0)
        worst = int(absent.argmax())
        raise InputError(
            f"without the rows that miss a value {kept.sum()} of {len(values)} are left; a mixture needs at least two: leave "
            f"out column {str(frame.columns[worst])!r}, which misses {int(absent[worst])}"
        )


def check_seen(values: np.ndarray, frame: pd.DataFrame) -> None:
    """Refuse rows of which nothing is known, by name, and columns likewise."""
    absent = np.isnan(values)
    for j in np.flatnonzero(absent.all(axis=0))[:1]:
        raise InputError(f"column {str(frame.columns[j])!r} has no value at all; leave it out")
    rows = np.flatnonzero(absent.all(axis=1))
    if rows.size:
        named = _bounded([_row(frame.index, int(i)) for i in rows[:11]], str, "", "")
        which = "row has" if rows.size == 1 else "rows have"
        raise InputError(
            f"{rows.size} {which} no value in any of the columns: {named}; leave them out, for they tell nothing"
        )


def check_varied(values: np.ndarray, frame: pd.DataFrame) -> None:
    """Refuse the first constant column."""
    for j, name in enumerate(frame.columns):
        column = values[:, j]
        first = column[np.argmax(column == column)] if len(column) else np.nan
        if np.all((column == first) | np.isnan(column)):
            raise InputError(
                f"column {name!r} is constant: every value is {first:g}; drop it, for it tells no rows apart"
            )


def check_range(values: np.ndarray, frame: pd.DataFrame) -> None:
    """Refuse columns whose variance is no number that a computer holds, and more columns than a mixture can be fitted to."""
    if values.shape[1] > MOST_COLUMNS:
        raise InputError(
            f"the data has {values.shape[1]:,} columns, and a mixture is fitted to at most {MOST_COLUMNS:,}; choose some, or "
            "reduce them first (principal components)"
        )
    for j, name in enumerate(frame.columns):
        low, high = float(np.nanmin(values[:, j])), float(np.nanmax(values[:, j]))
        largest = max(-low, high)
        if largest > _LARGEST or high / 2 - low / 2 < 1 / _LARGEST:
            extreme = (
                f"values as large as {largest:.3g}" if largest > 1 else f"values no more than {high - low:.3g} apart"
            )
            raise InputError(
                f"column {name!r} has {extreme}, whose variance is no number that a computer holds; change its unit (multiply "
                "it by a power of ten), or correct it"
            )


def row_labels(index: pd.Index) -> pd.Index:
    """Unique labels that a file can hold, named ``obs_id``: those of the data where they can serve, else 0 .. N-1."""
    import pandas as pd
    from pandas.api import types

    labels = index.to_flat_index() if isinstance(index, pd.MultiIndex) else index
    kept = types.is_numeric_dtype(labels.dtype) or types.is_datetime64_any_dtype(labels.dtype)
    if not kept and not labels.hasnans:
        labels = pd.Index([str(label) for label in labels])
    if labels.hasnans or not labels.is_unique:
        labels = pd.RangeIndex(len(labels))
    return labels.rename("obs_id")


def _row(index: pd.Index, position: int) -> str:
    """A row as the user knows it: by label, or by position where rows have no labels."""
    import pandas as pd

    if isinstance(index, pd.RangeIndex):
        return f"row {index[position]} (counted from {index.start})"
    return f"row {_short(index[position])}"


_brief = reprlib.Repr(maxstring=60, maxother=60)


def _short(value: object) -> str:
    # The item() of a NumPy scalar prints as the user wrote it: 3.5, not np.float64(3.5).
    return _brief.repr(value.item() if isinstance(value, np.generic) else value)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:120]


def _bounded(names: Sequence[str], show: Any, start: str, end: str, separator: str = ", ") -> str:
    """Names in one line, no more than ten of them."""
    dots = [] if len(names) <= 10 else ["..."]
    return start + separator.join([show(name) for name in names[:10]] + dots) + end


def listed(names: Sequence[str]) -> str:
    """Names for a sentence, no more than ten of them."""
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return ", ".join(names[:10]) + more
