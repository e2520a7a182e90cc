"""weights ~ Dirichlet(a, ..., a), through the simplex transform y of PyMC: weights = softmax([y, -sum(y)])."""

from __future__ import annotations

import math
from math import lgamma, log
from typing import Any

import numpy as np
from numba import carray
from numpy.typing import NDArray

from ...mixture import ADD_TERM, address_of, doubles
from .base import Term

__all__ = ["WeightsTerm"]

Array = NDArray[np.float64]


def _add(x_, numbers_, gradient_):
    """a sum(log w): with logits that sum to zero this is -a K log(sum(exp(logits)))."""
    numbers = carray(doubles(numbers_), (2,))
    k_all, a = int(numbers[0]), numbers[1]
    x, gradient = carray(doubles(x_), (k_all,)), carray(doubles(gradient_), (k_all,))
    last = 0.0
    top = 0.0
    for k in range(k_all - 1):
        last -= x[k]
        top = max(top, x[k])
    top = max(top, last)
    norm = math.exp(last - top)
    for k in range(k_all - 1):
        norm += math.exp(x[k] - top)
    last_weight = math.exp(last - top) / norm
    for k in range(k_all - 1):
        gradient[k] += a * k_all * (last_weight - math.exp(x[k] - top) / norm)
    return -a * k_all * (top + math.log(norm))


class WeightsTerm(Term):
    """Prior of the weights of K components."""

    name = "weights"

    def __init__(self, n_components: int, concentration: float, jacobian: bool) -> None:
        k, a = n_components, concentration
        self.n_components, self.concentration = k, a
        # The Jacobian of the transform is K prod(w).
        self.constant = lgamma(k * a) - k * lgamma(a) + (log(k) if jacobian else 0.0)
        self.numbers = np.array([k, a if jacobian else a - 1.0])

    @property
    def address(self) -> int:
        return address_of(_add, ADD_TERM)

    @property
    def unbounded(self) -> str:
        if self.n_components == 1 or self.concentration >= 1:
            return ""
        return f"weight_concentration={self.concentration:g} makes the density infinite where a weight is 0"

    def log_density(self, blocks: dict[str, Array]) -> Array:
        y = blocks["weights"]
        logits = np.concatenate([y, -y.sum(-1, keepdims=True)], axis=-1)
        top = logits.max(-1, keepdims=True)
        log_weights = logits - top - np.log(np.exp(logits - top).sum(-1, keepdims=True))
        k, a = self.n_components, self.concentration
        return lgamma(k * a) - k * lgamma(a) + (a - 1) * log_weights.sum(-1)

    def draw(self, n_draws: int, rng: np.random.Generator) -> dict[str, Array]:
        # Logs of gamma variables, by log G(a) = log G(a + 1) + log(U) / a: small concentrations underflow otherwise.
        a, shape = self.concentration, (n_draws, self.n_components)
        log_gamma = np.log(rng.standard_gamma(a + 1, shape)) + np.log(rng.uniform(size=shape)) / a
        return {"weights": (log_gamma - log_gamma.mean(1, keepdims=True))[:, :-1]}

    def variable(self) -> Any:
        import pymc as pm

        return pm.Dirichlet("weights", np.full(self.n_components, self.concentration), dims="cluster")

    @property
    def free_variables(self) -> dict[str, dict[str, float]]:
        return {"weights": {"weights": 1.0}}
