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

__all__ = ["Alignment", "align_labels"]

Array = NDArray[np.float64]
_MAX_ROWS = 2000
_SMALLEST = 1e-12


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


def _cross_costs(draws: Mixture, values: Array, log_pivot: Array, hard: NDArray[np.intp]) -> tuple[Array, Array]:
    """Costs (S, K, K) of Stephens and of ECR: draw component k as label l."""
    n_draws, k = draws.weights.shape
    stephens = np.zeros((n_draws, k, k))
    ecr = np.zeros((n_draws, k, k))
    onehot = np.eye(k)[hard]
    for block in draw_responsibilities(draws, values):
        stephens -= block.responsibilities @ log_pivot[block.rows]
        modal = block.responsibilities.argmax(1)
        allocation = (modal[:, None, :] == np.arange(k)[:, None]).astype(float)
        ecr -= allocation @ onehot[block.rows]
    return stephens, ecr


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


def align_labels(draws: Mixture, values: Array, pivot: Mixture, max_iter: int = 20) -> Alignment:
    """Align S draws to each other, starting from the labels of ``pivot``.

    Parameters
    ----------
    draws : Mixture
        One leading axis of S draws, in the units of ``values``.
    values : (N, D)
        Beyond 2,000 rows every (N / 2000)-th row is used, which estimates the same divergence.
    pivot : Mixture
        A single mixture with the same components, usually EM's.

    Notes
    -----
    Stephens, M. (2000). Dealing with label switching in mixture models. JRSS B 62, 795-809.
    """
    n_draws, k = draws.weights.shape
    rows = values[np.linspace(0, len(values) - 1, min(len(values), _MAX_ROWS)).astype(int)]
    q = responsibilities(pivot, rows)[0]
    hard = q.argmax(1)
    order = np.tile(np.arange(k), (n_draws, 1))
    n_iter = 0
    for n_iter in range(1, max_iter + 1):
        cost, ecr = _cross_costs(draws, rows, np.log(np.maximum(q, _SMALLEST)), hard)
        before, order = order, _assign(cost)
        if n_iter == 1:
            by_ecr = _assign(ecr)
        if n_iter > 1 and np.array_equal(before, order):
            break
        q = np.zeros_like(q)
        aligned = draws.reordered(order)
        for block in draw_responsibilities(aligned, rows):
            q[block.rows] = block.responsibilities.mean(0).T
    return Alignment(
        order,
        (order != np.arange(k)).any(1),
        _ambiguity(cost, order),
        float((order == by_ecr).all(1).mean()),
        n_iter,
    )
