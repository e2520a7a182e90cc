"""Old groups found again in new rows: which component is which, what became of each, and which parameters moved.

With R (N, J) the old model's probabilities of the new rows and Q (N, K) the new model's, ``C = R' Q`` counts rows that old
component j and new component k have in common. Components are matched so that most rows are common (the assignment problem). Of
a component j, `child` is what a new component takes of its rows; of k, `parent` is what came from an old one.

- *new*: more than half of k's rows are such that no old component would make them once in a thousand (`Scores.tail`).
- *split*: two or more components have at least a quarter of j's rows each, and j is where most of theirs came from.
- *vanished*: j is matched with none, or has fewer than a tenth of the rows that its weight calls for; *merged* where one
  component has most of its rows.
- *kept*: anything else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..data import tails

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Matching", "drift_table", "match"]

Array = NDArray[np.float64]

_PART, _MOST, _GONE = 0.25, 0.5, 0.1
_UNLIKELY = 1e-3


@dataclass(frozen=True)
class Matching:
    """Which component of the new model is which of the old one.

    Attributes
    ----------
    label : (K,) int
        Label of each new component: that of the old one it is matched with, or a number not used before.
    old : (K,) int
        The old component, -1 where there is none.
    fate : dict of int to str
        What became of each label, in words.
    """

    label: NDArray[np.intp]
    old: NDArray[np.intp]
    fate: dict[int, str]

    @property
    def unchanged(self) -> bool:
        """Whether every group was kept."""
        return set(self.fate.values()) == {"kept"}


def match(before: Array, tail: Array, after: Array, weights: Array) -> Matching:
    """Match components by the new rows.

    Parameters
    ----------
    before, after : (N, J), (N, K)
        Membership probabilities of the new rows, by the old and by the new model.
    tail : (N,)
        `Scores.tail` by the old model.
    weights : (J,)
        Of the old model.
    """
    from scipy.optimize import linear_sum_assignment

    common = before.T @ after
    strange = (after * (tail < _UNLIKELY)[:, None]).sum(0) / np.maximum(after.sum(0), 1e-12) > _MOST
    common[:, strange] = 0.0
    child = common / np.maximum(before.sum(0), 1e-12)[:, None]
    parent = common / np.maximum(after.sum(0), 1e-12)
    rows, columns = linear_sum_assignment(-common)
    old, gone = np.full(after.shape[1], -1), common.sum(1) < _GONE * weights * len(before)
    for j, k in zip(rows, columns, strict=True):
        if max(child[j, k], parent[j, k]) >= _MOST and not (strange[k] or gone[j]):
            old[k] = j
    label, following = old.copy(), before.shape[1]
    for k in np.flatnonzero(old < 0):
        label[k], following = following, following + 1
    return Matching(label, old, _fates(child, parent, label, old, strange, gone))


def _fates(
    child: Array,
    parent: Array,
    label: NDArray[np.intp],
    old: NDArray[np.intp],
    strange: NDArray[np.bool_],
    gone: NDArray[np.bool_],
) -> dict[int, str]:
    fate: dict[int, str] = {}
    for j in range(len(child)):
        own = [k for k in np.flatnonzero(child[j] >= _PART) if parent[j, k] >= _MOST]
        if j not in old:
            into = int(child[j].argmax())
            taken = child[j, into] >= _MOST and not gone[j]
            fate[j] = f"merged into {label[into]}" if taken else "vanished"
        else:
            fate[j] = "kept" if len(own) < 2 else f"split into {' and '.join(str(label[k]) for k in own)}"
    for k in np.flatnonzero(old < 0):
        fate[int(label[k])] = "new" if strange[k] or not parent[:, k].any() else f"split from {parent[:, k].argmax()}"
    return fate


def drift_table(
    columns: tuple[str, ...],
    labels: list[int],
    before: dict[str, Array],
    after: dict[str, Array],
    ci_prob: float,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """What moved: a row for each matched group's weight, means and standard deviations.

    Parameters
    ----------
    columns : tuple of str, length D
    labels : list of int, length M
        Of the matched groups.
    before, after : dict of "weight" (S, M), "mean" (S, M, D), "sd" (S, M, D)
        Draws of each; the two are independent, and of any two numbers of draws.
    ci_prob : float
    rng : numpy.random.Generator

    Returns
    -------
    DataFrame
        ``old``, ``new``, ``difference`` with ``lb`` and ``ub``, ``in_sd`` (of means, in old standard deviations of the group),
        ``probability`` (that it moved in the direction of the difference) and ``moved`` (the interval is off zero).
    """
    import pandas as pd

    n = max(len(before["weight"]), len(after["weight"]))
    one, two = (rng.integers(len(d["weight"]), size=n) for d in (before, after))
    rows: list[dict[str, Any]] = []
    for m, label in enumerate(labels):
        places = [("weight", (m,), ""), *(("mean", (m, d), f"[{c}]") for d, c in enumerate(columns))]
        places += [("sd", (m, d), f"[{c}]") for d, c in enumerate(columns)]
        for name, at, suffix in places:
            old, new = before[name][(one, *at)], after[name][(two, *at)]
            difference = new - old
            lb, ub = np.quantile(difference, tails(ci_prob))
            sd = float(before["sd"][:, m, at[-1]].mean()) if name == "mean" else np.nan
            rows.append(
                {
                    "group": label,
                    "quantity": name + suffix,
                    "old": old.mean(),
                    "new": new.mean(),
                    "difference": difference.mean(),
                    "lb": lb,
                    "ub": ub,
                    "in_sd": difference.mean() / sd,
                    "probability": max((difference > 0).mean(), (difference < 0).mean()),
                    "moved": bool(lb > 0 or ub < 0),
                }
            )
    return pd.DataFrame(rows).set_index(["group", "quantity"])
