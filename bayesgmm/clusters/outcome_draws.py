"""Draws of what an outside variable is like in each group, with draws of the memberships.

The mixture's parameters theta keep the posterior that the mixture's own columns x give them; given each draw, an outside
variable y tells of the memberships z and of its own parameters phi,

    p(theta | x) p(z, phi | theta, x, y),    p(z_i = g | ...) proportional to r_ig(theta) f(y_i | phi_g),

r the responsibilities: the posterior with the feedback from y on theta cut (Plummer 2015), and in frequentist words the
two-step estimator (Bakk & Kuha 2018) with both steps' uncertainty. Drawing z without y would pull the groups together:
rows of one group that are given to another at random bring their own mean along (Bolck, Croon & Hagenaars 2004).

For every theta a Gibbs sampler of its own alternates z and phi; its last state is the draw.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..mixture import blocks_of, run_parallel

__all__ = ["Categories", "Family", "Number", "Regression", "draw_parameters"]

Array = NDArray[np.float64]
Integers = NDArray[np.integer[Any]]
# Sweeps for each draw of theta. What the start is remembered by shrinks at each by the share of information that is
# missing: at an entropy R2 of 0.6 about one half, so that 1e-6 is left.
_SWEEPS = 20
# Doubles of one block of draws x groups x rows.
_BLOCK = 2**20
# Prior: a mean is known as from a hundredth of a row at the pooled fit, a variance as from one row at the pooled variance.
_PRIOR_ROWS_MEAN, _PRIOR_ROWS_VARIANCE = 0.01, 1.0
_JEFFREYS = 0.5
# Parts of equal size that a number is cut in, to tell memberships by.
_PARTS = 6


class Family(Protocol):
    """How an outside variable is distributed within a group, given n rows of it."""

    def draw(self, of: Integers, n_groups: int, rng: np.random.Generator) -> Array:
        """Parameters (S, G, P) given memberships (S, n)."""

    def log_density(self, parameters: Array) -> Array:
        """Of every row under every group (S, G, n)."""


@dataclass(frozen=True)
class Regression:
    """y_i = x_i' b_g + e, e normal with standard deviation sd_g; parameters (b_g, sd_g). With x = 1 a mean.

    Attributes
    ----------
    design : (n, P)
    y, weight : (n,)
    """

    design: Array
    y: Array
    weight: Array

    def _totals(self, of: Integers, n_groups: int) -> tuple[Array, Array, Array, Array]:
        """Of each group: rows (S, G), X'X (S, G, P, P), X'y (S, G, P), y'y (S, G)."""
        p = self.design.shape[1]
        products = np.einsum("na,nb->nab", self.design, self.design).reshape(len(self.y), -1)
        terms = np.column_stack([np.ones(len(self.y)), products, self.design * self.y[:, None], self.y**2])
        terms *= self.weight[:, None]
        total = np.stack([(of == g).astype(float) @ terms for g in range(n_groups)], axis=1)
        square = total[..., 1 : 1 + p * p].reshape(*total.shape[:2], p, p)
        return total[..., 0], square, total[..., 1 + p * p : -1], total[..., -1]

    def draw(self, of: Integers, n_groups: int, rng: np.random.Generator) -> Array:
        """b | sd ~ N(b0, sd^2 (kappa X'X / N)^-1), sd^2 ~ inverse gamma: conjugate, centred on the pooled fit b0."""
        rows, square, cross, y_square = self._totals(of, n_groups)
        all_rows, all_square, all_cross, all_y = (part[0, 0] for part in self._totals(np.zeros_like(of[:1]), 1))
        pooled = np.linalg.solve(all_square, all_cross)
        variance = max((all_y - pooled @ all_cross) / all_rows, np.finfo(float).tiny)
        kappa = _PRIOR_ROWS_MEAN / all_rows
        precision = square + kappa * all_square
        right = cross + kappa * all_cross
        centre = np.linalg.solve(precision, right[..., None])[..., 0]
        left_over = y_square + kappa * (pooled @ all_cross) - (centre * right).sum(-1)
        scale = 0.5 * (_PRIOR_ROWS_VARIANCE * variance + np.maximum(left_over, 0.0))
        sd = np.sqrt(scale / rng.gamma(0.5 * (_PRIOR_ROWS_VARIANCE + rows)))
        # precision = L L', so that L'^-1 z has the inverse of precision as covariance.
        root = np.swapaxes(np.linalg.cholesky(precision), -1, -2)
        noise = np.linalg.solve(root, rng.standard_normal((*centre.shape, 1)))[..., 0]
        return np.concatenate([centre + sd[..., None] * noise, sd[..., None]], axis=-1)

    def log_density(self, parameters: Array) -> Array:
        sd = parameters[..., -1:]
        apart = (self.y - parameters[..., :-1] @ self.design.T) / sd
        return -0.5 * apart**2 - np.log(sd)


