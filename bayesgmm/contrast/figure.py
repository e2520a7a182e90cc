"""The figure of a contrast."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_contrast"]

# More parameters than this cannot be read in one figure: those where EM is farthest off are shown.
_MOST_PARAMETERS = 30
# Rows drawn, those that the posterior leaves most open.
_MOST_ROWS = 25


def plot_contrast(
    parameters: pd.DataFrame, memberships: pd.DataFrame, verdict: str, ci_prob: float, open_below: float
) -> Figure:
    """Left, parameters on the scale of the posterior's sd; right, the probabilities of the rows that are most open.

    Each three times: EM's point, EM's interval, the posterior's interval about its mean.
    """
    from matplotlib.figure import Figure

    shown = parameters[parameters["sd"] > 0]
    if len(shown) > _MOST_PARAMETERS:
        shown = shown.loc[shown["z"].abs().nlargest(_MOST_PARAMETERS).index]
    kept = memberships[memberships["sample_weight"] > 0]
    rows = kept.loc[kept["posterior_modal_probability"].nsmallest(_MOST_ROWS).index]
    figure = Figure(figsize=(11, max(3.5, 0.26 * max(len(shown), len(rows)) + 1.5)), layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw_parameters(left, shown, ci_prob)
    _draw_rows(right, rows, ci_prob, open_below)
    figure.suptitle(f"EM against the posterior (verdict: {verdict})", fontsize=11)
    return figure


def _draw_parameters(axes: Axes, table: pd.DataFrame, ci_prob: float) -> None:
    y = np.arange(len(table))[::-1]
    ends = {name: (table[name] - table["mean"]) / table["sd"] for name in ("lb", "ub", "em_lb", "em_ub")}
    axes.hlines(y, ends["lb"], ends["ub"], color="tab:blue", lw=3, alpha=0.5, label="posterior's interval")
    axes.hlines(y, ends["em_lb"], ends["em_ub"], color="black", lw=0.8, label="EM's interval")
    colours = np.where(table["inside"], "black", "tab:red")
    axes.scatter(table["z"], y, c=colours, s=18, zorder=3, label="EM's point (red: outside)")
    axes.axvline(0, color="0.8", lw=0.8, zorder=0)
    axes.set_yticks(y, table.index.tolist(), fontsize=8)
    axes.set_xlabel(f"posterior sd from the posterior mean ({100 * ci_prob:g}% intervals)")
    _legend(axes)


def _draw_rows(axes: Axes, table: pd.DataFrame, ci_prob: float, open_below: float) -> None:
    y = np.arange(len(table))[::-1]
    axes.hlines(y, table["lb"], table["ub"], color="tab:blue", lw=3, alpha=0.5, label="posterior's interval")
    axes.scatter(table["posterior_probability"], y, marker="|", c="tab:blue", s=60, label="posterior's mean")
    axes.hlines(y, table["delta_lb"], table["delta_ub"], color="black", lw=0.8, label="EM's interval")
    axes.scatter(table["em_probability"], y, c="black", s=18, zorder=3, label="EM's point")
    axes.axvline(open_below, color="0.8", lw=0.8, zorder=0)
    axes.set_yticks(y, [f"row {label}" for label in table.index], fontsize=8)
    axes.set_xlim(-0.02, 1.02)
    axes.set_xlabel(f"probability of EM's cluster ({100 * ci_prob:g}% intervals)")
    _legend(axes)


def _legend(axes: Axes) -> None:
    axes.legend(fontsize=8, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False, columnspacing=1.0)
