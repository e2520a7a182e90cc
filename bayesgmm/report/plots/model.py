"""Plots of the model: pairs of features with ellipses, predictive density, posterior densities of the parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ...contrast import em_mixture
from ...data import checked, equal_tailed
from ...mixture import Mixture
from ...sampling import Posterior
from . import geometry
from .style import DENSE, EM_STYLE, INK, MUTED, canvas, cluster_style, figure_style, plain

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["plot_marginals", "plot_pairs", "plot_predictive"]

Array = NDArray[np.float64]
Backend = Literal["matplotlib", "none"]

# Ellipses in a fan, over all components: enough to see the spread, few enough for a small page.
_FAN = 120
_GRID = 121


@checked
def plot_pairs(
    post: xr.DataTree,
    gm: Any = None,
    *,
    memberships: xr.Dataset | None = None,
    max_features: int = 4,
    axes: Any = None,
    backend: Backend = "matplotlib",
) -> Any:
    """Rows and components, feature against feature: EM's ellipses over a fan of the posterior's.

    Each ellipse holds 90% of its component. With one feature, densities instead of ellipses. With more than
    ``max_features``, the features in which the components lie furthest apart for their spread.

    Parameters
    ----------
    post : DataTree
        From `sample_posterior`.
    gm : GaussianMixture, EMFit or Mixture, optional
        EM's estimate; by default the one kept with the posterior.
    memberships : Dataset, optional
        From `memberships`; colours the rows. By default computed from 200 draws.
    max_features : int
    axes : Axes, array of Axes or Figure, optional
    backend : {"matplotlib", "none"}
        "none" draws nothing and returns what would be drawn.

    Returns
    -------
    array of Axes, or dict
        For "none": ``features``, ``values`` (N, F), ``assignment`` (N,), ``posterior`` Mixture of some draws,
        ``em`` Mixture.
    """
    view = Posterior.read(post)
    features = geometry.top_features(geometry.average_mixture(view.draws), max_features)
    data: dict[str, Any] = {
        "features": [view.columns[j] for j in features],
        "values": view.values[:, features],
        "assignment": _assignment(view, memberships),
        "posterior": geometry.thinned(view.draws, min(40, max(10, _FAN // view.n_components))),
        "em": em_mixture(gm, view),
    }
    if backend == "none":
        return data
    size = len(features)
    extent = 6.4 if size == 1 else min(2.1 * size + 1.2, 8.4)
    with figure_style():
        grid = canvas(axes, size, size, (extent, 3.2 if size == 1 else extent * 0.92))
        for i in range(size):
            for j in range(size):
                ax = grid[i, j]
                if j > i:
                    ax.axis("off")
                elif i == j:
                    _marginal_panel(ax, data, view, features[j], label_y=size == 1)
                else:
                    _pair_panel(ax, data, features[j], features[i], j, i)
                if i == size - 1:
                    ax.set_xlabel(plain(data["features"][j], 20))
                if j == 0 and i > 0:
                    ax.set_ylabel(plain(data["features"][i], 20))
        _legend(grid, size, view.n_components)
    return grid


def _assignment(view: Posterior, memberships: xr.Dataset | None) -> NDArray[np.intp]:
    if memberships is None:
        return geometry.cluster_probabilities(view).argmax(1)
    clusters = list(memberships["cluster"].values)
    return np.asarray([clusters.index(c) for c in memberships["assignment"].values], dtype=np.intp)


def _fan(draws: Mixture, k: int, which: list[int]) -> np.ndarray:
    """Ellipses of a component, one of each draw, as one path with gaps: forty separate lines would be forty elements."""
    fan = geometry.ellipses(draws.means[:, k][:, which], draws.dense_covariances[:, k][:, which][:, :, which])
    gap = np.full((len(fan), 1, 2), np.nan)
    return np.concatenate([fan, gap], axis=1).reshape(-1, 2)


def _pair_panel(ax: Any, data: dict[str, Any], fx: int, fy: int, x: int, y: int) -> None:
    posterior, em = data["posterior"], data["em"]
    dense = len(data["values"]) > DENSE
    which = [fx, fy]
    for k in range(posterior.n_components):
        style = cluster_style(k)
        rows = data["assignment"] == k
        ax.plot(
            data["values"][rows, x], data["values"][rows, y], linestyle="none", marker=style["marker"],
            color=style["color"], markersize=2.2 if dense else 3, alpha=0.25 if dense else 0.55, markeredgewidth=0,
            rasterized=dense,
        )  # fmt: skip
        ax.plot(*_fan(posterior, k, which).T, color=style["color"], alpha=0.3, linewidth=0.6)
    for k in range(em.n_components):
        outline = geometry.ellipses(em.means[k, which], em.dense_covariances[k][np.ix_(which, which)])
        ax.plot(*outline.T, **EM_STYLE)


def _marginal_panel(ax: Any, data: dict[str, Any], view: Posterior, feature: int, label_y: bool) -> None:
    values = view.values[:, feature]
    _histogram(ax, values, view.sample_weight)
    at = _span(values)
    densities = geometry.marginal_densities(data["posterior"], feature, at)
    for k in range(densities.shape[1]):
        ax.plot(*_with_gaps(at, densities[:, k]), color=cluster_style(k)["color"], alpha=0.3, linewidth=0.6)
    ax.plot(at, geometry.marginal_densities(data["em"], feature, at).sum(0), **EM_STYLE)
    ax.set_ylim(bottom=0)
    if label_y:
        ax.set_ylabel("density")
    else:
        ax.set_yticks([])
        ax.spines["left"].set_visible(False)
        ax.grid(False)


def _histogram(ax: Any, values: Array, weight: Array, **options: Any) -> None:
    """Density of a column (N,) whose rows count ``weight`` (N,) times, to be set beside a model's."""
    there = ~np.isnan(values)
    values, weight = values[there], weight[there]
    ax.hist(
        values, bins=_bins(values), weights=weight, density=True, histtype="stepfilled", color=MUTED, alpha=0.25,
        linewidth=0, **options,
    )  # fmt: skip


