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
# Rows drawn with their interval, those that differ most.
_MOST_INTERVALS = 200


def plot_contrast(
    parameters: pd.DataFrame, memberships: pd.DataFrame, verdict: str, ci_prob: float, certain: float
) -> Figure:
    """Left, EM's estimates on the scale of the posterior's sd; right, EM's probabilities against the posterior's."""
    from matplotlib.figure import Figure

    shown = parameters
    shown = shown[shown["sd"] > 0]
    if len(shown) > _MOST_PARAMETERS:
        shown = shown.loc[shown["z"].abs().nlargest(_MOST_PARAMETERS).index]
    figure = Figure(figsize=(11, max(3.5, 0.26 * len(shown) + 1.5)), layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw_parameters(left, shown, ci_prob)
    _draw_memberships(right, memberships, certain)
    figure.suptitle(f"EM against the posterior (verdict: {verdict})", fontsize=11)
    return figure


def _draw_parameters(axes: Axes, table: pd.DataFrame, ci_prob: float) -> None:
    y = np.arange(len(table))[::-1]
    low, high = ((table[end] - table["mean"]) / table["sd"] for end in ("lb", "ub"))
    axes.hlines(y, low, high, color="tab:blue", lw=3, alpha=0.5, label=f"posterior, {100 * ci_prob:g}% ETI")
    error = (table["em_se"] / table["sd"]).fillna(0.0)
    colours = np.where(table["inside"], "black", "tab:red")
    axes.hlines(y, table["z"] - error, table["z"] + error, color=colours, lw=0.8)
    axes.scatter(table["z"], y, c=colours, s=18, zorder=3, label="EM ± standard error")
    axes.axvline(0, color="0.8", lw=0.8, zorder=0)
    axes.set_yticks(y, table.index.tolist(), fontsize=8)
    axes.set_xlabel("distance from the posterior mean, in posterior sd")
    axes.legend(fontsize=8, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)


def _draw_memberships(axes: Axes, table: pd.DataFrame, certain: float) -> None:
    doubted = table["em_certain_posterior_not"]
    far = table.loc[table["total_variation"].nlargest(_MOST_INTERVALS).index]
    axes.vlines(far["em_probability"], far["lb"], far["ub"], color="0.75", lw=0.7, zorder=1)
    for mask, colour, label in (
        (~doubted, "tab:blue", "rows"),
        (doubted, "tab:red", f"EM certain (≥ {certain:g}), posterior not"),
    ):
        part = table[mask]
        if len(part):
            axes.scatter(
                part["em_probability"], part["posterior_probability"], s=10, color=colour, label=label, zorder=2
            )
    low = min(float(table["em_probability"].min()), float(table["posterior_probability"].min()), 0.5)
    axes.plot([low, 1], [low, 1], color="black", lw=0.6)
    axes.set_xlabel("EM: probability of the row's cluster")
    axes.set_ylabel("posterior: probability of that cluster")
    axes.legend(fontsize=8, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)
