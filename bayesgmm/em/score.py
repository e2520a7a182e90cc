"""The gradient of the log likelihood at a mixture, by Fisher's identity.

With expected counts n_k, EM's image (w', mu', S') of (w, mu, S) and P = S^-1, the gradient is

- in the logits of the weights: n_k - n w_k, n the sum of the counts,
- in the means: n_k P_k (mu'_k - mu_k),
- in the covariances, entry by entry: n_k P_k (S'_k + (mu'_k - mu_k)(mu'_k - mu_k)' - S_k) P_k / 2, then added up over
  the entries that the structure ties together, which is what `Structure.reduce` does. Where the structure is no linear
  space, what counts of it is the part along the surface of its covariances.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..mixture import Mixture, Statistics, Structure, tangent

__all__ = ["Score", "score"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Score:
    """Gradient of the log likelihood of a single mixture, in its own units.

    Attributes
    ----------
    logits : (K,)
        In the logarithms of unnormalised weights.
    means : (K, D)
    covariances : (compact shape of the structure)
        Matrices entry by entry, as if their entries were free: symmetric.
    norm : float
        Per row, each component in its own whitened coordinates: the same in all units.
    """

    logits: Array
    means: Array
    covariances: Array
    norm: float


def score(mixture: Mixture, statistics: Statistics) -> Score:
    """Gradient of the log likelihood at a single ``mixture``, from the expected sufficient ``statistics`` there."""
    structure, total = mixture.structure, float(statistics.counts.sum())
    counts = np.maximum(statistics.counts, 1e-300)
    shift = statistics.first / counts[:, None]
    apart = shift + statistics.centres - mixture.means
    wide, dense = structure.linear, mixture.dense_covariances
    image = wide.dense(wide.maximise(counts, shift, statistics.second), *mixture.means.shape)
    excess = counts[:, None, None] * (image + apart[:, :, None] * apart[:, None, :] - dense)
    factor = np.linalg.cholesky(dense)
    # Whitened: z = L^-1 x.
    white_means = np.linalg.solve(factor, (counts[:, None] * apart)[..., None])[..., 0]
    white = 0.5 * _solved_twice(factor, excess)
    upper = np.swapaxes(factor, -1, -2)
    means = np.linalg.solve(upper, white_means[..., None])[..., 0]
    covariances = _solved_twice(upper, white)
    logits = statistics.counts - total * mixture.weights
    own_white = structure.reduce(white) if wide is structure else _along_surface(structure, dense, factor, white)
    norm = float(np.sqrt((logits**2).sum() + (white_means**2).sum() + (own_white**2).sum()) / total)
    return Score(logits, means, structure.reduce(covariances), norm)


def _along_surface(structure: Structure, dense: Array, factor: Array, white: Array) -> Array:
    """Length, as one number, of the part of a whitened gradient (K, D, D) along the surface of a structure's covariances."""
    moves = _solved_twice(factor, tangent(structure, dense))
    basis, _ = np.linalg.qr(moves.reshape(len(moves), -1).T)
    return np.asarray(np.linalg.norm(basis.T @ white.ravel()))


def _solved_twice(factor: Array, matrix: Array) -> Array:
    """F^-1 M F^-T, of matrices (K, D, D)."""
    return np.linalg.solve(factor, np.swapaxes(np.linalg.solve(factor, matrix), -1, -2))
