"""Tables in binary files and databases, each read by the library of its format."""

from __future__ import annotations

import json
import sqlite3
import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

from bayesgmm.data.errors import InputError
from bayesgmm.data.memory import refuse_if_too_large
from bayesgmm.data.source import Source, one_line, unreadable
from bayesgmm.data.text import DAMAGED

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["read_binary"]


def read_binary(source: Source) -> tuple[pd.DataFrame, list[str]]:
    """The table in a file that is no text, and what there is to say about it.

    Raises
    ------
    InputError
        The file is damaged, or has no such sheet or table, or the library that reads it is not installed.
    """
    readers = {
        "Parquet": _read_parquet,
        "Feather": _read_feather,
        "JSON lines": _read_json,
        "Excel": _read_excel,
        "DuckDB": _read_duckdb,
        "SQLite": _read_sqlite,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of libraries, about files that are read or refused
        return readers[source.kind](source)


def _read_parquet(source: Source) -> tuple[pd.DataFrame, list[str]]:
    import pandas as pd
    import pyarrow
    import pyarrow.parquet

    try:
        with source.raw() as stream:
            metadata = pyarrow.parquet.ParquetFile(stream).metadata
            refuse_if_too_large(
                2.0 * 8 * metadata.num_rows * metadata.num_columns,
                f"{source.shown!r} ({metadata.num_rows:,} rows, {metadata.num_columns:,} columns)",
                "save the rows and columns needed in a file of their own",
            )
            stream.seek(0)
            return pd.read_parquet(stream, engine="pyarrow"), []
    except (pyarrow.ArrowException, OSError, ValueError, TypeError, KeyError, json.JSONDecodeError) as error:
        if isinstance(error, InputError):
            raise
        raise unreadable(source, error) from None


def _read_feather(source: Source) -> tuple[pd.DataFrame, list[str]]:
    import pandas as pd
    import pyarrow

    try:
        with source.raw() as stream:
            return pd.read_feather(stream), []
    except (pyarrow.ArrowException, OSError, ValueError, TypeError, KeyError) as error:
        raise unreadable(source, error, "Feather or an Arrow file") from None


def _read_json(source: Source) -> tuple[pd.DataFrame, list[str]]:
    """One object a line, or one list of objects."""
    import pandas as pd

    try:
        with source.open() as stream:
            text = stream.read().decode("utf-8-sig").strip()
        if not text:
            raise InputError(f'file {source.shown!r} is empty; give one object a line, such as {{"height": 1.5}}')
        records = json.loads(text) if text.startswith("[") else [json.loads(x) for x in text.splitlines() if x.strip()]
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise unreadable(source, error, "JSON lines") from None
    except DAMAGED as error:
        raise unreadable(source, error) from None
    _check_objects(source, records)
    return pd.DataFrame(records), []


def _check_objects(source: Source, records: list[Any]) -> None:
    wrong = next((i for i, record in enumerate(records) if not isinstance(record, dict)), None)
    if wrong is not None:
        raise InputError(
            f"{source.shown!r} holds in record {wrong} no object but {str(records[wrong])[:40]!r}; write each row as an "
            'object, such as {"height": 1.5}'
        )


def _imported(module: str, source: Source, extra: str, otherwise: str) -> Any:
    """A library that not everybody has."""
    try:
        return import_module(module)
    except ImportError:
        raise InputError(
            f"reading {source.shown!r} needs {module}, which is not installed: pip install 'bayesgmm[{extra}]', or save the "
            f"{otherwise}"
        ) from None


def _notes_of_sheet(sheet: str, others: list[str], above: int) -> list[str]:
    notes = [f"sheet {sheet!r}" + (f"; the others are {', '.join(others[:8])}" if others else "")]
    if above:
        notes.append(f"passed over {above} line{'s' if above > 1 else ''} above the header")
    return notes


def _read_excel(source: Source) -> tuple[pd.DataFrame, list[str]]:
    fastexcel = _imported("fastexcel", source, "excel", "sheet as CSV")
    try:
        with source.raw() as stream:
            book = fastexcel.read_excel(stream.read())
        sheet = _sheet(source, book.sheet_names)
        above = _lines_above(book.load_sheet(sheet, header_row=None, n_rows=50, dtypes="string").to_arrow())
        frame = book.load_sheet(sheet, header_row=above, schema_sample_rows=None).to_arrow().to_pandas()
    except (fastexcel.FastExcelError, OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise unreadable(source, error, "an Excel workbook") from None
    if not frame.shape[1]:
        raise InputError(f"sheet {sheet!r} of {source.shown!r} is empty; name another, as in '{source.shown}::Sheet2'")
    notes = _notes_of_sheet(sheet, [name for name in book.sheet_names if name != sheet], above)
    empty = [name for name in frame.columns if name.startswith("__UNNAMED__") and frame[name].isna().all()]
    return frame.drop(columns=empty).dropna(how="all").reset_index(drop=True), notes


def _sheet(source: Source, names: list[str]) -> str:
    if source.part is None:
        return names[0]
    if source.part not in names:
        raise InputError(f"{source.shown!r} has no sheet {source.part!r}; its sheets are {', '.join(names[:10])}")
    return source.part


def _lines_above(top: Any) -> int:
    """How many lines of a sheet stand above its header: those with one filled cell where the table has more."""
    filled = [sum(cell is not None and cell.strip() != "" for cell in row.values()) for row in top.to_pylist()]
    widest = max(filled, default=0)
    return next((i for i, count in enumerate(filled) if count > 1 or count == widest), 0)


def _read_duckdb(source: Source) -> tuple[pd.DataFrame, list[str]]:
    duckdb = _imported("duckdb", source, "duckdb", "table as Parquet")
    try:
        # Nothing but this file may be reached by a query.
        closed: dict[str, Any] = {"enable_external_access": "false", "autoinstall_known_extensions": "false"}
        with duckdb.connect(str(source.path), read_only=True, config=closed) as connection:
            connection.execute("SET lock_configuration = true")
            names = [row[0] for row in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
            names += [
                row[0]
                for row in connection.execute("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall()
            ]
            query, notes = _query(source, names)
            return connection.execute(query).df(), notes
    except duckdb.Error as error:
        raise _query_failed(source, error) from None


def _opened_sqlite(source: Source) -> sqlite3.Connection:
    assert source.path is not None
    try:
        return sqlite3.connect(f"{source.path.absolute().as_uri()}?mode=ro", uri=True)
    except sqlite3.Error as error:
        raise unreadable(source, error) from None


def _read_sqlite(source: Source) -> tuple[pd.DataFrame, list[str]]:
    import pandas as pd

    connection = _opened_sqlite(source)
    try:
        connection.set_authorizer(_only_reading)
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")]
        query, notes = _query(source, names)
        cursor = connection.execute(query)
        if cursor.description is None:
            raise InputError(f"the query on {source.shown!r} gives no table; begin it with SELECT")
        return pd.DataFrame(cursor.fetchall(), columns=[column[0] for column in cursor.description]), notes
    except (sqlite3.Error, sqlite3.Warning) as error:
        raise _query_failed(source, error) from None
    finally:
        connection.close()


def _only_reading(action: int, first: str | None, second: str | None, *_: Any) -> int:
    """Leave a query nothing but reading this database: no other file is attached, no extension loaded."""
    reading = (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE)
    harmless = action == sqlite3.SQLITE_FUNCTION and str(second).lower() != "load_extension"
    return sqlite3.SQLITE_OK if action in reading or harmless else sqlite3.SQLITE_DENY


def _query(source: Source, names: list[str]) -> tuple[str, list[str]]:
    """The query that a part of a database names: itself, or all of a table."""
    part = source.part
    listed = ", ".join(names[:10]) or "none"
    if part is None:
        if len(names) != 1:
            raise InputError(
                f"{source.shown!r} has {len(names)} tables ({listed}); name one, or give a query, as in "
                f"'{source.shown}::SELECT * FROM {names[0] if names else 'data'}'"
            )
        part = names[0]
    if part in names:
        return f'SELECT * FROM "{part.replace(chr(34), chr(34) * 2)}"', [f"table {part!r}"]
    if " " not in part:
        raise InputError(f"{source.shown!r} has no table {part!r}; its tables are {listed}")
    return part, [f"query: {part if len(part) <= 100 else part[:97] + '...'}"]


def _query_failed(source: Source, error: Exception) -> InputError:
    if source.part is None:
        return unreadable(source, error)
    return InputError(
        f"the query on {source.shown!r} fails ({one_line(error)}); correct it: one SELECT on this file's tables, which "
        "changes nothing"
    )
