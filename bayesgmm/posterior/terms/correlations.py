"""Correlation matrices ~ LKJ(eta), through their independent partial correlations (`mixture.correlation`)."""

from __future__ import annotations

import math
from math import log
from typing import Any

import numpy as np
from numba import carray
from numpy.typing import NDArray

from ...mixture import ADD_TERM, Correlations, address_of, doubles, lkj_exponents, pairs_of
from ..priors import Priors
from .base import Term

__all__ = ["CorrelationsTerm"]

Array = NDArray[np.float64]


def _add(x_, numbers_, gradient_):
    """b log p + b log(1 - p) with p = 1 / (1 + exp(-z)), less its value at zero: -2 b log(cosh(z / 2))."""
    head = carray(doubles(numbers_), (3,))
    start, n_blocks, n_pairs = int(head[0]), int(head[1]), int(head[2])
    numbers = carray(doubles(numbers_), (3 + n_pairs,))
    size = start + n_blocks * n_pairs
    x, gradient = carray(doubles(x_), (size,)), carray(doubles(gradient_), (size,))
    value = 0.0
    m = start
    for _ in range(n_blocks):
        for p in range(n_pairs):
            b = numbers[3 + p]
            half = abs(0.5 * x[m])
            value -= 2.0 * b * (half + math.log1p(math.exp(-2.0 * half)) - 0.6931471805599453)
            gradient[m] -= b * math.tanh(0.5 * x[m])
            m += 1
    return value


class CorrelationsTerm(Term):
    """Prior of the correlation matrices of a structure: coordinates from ``start`` on."""

    name = "correlations"

    def __init__(self, part: Correlations, eta: float, start: int, jacobian: bool) -> None:
        from scipy.special import gammaln

        self.part, self.eta = part, eta
        b = lkj_exponents(eta, part.n_features)
        own = b if jacobian else b - 1.0
        # log p + log(1 - p) = -2 log(2 cosh(z / 2))
        self.constant = part.n_blocks * float((gammaln(2 * b) - 2 * gammaln(b) - 2 * own * log(2)).sum())
        self.numbers = np.array([start, part.n_blocks, part.size, *own])
        self.exponents = b

    @classmethod
    def of(
        cls, part: Correlations, priors: Priors, n_components: int, start: int, at_rate: int, jacobian: bool
    ) -> CorrelationsTerm:
        return cls(part, priors.correlation_eta, start, jacobian)

    @property
    def address(self) -> int:
        return address_of(_add, ADD_TERM)

    @property
    def unbounded(self) -> str:
        if self.eta >= 1:
            return ""
        return f"correlation_eta={self.eta:g} makes the density infinite where a correlation is 1"

    def log_density(self, blocks: dict[str, Array]) -> Array:
        """Of the matrices, up to LKJ's normaliser, which no perturbation moves: (eta - 1) log det."""
        half = np.abs(0.5 * blocks["correlations"])
        # 1 - rho^2 = 1 / cosh(z / 2)^2, and the determinant is their product.
        log_det = -2.0 * (half + np.log1p(np.exp(-2.0 * half)) - log(2)).sum(-1)
        return (self.eta - 1.0) * log_det

    def draw(self, n_draws: int, rng: np.random.Generator) -> dict[str, Array]:
        b = np.tile(self.exponents, self.part.n_blocks)
        p = np.clip(rng.beta(b, b, (n_draws, b.size)), 1e-12, 1 - 1e-12)
        return {"correlations": np.log(p) - np.log1p(-p)}

    def variable(self) -> Any:
        import pymc as pm
        import pytensor.tensor as pt

        if not self.part.size:
            return pt.ones((self.part.n_blocks, 1, 1))
        shares = pm.Beta("partial_shares", self.exponents, self.exponents, dims=self.part.dims)
        return _factor_from_shares(shares.reshape((self.part.n_blocks, self.part.size)), self.part.n_features)

    @property
    def free_variables(self) -> dict[str, dict[str, float]]:
        return {"correlations": {"partial_shares": 1.0}}


def _factor_from_shares(shares: Any, n_features: int) -> Any:
    """Cholesky factors (G, D, D) of PyTensor variables (1 + rho) / 2, shaped (G, D(D-1)/2)."""
    import pytensor.tensor as pt

    groups = shares.shape[0]
    i, j = np.array(pairs_of(n_features)).T
    partial = pt.tile(pt.eye(n_features), (groups, 1, 1))[:, i, j].set(2 * shares - 1)
    # sqrt(1 - rho^2) = 2 sqrt(share (1 - share)), whose logarithm PyTensor keeps exact near zero and one.
    log_left = pt.zeros((groups, n_features, n_features))
    log_left = log_left[:, i, j].set(np.log(2) + 0.5 * (pt.log(shares) + pt.log1p(-shares)))
    return partial * pt.exp(pt.cumsum(log_left, axis=-1) - log_left)
