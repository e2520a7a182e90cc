"""Aligning labels: Stephens' algorithm on responsibilities, with EM as the pivot, and ECR as the cross-check.

The likelihood does not know the names of the components, so draws may exchange them. Stephens (2000), algorithm 2:
permute each draw so that its responsibilities P are closest, in Kullback-Leibler divergence, to their mean Q over the
draws; recompute Q; repeat. The cost of giving draw component k the label l is -sum_i P_ik log Q_il (the rest does not
depend on l), so that each draw is one linear assignment. ECR (Papastamoulis & Iliopoulos 2010) maximises instead the
agreement of hard allocations with the pivot's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..mixture import Mixture, draw_responsibilities, responsibilities, run_parallel

__all__ = ["Alignment", "align_labels", "labels_by_pivot"]

Array = NDArray[np.float64]
_MAX_ROWS = 2000
# Responsibilities of all draws on the rows used are held once, in at most so many numbers (128 MB).
_MAX_HELD = 2**24
_SMALLEST = 1e-12
# Fewer draws than this share changing labels in a pass are ties, which no pass will settle.
_SETTLED = 0.001


@dataclass(frozen=True)
class Alignment:
    """How draws were relabelled.

    Attributes
    ----------
    order : (S, K) int
        Component of the draw that takes each label: ``draws.reordered(order)`` is aligned.
    moved : (S,) bool
        Draws whose labels changed.
    ambiguity : float
        Mean over draws of the probability that exchanging some two labels would do as well:
        1 - 1 / (1 + sum over pairs of exp(-extra cost)). Near 0 where components are distinct, large where two of
        them can hardly be told apart.
    agreement : float
        Share of draws in which ECR gives the same labels.
    n_iter : int
        Passes until no label changed.
    """

    order: NDArray[np.intp]
    moved: NDArray[np.bool_]
    ambiguity: float
    agreement: float
    n_iter: int


def _held(draws: Mixture, rows: Array) -> Array:
    """Responsibilities (S, K, N) of all draws on ``rows``."""
    n_draws, k = draws.weights.shape
    held = np.empty((n_draws, k, len(rows)))
    for block in draw_responsibilities(draws, rows):
        held[:, :, block.rows] = block.responsibilities
    return held


def _ecr_order(held: Array, hard: NDArray[np.intp]) -> NDArray[np.intp]:
    """Labels that agree with the pivot's hard allocation in most rows (S, K)."""
    k = held.shape[1]
    allocation = (held.argmax(1)[:, None, :] == np.arange(k)[:, None]).astype(float)
    return _assign(-(allocation @ np.eye(k)[hard]))


def _assign(cost: Array) -> NDArray[np.intp]:
    """Best component for each label (S, K)."""
    from scipy.optimize import linear_sum_assignment

    n_draws, k, _ = cost.shape
    order = np.tile(np.arange(k), (n_draws, 1))
    # Where each label's best component differs from label to label, that is the assignment; only ties need solving.
    best = cost.argmin(1)
    distinct = (np.sort(best, axis=1) == np.arange(k)).all(1)
    order[distinct] = best[distinct]
    rest = np.flatnonzero(~distinct)

    def solve(part: NDArray[np.intp]) -> None:
        for s in part:
            component, label = linear_sum_assignment(cost[s])
            order[s, label] = component

    run_parallel(solve, np.array_split(rest, max(1, rest.size // 500)))
    return order


def _ambiguity(cost: Array, order: NDArray[np.intp]) -> float:
    k = cost.shape[1]
    if k == 1:
        return 0.0
    aligned = np.take_along_axis(cost, order[:, :, None], axis=1)
    diagonal = np.einsum("skk->sk", aligned)
    extra = aligned + np.swapaxes(aligned, 1, 2) - diagonal[:, :, None] - diagonal[:, None, :]
    i, j = np.triu_indices(k, 1)
    odds = np.exp(-np.maximum(extra[:, i, j], 0.0)).sum(1)
    return float(np.mean(odds / (1.0 + odds)))


def _some_rows(values: Array, most: int = _MAX_ROWS) -> Array:
    """At most so many rows, evenly spaced."""
    return values[np.linspace(0, len(values) - 1, min(len(values), most)).astype(int)]


def labels_by_pivot(draws: Mixture, values: Array, pivot: Mixture) -> NDArray[np.intp]:
    """The component of each of S draws that takes each of the pivot's labels (S, K).

    One pass of Stephens' assignment with the pivot's responsibilities held fixed, on the same at most 2,000 rows
    however many draws are asked about: each draw's labels are its own.

    Parameters
    ----------
    draws, values, pivot
        As for `align_labels`.
    """
    rows = _some_rows(values)
    n_draws, k = draws.weights.shape
    log_q = np.log(np.maximum(responsibilities(pivot, rows)[0], _SMALLEST))
    step = max(1, _MAX_HELD // (k * len(rows)))
    order = np.empty((n_draws, k), dtype=np.intp)
    for first in range(0, n_draws, step):
        part = slice(first, first + step)
        order[part] = _assign(-(_held(draws[part], rows) @ log_q))
    return order


def align_labels(draws: Mixture, values: Array, pivot: Mixture, max_iter: int = 20) -> Alignment:
    """Align S draws to each other, starting from the labels of ``pivot``.

    Parameters
    ----------
    draws : Mixture
        One leading axis of S draws, in the units of ``values``.
    values : (N, D)
        Beyond 2,000 rows (or 128 MB of responsibilities) evenly spaced ones are used, which estimate the same
        divergence.
    pivot : Mixture
        A single mixture with the same components, usually EM's.

    Notes
    -----
    Stephens, M. (2000). Dealing with label switching in mixture models. JRSS B 62, 795-809.
    """
    n_draws, k = draws.weights.shape
    rows = _some_rows(values, min(_MAX_ROWS, max(1, _MAX_HELD // (n_draws * k))))
    q = responsibilities(pivot, rows)[0]
    held = _held(draws, rows)
    by_ecr = _ecr_order(held, q.argmax(1))
    order = np.tile(np.arange(k), (n_draws, 1))
    n_iter = 0
    for n_iter in range(1, max_iter + 1):
        cost = -(held @ np.log(np.maximum(q, _SMALLEST)))
        before, order = order, _assign(cost)
        if n_iter > 1 and (before != order).any(1).mean() <= _SETTLED:
            break
        q = np.zeros_like(q)
        for label in range(k):
            q[:, label] = held[np.arange(n_draws), order[:, label]].mean(0)
    moved, agreement = (order != np.arange(k)).any(1), float((order == by_ecr).all(1).mean())
    return Alignment(order, moved, _ambiguity(cost, order), agreement, n_iter)
