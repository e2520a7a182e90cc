"""The parts that covariances are made of: each is a block of coordinates, and has a prior of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ..correlation import factor_from_odds, odds_from_factor

__all__ = ["Correlations", "Part", "Scales"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Part:
    """One part of the covariances of a mixture: numbers for each component, or for all of them together.

    Attributes
    ----------
    name : str
        Of the part; its prior is found by it.
    dims : tuple of str
        Names of its dimensions; the first is "cluster" where each component has its own.
    n_blocks : int
        K, or 1 where the components share it.
    size : int
        Coordinates of a block.
    n_features : int
    """

    name: ClassVar[str]
    dims: tuple[str, ...]
    n_blocks: int
    size: int
    n_features: int

    @property
    def own(self) -> bool:
        """Whether each component has its own block."""
        return self.dims[:1] == ("cluster",)

    @property
    def length(self) -> int:
        """Coordinates of the whole part."""
        return self.n_blocks * self.size

    def constrain(self, u: Array) -> Array:
        """Values (..., G, shape of one block) of coordinates (..., G * size)."""
        raise NotImplementedError

    def unconstrain(self, values: Array) -> Array:
        """Coordinates (..., G * size): inverse of `constrain`."""
        raise NotImplementedError

    def blocks(self, u: Array) -> Array:
        """Coordinates (..., G * size) as (..., G, size)."""
        return u.reshape(*u.shape[:-1], self.n_blocks, self.size)


class Scales(Part):
    """Standard deviations (..., G, E), of E features or one number for all of them; coordinates are their logarithms."""

    name = "scales"

    def constrain(self, u: Array) -> Array:
        return np.exp(self.blocks(u))

    def unconstrain(self, values: Array) -> Array:
        return np.log(values).reshape(*values.shape[:-2], self.length)


class Correlations(Part):
    """Cholesky factors (..., G, D, D) of correlation matrices; coordinates are those of `correlation`."""

    name = "correlations"

    def constrain(self, u: Array) -> Array:
        return factor_from_odds(self.blocks(u), self.n_features)

    def unconstrain(self, values: Array) -> Array:
        odds = odds_from_factor(values)
        return odds.reshape(*odds.shape[:-2], self.length)
