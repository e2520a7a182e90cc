"""Groups across draws: one partition that they are all named after, and which mode of each draw is which group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .consensus import improve
from .losses import LOSSES, distances
from .modes import Climbs

__all__ = ["Grouping", "group", "most_frequent", "reference_partition"]

Array = NDArray[np.float64]
Integers = NDArray[np.integer[Any]]
# Sampled partitions compared as candidates.
_CANDIDATES = 40


@dataclass(frozen=True)
class Grouping:
    """Which group of the reference partition each mode and component of S draws belongs to.

    Attributes
    ----------
    labels : (N,)
        The reference partition, groups numbered by size, the largest first.
    expected_loss : float
        Its mean variation of information to the partitions of all draws.
    of_mode : (S, M)
    of_component : (S, K)
    """

    labels: Integers
    expected_loss: float
    of_mode: Integers
    of_component: Integers

    @property
    def n_groups(self) -> int:
        return int(self.labels.max()) + 1

    @property
    def union(self) -> Array:
        """Zeros and ones (S, G, K): the components of each group, draw by draw."""
        return (self.of_component[:, None, :] == np.arange(self.n_groups)[:, None]).astype(float)


def most_frequent(counts: Integers) -> int:
    """The most frequent of the counts (S,), the smallest of equals."""
    return int(np.bincount(counts).argmax())


def reference_partition(climbs: Climbs, sample_weight: Array, rng: np.random.Generator) -> tuple[Integers, float]:
    """The partition of least expected variation of information with the most probable number of groups, and that loss.

    The draws with that number are searched; the loss returned is over all draws.
    """
    counts = climbs.n_modes
    n_groups = most_frequent(counts)
    n_labels = int(climbs.n_modes.max())
    loss = LOSSES["VI"](climbs.labels.shape[1])
    among = climbs.labels[counts == n_groups]
    picked = np.linspace(0, len(among) - 1, min(len(among), _CANDIDATES)).round().astype(int)
    candidates = [among[s].astype(np.int64) for s in picked]
    by_row = np.ascontiguousarray(among.T)
    labels, _ = improve(candidates, (), by_row, n_labels, n_groups, loss, rng)
    used, labels = np.unique(labels, return_inverse=True)
    size = np.bincount(labels, sample_weight, minlength=used.size)
    number = np.empty(used.size, dtype=np.int64)
    # Equal sizes: the group of the first row first.
    number[np.argsort(-size, kind="stable")] = np.arange(used.size)
    labels = number[labels]
    return labels, float(distances(labels, climbs.labels, n_labels, loss).mean())


def _groups_of_modes(climbs: Climbs, labels: Integers, sample_weight: Array) -> Integers:
    """For each mode the group that most of its rows are of (S, M)."""
    n_groups, room = int(labels.max()) + 1, climbs.modes.shape[1]
    result = np.empty((len(climbs.labels), room), dtype=np.int64)
    for s, climbed in enumerate(climbs.labels):
        shared = np.bincount(climbed.astype(np.int64) * n_groups + labels, sample_weight, minlength=room * n_groups)
        result[s] = shared.reshape(room, n_groups).argmax(1)
    return result


def group(climbs: Climbs, sample_weight: Array, rng: np.random.Generator) -> Grouping:
    """Name the groups of all draws after one partition.

    A draw's group is the reference's group that it shares most rows with, so that a draw that splits a group in two has
    both parts under its name, and a draw that merges two groups has both under the larger's.

    Parameters
    ----------
    climbs : Climbs
    sample_weight : (N,)
        Case weights.
    """
    labels, expected = reference_partition(climbs, sample_weight, rng)
    of_mode = _groups_of_modes(climbs, labels, sample_weight)
    of_component = np.take_along_axis(of_mode, climbs.component, axis=1)
    return Grouping(labels, expected, of_mode, of_component)
