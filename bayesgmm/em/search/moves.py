"""Moves between mixtures: split a component, merge two, or both at once to leave a local optimum.

Merging two components and splitting a third keeps their number and reaches optima that EM cannot (Ueda, Nakano,
Ghahramani & Hinton 2000, SMEM, Neural Computation 12). Splits also carry a solution to K + 1 components and merges to
K - 1. Everything keeps the first two moments of what it replaces.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from ...mixture import Mixture
from .starts import from_moments

__all__ = [
    "batch_of",
    "closest_merges",
    "doubled",
    "merged",
    "overlap",
    "perturbed",
    "split",
    "split_and_merge",
    "splits",
    "without_spike",
]

Array = NDArray[np.float64]
# Distance of the two halves from the middle, in standard deviations: that of the halves of a Gaussian, sqrt(2 / pi).
_HALF = 0.8


def batch_of(mixtures: list[Mixture]) -> Mixture:
    """Single mixtures of one structure as a batch (S, ...)."""
    return Mixture(
        mixtures[0].structure,
        np.stack([m.weights for m in mixtures]),
        np.stack([m.means for m in mixtures]),
        np.stack([m.covariances for m in mixtures]),
    )


def _split_parts(
    weight: float, mean: Array, covariance: Array, axis: int
) -> tuple[list[float], list[Array], list[Array]]:
    """Two halves of one Gaussian along its principal axis number ``axis``, the longest being 0."""
    values, vectors = np.linalg.eigh(covariance)
    step = _HALF * np.sqrt(max(values[-1 - axis], 0.0)) * vectors[:, -1 - axis]
    rest = covariance - np.outer(step, step)
    return [weight / 2] * 2, [mean - step, mean + step], [rest, rest]


def _merge_parts(weights: Array, means: Array, dense: Array) -> tuple[float, Array, Array]:
    """One Gaussian with the moments of several."""
    weight = weights.sum()
    share = weights / weight
    mean = share @ means
    apart = means - mean
    return weight, mean, np.einsum("k,kij->ij", share, dense) + (apart * share[:, None]).T @ apart


def split(mixture: Mixture, k: int, axis: int = 0) -> Mixture:
    """The K + 1 components left when component ``k`` is halved along one of its principal axes."""
    dense = mixture.dense_covariances
    weights, means, covariances = _split_parts(mixture.weights[k], mixture.means[k], dense[k], axis)
    rest = np.arange(mixture.n_components) != k
    return from_moments(
        mixture.structure,
        np.append(mixture.weights[rest], weights),
        np.vstack([mixture.means[rest], means]),
        np.concatenate([dense[rest], covariances]),
    )


def merged(mixture: Mixture, i: int, j: int) -> Mixture:
    """The K - 1 components left when ``i`` and ``j`` become one."""
    dense = mixture.dense_covariances
    pair = [i, j]
    weight, mean, covariance = _merge_parts(mixture.weights[pair], mixture.means[pair], dense[pair])
    rest = np.delete(np.arange(mixture.n_components), pair)
    return from_moments(
        mixture.structure,
        np.append(mixture.weights[rest], weight),
        np.vstack([mixture.means[rest], mean]),
        np.concatenate([dense[rest], covariance[None]]),
    )


def splits(mixture: Mixture, axes: int = 1) -> list[Mixture]:
    """All splits of single components, along their ``axes`` longest axes."""
    n_axes = min(axes, mixture.n_features)
    return [split(mixture, k, axis) for k in range(mixture.n_components) for axis in range(n_axes)]


def doubled(mixture: Mixture) -> Mixture:
    """The same density with one component more: the heaviest one in two equal parts."""
    heaviest = int(mixture.weights.argmax())
    weights = np.append(mixture.weights, mixture.weights[heaviest] / 2)
    weights[heaviest] /= 2
    dense = mixture.dense_covariances
    return from_moments(
        mixture.structure,
        weights,
        np.vstack([mixture.means, mixture.means[heaviest]]),
        np.concatenate([dense, dense[heaviest, None]]),
    )


def overlap(mixture: Mixture) -> Array:
    """Bhattacharyya distance (K, K) between components: small for those that cover the same rows."""
    dense = mixture.dense_covariances
    pooled = 0.5 * (dense[:, None] + dense[None])
    apart = mixture.means[:, None] - mixture.means[None]
    distance = 0.125 * (apart * np.linalg.solve(pooled, apart[..., None])[..., 0]).sum(-1)
    half_log_det = 0.5 * np.linalg.slogdet(dense)[1]
    return distance + 0.5 * (np.linalg.slogdet(pooled)[1] - half_log_det[:, None] - half_log_det[None])


def _pairs_byoverlap(mixture: Mixture) -> list[tuple[int, int]]:
    distance = overlap(mixture)
    return sorted(combinations(range(mixture.n_components), 2), key=lambda pair: distance[pair])


def closest_merges(mixture: Mixture, limit: int) -> list[Mixture]:
    """Mixtures with K - 1 components: the ``limit`` closest pairs merged, one at a time."""
    return [merged(mixture, i, j) for i, j in _pairs_byoverlap(mixture)[:limit]]


def split_and_merge(mixture: Mixture, limit: int, rng: np.random.Generator) -> list[Mixture]:
    """Candidates with K components: two merged and one halved, at most ``limit``, the likeliest first.

    Pairs are tried by their overlap. With two components the merged one itself is halved, along each of its axes;
    with more, each other component is, and the merged one along its second axis.
    """
    n = mixture.n_components
    if n < 2:
        return []
    last = n - 2  # where the merged one is
    ways = [(last, axis) for axis in range(min(2 if n > 2 else 3, mixture.n_features))]
    ways += [(k, 0) for k in range(last)]
    moves = [(pair, way) for pair in _pairs_byoverlap(mixture) for way in ways]
    if len(moves) > limit:
        # The best half by overlap, the others by lot.
        first = limit // 2
        others = rng.choice(np.arange(first, len(moves)), limit - first, replace=False)
        moves = [moves[c] for c in [*range(first), *np.sort(others)]]
    return [split(merged(mixture, *pair), *way) for pair, way in moves]


def without_spike(mixture: Mixture, k: int, limit: int) -> list[Mixture]:
    """Component ``k`` merged into the one that it overlaps most, and one of the heaviest halved in its place."""
    distance = overlap(mixture)[k]
    distance[k] = np.inf
    whole = merged(mixture, k, int(distance.argmin()))
    return [split(whole, int(c)) for c in np.argsort(-whole.weights, kind="stable")[:limit]]


def perturbed(mixture: Mixture, size: float, copies: int, rng: np.random.Generator) -> Mixture:
    """Copies (S, ...) of a single mixture with means moved by ``size`` standard deviations, in random directions."""
    factor = np.linalg.cholesky(mixture.dense_covariances)
    noise = rng.standard_normal((copies, *mixture.means.shape))
    means = mixture.means + size * np.einsum("kij,skj->ski", factor, noise)
    return Mixture(
        mixture.structure,
        np.broadcast_to(mixture.weights, (copies, *mixture.weights.shape)),
        means,
        np.broadcast_to(mixture.covariances, (copies, *mixture.covariances.shape)),
    )
