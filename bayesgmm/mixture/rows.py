"""Rows of data, and the one way to go over them: in fixed blocks, on all cores, results added in order.

What a block gives must add up, so that sums do not depend on threads, and so that rows elsewhere than in memory, a file or
a cluster, can take the place of these: they need the same four things, blocks, values, weights and a sum.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data import Scaling
from .groups import Groups
from .parallel import blocks_of, run_parallel
from .structure import Layout, Structure

__all__ = ["Design", "Rows"]

Array = NDArray[np.float64]
_SLICE = 32768
_EMPTY = np.empty(0)
# Relative rounding of the expanded form of an E-step is about |x|^2 / (smallest variance) ulps: beyond this, the narrow one.
_CANCELLATION = 1e-8
_ROUNDING = float(np.finfo(float).eps)


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows in memory. They are not copied: blocks are standardised as they are used.

    Attributes
    ----------
    source : (N, D) float64, C order
        The data as given.
    scaling : Scaling
        What makes them the standardised rows that everything else here is about.
    sample_weight : (N,) or (0,)
        Case weights; empty where all are one.
    """

    source: Array
    scaling: Scaling
    sample_weight: Array

    @classmethod
    def of_values(cls, values: Array, scaling: Scaling | None = None, sample_weight: Array | None = None) -> Rows:
        """Of ``values`` (N, D), standardised by ``scaling`` if given, with case weights (N,) if given."""
        values = as_compiled(values)
        if scaling is None:
            scaling = Scaling.identity(values.shape[1])
        elif not np.isfinite(reciprocal(scaling)).all():
            values, scaling = scaling.standardise(values), Scaling.identity(values.shape[1])
        return cls(values, scaling, _EMPTY if sample_weight is None else as_compiled(sample_weight))

    @property
    def n_rows(self) -> int:
        return self.source.shape[0]

    @property
    def n_features(self) -> int:
        return self.source.shape[1]

    @property
    def total(self) -> float:
        """Sum of the case weights."""
        return float(self.sample_weight.sum()) if self.sample_weight.size else float(self.n_rows)

    @property
    def values(self) -> Array:
        """The standardised data (N, D), a new array."""
        return self.scaling.standardise(self.source)

    def values_of(self, block: slice) -> Array:
        """The standardised rows (B, D) of a block, a new array."""
        return self.scaling.standardise(self.source[block])

    def weight_of(self, block: slice) -> Array:
        """The case weights (B,) of a block."""
        if self.sample_weight.size:
            return self.sample_weight[block]
        return np.ones(min(block.stop, self.n_rows) - block.start)

    def blocks(self, size: int = _SLICE) -> list[slice]:
        """Fixed blocks of at most ``size`` rows, in order."""
        return blocks_of(self.n_rows, size)

    def map(self, function: Callable[[slice], Any], size: int = _SLICE) -> list[Any]:
        """``function`` of each block, on all cores, in order."""
        return run_parallel(function, self.blocks(size))

    def sum(self, function: Callable[[slice], tuple[Any, ...]], size: int = _SLICE) -> tuple[Any, ...]:
        """Sums of what ``function`` gives for each block, each a tuple of numbers or arrays; added in order of the rows."""
        first, *others = self.map(function, size) if self.n_rows else [function(slice(0, 0))]
        for other in others:
            first = tuple(a + b for a, b in zip(first, other, strict=True))
        return first