def _with_gaps(at: Array, curves: Array) -> tuple[Array, Array]:
    """Many curves over one grid as one line."""
    y = np.concatenate([curves, np.full((len(curves), 1), np.nan)], axis=1)
    return np.tile(np.append(at, np.nan), len(curves)), y.ravel()


def _legend(grid: Any, size: int, n_clusters: int) -> None:
    from matplotlib.lines import Line2D

    mark: dict[str, Any] = {"linestyle": "none", "markersize": 5, "markeredgewidth": 0}
    handles = [Line2D([], [], label=f"cluster {k}", **{**cluster_style(k), **mark}) for k in range(n_clusters)]
    handles.append(Line2D([], [], color=MUTED, alpha=0.6, linewidth=0.8, label="posterior draws"))
    handles.append(Line2D([], [], label="EM", **EM_STYLE))
    if size == 1:
        grid[0, 0].legend(handles=handles, loc="best", ncols=1 + (n_clusters > 6))
    else:
        # The corner above the diagonal is empty.
        grid[0, size - 1].legend(
            handles=handles,
            loc="upper right",
            borderaxespad=0,
            ncols=1 if n_clusters < 8 and size > 2 else 2 - (size == 2 and n_clusters < 6),
        )


def _bins(values: Array) -> Array:
    # Freedman and Diaconis's bins are too wide where groups lie apart, for then the quartiles do.
    n = max(len(np.histogram_bin_edges(values, bins="fd")) - 1, round(np.sqrt(len(values))))
    return np.linspace(values.min(), values.max(), min(n, 80) + 1)


