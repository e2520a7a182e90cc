"""One look for everything that takes longer than a second."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["progress_display"]


def progress_display(enabled: bool = True) -> Progress:
    """A rich progress display on stderr: description, bar, count, elapsed time, and a free text ``detail``.

    Give every task a ``detail=""``. With ``enabled=False`` it prints nothing.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[detail]}"),
        console=Console(stderr=True),
        disable=not enabled,
        transient=False,
    )
