"""Standard deviations, independent, under any scale prior; their common rate too where it is unknown.

A scale prior is, as a density of s = log(standard deviation), a combination of five functions (`priors.ScalePrior`),
c0 + c1 s + c2 s^2 + c3 exp(2 s) + c4 exp(-2 s). With an unknown rate, rate ~ Gamma(g, h), c4 is -rate, and the n scales add
n shape log(rate).
"""

from __future__ import annotations

import math
from dataclasses import replace
from math import lgamma, log
from typing import Any

import numpy as np
from numba import carray
from numpy.typing import NDArray

from ...mixture import ADD_TERM, Scales, address_of, doubles
from ..priors import InverseGammaScale, Priors, ScalePrior
from .base import Term

__all__ = ["ScalesTerm"]

Array = NDArray[np.float64]
_GRID = 200_001


def _add(x_, numbers_, gradient_):
    numbers = carray(doubles(numbers_), (9,))
    start, n, at_rate = int(numbers[0]), int(numbers[1]), int(numbers[2])
    c1, c2, c3, c4 = numbers[3], numbers[4], numbers[5], numbers[6]
    size = max(start + n, at_rate + 1)
    x, gradient = carray(doubles(x_), (size,)), carray(doubles(gradient_), (size,))
    value = 0.0
    rate = 0.0
    if at_rate >= 0:
        power, inverse_scale = numbers[7], numbers[8]
        rate = math.exp(x[at_rate])
        value += power * x[at_rate] - inverse_scale * rate
        gradient[at_rate] += power - inverse_scale * rate
    for m in range(start, start + n):
        s = x[m]
        grow = c3 * math.exp(2.0 * s)
        inverse = math.exp(-2.0 * s)
        shrink = (c4 - rate) * inverse
        value += c1 * s + c2 * s * s + grow + shrink
        gradient[m] += c1 + 2.0 * (c2 * s + grow - shrink)
        if at_rate >= 0:
            gradient[at_rate] -= rate * inverse
    return value


class ScalesTerm(Term):
    """Prior of the scales of a structure, K components: coordinates from ``start`` on, that of the rate at ``at_rate``."""

    name = "scales"

    def __init__(
        self, part: Scales, prior: ScalePrior, n_components: int, start: int, at_rate: int, jacobian: bool
    ) -> None:
        self.part, self.prior, self.n_components = part, prior, n_components
        n = part.length
        c0, c1, c2, c3, c4 = prior.coefficients(n_components, part.n_features)
        if not jacobian:
            log_factor, times = prior.jacobian
            c0, c1 = c0 - log_factor, c1 - times
        self.constant = c0 * n
        self.hyper = prior.hyper if isinstance(prior, InverseGammaScale) else None
        power, inverse_scale = 0.0, 0.0
        if self.hyper is not None and isinstance(prior, InverseGammaScale):
            g, inverse_scale = self.hyper
            self.constant += g * log(inverse_scale) - lgamma(g)
            power = g + prior.shape * n - (0.0 if jacobian else 1.0)
        self.numbers = np.array([start, n, at_rate if self.hyper else -1, c1, c2, c3, c4, power, inverse_scale])

    @property
    def gamma(self) -> tuple[float, float, float]:
        """Shape and rate of an unknown rate's prior, and the shape of the variances' prior; zeros where none is unknown."""
        if self.hyper is None or not isinstance(self.prior, InverseGammaScale):
            return 0.0, 0.0, 0.0
        return *self.hyper, self.prior.shape

    @classmethod
    def of(
        cls, part: Scales, priors: Priors, n_components: int, start: int, at_rate: int, jacobian: bool
    ) -> ScalesTerm:
        return cls(part, priors.scale, n_components, start, at_rate, jacobian)

    @property
    def address(self) -> int:
        return address_of(_add, ADD_TERM)

    def log_density(self, blocks: dict[str, Array]) -> Array:
        """Of the standard deviations; integrated over an unknown rate."""
        log_sd, prior = blocks["scales"], self.prior
        if self.hyper is not None and isinstance(prior, InverseGammaScale):
            (g, h), n = self.hyper, self.part.length
            total = g + n * prior.shape
            value = g * log(h) - lgamma(g) + lgamma(total) - total * np.log(h + np.exp(-2 * log_sd).sum(-1))
            value += -n * lgamma(prior.shape) + n * log(2) - 2 * prior.shape * log_sd.sum(-1)
        else:
            value = prior.log_density(log_sd, self.n_components, self.part.n_features).sum(-1)
        # From densities of log sd to densities of sd.
        return value - log_sd.sum(-1)

    def draw(self, n_draws: int, rng: np.random.Generator) -> dict[str, Array]:
        shape = (n_draws, self.part.length)
        if self.hyper is None:
            return {"scales": self._log_scales(self.prior, shape, rng)}
        # Variances are the rate times those of rate one.
        g, h = self.hyper
        draws = rng.standard_gamma(g + 1, (n_draws, 1))
        rate = np.log(draws) + np.log(rng.uniform(size=(n_draws, 1))) / g - np.log(h)
        return {"scales": self._log_scales(self._of_rate_one(), shape, rng) + 0.5 * rate, "rate": rate}

    def _log_scales(self, prior: ScalePrior, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        """Log standard deviations, by inverting the distribution function."""
        grid, cumulative = self._distribution(prior)
        return np.interp(rng.uniform(size=shape) * cumulative[-1], cumulative, grid)

    def distribution(self, n_points: int) -> Array:
        """Points of the log standard deviation and its distribution function there (2, Q); for rate one where it is unknown."""
        grid, cumulative = self._distribution(self._of_rate_one())
        # All but the last 1e-15 at either end.
        first, last = np.interp(cumulative[-1] * np.array([1e-15, 1 - 1e-15]), cumulative, grid)
        points = np.linspace(first, last, n_points)
        below = np.interp(points, grid, cumulative)
        return np.stack([points, (below - below[0]) / (below[-1] - below[0])])

    def _of_rate_one(self) -> ScalePrior:
        return self.prior if self.hyper is None else replace(self.prior, rate=1.0, hyper=None)  # type: ignore[call-arg]

    def _distribution(self, prior: ScalePrior) -> tuple[Array, Array]:
        """A fine grid of log standard deviations, and the distribution function there, not normalised."""
        grid = np.linspace(-30.0, 30.0, _GRID)
        with np.errstate(over="ignore"):
            log_density = prior.log_density(grid, self.n_components, self.part.n_features)
        density = np.exp(log_density - log_density.max())
        cumulative = np.concatenate([[0.0], np.cumsum(0.5 * (density[1:] + density[:-1]))])
        inside = np.flatnonzero(density > 0)
        likely = slice(max(inside[0] - 1, 0), inside[-1] + 1)
        return grid[likely], cumulative[likely]

    def variable(self) -> Any:
        sd = self.prior.standard_deviation(self.part.dims, self.n_components, self.part.n_features)
        return sd.reshape((self.part.n_blocks, self.part.size))

    @property
    def free_variables(self) -> dict[str, dict[str, float]]:
        # Where the prior is one of variances, log variance = 2 log sd.
        return {"scales": {"standard_scales": 1.0, "standard_variances": 2.0}, "rate": {"scale_rate": 1.0}}
