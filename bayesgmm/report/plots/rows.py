"""Plots of the rows: where the open ones lie, their probabilities, and who is with whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ...clusters import by_uncertainty, nowhere_empty, open_rows
from ...data import CI_PROB, checked, equal_tailed
from ...mixture import draw_responsibilities, expected_values
from ...sampling import Posterior
from . import geometry
from .style import DENSE, GRID, INK, MUTED, PALETTE, canvas, cluster_style, figure_style, plain

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["LARGEST_MAP", "plot_coclustering", "plot_memberships", "plot_uncertain_rows"]

Array = NDArray[np.float64]
Backend = Literal["matplotlib", "none"]

_NAMED = 12
LARGEST_MAP = 500


@checked
def plot_memberships(
    memberships: xr.Dataset, post: xr.DataTree, *, axes: Any = None, backend: Backend = "matplotlib"
) -> Any:
    """Map of the rows: colour is the most probable cluster, size the entropy; open rows are ringed, the first named.

    With one feature, each cluster's probability against it, with its interval. With more than two, the plane in which
    the clusters differ most (Scrucca 2010).

    Parameters
    ----------
    memberships : Dataset
        From `memberships`.
    post : DataTree
        The posterior that they are of.
    axes : Axes, array of Axes or Figure, optional
    backend : {"matplotlib", "none"}

    Returns
    -------
    array of Axes, or DataFrame
        For "none": index obs_id; x, y (with one feature: x only), assignment, entropy, open.
    """
    import pandas as pd

    view = Posterior.read(post)
    plane = geometry.directions(geometry.average_mixture(view.draws))
    # A row that lacks a value stands where EM expects it, given the rest.
    points = expected_values(nowhere_empty(view.em), view.values) @ plane
    is_open = np.zeros(len(points), dtype=bool)
    is_open[open_rows(memberships)] = True
    frame = pd.DataFrame(points, columns=["x", "y"][: points.shape[1]], index=pd.Index(view.obs_id, name="obs_id"))
    frame["assignment"] = memberships["assignment"].values
    frame["entropy"] = memberships["entropy"].values
    frame["open"] = is_open
    if backend == "none":
        return frame
    with figure_style():
        one = points.shape[1] == 1
        grid = canvas(axes, 1, 1, (6.8, 3.2 if one else 4.6))
        ax = grid[0, 0]
        if one:
            _probability_curves(ax, memberships, view)
            ax.set_xlabel(plain(view.columns[0]))
            ax.set_ylabel("posterior probability")
        else:
            _map(ax, frame, list(memberships["cluster"].values))
            names = view.columns if len(view.columns) == 2 else ("first direction", "second direction")
            ax.set_xlabel(plain(names[0], 60))
            ax.set_ylabel(plain(names[1], 60))
        ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0)
    return grid


def _probability_curves(ax: Any, memberships: xr.Dataset, view: Posterior) -> None:
    """The probability of each cluster at every value, with its band, and the rows where they lie."""
    x = view.values[:, 0]
    low, high = x.min(), x.max()
    at = np.linspace(low - 0.04 * (high - low), high + 0.04 * (high - low), 240)
    (block,) = draw_responsibilities(geometry.thinned(view.draws, 1000), at[:, None], max_bytes=2**40)
    lb, ub = equal_tailed(block.responsibilities, float(memberships.attrs.get("ci_prob", CI_PROB)))
    for k, cluster in enumerate(memberships["cluster"].values):
        style = cluster_style(k)
        ax.fill_between(at, lb[k], ub[k], color=style["color"], alpha=0.18, linewidth=0)
        ax.plot(at, block.responsibilities[:, k].mean(0), color=style["color"], linestyle=style["linestyle"])
        rows = memberships["assignment"].values == cluster
        ax.plot(
            x[rows], memberships["probability"].sel(cluster=cluster).values[rows], linestyle="none",
            color=style["color"], marker=style["marker"], markersize=4, markeredgewidth=0, label=f"cluster {cluster}",
            rasterized=len(x) > DENSE,
        )  # fmt: skip
    ax.set_ylim(-0.02, 1.04)


def _map(ax: Any, frame: Any, clusters: list[Any]) -> None:
    dense = len(frame) > DENSE
    largest = max(frame["entropy"].max(), 1e-12)
    for k, cluster in enumerate(clusters):
        rows = frame[frame["assignment"] == cluster]
        style = cluster_style(k)
        ax.scatter(
            rows["x"], rows["y"], s=(5 if dense else 12) * (1 + 3 * rows["entropy"] / largest), marker=style["marker"],
            color=style["color"], alpha=0.6, linewidths=0, label=f"cluster {cluster}", rasterized=dense,
        )  # fmt: skip
    ringed = frame[frame["open"]].sort_values("entropy", ascending=False, kind="stable")
    if len(ringed):
        ax.scatter(
            ringed["x"], ringed["y"], s=44, facecolors="none", edgecolors=INK, linewidths=0.7,
            label=f"open ({len(ringed)})", rasterized=len(ringed) > DENSE,
        )  # fmt: skip
    _name_points(ax, ringed)


def _name_points(ax: Any, ringed: Any) -> None:
    """Labels beside the most uncertain rows, left out where they would lie on one another."""
    placed: list[Array] = []
    extent = np.array([np.ptp(ax.get_xlim()), np.ptp(ax.get_ylim())])
    for obs_id, row in ringed.head(3 * _NAMED).iterrows():
        at = np.array([row["x"], row["y"]]) / extent
        label = plain(obs_id, 14)
        room = np.array([0.012 * len(label) + 0.015, 0.04])
        if len(placed) < _NAMED and not any((np.abs(at - other) < room).all() for other in placed):
            placed.append(at)
            ax.annotate(label, (row["x"], row["y"]), xytext=(4, 4), textcoords="offset points", fontsize=7.5, color=INK)


@checked
def plot_uncertain_rows(
    memberships: xr.Dataset, n: int = 20, *, axes: Any = None, backend: Backend = "matplotlib"
) -> Any:
    """Forest of the most uncertain rows: probabilities of their clusters with intervals.

    Parameters
    ----------
    memberships : Dataset
    n : int
        Rows, by entropy, the most uncertain at the top.
    axes : Axes, array of Axes or Figure, optional
    backend : {"matplotlib", "none"}

    Returns
    -------
    array of Axes, or DataFrame
        For "none": obs_id, cluster, probability, lb, ub; of each row the three most probable clusters.
    """
    import pandas as pd

    chosen = by_uncertainty(memberships)[:n]
    part = memberships.isel(obs_id=chosen)
    clusters = list(part["cluster"].values)
    probability = part["probability"].transpose("obs_id", "cluster").values
    shown = np.sort(np.argsort(-probability, axis=1, kind="stable")[:, :3], axis=1)
    lb, ub = (part[f"probability_{end}"].transpose("obs_id", "cluster").values for end in ("lb", "ub"))
    frame = pd.DataFrame(
        [
            {"obs_id": label, "cluster": clusters[k], "probability": probability[i, k], "lb": lb[i, k],
             "ub": ub[i, k]}
            for i, label in enumerate(part["obs_id"].values)
            for k in shown[i]
        ],
        columns=["obs_id", "cluster", "probability", "lb", "ub"],
    )  # fmt: skip
    if backend == "none":
        return frame
    with figure_style():
        grid = canvas(axes, 1, 1, (6.8, 0.9 + 0.24 * max(len(chosen), 3)))
        ax = grid[0, 0]
        per_row = shown.shape[1]
        for position, row in enumerate(frame.itertuples(index=False)):
            i, rank = divmod(position, per_row)
            y = i + 0.2 * (rank - (per_row - 1) / 2)
            style = cluster_style(clusters.index(row.cluster))
            ax.plot([row.lb, row.ub], [y, y], color=style["color"], linewidth=1.3)
            ax.plot(row.probability, y, marker=style["marker"], color=style["color"], markersize=4, linestyle="none")
        ax.set_yticks(range(len(chosen)), [plain(v, 22) for v in part["obs_id"].values])
        ax.set_ylim(len(chosen) - 0.4, -0.6)
        ax.set_xlim(-0.02, 1.02)
        ax.set_xlabel("posterior probability, with interval")
        ax.set_ylabel("row")
        ax.axvline(0.5, color=MUTED, linewidth=0.6, linestyle=":")
        _cluster_legend(ax, [k for k, c in enumerate(clusters) if (frame["cluster"] == c).any()], clusters)
    return grid


def _cluster_legend(ax: Any, which: list[int], clusters: list[Any]) -> None:
    from matplotlib.lines import Line2D

    handles = []
    for k in which:
        style = cluster_style(k)
        handles.append(
            Line2D([], [], color=style["color"], marker=style["marker"], markersize=4, label=f"cluster {clusters[k]}")
        )
    ax.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0)


@checked
def plot_coclustering(
    coclustering: xr.DataArray, consensus: Any = None, *, axes: Any = None, backend: Backend = "matplotlib"
) -> Any:
    """Heat map of the probability that two rows share a cluster, ordered by the consensus partition.

    Parameters
    ----------
    coclustering : DataArray
        From `coclustering`.
    consensus : Consensus, optional
        Its labels order the rows; within a cluster, and without it, rows that keep the same company stand together.
    axes : Axes, array of Axes or Figure, optional
    backend : {"matplotlib", "none"}

    Returns
    -------
    array of Axes, or DataArray
        For "none": the matrix in the order drawn, at most 500 rows of it, with the labels as coordinate ``label``.
    """
    matrix = _ordered(coclustering, consensus)
    if backend == "none":
        return matrix
    with figure_style():
        from matplotlib.colors import LinearSegmentedColormap, to_rgb

        # Transparent to blue: the page shows through where the probability is zero, in either theme.
        blue = to_rgb(PALETTE[0])
        shades = LinearSegmentedColormap.from_list("shades", [(*blue, 0.0), (*blue, 1.0)])
        grid = canvas(axes, 1, 1, (5.4, 4.6))
        ax = grid[0, 0]
        image = ax.imshow(matrix.values, cmap=shades, vmin=0, vmax=1, aspect="equal", rasterized=True)
        edges = np.flatnonzero(np.diff(matrix["label"].values)) + 0.5
        for edge in edges:
            ax.axhline(edge, color=INK, linewidth=0.5)
            ax.axvline(edge, color=INK, linewidth=0.5)
        bounds = np.concatenate([[-0.5], edges, [len(matrix) - 0.5]])
        middles, sizes = (bounds[1:] + bounds[:-1]) / 2, np.diff(bounds)
        names = [f"{label}" for label in matrix["label"].values[middles.round().astype(int).clip(0, len(matrix) - 1)]]
        wide = sizes > 0.03 * len(matrix)
        ticks = [(m, name) for m, name, ok in zip(middles, names, wide, strict=True) if ok]
        ax.set_xticks(*zip(*ticks, strict=True))
        ax.set_yticks(*zip(*ticks, strict=True))
        ax.tick_params(length=0)
        ax.grid(False)
        for side in ("top", "right"):
            ax.spines[side].set_visible(True)
        ax.set_xlabel("rows, by cluster of the consensus")
        bar = ax.figure.colorbar(image, ax=ax, shrink=0.7, label="probability of the same cluster")
        bar.outline.set_edgecolor(GRID)
    return grid


def _ordered(coclustering: xr.DataArray, consensus: Any) -> xr.DataArray:
    """Rows by consensus label, within a label by the company they keep; a regular part of many rows."""
    matrix = coclustering.values
    labels = np.zeros(len(matrix), dtype=int)
    if consensus is not None:
        labels = np.asarray(_labels_of(consensus, coclustering))
    company = np.empty(len(matrix))
    for label in np.unique(labels):
        own = labels == label
        company[own] = _company(matrix[own])
    order = np.lexsort((company, labels))
    if len(order) > LARGEST_MAP:
        order = order[np.linspace(0, len(order) - 1, LARGEST_MAP).round().astype(int)]
    drawn = coclustering.isel(obs_id=order, obs_id_bis=order)
    return drawn.assign_coords(label=("obs_id", labels[order]))


def _company(rows: Array) -> Array:
    """Places (n,) of rows (n, N) along the line on which they differ most, those with most company first."""
    centred = rows - rows.mean(0)
    axis = np.linalg.svd(centred, full_matrices=False)[2][0]
    place = centred @ axis
    return -place if place @ (rows.sum(1) - rows.sum(1).mean()) > 0 else place


def _labels_of(consensus: Any, coclustering: xr.DataArray) -> NDArray[Any]:
    """The consensus labels of the rows in the matrix, which may be some of all."""
    labels = consensus.labels
    if hasattr(labels, "sel"):
        return labels.sel(obs_id=coclustering["obs_id"].values).values
    labels = getattr(labels, "loc", labels)
    return np.asarray(labels[coclustering["obs_id"].values] if hasattr(consensus.labels, "loc") else labels)
