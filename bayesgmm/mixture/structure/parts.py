"""The parts that covariances are made of: each is a block of coordinates, and has a prior of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ..correlation import factor_from_odds, odds_from_factor
from ..rotation import coordinates_of, rotation_at

__all__ = ["Correlations", "Orientations", "Part", "Scales", "Shapes", "Volumes", "contrasts", "factored"]

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

    def about(self, values: Array) -> Part:
        """The same part with coordinates that are regular near ``values``, shaped as `constrain` returns one of them."""
        return self

    @property
    def numbers(self) -> Array:
        """What the structure's compiled maps read of this part besides its coordinates, (...,)."""
        return np.empty(0)

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


class Volumes(Scales):
    """Geometric means (..., G, 1) of the standard deviations along the axes; coordinates are their logarithms."""

    name = "volume"


class Shapes(Part):
    """Standard deviations over their geometric mean (..., G, D); coordinates are the `contrasts` of their logarithms."""

    name = "shape"

    def constrain(self, u: Array) -> Array:
        return np.exp(self.blocks(u) @ contrasts(self.n_features))

    def unconstrain(self, values: Array) -> Array:
        logs = np.log(values) @ contrasts(self.n_features).T
        return logs.reshape(*logs.shape[:-2], self.length)


@dataclass(frozen=True, eq=False)
class Orientations(Part):
    """Rotations (..., G, D, D) whose columns are axes; coordinates are Cayley's about ``reference`` (`rotation`).

    Attributes
    ----------
    reference : (G, D, D), optional
        Rotations with coordinates zero; by default the identity.
    """

    name = "orientation"
    reference: Array | None = None

    def constrain(self, u: Array) -> Array:
        turns = rotation_at(self.blocks(u), self.n_features)
        return turns if self.reference is None else self.reference @ turns

    def unconstrain(self, values: Array) -> Array:
        turns = values if self.reference is None else np.swapaxes(self.reference, -1, -2) @ values
        found = coordinates_of(turns)
        return found.reshape(*found.shape[:-2], self.length)

    def about(self, values: Array) -> Orientations:
        return replace(self, reference=values[: self.n_blocks])

    @property
    def numbers(self) -> Array:
        one = np.broadcast_to(np.eye(self.n_features), (self.n_blocks, self.n_features, self.n_features))
        return np.ravel(one if self.reference is None else self.reference)


def factored(letters: str, directions: type[Part] | None, n_components: int, n_features: int) -> tuple[Part, ...]:
    """Volume, shape and, unless components are axis-parallel, directions: own where mclust's letter is V, else shared."""
    sizes: list[tuple[type[Part], tuple[str, ...], int]] = [(Volumes, (), 1), (Shapes, ("contrast",), n_features - 1)]
    if directions is not None:
        sizes.append((directions, ("pair",), n_features * (n_features - 1) // 2))
    return tuple(
        part(("cluster", *dims), n_components, size, n_features) if letter == "V" else part(dims, 1, size, n_features)
        for letter, (part, dims, size) in zip(letters, sizes, strict=False)
    )


@lru_cache(maxsize=64)
def contrasts(n_features: int) -> Array:
    """Helmert's orthonormal contrasts (D - 1, D): of features 0..j-1 with feature j."""
    rows = np.zeros((n_features - 1, n_features))
    for j in range(1, n_features):
        rows[j - 1, :j] = 1.0
        rows[j - 1, j] = -j
        rows[j - 1] /= np.sqrt(j * (j + 1.0))
    return rows
