"""What other priors leave of a number of components, in one sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["sensitivity_sentence"]

_SETTLED, _LIKELY = 0.95, 0.8


def sensitivity_sentence(p_k: pd.DataFrame, k: int) -> str:
    """The sentence on p(K | y), graded by its range.

    Parameters
    ----------
    p_k : DataFrame
        One row per prior, the given one first, one column per K.
    k : int
        The number of components that is claimed.
    """
    known = p_k.dropna(how="any") if p_k.shape[1] else p_k
    if k not in known or len(known) < 2 or known.shape[1] < 2:
        return ""
    best = known.idxmax(axis=1)
    low, high = float(known[k].min()), float(known[k].max())
    span = f"between {low:.2f} and {high:.2f}" if high - low >= 0.005 else f"{low:.2f}"
    without = len(p_k) - len(known)
    rest = f" ({without} of them could not be told from these draws)" if without else ""
    if set(best) != {k}:
        others = sorted({int(j) for j in best} | {k})
        named = ", ".join(map(str, others[:-1])) + f" or {others[-1]}"
        lowest = str(known[k].idxmin())
        return (
            f"K = {named}, depending on the prior: p(K = {k}) is {known[k].iloc[0]:.2f} as given, and {low:.2f} with "
            f"{lowest}{rest}."
        )
    grade = "settled" if low > _SETTLED else "likely" if low > _LIKELY else "favoured, not settled,"
    return f"K = {k} is {grade} under every prior tried: its probability is {span}{rest}."
