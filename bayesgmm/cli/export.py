"""`bayesgmm export`: a report's tables, figures and methods as a paper takes them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import AsJson, output_path
from .show import emit_json

__all__ = ["export"]


def export(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="What `report` wrote.")],
    output: Annotated[str, typer.Option("-o", "--output", help="Folder to write into.")] = "bayesgmm-export",
    tables: Annotated[str, typer.Option("--tables", help="Of latex, xlsx and csv, separated by commas.")] = "latex,csv",
    figures: Annotated[str, typer.Option("--figures", help="Of svg, pdf and png, separated by commas.")] = "pdf",
    as_json: AsJson = False,
) -> None:
    """A report for a paper: tables, figures, and a methods paragraph with its references, every number traceable."""
    to = output_path(output)
    from ..analysis import load_analysis
    from ..report.export import export as write

    forms = ([form for form in text.replace(" ", "").split(",") if form] for text in (tables, figures))
    written = write(load_analysis(folder), to, *forms)
    if as_json:
        emit_json({"files": [str(path) for path in written]})
    else:
        print(f"{len(written)} files written: {to}")
