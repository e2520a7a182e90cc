"""The unconstrained coordinates of the posterior: where each block of parameters lies, and the maps to and from it.

They are PyMC's own: the simplex transform of the weights, the means, the log standard deviations, the log odds of
(1 + partial correlation) / 2, and where the scale prior has an unknown rate its log.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..mixture import Mixture, Structure

__all__ = ["Coordinates"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Coordinates:
    """Where each block of parameters lies in the unconstrained vector, and the maps to and from it.

    Attributes
    ----------
    structure : Structure
    n_components, n_features : int
    with_rate : bool
        Whether the scale prior has an unknown rate, the last coordinate.
    """

    structure: Structure
    n_components: int
    n_features: int
    with_rate: bool = False

    @property
    def sizes(self) -> dict[str, int]:
        """Length of each block, in order."""
        k, d = self.n_components, self.n_features
        free = self.structure.free(k, d)
        return {
            "weights": k - 1,
            "means": k * d,
            "scales": free.groups * free.width,
            "correlations": free.groups * d * (d - 1) // 2 if free.correlated else 0,
            "rate": int(self.with_rate),
        }

    @property
    def size(self) -> int:
        """Number of coordinates P."""
        return sum(self.sizes.values())

    def split(self, x: Array) -> dict[str, Array]:
        """Blocks of points (..., P), each (..., length)."""
        edges = np.cumsum(list(self.sizes.values()))[:-1]
        return dict(zip(self.sizes, np.split(x, edges, axis=-1), strict=True))

    def constrain(self, x: Array) -> tuple[Array, Array, Array, Array]:
        """Weights (..., K), means (..., K, D), scales (..., G, E) and correlation factors (..., G or 0, D, D)."""
        k, d = self.n_components, self.n_features
        free = self.structure.free(k, d)
        lead = x.shape[:-1]
        part = self.split(x)
        logits = np.concatenate([part["weights"], -part["weights"].sum(-1, keepdims=True)], axis=-1)
        weights = np.exp(logits - logits.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        means = part["means"].reshape(*lead, k, d)
        scales = np.exp(part["scales"]).reshape(*lead, free.groups, free.width)
        if not free.correlated:
            return weights, means, scales, np.empty((*lead, 0, d, d))
        z = part["correlations"].reshape(*lead, free.groups, -1)
        factor = np.zeros((*lead, free.groups, d, d))
        m = 0
        for i in range(d):
            remaining = np.ones((*lead, free.groups))
            for j in range(i):
                factor[..., i, j] = np.tanh(0.5 * z[..., m]) * remaining
                remaining = remaining / np.cosh(0.5 * z[..., m])
                m += 1
            factor[..., i, i] = remaining
        return weights, means, scales, factor

    def covariances(self, x: Array) -> Array:
        """Dense covariances (..., K, D, D)."""
        k, d = self.n_components, self.n_features
        _, _, scales, factor = self.constrain(x)
        sd = np.broadcast_to(scales, (*x.shape[:-1], scales.shape[-2], d))
        if factor.shape[-3]:
            scaled = sd[..., None] * factor
            dense = scaled @ np.swapaxes(scaled, -1, -2)
        else:
            dense = (sd**2)[..., None] * np.eye(d)
        return np.broadcast_to(dense, (*x.shape[:-1], k, d, d))

    def mixture(self, x: Array) -> Mixture:
        """The mixture, or mixtures, at points (..., P)."""
        weights, means, _, _ = self.constrain(x)
        return Mixture.from_dense(self.structure, weights, means, self.covariances(x))

    def unconstrain(self, weights: Array, means: Array, covariances: Array, log_rate: float | None = None) -> Array:
        """The point (..., P) of weights (..., K), means (..., K, D) and dense covariances (..., K, D, D)."""
        k, d = self.n_components, self.n_features
        free = self.structure.free(k, d)
        lead = weights.shape[:-1]
        log_weights = np.log(weights)
        blocks = [(log_weights - log_weights.mean(-1, keepdims=True))[..., :-1], means.reshape(*lead, k * d)]
        grouped = covariances[..., : free.groups, :, :]
        variances = np.diagonal(grouped, axis1=-2, axis2=-1)
        if free.width == 1:
            variances = variances.mean(-1, keepdims=True)
        blocks.append(0.5 * np.log(variances).reshape(*lead, -1))
        if free.correlated:
            sd = np.sqrt(variances)
            factor = np.linalg.cholesky(grouped / (sd[..., :, None] * sd[..., None, :]))
            odds = []
            for i in range(d):
                remaining = np.ones(factor.shape[:-2])
                for j in range(i):
                    rho = np.clip(factor[..., i, j] / remaining, -1 + 1e-12, 1 - 1e-12)
                    odds.append(2.0 * np.arctanh(rho))
                    remaining = remaining * np.sqrt(1.0 - rho**2)
            stacked = np.stack(odds, axis=-1) if odds else np.empty((*factor.shape[:-2], 0))
            blocks.append(stacked.reshape(*lead, -1))
        if self.with_rate:
            blocks.append(np.full((*lead, 1), 0.0 if log_rate is None else log_rate))
        return np.concatenate(blocks, axis=-1)
