"""Losses between partitions, and a greedy search for the partition of least expected loss.

With f(x) = x log x for the variation of information and f(x) = x^2 for Binder's loss, the loss between partitions of N
rows with cluster sizes n_a, m_b and contingency table n_ab is

    loss = scale * (sum_a f(n_a) + sum_b f(m_b) - 2 sum_ab f(n_ab)),

scale = 1 / N (VI, in nats; Meila 2007, eq. 15) or 1 / (N (N - 1)) (Binder 1978: share of pairs of rows that the two
partitions treat differently). One search serves both. Only the tables are kept, draws x clusters x components: nothing
N x N. Moving a row changes two cells per draw, which is what makes the search cheap (Dahl, Johnson & Muller 2022,
Search algorithms and loss functions for Bayesian clustering, JCGS 31).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["LOSSES", "PartitionLoss", "descend", "distances"]

Array = NDArray[np.float64]
Labels = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class PartitionLoss:
    """A loss between partitions of N rows.

    Attributes
    ----------
    name, label : str
    table : (N + 1,)
        f of 0 .. N.
    scale : float
    """

    name: str
    label: str
    table: Array
    scale: float


def _variation_of_information(n_rows: int) -> PartitionLoss:
    x = np.arange(n_rows + 1, dtype=float)
    table = x * np.log(np.maximum(x, 1.0))
    return PartitionLoss("VI", "variation of information, in nats", table, 1.0 / n_rows)


def _binder(n_rows: int) -> PartitionLoss:
    x = np.arange(n_rows + 1, dtype=float)
    return PartitionLoss("binder", "share of pairs of rows treated differently", x**2, 1.0 / (n_rows * (n_rows - 1)))


LOSSES = {"VI": _variation_of_information, "binder": _binder}


@njit(nogil=True, cache=True, error_model="numpy")
def _tables(candidate, draws, n_clusters, n_components):  # type: ignore[no-untyped-def]
    """Contingency tables (S, C, K) of a candidate (N,) with each drawn partition (S, N)."""
    tables = np.zeros((draws.shape[0], n_clusters, n_components), dtype=np.int32)
    for s in range(draws.shape[0]):
        for i in range(candidate.size):
            tables[s, candidate[i], draws[s, i]] += 1
    return tables


@njit(nogil=True, cache=True, error_model="numpy")
def _distances(tables, f):  # type: ignore[no-untyped-def]
    """Losses (S,), not scaled, from contingency tables."""
    n_draws, n_clusters, n_components = tables.shape
    result = np.empty(n_draws)
    for s in range(n_draws):
        value = 0.0
        for b in range(n_components):
            size = 0
            for a in range(n_clusters):
                size += tables[s, a, b]
                value -= 2.0 * f[tables[s, a, b]]
            value += f[size]
        for a in range(n_clusters):
            value += f[tables[s, a].sum()]
        result[s] = value
    return result


def distances(candidate: Labels, draws: Labels, n_components: int, loss: PartitionLoss) -> Array:
    """Loss between a partition (N,) and each of the drawn ones (S, N)."""
    tables = _tables(candidate, draws, int(candidate.max()) + 1, n_components)
    # Exact zero for equal partitions: rounding may leave a little below it.
    return np.maximum(loss.scale * _distances(tables, loss.table), 0.0)


@njit(nogil=True, cache=True, error_model="numpy")
def _sweep(labels, sizes, tables, by_row, order, f):  # type: ignore[no-untyped-def]
    """Move each row in turn to the cluster of least expected loss, in place; returns the number of rows moved.

    ``by_row`` (N, S) are the drawn labels with the draws last.
    """
    n_draws, n_clusters, _ = tables.shape
    gain = np.empty(n_clusters)
    moved = 0
    for i in order:
        own = labels[i]
        z = by_row[i]
        # Joining cluster c changes the expected loss by f(n_c + 1) - f(n_c) - (2 / S) sum_s [f(t + 1) - f(t)], with
        # row i itself left out of every count.
        for c in range(n_clusters):
            out = 1 if c == own else 0
            joint = 0.0
            for s in range(n_draws):
                t = tables[s, c, z[s]] - out
                joint += f[t + 1] - f[t]
            size = sizes[c] - out
            gain[c] = f[size + 1] - f[size] - 2.0 * joint / n_draws
        best = own
        for c in range(n_clusters):
            # Strictly better by more than rounding, so that equal clusters do not exchange rows for ever.
            if gain[c] < gain[best] - 1e-10 * (1.0 + abs(gain[best])):
                best = c
        if best != own:
            moved += 1
            labels[i] = best
            sizes[own] -= 1
            sizes[best] += 1
            for s in range(n_draws):
                tables[s, own, z[s]] -= 1
                tables[s, best, z[s]] += 1
    return moved


def descend(
    start: Labels,
    by_row: Labels,
    n_components: int,
    max_clusters: int,
    loss: PartitionLoss,
    rng: np.random.Generator,
    max_sweeps: int = 50,
) -> tuple[Labels, float]:
    """Single-row moves from ``start`` until none lowers the expected loss.

    Parameters
    ----------
    start : (N,)
        With labels below ``max_clusters``.
    by_row : (N, S)
        Drawn labels, draws last.

    Returns
    -------
    labels : (N,)
    expected_loss : float
        Mean over the draws.
    """
    labels = start.astype(np.int64)
    tables = _tables(labels, np.ascontiguousarray(by_row.T), max_clusters, n_components)
    sizes = np.bincount(labels, minlength=max_clusters)
    for _ in range(max_sweeps):
        if not _sweep(labels, sizes, tables, by_row, rng.permutation(labels.size), loss.table):
            break
    return labels, max(float(_distances(tables, loss.table).mean()) * loss.scale, 0.0)
