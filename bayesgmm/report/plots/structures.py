"""All covariance structures of a grid at a glance: BIC by family, and what each structure made of the data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ...data import InputError, as_table, checked
from ...mixture import FAMILIES, structure_named
from . import geometry
from .style import DENSE, MUTED, PALETTE, canvas, figure_style, plain

if TYPE_CHECKING:
    from ...em import EMFit, Grid

__all__ = ["plot_structures"]

Backend = Literal["matplotlib", "none"]
_CRITERIA = ("bic", "aic", "icl")
_MARKERS = ("o", "s", "^", "D", "v", "P")
_LINES = ("-", (0, (4, 1.5)), (0, (1.2, 1.2)), (0, (6, 1, 1, 1)))
_COLUMNS = 5


@checked
def plot_structures(
    grid: Grid, criterion: str = "bic", *, values: Any = None, axes: Any = None, backend: Backend = "matplotlib"
) -> Any:
    """A criterion against K, structures coloured by family, then a panel per structure with its best model's ellipses.

    Families are spheres, components along the features, components that share their axes, and components with axes of their
    own. Each ellipse holds 90% of its component, in the two features in which the components of the best model lie furthest
    apart; titles say how far the criterion is above the lowest. With one feature, only the criterion is drawn.

    Parameters
    ----------
    grid : Grid
        From `fit_grid`, for instance with ``covariance_types="all"``.
    criterion : {"bic", "aic", "icl"}
    values : table (N, D), optional
        The rows, to draw under the ellipses.
    axes : array of Axes or Figure, optional
    backend : {"matplotlib", "none"}
        "none" draws nothing and returns what would be drawn.

    Returns
    -------
    array of Axes, or DataFrame
        For "none": covariance_type, family, n_components, the criterion, and whether the model is its structure's best.

    Raises
    ------
    InputError
        An unknown criterion, or a grid without a fit.
    """
    if criterion not in _CRITERIA:
        raise InputError(f"criterion={criterion!r} is unknown; choose one of {', '.join(_CRITERIA)}")
    frame = _frame(grid, criterion)
    if backend == "none":
        return frame
    best = frame[frame["best"]].sort_values(criterion)
    fits = [grid[int(k), str(name)] for k, name in zip(best["n_components"], best["covariance_type"], strict=True)]
    shown = fits if fits[0].mixture.n_features > 1 else []
    which = geometry.top_features(fits[0].mixture, 2)
    rows = None if values is None else _rows(values, fits[0])
    with figure_style():
        top, *panels = _panels(axes, len(shown))
        _lines(top, frame, criterion)
        for panel, fit in zip(panels, shown, strict=True):
            _ellipses(panel, fit, which, rows)
            gap = getattr(fit, criterion) - getattr(fits[0], criterion)
            panel.set_title(f"{_name(fit)}, K={fit.mixture.n_components}: +{gap:.0f}", color=_colour(fit), fontsize=8)
    return np.array([top, *panels], dtype=object)


def _frame(grid: Grid, criterion: str) -> Any:
    """What is drawn: a row per model that was fitted, structures in mclust's order of families."""
    table = grid.lines.dropna(subset=["log_likelihood"])
    if table.empty:
        raise InputError("the grid has no fit to draw: see its failures")
    families = {name: structure_named(name).family for name in table["covariance_type"].unique()}
    frame = table[["covariance_type", "n_components", criterion]].assign(
        family=table["covariance_type"].map(families), best=False
    )
    frame.loc[frame.groupby("covariance_type")[criterion].idxmin(), "best"] = True
    order = {name: i for i, name in enumerate(FAMILIES)}
    return frame.sort_values("family", key=lambda own: own.map(order), kind="stable").reset_index(drop=True)


def _panels(axes: Any, n_shown: int) -> list[Any]:
    """One wide panel, then rows of small ones."""
    from matplotlib.figure import Figure

    n_rows = 2 + -(-n_shown // _COLUMNS)
    if axes is None:
        import matplotlib.pyplot as plt

        axes = plt.figure(layout="constrained")
    if not isinstance(axes, Figure):
        return list(canvas(axes, 1, 1 + n_shown, (0, 0))[0])
    axes.set_size_inches(9.2, 1.6 * n_rows + 0.3)
    outline = axes.add_gridspec(n_rows, _COLUMNS)
    small = [axes.add_subplot(outline[2 + i // _COLUMNS, i % _COLUMNS]) for i in range(n_shown)]
    return [axes.add_subplot(outline[:2, :]), *small]


def _lines(ax: Any, frame: Any, criterion: str) -> None:
    lowest = frame[criterion].min()
    seen: dict[str, int] = {}
    for name, own in frame.groupby("covariance_type", sort=False):
        family = own["family"].iloc[0]
        place = seen[family] = seen.get(family, -1) + 1
        ax.plot(
            own["n_components"], own[criterion] - lowest, color=PALETTE[FAMILIES.index(family)], label=str(name),
            marker=_MARKERS[place % len(_MARKERS)], markersize=3.5, linestyle=_LINES[place % len(_LINES)], linewidth=1.0,
        )  # fmt: skip
    ks = sorted(frame["n_components"].unique())
    ax.set_xticks(ks)
    ax.set_xlabel("number of components K")
    ax.set_ylabel(f"{criterion.upper()} above the lowest")
    # Gaps of thousands and of one are both of interest: linear near zero, logarithmic beyond.
    ax.set_yscale("symlog", linthresh=10)
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    ax.set_ylim(bottom=-1)
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), ncols=1 if len(seen) == 1 else 2, borderpad=0.4, fontsize=7)


def _ellipses(ax: Any, fit: EMFit, which: list[int], rows: Any) -> None:
    """Components of one fit in two features."""
    x, y = which
    if rows is not None:
        dense = len(rows) > DENSE
        ax.plot(
            rows[:, x], rows[:, y], ".", color=MUTED, markersize=1.5, alpha=0.4, markeredgewidth=0, rasterized=dense
        )
    m = fit.mixture
    for k in range(m.n_components):
        outline = geometry.ellipses(m.means[k, which], m.dense_covariances[k][np.ix_(which, which)])
        ax.plot(*outline.T, color=_colour(fit), linewidth=1.1)
    ax.set_xlabel(plain(fit.columns[x], 16), fontsize=7)
    ax.set_ylabel(plain(fit.columns[y], 16), fontsize=7)
    ax.tick_params(labelsize=6)


def _rows(values: Any, fit: EMFit) -> Any:
    """Rows (N, D) to draw under the ellipses."""
    table = as_table(values, missing="drop")
    if table.n_features != fit.mixture.n_features:
        own = fit.mixture.n_features
        raise InputError(
            f"values have {table.n_features} columns and the grid is of {own}: give the rows it was fitted to"
        )
    return table.values


def _name(fit: EMFit) -> str:
    """Its name, and mclust's where that is another."""
    name, letters = fit.covariance_type, fit.mixture.structure.mclust
    return name if name == letters else f"{name} ({letters})"


def _colour(fit: EMFit) -> str:
    return PALETTE[FAMILIES.index(fit.mixture.structure.family)]
