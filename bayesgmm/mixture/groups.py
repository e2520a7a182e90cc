"""Rows that see the same features, together: what an E-step over incomplete rows goes through.

A row without some of its values has the marginal density of those it has, which is the same mixture of the features ``o``
that are observed. All rows of one pattern share it, so that everything that depends on the pattern alone (marginal
covariances, regressions of what is missing on what is not) is worked out once for each.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .structure import Layout

__all__ = ["Groups", "each_pattern", "embedded", "patterns"]

Array = NDArray[np.float64]
Integers = NDArray[np.int64]
# Rows of a task, and what a call of the compiled loop takes on: as many tasks as make up so many rows and groups.
_TASK_ROWS, _CALL_ROWS, _CALL_GROUPS = 8192, 32768, 512


def patterns(values: Array) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
    """Which features rows (N, D) see: the distinct patterns (G, D), and the pattern (N,) of each row."""
    seen = ~np.isnan(values)
    packed = np.packbits(seen, axis=1)
    kinds, which = np.unique(packed, axis=0, return_inverse=True)
    return np.unpackbits(kinds, axis=1, count=values.shape[1]).astype(bool), which.reshape(-1)


def _sorted_by_pattern(values: Array) -> tuple[NDArray[np.bool_], NDArray[np.intp], NDArray[np.intp]]:
    """Distinct patterns (G, D), rows pattern by pattern (N,), and where each pattern begins (G + 1,)."""
    seen, which = patterns(values)
    order = np.argsort(which, kind="stable")
    return seen, order, np.searchsorted(which[order], np.arange(len(seen) + 1))


def each_pattern(values: Array) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Rows and observed features of each pattern of ``values`` (N, D)."""
    seen, order, edges = _sorted_by_pattern(values)
    for g, pattern in enumerate(seen):
        yield order[edges[g] : edges[g + 1]], np.flatnonzero(pattern)


def embedded(matrices: Array, features: NDArray[np.intp], n_features: int) -> Array:
    """Matrices (..., d, d) of some features as (..., D, D), zero elsewhere."""
    result = np.zeros((*matrices.shape[:-2], n_features, n_features))
    result[..., features[:, None], features] = matrices
    return result


@dataclass(frozen=True, eq=False)
class Groups:
    """Incomplete rows, standardised, pattern by pattern: what compiled code reads.

    Attributes
    ----------
    order : (N,)
        Rows of the data, group by group.
    seen : (G, D) bool
    features : (G, D) int64
        The features that each group sees, then those that it does not.
    n_seen : (G,) int64
    values : (number of observed values,)
        One group after the other, each (rows of the group, features it sees) in C order.
    weight : (N,) or (0,)
        Case weights, in this order of the rows.
    tasks : (T, 4) int64
        Group, first row, number of rows, and where the values begin.
    scatter : (T, D, D)
        For layouts without a quadratic part: weighted sum of x x' of each task, in the leading block; else (1, 1, 1).
    """

    order: NDArray[np.intp]
    seen: NDArray[np.bool_]
    features: Integers
    n_seen: Integers
    values: Array
    weight: Array
    tasks: Integers
    scatter: Array

    @classmethod
    def of(cls, values: Array, weight: Array, layout: Layout) -> Groups:
        """Of standardised rows (N, D), nan where nothing was observed, and case weights (N,) or (0,)."""
        seen, order, edges = _sorted_by_pattern(values)
        features = np.argsort(~seen, axis=1, kind="stable").astype(np.int64)
        n_seen = seen.sum(1).astype(np.int64)
        flat = np.concatenate(
            [values[order[edges[g] : edges[g + 1]]][:, seen[g]].ravel() for g in range(len(seen))] or [np.empty(0)]
        )
        tasks, at = [], 0
        for g in range(len(seen)):
            for first in range(edges[g], edges[g + 1], _TASK_ROWS):
                size = min(_TASK_ROWS, edges[g + 1] - first)
                tasks.append((g, first, size, at))
                at += size * n_seen[g]
        groups = cls(
            order, seen, features, n_seen, flat, weight[order] if weight.size else weight,
            np.array(tasks, dtype=np.int64).reshape(-1, 4), np.zeros((1, 1, 1)),
        )  # fmt: skip
        return groups._with_scatter() if layout.common else groups

    def _with_scatter(self) -> Groups:
        n_features = self.features.shape[1]
        scatter = np.zeros((len(self.tasks), n_features, n_features))
        for t, (g, first, size, at) in enumerate(self.tasks):
            d = self.n_seen[g]
            x = self.values[at : at + size * d].reshape(size, d)
            weighted = x * self.weight[first : first + size, None] if self.weight.size else x
            scatter[t, :d, :d] = weighted.T @ x
        return replace(self, scatter=scatter)

    def reweighted(self, weight: Array, layout: Layout) -> Groups:
        """The same rows with other case weights (N,), in the order of the data."""
        other = replace(self, weight=weight[self.order])
        return other._with_scatter() if layout.common else other

    @cached_property
    def calls(self) -> list[tuple[int, int]]:
        """Ranges of tasks, fixed, each worth a call of the compiled loop."""
        rows, found, start = 0, [], 0
        for t, (_, _, size, _) in enumerate(self.tasks):
            rows += int(size)
            if rows >= _CALL_ROWS or t + 1 - start >= _CALL_GROUPS or t + 1 == len(self.tasks):
                found.append((start, t + 1))
                rows, start = 0, t + 1
        return found

    @property
    def arrays(self) -> tuple[Any, ...]:
        """What compiled code reads."""
        return self.values, self.weight, self.tasks, self.scatter

    def tables(self, n_members: int) -> tuple[Any, ...]:
        """What compiled code reads of each group, for mixtures of so many components, noise counted.

        Features, how many are seen, the components that the group may belong to, how many, and the log density of noise.
        """
        members = np.tile(np.arange(n_members, dtype=np.int64), (len(self.n_seen), 1))
        return self.features, self.n_seen, members, np.full(len(members), n_members), np.empty(0)
