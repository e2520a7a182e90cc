"""What the commands print: rich tables for people, strict JSON for machines."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["emit_json", "show_table"]

# Columns of text that a table takes where nothing limits it.
_WIDEST = 1000
_SHORT = {
    "n_components": "K",
    "covariance_type": "covariance",
    "log_likelihood": "log lik",
    "n_parameters": "df",
    "n_starts": "starts",
    "n_hits": "hits",
    "n_obs": "rows",
    "elpd_diff": "diff",
    "elpd_diff_se": "se diff",
    "p_k": "p(K)",
    "p_structure": "p(cov | K)",
}


def _cell(value: Any) -> str:
    """A value as a table shows it; log likelihoods and criteria are told apart by three decimals."""
    if isinstance(value, float):
        return "–" if value != value else f"{value:.3f}" if abs(value) < 1e7 else f"{value:.6g}"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def show_table(frame: pd.DataFrame, title: str) -> None:
    """A frame as a rich table on stdout: as wide as it needs where that is no terminal, folded to the terminal where it is."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(
        title=escape(title), title_justify="left", header_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    for name in frame.columns:
        numeric = frame[name].dtype.kind in "iuf"
        # Words fold where there is no room, numbers never: no value is shown in part.
        said = escape(_SHORT.get(str(name), str(name)))
        table.add_column(said, justify="right" if numeric else "left", no_wrap=numeric, overflow="fold")
    for row in frame.itertuples(index=False):
        table.add_row(*(escape(_cell(value)) for value in row))
    _console_for(table).print(table)


def _console_for(table: Any) -> Any:
    """The terminal, or where that is none, one as wide as the table needs."""
    from rich.console import Console
    from rich.measure import Measurement

    console = Console()
    if console.is_terminal:
        return console
    needed = Measurement.get(console, console.options.update(max_width=_WIDEST), table).maximum
    return Console(width=max(console.width, needed))


def emit_json(payload: Any) -> None:
    """Strict JSON: what is not a finite number is null."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {str(k): plain(v) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [plain(v) for v in value]
        if hasattr(value, "tolist"):
            return plain(value.tolist())
        if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
            return None
        return value

    print(json.dumps(plain(payload), indent=1, allow_nan=False))
