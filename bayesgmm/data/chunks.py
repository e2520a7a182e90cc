"""A table in pieces, for what needs each row once: files larger than memory."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

from bayesgmm.data.dialect import find_dialect
from bayesgmm.data.encoding import survey
from bayesgmm.data.errors import InputError
from bayesgmm.data.formats import read_binary
from bayesgmm.data.frames import unique_names
from bayesgmm.data.numerals import read_numerals
from bayesgmm.data.source import Source, find_source, unreadable
from bayesgmm.data.text import DAMAGED, checked_decimal, decimal_of, options_for, tidied

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

__all__ = ["read_chunks"]

_ROWS = 50_000


def read_chunks(
    given: str | Path,
    *,
    encoding: str | None = None,
    separator: str | None = None,
    decimal: str | None = None,
    rows: int | None = None,
) -> Iterator[pd.DataFrame]:
    """Frames of at most ``rows`` rows (50,000), numbered through; text and Parquet are never in memory as a whole.

    Raises
    ------
    InputError
        As `read_table` for files; a damaged one may be found out after some of its frames.
    """
    source = find_source(given)
    rows = _ROWS if rows is None else rows
    if source.kind == "text":
        yield from _text(source, encoding, separator, decimal, rows)
    elif source.kind == "Parquet":
        yield from _parquet(source, rows)
    else:
        frame, _ = read_binary(source)
        yield _finished(frame, decimal)


def _text(
    source: Source, encoding: str | None, separator: str | None, decimal: str | None, rows: int
) -> Iterator[pd.DataFrame]:
    import pandas as pd

    try:
        found = survey(source, encoding, whole=False)
        dialect = find_dialect(found.head, source.shown, separator)
        mark = checked_decimal(decimal) or decimal_of(found.head, dialect)
        with source.open() as stream, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            options = options_for(dialect)
            with pd.read_csv(stream, **options, encoding=found.encoding, decimal=mark, chunksize=rows) as reader:
                for frame in reader:
                    yield _finished(tidied(frame, dialect), mark if decimal is None and mark == "," else decimal)
    except UnicodeError as error:
        raise unreadable(source, error, f"{encoding or 'text'}") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, csv.Error) as error:
        raise unreadable(source, error, "text with one line per row") from None
    except DAMAGED as error:
        raise unreadable(source, error) from None


def _parquet(source: Source, rows: int) -> Iterator[pd.DataFrame]:
    import pyarrow
    import pyarrow.parquet

    first = 0
    try:
        with source.raw() as stream:
            for batch in pyarrow.parquet.ParquetFile(stream).iter_batches(batch_size=rows):
                frame = batch.to_pandas()
                if frame.index.dtype.kind in "iu":
                    frame.index = range(first, first + len(frame))
                first += len(frame)
                yield _finished(frame, None)
    except (pyarrow.ArrowException, OSError, ValueError, TypeError, KeyError) as error:
        if isinstance(error, InputError):
            raise
        raise unreadable(source, error) from None


def _finished(frame: pd.DataFrame, decimal: str | None) -> pd.DataFrame:
    frame = frame.set_axis(unique_names(frame), axis="columns")
    read_numerals(frame, checked_decimal(decimal))
    return frame
