"""What the plots of a mixture draw: ellipses, densities, and the features and directions that tell clusters apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...mixture import Mixture, draw_responsibilities
from ...sampling import Posterior

__all__ = [
    "COVERAGE",
    "average_mixture",
    "cluster_probabilities",
    "directions",
    "ellipses",
    "marginal_densities",
    "thinned",
    "top_features",
]

Array = NDArray[np.float64]

# Probability that an ellipse holds of its component.
COVERAGE = 0.9
_RADIUS = float(np.sqrt(-2 * np.log(1 - COVERAGE)))


def thinned(draws: Mixture, most: int) -> Mixture:
    """At most so many draws, evenly spaced."""
    total = len(draws.weights)
    return draws if total <= most else draws[np.linspace(0, total - 1, most).round().astype(int)]


def average_mixture(draws: Mixture) -> Mixture:
    """Posterior means of weights, means and covariances, as one mixture."""
    return Mixture(draws.structure, draws.weights.mean(0), draws.means.mean(0), draws.covariances.mean(0))


def _scatter(mixture: Mixture) -> tuple[Array, Array]:
    """Covariance within components and between them, each (D, D)."""
    w = mixture.weights / mixture.weights.sum()
    centred = mixture.means - w @ mixture.means
    return np.einsum("k,kij->ij", w, mixture.dense_covariances), np.einsum("k,ki,kj->ij", w, centred, centred)


def top_features(mixture: Mixture, most: int) -> list[int]:
    """The features in which the components lie furthest apart for their spread, in the order of the table.

    Between-component variance over within-component variance; for a single component the first features.
    """
    within, between = _scatter(mixture)
    ratio = np.diag(between) / np.diag(within)
    chosen = np.argsort(-ratio, kind="stable")[:most]
    return sorted(int(j) for j in chosen)


def directions(mixture: Mixture) -> Array:
    """The two directions (D, 2) in which the components differ most in means and covariances.

    The leading generalised eigenvectors of Scrucca (2010, Statistics and Computing 20:471): with W the covariance
    within components, B between them and S_k of each, those of ``B inv(W) B + sum_k w_k (S_k - W) inv(W) (S_k - W)``
    with respect to W, so that a component's average spread along each is one. For D <= 2 the features themselves.
    """
    from scipy.linalg import eigh

    d = mixture.n_features
    if d <= 2:
        return np.eye(d)
    within, between = _scatter(mixture)
    unlike = mixture.dense_covariances - within
    inverse = np.linalg.inv(within)
    kernel = between @ inverse @ between + np.einsum("k,kij,jl,klm->im", mixture.weights, unlike, inverse, unlike)
    _, vectors = eigh((kernel + kernel.T) / 2, within)
    chosen = vectors[:, ::-1][:, :2]
    # A direction has no sign of its own: let its largest entry, in sds, be positive.
    entries = chosen * np.sqrt(np.diag(within + between))[:, None]
    return chosen * np.sign(entries[np.abs(entries).argmax(0), np.arange(2)])


def ellipses(means: Array, covariances: Array, n_points: int = 41) -> Array:
    """Outlines (..., n_points, 2) of the ellipses that hold `COVERAGE` of 2-D Gaussians (..., 2), (..., 2, 2)."""
    angle = np.linspace(0, 2 * np.pi, n_points)
    circle = _RADIUS * np.stack([np.cos(angle), np.sin(angle)])
    return means[..., None, :] + np.swapaxes(np.linalg.cholesky(covariances) @ circle, -1, -2)


def marginal_densities(mixture: Mixture, feature: int, at: Array) -> Array:
    """Weighted marginal densities (..., K, G) of the components along one feature."""
    mean = mixture.means[..., feature, None]
    sd = np.sqrt(mixture.dense_covariances[..., feature, feature])[..., None]
    z = (at - mean) / sd
    return mixture.weights[..., None] * np.exp(-0.5 * z * z) / (sd * np.sqrt(2 * np.pi))


def cluster_probabilities(view: Posterior, most_draws: int = 200) -> Array:
    """Posterior mean probabilities (N, K), from so many draws: for colours, where no memberships are given."""
    result = np.empty((len(view.values), view.n_components))
    for block in draw_responsibilities(thinned(view.draws, most_draws), view.values):
        result[block.rows] = block.responsibilities.mean(0).T
    return result
