"""A report's tables, figures and methods as a paper takes them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..data import InputError, disk_trouble, inert, write_bytes, write_text
from .figures import planned_figures
from .findings import Findings
from .methods import methods

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FIGURES", "TABLES", "export"]

TABLES, FIGURES = ("latex", "xlsx", "csv"), ("svg", "pdf", "png")


def export(findings: Findings, folder: str | Path, tables: Sequence[str], figures: Sequence[str]) -> list[Path]:
    """Write the tables and figures in each of the forms asked for, ``methods.md``, ``numbers.json`` and ``references.bib``.

    Parameters
    ----------
    findings : Findings
    folder : str or Path
        Made where it is not there; files of these names are replaced.
    tables : of "latex", "xlsx", "csv"
    figures : of "svg", "pdf", "png"

    Returns
    -------
    list of Path
        Everything that was written.

    Raises
    ------
    InputError
        A form is unknown, or the folder cannot be written to.
    """
    folder = Path(folder)
    for name, forms, known in (("tables", tables, TABLES), ("figures", figures, FIGURES)):
        unknown = [form for form in forms if form not in known]
        if unknown:
            raise InputError(f"{name}={unknown[0]!r} is unknown; choose of {', '.join(known)}")
    with disk_trouble(folder):
        folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, frame in _frames(findings).items():
        written += [
            _write_table(frame, folder / f"{name}.{ {'latex': 'tex'}.get(form, form) }", name) for form in tables
        ]
    for name, content in _drawn(findings, figures):
        write_bytes(folder / name, content)
        written.append(folder / name)
    text = methods(findings)
    for name, content in (
        ("methods.md", text.text),
        ("numbers.json", json.dumps(text.numbers, indent=1) + "\n"),
        ("references.bib", text.bibtex),
    ):
        write_text(folder / name, content)
        written.append(folder / name)
    return written


def _frames(findings: Findings) -> dict[str, pd.DataFrame]:
    """Tables by name, each with named columns only."""
    return {
        "comparison": findings.comparison.reset_index(names="model"),
        "criteria": findings.grid.table,
        "parameters": findings.contrast.parameters.reset_index(names="parameter"),
        "checks": findings.checks.reset_index(),
    }


def _write_table(frame: pd.DataFrame, path: Path, caption: str) -> Path:
    import io

    if path.suffix == ".csv":
        write_text(path, inert(frame).to_csv(index=False, lineterminator="\n"))
    elif path.suffix == ".tex":
        text = frame.to_latex(
            index=False, escape=True, float_format="%.4g", na_rep="", caption=caption, label=f"tab:{caption}"
        )
        write_text(path, text)
    else:
        try:
            import xlsxwriter  # noqa: F401
        except ImportError:
            raise InputError('xlsx needs xlsxwriter: pip install "bayesgmm[excel]", or ask for csv') from None
        import pandas as pd

        stream = io.BytesIO()
        # Cells are text or numbers: nothing of the data becomes a formula or a link.
        options = {"options": {"strings_to_formulas": False, "strings_to_urls": False}}
        with pd.ExcelWriter(stream, engine="xlsxwriter", engine_kwargs=options) as book:
            frame.to_excel(book, sheet_name=caption, index=False)
        write_bytes(path, stream.getvalue())
    return path


def _drawn(findings: Findings, forms: Sequence[str]):  # type: ignore[no-untyped-def]
    """Name and content of each figure in each form."""
    import io

    import matplotlib as mpl
    from matplotlib.figure import Figure

    if not forms:
        return
    for name, draw, *_ in planned_figures(findings):
        figure = Figure(layout="constrained")
        draw(figure)
        for form in forms:
            stream = io.BytesIO()
            metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(form, {})
            with mpl.rc_context({"svg.hashsalt": name, "pdf.fonttype": 42}):
                figure.savefig(stream, format=form, dpi=300, metadata=metadata)
            yield f"{name}.{form}", stream.getvalue()
