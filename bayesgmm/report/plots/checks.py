"""Plots that judge: criteria against the number of components, EM against the posterior, the verdict's evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ...data import checked
from ...sampling import Posterior
from .style import INK, MUTED, PALETTE, canvas, cluster_style, figure_style, plain

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from ...em import Grid

__all__ = ["plot_contrast", "plot_criteria", "plot_verdict"]

Array = NDArray[np.float64]
Backend = Literal["matplotlib", "none"]

_CRITERIA = ("bic", "aic", "icl")
_BINS = 20
# Points within which models compete, and panels are linear (Kass & Raftery 1995: more is very strong evidence).
_CLOSE = 10.0


@checked
def plot_criteria(
    grid: Grid, comparison: pd.DataFrame | None = None, *, axes: Any = None, backend: Backend = "matplotlib"
) -> Any:
    """Criteria against the number of components: EM's, and beside them PSIS-LOO with a band of two standard errors.

    Parameters
    ----------
    grid : Grid
        From `fit_grid`.
    comparison : DataFrame, optional
        From `compare`; adds the LOO panel.
    axes : array of Axes or Figure, optional
    backend : {"matplotlib", "none"}

    Returns
    -------
    array of Axes, or DataFrame
        For "none": panel, series, n_components, value, lb, ub.
    """
    frame = _criteria_data(grid, comparison)
    if backend == "none":
        return frame
    panels = list(dict.fromkeys(frame["panel"]))
    # A structure looks the same in every panel.
    places = {name: i for i, name in enumerate(dict.fromkeys(frame["series"]))}
    with figure_style():
        drawn = canvas(axes, 1, len(panels), (2.55 * len(panels) + 0.4, 2.9))
        for ax, panel in zip(drawn[0], panels, strict=True):
            part = frame[frame["panel"] == panel]
            for name, series in part.groupby("series", sort=False):
                _criterion_line(ax, places[name], str(name), series.sort_values("n_components"))
            several = len(set(part["series"])) > 1
            ax.set_title(panel, pad=18 if several else None)
            ax.set_xlabel("number of components K")
            ks = sorted(part["n_components"].unique())
            ax.set_xticks(ks if len(ks) <= 10 else ks[:: -(-len(ks) // 10)])
            ax.set_xlim(ks[0] - 0.4, ks[-1] + 0.4)
            _zoomed_at_zero(ax, part)
            if several:
                # Between title and axes: inside there is no place that no line may need.
                ax.legend(
                    loc="lower left", bbox_to_anchor=(-0.02, 0.99), ncols=4, borderpad=0, handlelength=1.3,
                    handletextpad=0.4, columnspacing=0.9,
                )  # fmt: skip
    return drawn


def _zoomed_at_zero(ax: Any, part: pd.DataFrame) -> None:
    """Linear up to ten points from the best, where models compete, logarithmic beyond, where they do not."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    ends = np.concatenate([part["value"], part["lb"].dropna(), part["ub"].dropna()])
    low, high = float(np.nanmin(ends)), float(np.nanmax(ends))
    ax.set_yscale("symlog", linthresh=_CLOSE, linscale=1.0)
    marks = [0, 5, 10, *(10**e for e in range(2, 13))]
    ax.yaxis.set_major_locator(
        FixedLocator([-m for m in marks if 0 < m <= -low * 1.3] + [m for m in marks if m <= max(high * 1.3, 5)])
    )
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:.0f}" if abs(y) < 1e6 else f"{y:.0e}"))
    ax.set_ylim(min(low * 1.6, -0.8), max(high * 1.6, 0.8))


def _criterion_line(ax: Any, position: int, name: str, series: pd.DataFrame) -> None:
    style = cluster_style(position)
    k, value = series["n_components"].to_numpy(), series["value"].to_numpy()
    ax.plot(k, value, color=style["color"], marker=style["marker"], markersize=3.5, label=name)
    best = np.nanargmin(value)
    if series["lb"].notna().any():
        best, ends = np.nanargmax(value), [value - series["lb"], series["ub"] - value]
        ax.fill_between(k, series["lb"], series["ub"], color=style["color"], alpha=0.2, linewidth=0)
        ax.errorbar(k, value, yerr=ends, color=style["color"], linewidth=0.9, linestyle="none")
    if np.isfinite(value[best]):
        ax.plot(
            k[best], value[best], "o", markerfacecolor="none", markeredgecolor=INK, markersize=9, markeredgewidth=0.8
        )