def _span(values: Array, n: int = _GRID) -> Array:
    low, high = np.nanmin(values), np.nanmax(values)
    pad = 0.08 * (high - low)
    return np.linspace(low - pad, high + pad, n)


@checked
def plot_predictive(
    post: xr.DataTree,
    gm: Any = None,
    *,
    max_features: int = 6,
    axes: Any = None,
    backend: Backend = "matplotlib",
) -> Any:
    """Data against the posterior predictive density, feature by feature, with EM's plug-in density.

    Densities are exact marginals of the mixtures, not smoothed replicates. The band is pointwise and holds 89% of the
    draws, equal tails.

    Parameters
    ----------
    post : DataTree
    gm : GaussianMixture, EMFit or Mixture, optional
        By default EM's estimate kept with the posterior.
    max_features : int
        The most separating ones are shown.
    axes : Axes, array of Axes or Figure, optional
    backend : {"matplotlib", "none"}

    Returns
    -------
    array of Axes, or DataFrame
        For "none": feature, x, mean, lb, ub, em.
    """
    import pandas as pd

    view = Posterior.read(post)
    em = em_mixture(gm, view)
    features = geometry.top_features(geometry.average_mixture(view.draws), max_features)
    draws = geometry.thinned(view.draws, 400)
    frames = {}
    for j in features:
        at = _span(view.values[:, j])
        density = geometry.marginal_densities(draws, j, at).sum(1)
        lb, ub = equal_tailed(density)
        frames[j] = pd.DataFrame(
            {"feature": view.columns[j], "x": at, "mean": density.mean(0), "lb": lb, "ub": ub,
             "em": geometry.marginal_densities(em, j, at).sum(0)}
        )  # fmt: skip
    if backend == "none":
        return pd.concat(frames.values(), ignore_index=True)
    columns = 1 if len(features) == 1 else 2 if len(features) in (2, 4) else 3
    rows = -(-len(features) // columns)
    with figure_style():
        grid = canvas(axes, rows, columns, (7.4 if columns > 1 else 6.4, 2.9 if rows == 1 else 2.1 * rows + 0.4))
        for ax, j in zip(grid.ravel(), features, strict=False):
            frame, values = frames[j], view.values[:, j]
            _histogram(ax, values, view.sample_weight, label="data")
            ax.fill_between(frame["x"], frame["lb"], frame["ub"], color=cluster_style(0)["color"], alpha=0.3,
                            linewidth=0, label="posterior, 89% band")  # fmt: skip
            ax.plot(frame["x"], frame["mean"], color=cluster_style(0)["color"], label="posterior predictive")
            ax.plot(frame["x"], frame["em"], label="EM plug-in", **EM_STYLE)
            _rug(ax, values)
            ax.set_ylim(bottom=0)
            ax.set_xlabel(plain(view.columns[j]))
        for ax in grid.ravel()[len(features) :]:
            ax.axis("off")
        for ax in grid[:, 0]:
            ax.set_ylabel("density")
        handles, labels = grid[0, 0].get_legend_handles_labels()
        grid[0, 0].figure.legend(handles, labels, loc="outside upper center", ncols=4)
    return grid


def _rug(ax: Any, values: Array) -> None:
    """A tick for each distinct value, as one line with gaps."""
    at = np.unique(values[~np.isnan(values)])
    x = np.repeat(at, 3)
    y = np.tile([0.0, 0.03, np.nan], len(at))
    ax.plot(x, y, color=INK, linewidth=0.5, alpha=0.6, transform=ax.get_xaxis_transform(), rasterized=len(at) > DENSE)


@checked
def plot_marginals(
    post: xr.DataTree,
    gm: Any = None,
    *,
    max_features: int = 4,
    axes: Any = None,
    backend: Backend = "matplotlib",
) -> Any:
    """Posterior densities of weights, means and standard deviations, with their 89% intervals and EM's estimates.

    Parameters
    ----------
    post : DataTree
    gm : GaussianMixture, EMFit or Mixture, optional
        By default EM's estimate kept with the posterior.
    max_features : int
        The most separating ones are shown.
    axes : Axes, array of Axes or Figure, optional
    backend : {"matplotlib", "none"}

    Returns
    -------
    array of Axes, or DataFrame
        For "none": quantity, cluster, mean, lb, ub, em.
    """
    import pandas as pd

    view = Posterior.read(post)
    em = em_mixture(gm, view)
    features = geometry.top_features(geometry.average_mixture(view.draws), max_features)
    panels = _quantities(view.draws, view.columns, features)
    estimates = _quantities(em[None], view.columns, features)
    rows = []
    for name, values in panels.items():
        lb, ub = equal_tailed(values)
        rows += [
            {"quantity": name, "cluster": k, "mean": values[:, k].mean(), "lb": lb[k], "ub": ub[k],
             "em": estimates[name][0, k] if k < em.n_components else np.nan}
            for k in range(view.n_components)
        ]  # fmt: skip
    table = pd.DataFrame(rows)
    if backend == "none":
        return table
    with figure_style():
        grid = canvas(axes, len(features) + 1, 2, (7.4, 1.75 * (len(features) + 1)))
        flat = [ax for ax in grid.ravel() if ax is not grid[0, 1]]
        grid[0, 1].axis("off")
        for ax, name in zip(flat, panels, strict=True):
            _densities_panel(ax, panels[name], table[table["quantity"] == name])
            ax.set_xlabel(plain(name, 44))
        _marginals_legend(grid[0, 1], view.n_components)
    return grid


def _quantities(draws: Mixture, columns: tuple[str, ...], features: list[int]) -> dict[str, Array]:
    """Draws (S, K) of each quantity shown, by name."""
    sd = np.sqrt(np.diagonal(draws.dense_covariances, axis1=-2, axis2=-1))
    result = {"weight": draws.weights}
    for j in features:
        result[f"mean of {columns[j]}"] = draws.means[..., j]
        result[f"sd of {columns[j]}"] = sd[..., j]
    return result


def _densities_panel(ax: Any, values: Array, table: Any) -> None:
    from scipy.stats import gaussian_kde

    top = 0.0
    step = min(0.13, 0.9 / values.shape[1])
    for k in range(values.shape[1]):
        style, row = cluster_style(k), table.iloc[k]
        low, high = np.quantile(values[:, k], (0.002, 0.998))
        if high > low:
            at = np.linspace(low, high, 80)
            density = gaussian_kde(values[:, k])(at)
            # Scaled to one height: clusters of unlike precision would otherwise flatten each other.
            density /= density.max()
            ax.fill_between(at, density, color=style["color"], alpha=0.15, linewidth=0)
            ax.plot(at, density, color=style["color"], linestyle=style["linestyle"])
            top = 1.0
        y = -step * (k + 1)
        ax.plot([row["lb"], row["ub"]], [y, y], color=style["color"], linewidth=2)
        ax.plot(row["mean"], y, marker=style["marker"], color=style["color"], markersize=4, linestyle="none")
        ax.plot(row["em"], y, marker="x", color=INK, markersize=5, linestyle="none")
    ax.set_ylim(-step * (values.shape[1] + 1), max(top, 0.5) * 1.06)
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    ax.grid(visible=False, axis="y")


def _marginals_legend(ax: Any, n_clusters: int) -> None:
    from matplotlib.lines import Line2D

    handles = []
    for k in range(n_clusters):
        style = cluster_style(k)
        handles.append(Line2D([], [], **style, markersize=4, label=f"cluster {k}"))
    handles.append(Line2D([], [], color=INK, marker="x", linestyle="none", markersize=5, label="EM"))
    ax.legend(
        handles=handles,
        loc="center left",
        ncols=1 + (n_clusters > 5),
        title="mean, 89% interval, density",
        alignment="left",
        title_fontsize=8,
    )
