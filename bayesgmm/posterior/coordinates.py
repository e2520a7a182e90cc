"""The unconstrained coordinates of the posterior: where each block of parameters lies, and the maps to and from it.

They are PyMC's own: the simplex transform of the weights, the means, the log standard deviations, the log odds of
(1 + partial correlation) / 2, and where the scale prior has an unknown rate its log.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..mixture import Mixture, Part, Structure

__all__ = ["Coordinates"]

Array = NDArray[np.float64]
# Coordinates of one point in two ways differ by rounding, magnified where two axes are nearly as long.
_SAME = 1e-4


@dataclass(frozen=True)
class Coordinates:
    """Where each block of parameters lies in the unconstrained vector, and the maps to and from it.

    Attributes
    ----------
    structure : Structure
    n_components, n_features : int
    with_rate : bool
        Whether the scale prior has an unknown rate, the last coordinate.
    reference : (G, D, D), optional
        Orientations that coordinates are about, for structures that have any; the identity by default.
    """

    structure: Structure
    n_components: int
    n_features: int
    with_rate: bool = False
    reference: Array | None = field(default=None, compare=False)

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """The parts of the covariances, in order."""
        parts = self.structure.parts(self.n_components, self.n_features)
        return parts if self.reference is None else tuple(part.about(self.reference) for part in parts)

    @cached_property
    def numbers(self) -> Array:
        """What the structure's compiled maps read besides coordinates."""
        return np.concatenate([part.numbers for part in self.parts])

    @cached_property
    def sizes(self) -> dict[str, int]:
        """Length of each block, in order."""
        k, d = self.n_components, self.n_features
        covariances = {part.name: part.length for part in self.parts}
        return {"weights": k - 1, "means": k * d, **covariances, "rate": int(self.with_rate)}

    @cached_property
    def size(self) -> int:
        """Number of coordinates P."""
        return sum(self.sizes.values())

    @cached_property
    def table(self) -> NDArray[np.int64]:
        """For compiled code, a row for each part of the covariances: where it begins, its size per block, own or not."""
        starts = np.cumsum([0, *self.sizes.values()])[2:]
        rows = [(start, part.size, int(part.own)) for start, part in zip(starts, self.parts, strict=False)]
        return np.array(rows, dtype=np.int64).reshape(-1, 3)

    def where(self, name: str) -> slice:
        """Place of a block."""
        names = list(self.sizes)
        edges = np.cumsum([0, *self.sizes.values()])
        return slice(int(edges[names.index(name)]), int(edges[names.index(name) + 1]))

    def split(self, x: Array) -> dict[str, Array]:
        """Blocks of points (..., P), each (..., length)."""
        edges = np.cumsum(list(self.sizes.values()))[:-1]
        return dict(zip(self.sizes, np.split(x, edges, axis=-1), strict=True))

    def values(self, x: Array) -> dict[str, Array]:
        """At points (..., P): weights (..., K), means (..., K, D), and each part's values as the structure assembles them."""
        blocks = self.split(x)
        logits = np.concatenate([blocks["weights"], -blocks["weights"].sum(-1, keepdims=True)], axis=-1)
        weights = np.exp(logits - logits.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        means = blocks["means"].reshape(*x.shape[:-1], self.n_components, self.n_features)
        return {"weights": weights, "means": means} | {p.name: p.constrain(blocks[p.name]) for p in self.parts}

    def constrain(self, x: Array) -> tuple[Array, Array, Array]:
        """Weights (..., K), means (..., K, D) and covariance factors (..., G, D, D)."""
        values = self.values(x)
        factors = self.structure.lower_factors(values, self.n_features, np.linalg.cholesky)
        return values["weights"], values["means"], factors

    def mixture(self, x: Array) -> Mixture:
        """The mixture, or mixtures, at points (..., P)."""
        weights, means, factors = self.constrain(x)
        dense = factors @ np.swapaxes(factors, -1, -2)
        shape = (*x.shape[:-1], self.n_components, self.n_features, self.n_features)
        return Mixture.from_dense(self.structure, weights, means, np.broadcast_to(dense, shape))

    def unconstrain(self, weights: Array, means: Array, covariances: Array, log_rate: float | None = None) -> Array:
        """The point (..., P) of weights (..., K), means (..., K, D) and dense covariances (..., K, D, D)."""
        lead = weights.shape[:-1]
        log_weights = np.log(weights)
        centred = (log_weights - log_weights.mean(-1, keepdims=True))[..., :-1]
        values = self.structure.near(self.structure.disassemble(covariances), self.reference)
        blocks = [centred, means.reshape(*lead, -1), *(part.unconstrain(values[part.name]) for part in self.parts)]
        if self.with_rate:
            blocks.append(np.full((*lead, 1), 0.0 if log_rate is None else log_rate))
        return np.concatenate(blocks, axis=-1)

    def are_folded(self, points: Array) -> NDArray[np.bool_]:
        """Which points (S,) have their axes named as in the reference: another naming is far from this one."""
        here = np.broadcast_to(np.arange(self.n_components), (len(points), self.n_components))
        apart = np.abs(self.permuted(points, here) - points) / (1.0 + np.abs(points))
        return np.asarray(apart.max(1, initial=0.0) < _SAME)

    def permuted(self, points: Array, order: NDArray[np.intp]) -> Array:
        """Points (S, P) with their components in another order (S, K), and axes named as in the reference."""
        if self.structure.log_symmetries(self.n_components, self.n_features) > 0:
            named = self.mixture(points).reordered(order)
            rebuilt = self.unconstrain(named.weights, named.means, named.dense_covariances)
            rebuilt[:, self.where("rate")] = points[:, self.where("rate")]
            return rebuilt
        blocks = self.split(points)
        logits = np.concatenate([blocks["weights"], -blocks["weights"].sum(-1, keepdims=True)], axis=-1)
        n, k = len(points), self.n_components

        def moved(block: Array) -> Array:
            return np.take_along_axis(block.reshape(n, k, -1), order[:, :, None], axis=1).reshape(n, -1)

        result = [np.take_along_axis(logits, order, axis=1)[:, :-1], moved(blocks["means"])]
        result += [moved(blocks[p.name]) if p.own and p.size else blocks[p.name] for p in self.parts]
        return np.concatenate([*result, blocks["rate"]], axis=1)