def _criteria_data(grid: Grid, comparison: pd.DataFrame | None) -> pd.DataFrame:
    import pandas as pd

    table = grid.lines.dropna(subset=["log_likelihood"])
    best = table["bic"].min()
    parts = [
        pd.DataFrame(
            {
                "panel": "BIC above the best",
                "series": s,
                "n_components": part["n_components"],
                "value": part["bic"] - best,
            }
        )
        for s, part in table.groupby("covariance_type", sort=False)
    ]
    structure = grid.best_cell("bic")[1]
    own = table[table["covariance_type"] == structure]
    parts += [
        pd.DataFrame(
            {"panel": f"{structure}: above the best", "series": c.upper(), "n_components": own["n_components"],
             "value": own[c] - own[c].min()}
        )
        for c in _CRITERIA
    ]  # fmt: skip
    if comparison is not None and len(comparison):
        for s, part in comparison.groupby("covariance_type", sort=False):
            # The best model differs from itself by nothing, surely: its band has no width.
            diff, se = -part["elpd_diff"].abs(), part["elpd_diff_se"].fillna(0.0)
            parts.append(
                pd.DataFrame(
                    {"panel": "LOO: elpd under the best", "series": s, "n_components": part["n_components"],
                     "value": diff, "lb": diff - 2 * se, "ub": diff + 2 * se}
                )
            )  # fmt: skip
    frame = pd.concat(
        [
            p.reindex(columns=["panel", "series", "n_components", "value", "lb", "ub"]).astype(
                {"lb": float, "ub": float}
            )
            for p in parts
        ]
    )
    return frame.reset_index(drop=True)


@checked
def plot_contrast(contrast: Any, n: int = 30, *, axes: Any = None, backend: Backend = "matplotlib") -> Any:
    """Forest of EM against the posterior: intervals and EM's estimates in posterior standard deviations.

    Parameters
    ----------
    contrast : Contrast
        From `em_vs_posterior`.
    n : int
        Parameters shown, those in which EM lies furthest from the posterior mean.
    axes : Axes, array of Axes or Figure, optional
    backend : {"matplotlib", "none"}

    Returns
    -------
    array of Axes, or DataFrame
        For "none": parameter, z (EM), em_lb, em_ub (its interval, nan without standard errors), lb, ub (of the
        posterior's interval), all in posterior standard deviations from the posterior mean, and inside.
    """
    table = contrast.parameters
    if "parameter" not in table.columns:
        table = table.rename_axis("parameter").reset_index()
    table = table[np.isfinite(table["z"]) & (table["sd"] > 0)]
    table = table.loc[table["z"].abs().sort_values(ascending=False, kind="stable").index[:n]].sort_index()
    ends = ("em_lb", "em_ub", "lb", "ub")
    frame = table[["parameter", "z", "inside"]].assign(
        **{end: (table[end] - table["mean"]) / table["sd"] for end in ends}
    )
    frame = frame[["parameter", "z", *ends, "inside"]].reset_index(drop=True)
    if backend == "none":
        return frame
    with figure_style():
        drawn = canvas(axes, 1, 1, (6.8, 0.9 + 0.2 * max(len(frame), 4)))
        ax = drawn[0, 0]
        y = np.arange(len(frame))
        inside = frame["inside"].to_numpy(dtype=bool)
        ax.hlines(y, frame["lb"], frame["ub"], color=PALETTE[0], linewidth=2, label="posterior interval")
        ax.plot(np.zeros(len(y)), y, "|", color=PALETTE[0], markersize=6, label="posterior mean")
        # EM a little below, so that neither hides the other.
        below = y + 0.24
        ax.hlines(below, frame["em_lb"], frame["em_ub"], color=INK, linewidth=0.8, label="EM's interval")
        ax.plot(frame["z"][inside], below[inside], "D", color=INK, markersize=4, label="EM, inside")
        if not inside.all():
            ax.plot(frame["z"][~inside], below[~inside], "X", color=PALETTE[1], markersize=6, label="EM, outside")
        ax.axvline(0, color=MUTED, linewidth=0.6)
        ax.set_yticks(y, [plain(p, 40) for p in frame["parameter"]])
        ax.set_ylim(len(frame) - 0.4, -0.6)
        ax.set_xlabel("posterior standard deviations from the posterior mean")
        ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0)
    return drawn


