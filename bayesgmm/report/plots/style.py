"""How every figure looks: colours and markers of the clusters, the style, and where a plot draws.

The colours of the interface (ink, grid, paper) are odd values on purpose: `svg.inline` finds them in a finished figure
and hands them to the page's style sheet, so that one drawing serves the light and the dark theme.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...data import InputError

__all__ = ["DENSE", "EM_STYLE", "GRID", "INK", "MUTED", "PALETTE", "canvas", "cluster_style", "figure_style", "plain"]

INK = "#1c1b1a"
MUTED = "#6b6862"
GRID = "#dedad1"

# Okabe & Ito (2008), without black, which is the ink, and with yellow, faint on white, last; then five of Tol's (2021) muted
# and Brewer's dark colours that are apart from these, so that twelve clusters have twelve colours.
PALETTE = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#b8a800", "#882255", "#332288", "#7a5230", "#7fd1a8",
    "#8f5bd6",
)  # fmt: skip
# No two of twelve clusters share a marker, so that none is told by its colour alone.
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*", "h", "p")
_LINES = ("-", (0, (4, 1.5)), (0, (1.2, 1.2)))
EM_STYLE: dict[str, Any] = {"color": INK, "linestyle": (0, (4, 2)), "linewidth": 1.2}

# Marks beyond which a scatter is drawn as an image: each vector mark costs about a hundred bytes.
DENSE = 2500

_RC: Any = {
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titleweight": "normal",
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.linewidth": 0.7,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "none",
    "axes.unicode_minus": False,
    "grid.color": GRID,
    "grid.linewidth": 0.5,
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "text.color": INK,
    "text.parse_math": False,  # a column may be called "cost in $, profit in $"
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.2,
    "path.simplify_threshold": 0.2,
    "image.interpolation": "nearest",
    "svg.fonttype": "none",
    "svg.hashsalt": "bayesgmm",
}


@contextmanager
def figure_style() -> Iterator[None]:
    """The style, for the time of one drawing; the user's own settings are left alone."""
    import matplotlib

    with matplotlib.rc_context(_RC):
        yield


def cluster_style(cluster: int) -> dict[str, Any]:
    """Colour, marker and line style of a cluster, the same in every figure."""
    return {
        "color": PALETTE[cluster % len(PALETTE)],
        "marker": _MARKERS[cluster % len(_MARKERS)],
        "linestyle": _LINES[cluster // len(PALETTE) % len(_LINES)],
    }


def canvas(axes: Any, rows: int, columns: int, size: tuple[float, float], **options: Any) -> NDArray[Any]:
    """Axes (rows, columns) to draw on.

    Parameters
    ----------
    axes : Axes, array of Axes, Figure or None
        Axes to use as they are, an empty figure to lay out, or None for a new figure of pyplot's.
    rows, columns : int
    size : (float, float)
        Of a new figure, in inches.
    **options
        For ``Figure.subplots``.

    Raises
    ------
    InputError
        The axes given are too few.
    """
    from matplotlib.figure import Figure

    if axes is None:
        import matplotlib.pyplot as plt

        axes = plt.figure(layout="constrained")
    if isinstance(axes, Figure):
        axes.set_size_inches(*size)
        return np.asarray(axes.subplots(rows, columns, squeeze=False, **options))
    given = np.asarray(axes, dtype=object).ravel()
    if given.size < rows * columns:
        raise InputError(f"this plot has {rows * columns} panels, and {given.size} axes were given")
    return given[: rows * columns].reshape(rows, columns)


def plain(text: object, limit: int = 28) -> str:
    """A name as a figure shows it: one line, no control characters, not longer than ``limit``."""
    line = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
