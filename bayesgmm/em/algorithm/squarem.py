"""SQUAREM's extrapolation of EM steps, for many mixtures side by side (formulas: `algorithm`)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...mixture import Mixture
from .steps import FLOOR

__all__ = ["LARGEST_STEP", "StepLengths", "extrapolated", "merge"]

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

LARGEST_STEP = 1e4


def _coordinates(mixture: Mixture) -> Array:
    """Unconstrained coordinates (S, P)."""
    s = len(mixture.weights)
    covariances = mixture.structure.coordinates(mixture.covariances)
    return np.concatenate([np.log(mixture.weights), mixture.means.reshape(s, -1), covariances.reshape(s, -1)], axis=1)


def _from_coordinates(flat: Array, like: Mixture) -> Mixture:
    """Inverse of `_coordinates`; the weights are normalised."""
    k = like.n_components
    weights = np.exp(flat[:, :k] - flat[:, :k].max(1, keepdims=True))
    stop = k + like.means[0].size
    return Mixture(
        like.structure,
        weights / weights.sum(1, keepdims=True),
        flat[:, k:stop].reshape(like.means.shape),
        like.structure.from_coordinates(flat[:, stop:].reshape(like.covariances.shape)),
    )


def merge(take: Flags, new: Mixture, old: Mixture) -> Mixture:
    """``new`` where ``take`` (S,), ``old`` elsewhere."""

    def pick(a: Array, b: Array) -> Array:
        return np.where(take.reshape(-1, *[1] * (a.ndim - 1)), a, b)

    return Mixture(
        new.structure,
        pick(new.weights, old.weights),
        pick(new.means, old.means),
        pick(new.covariances, old.covariances),
    )


@dataclass
class StepLengths:
    """Step lengths of the extrapolation, one per start still at work."""

    largest: Array  # bound on the step length, widened by success and narrowed by failure
    slowest: Array  # (S, 3): |r| / |v| of the last cycles

    @classmethod
    def first(cls, s: int) -> StepLengths:
        return cls(np.ones(s), np.ones((s, 3)))


def _ratio(r: Array, v: Array) -> Array:
    """|r| / |v| of each start (S,)."""
    length_r, length_v = np.linalg.norm(r, axis=1), np.linalg.norm(v, axis=1)
    ratio = length_r / np.maximum(length_v, 1e-300)
    return np.where(length_r > 0, np.minimum(ratio, LARGEST_STEP), 1.0)


def extrapolated(
    x0: Mixture, x1: Mixture, x2: Mixture, steps: StepLengths, wanted: bool = True
) -> tuple[Mixture, Array, Flags, Flags]:
    """SQUAREM's point for each start, its smallest eigenvalues, where it is usable, and where EM steps still grow.

    Where no point is usable, or ``wanted``, only the rates are worked out.
    """
    c0, c1, c2 = _coordinates(x0), _coordinates(x1), _coordinates(x2)
    r = c1 - c0
    v = c2 - c1 - r
    ratio = _ratio(r, v)
    growing = (r * v).sum(1) > 0
    steps.slowest = np.column_stack([steps.slowest[:, 1:], np.maximum(ratio, 1.0)])
    a = np.clip(ratio, 1.0, steps.largest)[:, None]
    target = c0 + 2 * a * r + a * a * v
    # A jump of more than a factor e^3 in a weight or a scale is not an extrapolation any more.
    usable = (a[:, 0] > 1) & (np.abs(target - c2).max(1) < 3.0)
    if not (wanted and usable.any()):
        return x2, np.zeros(x2.weights.shape), np.zeros_like(usable), growing
    point = _from_coordinates(np.where(usable[:, None], target, c2), x2)
    covariances, smallest = x2.structure.floored(point.covariances, 10 * FLOOR)
    smallest = x2.structure.smallest_per_component(smallest, x2.n_components)
    usable &= (smallest.min(1) > 10 * FLOOR) & (point.weights.min(1) > 1e-12)
    return Mixture(point.structure, point.weights, point.means, covariances), smallest, usable, growing
