"""Volumes and shapes: the scale prior, moved to geometric means of standard deviations and to ratios to them.

D standard deviations whose logarithms are independent normal(m, s) have a geometric mean whose log is normal(m, s / sqrt(D)),
independent of their D - 1 orthonormal log contrasts, which are normal(0, s). A structure that shares one of the two keeps these
priors for each; where it shares both or neither, that is the prior of its scales. Of scale priors of other families the mean m
and the standard deviation s of the log scale are taken.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...mixture import ADD_TERM, Shapes, Volumes, address_of, contrasts
from ..priors import Priors
from .base import Term
from .means import add_normal

__all__ = ["ShapesTerm", "VolumesTerm"]

Array = NDArray[np.float64]


class _Normal(Term):
    """Independent normal coordinates from ``start`` on."""

    def __init__(self, part: Any, location: float, spread: float, start: int, slope: float) -> None:
        self.part, self.location, self.spread, self.start = part, location, spread, start
        # Without the Jacobian of exp(u) the density of exp(u) itself: another normal about location - spread^2.
        centre = location - slope * spread**2
        n = part.length
        self.constant = n * float(
            -np.log(spread) - 0.5 * np.log(2 * np.pi) + 0.5 * (centre**2 - location**2) / spread**2
        )
        self.numbers = np.array([start, part.n_blocks, part.size, *[centre] * part.size, *[spread**-2.0] * part.size])

    @property
    def address(self) -> int:
        return address_of(add_normal, ADD_TERM)

    def draw(self, n_draws: int, rng: np.random.Generator) -> dict[str, Array]:
        z = rng.standard_normal((n_draws, self.part.length))
        return {self.name: self.location + self.spread * z}


class VolumesTerm(_Normal):
    """Prior of the geometric means of the standard deviations."""

    name = "volume"

    @classmethod
    def of(
        cls, part: Volumes, priors: Priors, n_components: int, start: int, at_rate: int, jacobian: bool
    ) -> VolumesTerm:
        location, spread = priors.scale.log_moments(n_components, part.n_features)
        return cls(part, location, spread / np.sqrt(part.n_features), start, 0.0 if jacobian else 1.0)

    def log_density(self, blocks: dict[str, Array]) -> Array:
        """Of the volumes."""
        u = blocks["volume"]
        log_normal = -0.5 * ((u - self.location) / self.spread) ** 2 - np.log(self.spread) - 0.5 * np.log(2 * np.pi)
        return (log_normal - u).sum(-1)

    def variable(self) -> Any:
        import pymc as pm

        volume = pm.LogNormal("standard_volumes", self.location, self.spread, dims=self.part.dims)
        return volume.reshape((self.part.n_blocks, 1))

    @property
    def free_variables(self) -> dict[str, dict[str, float]]:
        return {"volume": {"standard_volumes": 1.0}}


class ShapesTerm(_Normal):
    """Prior of the log contrasts of the standard deviations."""

    name = "shape"

    @classmethod
    def of(
        cls, part: Shapes, priors: Priors, n_components: int, start: int, at_rate: int, jacobian: bool
    ) -> ShapesTerm:
        return cls(part, 0.0, priors.scale.log_moments(n_components, part.n_features)[1], start, 0.0)

    def log_density(self, blocks: dict[str, Array]) -> Array:
        """Of the contrasts."""
        z = blocks["shape"] / self.spread
        return -0.5 * (z**2).sum(-1) - self.part.length * (np.log(self.spread) + 0.5 * np.log(2 * np.pi))

    def variable(self) -> Any:
        import pymc as pm
        import pytensor.tensor as pt

        if not self.part.size:
            return pt.ones((self.part.n_blocks, 1))
        logs = pm.Normal("shape_contrasts", 0.0, self.spread, dims=self.part.dims)
        logs = logs.reshape((self.part.n_blocks, self.part.size))
        return pt.exp(pt.dot(logs, contrasts(self.part.n_features)))

    @property
    def free_variables(self) -> dict[str, dict[str, float]]:
        return {"shape": {"shape_contrasts": 1.0}}