@checked
def plot_verdict(
    post: xr.DataTree, diagnosis: Any = None, n: int = 6, *, axes: Any = None, backend: Backend = "matplotlib"
) -> Any:
    """Rank plots of quantities that do not depend on labels: each chain's ranks among all draws.

    If the chains agree, every chain has every rank equally often, within the band.

    Parameters
    ----------
    post : DataTree
    diagnosis : Diagnosis, optional
        Chooses the quantities: the log likelihood, then those with the worst R-hat.
    n : int
        Quantities shown.
    axes : array of Axes or Figure, optional
    backend : {"matplotlib", "none"}

    Returns
    -------
    array of Axes, or DataFrame
        For "none": quantity, chain, bin, count, expected, lb, ub; the band holds 99% of a bin's counts for as many
        independent draws as the effective sample size.
    """
    import pandas as pd

    from ...checks import diagnose, label_free

    view = Posterior.read(post)
    diagnosis = diagnose(post) if diagnosis is None else diagnosis
    quantities = label_free(view)
    names = _worst(diagnosis.table, quantities, n)
    rows = []
    for name in names:
        counts = rank_counts(quantities[name].reshape(view.n_chains, view.n_draws))
        expected = view.n_draws / counts.shape[1]
        half = _half_band(expected, counts.shape[1], view, float(diagnosis.table["ess_bulk"].get(name, np.nan)))
        rows += [
            {"quantity": name, "chain": c, "bin": b, "count": counts[c, b], "expected": expected,
             "lb": max(expected - half, 0.0), "ub": expected + half}
            for c in range(len(counts))
            for b in range(counts.shape[1])
        ]  # fmt: skip
    frame = pd.DataFrame(rows)
    if backend == "none":
        return frame
    columns = min(3, len(names))
    n_rows = -(-len(names) // columns)
    with figure_style():
        drawn = canvas(axes, n_rows, columns, (7.4, 1.75 * n_rows + 0.4))
        for ax, name in zip(drawn.ravel(), names, strict=False):
            _rank_panel(ax, frame[frame["quantity"] == name], diagnosis.table.loc[name])
            ax.set_title(plain(name, 34))
        for ax in drawn.ravel()[len(names) :]:
            ax.axis("off")
        for ax in drawn[:, 0]:
            ax.set_ylabel("draws")
        for ax in drawn[-1]:
            ax.set_xlabel("rank, in twentieths")
        handles, labels = drawn[0, 0].get_legend_handles_labels()
        drawn[0, 0].figure.legend(handles, labels, loc="outside upper center", ncols=min(len(handles), 8))
    return drawn


def _worst(table: pd.DataFrame, quantities: dict[str, Array], n: int) -> list[str]:
    known = table.loc[[name for name in table.index if name in quantities]]
    worst = list(known["r_hat"].fillna(np.inf).sort_values(ascending=False, kind="stable").index)
    first = [name for name in quantities if name.startswith("log likelihood")][:1]
    return [*first, *[name for name in worst if name not in first]][:n]


def rank_counts(chains: Array, bins: int = _BINS) -> NDArray[np.intp]:
    """How many of each chain's draws (chain, draw) fall in each of so many equal ranges of rank (chain, bins)."""
    from scipy.stats import rankdata

    ranks = rankdata(chains, method="average").reshape(chains.shape)
    place = np.minimum(((ranks - 0.5) * bins / chains.size).astype(int), bins - 1)
    return np.stack([np.bincount(row, minlength=bins) for row in place])


def _half_band(expected: float, bins: int, view: Any, ess: float) -> float:
    """Half width of the band: a binomial count's, stretched by the draws' dependence."""
    total = view.n_chains * view.n_draws
    stretch = total / ess if np.isfinite(ess) and 0 < ess < total else 1.0
    return float(2.576 * np.sqrt(expected * (1 - 1 / bins) * stretch))


def _rank_panel(ax: Any, part: pd.DataFrame, stats: pd.Series) -> None:
    first = part.iloc[0]
    bins = int(part["bin"].max()) + 1
    ax.axhspan(first["lb"], first["ub"], color=MUTED, alpha=0.18, linewidth=0)
    ax.axhline(first["expected"], color=MUTED, linewidth=0.6)
    for c, chain in part.groupby("chain"):
        style = cluster_style(int(c))
        count = chain["count"].to_numpy(dtype=float)
        ax.step(np.arange(bins + 1), np.append(count, count[-1]), where="post", color=style["color"],
                linestyle=style["linestyle"], linewidth=1, label=f"chain {c}")  # fmt: skip
    ax.set_xlim(0, bins)
    ax.set_xticks([0, bins // 2, bins])
    ax.set_ylim(0, max(part["count"].max(), first["ub"]) * 1.25)
    ax.text(
        0.98, 0.96, f"R-hat {stats['r_hat']:.3f}, ESS {stats['ess_bulk']:.0f}", transform=ax.transAxes,
        ha="right", va="top", fontsize=7.5, color=INK,
    )  # fmt: skip
