"""means ~ Normal(location, spread), each coordinate."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import carray
from numpy.typing import NDArray

from ...mixture import ADD_TERM, address_of, doubles
from .base import Term

__all__ = ["MeansTerm", "add_normal"]

Array = NDArray[np.float64]


def add_normal(x_, numbers_, gradient_):
    head = carray(doubles(numbers_), (3,))
    start, n_components, n_features = int(head[0]), int(head[1]), int(head[2])
    numbers = carray(doubles(numbers_), (3 + 2 * n_features,))
    size = start + n_components * n_features
    x, gradient = carray(doubles(x_), (size,)), carray(doubles(gradient_), (size,))
    value = 0.0
    m = start
    for _ in range(n_components):
        for i in range(n_features):
            off = x[m] - numbers[3 + i]
            slope = numbers[3 + n_features + i] * off
            value -= 0.5 * slope * off
            gradient[m] -= slope
            m += 1
    return value


class MeansTerm(Term):
    """Prior of the means of K components, from coordinate ``start`` on."""

    name = "means"

    def __init__(self, n_components: int, location: Array, spread: Array, start: int) -> None:
        self.n_components, self.location, self.spread = n_components, location, spread
        self.constant = -n_components * float((np.log(spread) + 0.5 * np.log(2 * np.pi)).sum())
        self.numbers = np.array([start, n_components, len(location), *location, *spread**-2.0])

    @property
    def address(self) -> int:
        return address_of(add_normal, ADD_TERM)

    def log_density(self, blocks: dict[str, Array]) -> Array:
        means = blocks["means"].reshape(*blocks["means"].shape[:-1], self.n_components, -1)
        return self.constant - 0.5 * (((means - self.location) / self.spread) ** 2).sum((-2, -1))

    def draw(self, n_draws: int, rng: np.random.Generator) -> dict[str, Array]:
        z = rng.standard_normal((n_draws, self.n_components, len(self.location)))
        return {"means": (self.location + self.spread * z).reshape(n_draws, -1)}

    def variable(self) -> Any:
        import pymc as pm

        return pm.Normal("standard_means", self.location, self.spread, dims=("cluster", "feature"))

    @property
    def free_variables(self) -> dict[str, dict[str, float]]:
        return {"means": {"standard_means": 1.0}}
