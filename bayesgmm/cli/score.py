"""`bayesgmm score`: new rows scored by a kept model, in pieces, so that their file may be larger than memory."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from ..data import InputError
from .options import AsJson, output_path
from .reading import Missing
from .show import emit_json

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["score", "scored_to"]


def score(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="A model that `save` has kept, or a folder of `report`.")
    ],
    data: Annotated[
        str, typer.Argument(metavar="NEW", help="A file with the columns of the model, or - for standard input.")
    ],
    output: Annotated[
        str | None, typer.Option("-o", "--output", help="CSV file of the scores; by default stdout.")
    ] = None,
    id: Annotated[str | None, typer.Option("--id", metavar="COLUMN", help="The column that names the rows.")] = None,
    missing: Annotated[
        Missing, typer.Option("--missing", help="Rows with missing values: refuse them, or leave them out.")
    ] = Missing.error,
    encoding: Annotated[str | None, typer.Option("--encoding", help="Of a text file; found by default.")] = None,
    separator: Annotated[str | None, typer.Option("--separator", help="Of a text file; found by default.")] = None,
    decimal: Annotated[str | None, typer.Option("--decimal", help="Decimal mark; found by default.")] = None,
    as_json: AsJson = False,
) -> None:
    """New rows scored by a fitted model: probabilities with intervals, density, and how unusual each row is."""
    file = None if output is None else output_path(output)
    if as_json and file is None:
        raise InputError("--json needs -o: the scores themselves go to stdout without it")
    from ..data import read_chunks
    from ..kept import load_model

    frames = read_chunks(data, encoding=encoding, separator=separator, decimal=decimal)
    counts = scored_to(load_model(model), frames, file, id, missing.value)
    if as_json:
        emit_json(counts | {"file": str(file)})
    elif file is not None:
        print(_summary_of(counts, file))


def scored_to(
    model: Any, frames: Iterator[pd.DataFrame], output: Path | None, id: str | None, missing: str
) -> dict[str, Any]:
    """Write the scores of frames into a CSV file, whole or not at all, or to stdout; counts of what was done.

    Raises
    ------
    InputError
        The rows cannot be scored, or the file not be written.
    """
    from ..data import disk_trouble, written_beside

    if output is None:
        return _write(model, frames, sys.stdout, id, missing)
    with (
        disk_trouble(output),
        written_beside(output) as beside,
        beside.open("w", encoding="utf-8", newline="") as stream,
    ):
        return _write(model, frames, stream, id, missing)


def _write(model: Any, frames: Iterator[pd.DataFrame], stream: Any, id: str | None, missing: str) -> dict[str, Any]:
    from ..data import inert

    counts: dict[str, Any] = {"rows": 0, "left_out": 0, "far_outside": 0, "assigned": {}}
    for frame in frames:
        rows = _named(frame, id)
        if missing == "drop":
            present = [name for name in model.columns if name in rows.columns]
            complete = rows[present].notna().all(axis=1)
            counts["left_out"] += int((~complete).sum())
            rows = rows[complete]
            if not len(rows):
                continue
        table = model.score(rows).table()
        inert(table).to_csv(stream, header=not counts["rows"], lineterminator="\n")
        counts["rows"] += len(table)
        counts["far_outside"] += int((table["tail"] < 1e-3).sum())
        for label, n in zip(*np.unique(table["assignment"], return_counts=True), strict=True):
            counts["assigned"][int(label)] = counts["assigned"].get(int(label), 0) + int(n)
    if not counts["rows"]:
        raise InputError("there are no rows to score; give at least one")
    return counts


def _named(frame: pd.DataFrame, id: str | None) -> pd.DataFrame:
    if id is None:
        return frame
    if id not in frame.columns:
        raise InputError(f"--id {id}: there is no such column; the data has {', '.join(map(str, frame.columns[:10]))}")
    return frame.set_index(id)


def _summary_of(counts: dict[str, Any], output: Path) -> str:
    """What was done, in words."""
    groups = ", ".join(f"{label}: {n:,}" for label, n in sorted(counts["assigned"].items()))
    left = f"; {counts['left_out']:,} with missing values left out" if counts["left_out"] else ""
    return (
        f"{counts['rows']:,} rows scored (component {groups}){left}; {counts['far_outside']:,} that no component would make "
        f"once in a thousand\nwritten: {output}"
    )
