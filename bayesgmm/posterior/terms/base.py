"""What a term of the prior must say of itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Term"]

Array = NDArray[np.float64]


class Term(ABC):
    """One factor of the prior, over some blocks of the coordinates: its density, gradient, draws and PyMC variable.

    Attributes
    ----------
    name : str
        Of what it is the prior of: a block of `Coordinates`.
    constant : float
        What the compiled term leaves out of the log density of the coordinates.
    numbers : (...)
        What the compiled term reads, the place of its coordinates among them.
    """

    name: str
    constant: float
    numbers: Array

    @property
    @abstractmethod
    def address(self) -> int:
        """C function of `addresses.ADD_TERM`: the rest of the log density of the coordinates, gradient added."""

    @property
    def unbounded(self) -> str:
        """Where the density of the parameters themselves is infinite, in words; empty where it is bounded."""
        return ""

    @abstractmethod
    def log_density(self, blocks: dict[str, Array]) -> Array:
        """Log density (...) of the parameters on their own scale, from blocks (..., length) of coordinates."""

    @abstractmethod
    def draw(self, n_draws: int, rng: np.random.Generator) -> dict[str, Array]:
        """Draws of its blocks, each (S, length), on the unconstrained scale."""

    @abstractmethod
    def variable(self) -> Any:
        """The values as a variable of the PyMC model in context, in the shape that the structure assembles."""

    @property
    @abstractmethod
    def free_variables(self) -> dict[str, dict[str, float]]:
        """For each block, free variables of the model and their value variables in multiples of the coordinates."""