@dataclass(frozen=True)
class Categories:
    """One of L levels, with the probabilities pi_g; parameters pi_g. Prior: Jeffreys'.

    Attributes
    ----------
    level : (n,)
    n_levels : int
    weight : (n,)
    """

    level: Integers
    n_levels: int
    weight: Array

    def draw(self, of: Integers, n_groups: int, rng: np.random.Generator) -> Array:
        hits = (self.level[:, None] == np.arange(self.n_levels)) * self.weight[:, None]
        counts = np.stack([(of == g).astype(float) @ hits for g in range(n_groups)], axis=1)
        # Below a double's smallest number where a level is all but absent.
        drawn = np.maximum(rng.gamma(counts + _JEFFREYS), np.finfo(float).tiny)
        return drawn / drawn.sum(-1, keepdims=True)

    def log_density(self, parameters: Array) -> Array:
        return np.log(parameters)[..., self.level]


class Number:
    """A number's mean and standard deviation, whatever its distribution: parameters (mean, sd, probability of each part).

    What y says of z goes by the part of the pooled distribution that it lies in, a category: no shape is assumed, where a
    normal density would give a skewed variable's long tail to one group. Given z, mean and standard deviation have the
    posterior of `Regression` on a constant.
    """

    def __init__(self, y: Array, weight: Array) -> None:
        edges = np.unique(np.quantile(y, np.arange(1, _PARTS) / _PARTS))
        self.moments = Regression(np.ones((len(y), 1)), y, weight)
        self.parts = Categories(np.searchsorted(edges, y, side="right"), len(edges) + 1, weight)

    def draw(self, of: Integers, n_groups: int, rng: np.random.Generator) -> Array:
        return np.concatenate([part.draw(of, n_groups, rng) for part in (self.moments, self.parts)], axis=-1)

    def log_density(self, parameters: Array) -> Array:
        return self.parts.log_density(parameters[..., 2:])


def draw_parameters(shares: Array, family: Family, seed: int) -> Array:
    """Parameters of each group, one draw for each draw of the mixture.

    Parameters
    ----------
    shares : (S, G, n)
        Responsibilities of the groups.
    family : Family
    seed : int

    Returns
    -------
    (S, G, P)
        NaN where a draw has no such group.
    """
    n_draws, n_groups, n = shares.shape
    size = max(1, _BLOCK // (n_groups * n))
    parts = blocks_of(n_draws, size)
    seeds = np.random.SeedSequence(seed).spawn(len(parts))

    def of_part(task: tuple[slice, np.random.SeedSequence]) -> Array:
        return _sampled(shares[task[0]], family, np.random.default_rng(task[1]))

    return np.concatenate(run_parallel(of_part, list(zip(parts, seeds, strict=True))))


def _sampled(shares: Array, family: Family, rng: np.random.Generator) -> Array:
    n_groups = shares.shape[1]
    with np.errstate(divide="ignore"):
        log_shares = np.log(shares)
    parameters = family.draw(_categorical(shares, rng), n_groups, rng)
    for _ in range(_SWEEPS if n_groups > 1 else 0):
        logs = log_shares + family.log_density(parameters)
        parameters = family.draw(_categorical(np.exp(logs - logs.max(1, keepdims=True)), rng), n_groups, rng)
    return np.where((shares.sum(2) > 0)[..., None], parameters, np.nan)


def _categorical(weights: Array, rng: np.random.Generator) -> Integers:
    """One group for each row (S, n), in proportion to weights (S, G, n)."""
    reached = np.cumsum(weights, axis=1)
    u = rng.uniform(size=(len(weights), 1, weights.shape[2])) * reached[:, -1:]
    return (u >= reached[:, :-1]).sum(1)
