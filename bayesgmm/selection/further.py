"""What else has to be looked at before a comparison can be told: more components, and models that could still matter."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from ..mixture import ModelKey

if TYPE_CHECKING:
    import pandas as pd

    from .screening import Cell

__all__ = ["LEFT_OUT", "at_the_edge", "best_model", "worth_sampling"]

# Posterior probability that models which were not sampled may hold unmentioned.
LEFT_OUT = 0.01


def best_model(comparison: pd.DataFrame) -> str | None:
    """The most probable structure of the most probable K; None where no model has a probability."""
    known = comparison[comparison["p_model"].notna()]
    if known.empty:
        return None
    by_k = known.groupby("n_components")["p_model"].sum()
    return str(known.loc[known["n_components"] == by_k.idxmax(), "p_model"].idxmax())


def at_the_edge(comparison: pd.DataFrame) -> bool:
    """Whether the most probable K is the largest of those compared, and there are several."""
    best = best_model(comparison)
    counts = comparison["n_components"]
    if best is None or counts.min() == counts.max():
        return False
    return bool(comparison.loc[best, "n_components"] == counts.max())


def worth_sampling(comparison: pd.DataFrame, sampled: Collection[Cell], most: int) -> list[Cell]:
    """Models to sample so that those left out hold less than `LEFT_OUT`, the most promising first; at most ``most``."""
    rest = comparison.attrs["left_out"]
    chosen: list[Cell] = []
    for key, share in comparison.attrs["left_out_models"]:
        if rest is None or rest < LEFT_OUT or len(chosen) == most:
            break
        if (cell := ModelKey.parse(key)) not in sampled:
            chosen.append(cell)
            rest -= share
    return chosen