@dataclass(frozen=True, eq=False)
class Design(Rows):
    """Rows laid out for one structure.

    Attributes
    ----------
    structure : Structure
    layout : Layout
    scatter : (D, D)
        Weighted sum of x x'.
    radius : float
        Largest squared norm of a row.
    groups : Groups or None
        Where rows do not all see the same features: the rows by what they see. The scatter is then that of the rows that see
        all, about their own mean.
    """

    structure: Structure
    layout: Layout
    scatter: Array
    radius: float
    groups: Groups | None = None

    @classmethod
    def of(
        cls, values: Array, structure: Structure, sample_weight: Array | None = None, scaling: Scaling | None = None
    ) -> Design:
        """Lay out ``values`` (N, D), standardised by ``scaling`` if given, with case weights (N,) if given."""
        rows = Rows.of_values(values, scaling, sample_weight)
        d = rows.n_features

        def moments(block: slice) -> tuple[Array, float]:
            x = rows.values_of(block)
            weighted = x * rows.sample_weight[block, None] if rows.sample_weight.size else x
            return weighted.T @ x, float(np.einsum("ij,ij->i", x, x).max(initial=0.0))

        parts = rows.map(moments)
        scatter = sum((part[0] for part in parts), np.zeros((d, d)))
        # Of nan there is no larger: what is missing anywhere is seen here, at no cost.
        radius = float(np.max([part[1] for part in parts], initial=0.0))
        own = rows.source, rows.scaling, rows.sample_weight, structure, structure.layout(d)
        return cls._by_group(*own) if np.isnan(radius) else cls(*own, scatter, radius)

    @classmethod
    def _by_group(cls, source: Array, scaling: Scaling, weight: Array, structure: Structure, layout: Layout) -> Design:
        values = scaling.standardise(source)
        return cls(
            source, scaling, weight, structure, layout, _scatter_of_complete(values, weight),
            float(np.nansum(values**2, axis=1).max()), Groups.of(values, weight, layout),
        )  # fmt: skip

    @property
    def pairs(self) -> NDArray[np.int64]:
        """Which of `rows` are multiplied (P, 2)."""
        return self.layout.pairs

    @cached_property
    def rows(self) -> Array:
        """Augmented data (A, N), C order: for `kernel.accumulate`. Kept once asked for."""
        return np.ascontiguousarray(self.layout.rows(self.values))

    def subset(self, which: NDArray[np.intp]) -> Design:
        """The same layout for some of the rows."""
        weight = self.sample_weight[which] if self.sample_weight.size else None
        return Design.of(self.source[which], self.structure, weight, self.scaling)

    def reweighted(self, sample_weight: Array) -> Design:
        """The same rows with other case weights (N,)."""
        if self.groups is not None:
            weight = as_compiled(sample_weight)
            return replace(self, sample_weight=weight, groups=self.groups.reweighted(weight, self.layout))
        return Design.of(self.source, self.structure, sample_weight, self.scaling)

    def loses_digits(self, smallest: Array) -> NDArray[np.bool_]:
        """Whether the expanded form does, for components whose smallest variance in any direction is ``smallest`` (...)."""
        return np.asarray(self.radius * _ROUNDING > _CANCELLATION * smallest)


def _scatter_of_complete(values: Array, weight: Array) -> Array:
    """Scatter (D, D) of the rows without a missing value about their mean, as if of all; of too few, none but the axes'."""
    complete = ~np.isnan(values).any(1)
    share = np.where(complete, weight if weight.size else 1.0, 0.0)
    total = weight.sum() if weight.size else float(len(values))
    if (share > 0).sum() <= 2 * (values.shape[1] + 1):
        return total * np.eye(values.shape[1])
    share /= share.sum()
    centred = values[complete] - share[complete] @ values[complete]
    return total * (centred * share[complete, None]).T @ centred


def reciprocal(scaling: Scaling) -> Array:
    """1 / scale (D,): infinite where that overflows."""
    with np.errstate(over="ignore"):
        return 1.0 / scaling.scale


class _Lent:
    """The memory of an array, offered as if it might be written to."""

    def __init__(self, array: Array) -> None:
        self.array = array
        interface = array.__array_interface__
        self.__array_interface__ = {**interface, "data": (interface["data"][0], False)}


def as_compiled(array: Array) -> Array:
    """The array as the one kind that compiled functions are compiled for: float64, C order, aligned, writable.

    Read-only memory is lent, not copied, so that mapped files stay where they are: nothing writes to it.
    """
    array = np.require(array, np.float64, ["C", "A"])
    return array if array.flags.writeable else np.asarray(_Lent(array))
