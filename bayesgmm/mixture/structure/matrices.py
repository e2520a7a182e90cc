"""What structures share: algebra of covariance matrices, and what whole matrices and lone variances have in common.

A structure inherits from the class that says what its compact covariances are. Extrapolation (SQUAREM) moves in
`coordinates`, so that what it reaches is always a covariance matrix. They are not those of the posterior: log-Cholesky factors
need one factorisation of each matrix, partial correlations a loop over their entries besides.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .parts import Correlations, Part, Scales

__all__ = [
    "LoneVariances", "Matrices", "correlated_factors", "correlated_parts", "inverse_cholesky", "lower_triangle", "outer",
    "scales_and_correlations", "volume",
]  # fmt: skip

Array = NDArray[np.float64]


def outer(vector: Array) -> Array:
    """Outer products (..., D, D) of vectors (..., D) with themselves."""
    return vector[..., :, None] * vector[..., None, :]


@lru_cache(maxsize=64)
def lower_triangle(n_features: int) -> tuple[NDArray[np.intp], NDArray[np.intp], Array]:
    """Rows and columns of a lower triangle, and how often x' P x counts each, halved and negative."""
    i, j = np.tril_indices(n_features)
    return i, j, np.where(i == j, -0.5, -1.0)


def inverse_cholesky(covariances: Array) -> tuple[Array, Array]:
    """Inverse lower Cholesky factors (..., D, D) and half log determinants (...)."""
    factor = np.linalg.cholesky(covariances)
    half_log_det = np.log(np.diagonal(factor, axis1=-2, axis2=-1)).sum(-1)
    return np.linalg.inv(factor), half_log_det


def correlated_parts(n_blocks: int, n_features: int, cluster: tuple[str, ...]) -> tuple[Part, ...]:
    """Scales and correlations of G matrices."""
    n_pairs = n_features * (n_features - 1) // 2
    return (
        Scales((*cluster, "feature"), n_blocks, n_features, n_features),
        Correlations((*cluster, "pair"), n_blocks, n_pairs, n_features),
    )


def correlated_factors(parts: Mapping[str, Any]) -> Any:
    """Factors diag(sd) C (..., G, D, D)."""
    return parts["scales"][..., :, :, None] * parts["correlations"]


def volume(covariances: Array) -> Array:
    """Geometric means (...) of the eigenvalues of matrices (..., D, D)."""
    return np.asarray(np.exp(np.linalg.slogdet(covariances)[1] / covariances.shape[-1]))


def scales_and_correlations(covariances: Array) -> dict[str, Array]:
    """Values of both parts of G matrices (..., G, D, D)."""
    sd = np.sqrt(np.diagonal(covariances, axis1=-2, axis2=-1))
    correlation = covariances / (sd[..., :, None] * sd[..., None, :])
    return {"scales": sd, "correlations": np.linalg.cholesky(correlation)}


class Matrices:
    """Compact covariances are whole matrices (..., D, D)."""

    def coordinates(self, covariances: Array) -> Array:
        """Cholesky factors with the logarithm of their diagonals (..., own shape)."""
        factor = np.linalg.cholesky(covariances)
        diagonal = np.einsum("...ii->...i", factor)
        diagonal[...] = np.log(diagonal)
        return factor

    def from_coordinates(self, coordinates: Array) -> Array:
        """Inverse of `coordinates`."""
        factor = coordinates.copy()
        diagonal = np.einsum("...ii->...i", factor)
        diagonal[...] = np.exp(diagonal)
        return factor @ np.swapaxes(factor, -1, -2)

    def inverted(self, covariances: Array) -> Array:
        """Precisions, or covariances from precisions."""
        inverse = np.linalg.inv(covariances)
        return 0.5 * (inverse + np.swapaxes(inverse, -1, -2))

    def floored(self, covariances: Array, floor: float) -> tuple[Array, Array]:
        """Covariances with no eigenvalue below ``floor``, and the smallest eigenvalues before that.

        Raising small eigenvalues to the floor is the exact maximisation step under that constraint (Ingrassia 2004),
        so that EM stays monotone, and it changes nothing where the constraint does not bind.

        Returns
        -------
        covariances : (..., own shape)
        smallest : (..., own shape without the two axes of the matrix)
        """
        smallest = np.linalg.eigvalsh(covariances)[..., 0]
        low = smallest < floor
        if low.any():
            values, vectors = np.linalg.eigh(covariances[low])
            covariances = covariances.copy()
            covariances[low] = (vectors * np.maximum(values, floor)[..., None, :]) @ np.swapaxes(vectors, -1, -2)
        return covariances, smallest


class LoneVariances:
    """Compact covariances are variances along the axes (..., any shape)."""

    def coordinates(self, covariances: Array) -> Array:
        """Logarithms of the standard deviations (..., own shape)."""
        return 0.5 * np.log(covariances)

    def from_coordinates(self, coordinates: Array) -> Array:
        """Inverse of `coordinates`."""
        return np.exp(2.0 * coordinates)

    def inverted(self, covariances: Array) -> Array:
        """Precisions, or variances from precisions."""
        return 1.0 / covariances

    def floored(self, covariances: Array, floor: float) -> tuple[Array, Array]:
        """Variances not below ``floor``, and the variances before that; see `Matrices.floored`."""
        return np.maximum(covariances, floor), covariances

    def add_ridge(self, covariances: Array, ridge: float) -> Array:
        """Variances with ``ridge`` added."""
        return covariances + ridge

    def precision_cholesky(self, covariances: Array) -> Array:
        """Reciprocal standard deviations."""
        return 1.0 / np.sqrt(covariances)

    def assemble(self, parts: Mapping[str, Any], n_features: int) -> Any:
        """Diagonal factors (..., G, D, D) of scales (..., G, E)."""
        return parts["scales"][..., :, :, None] * np.eye(n_features)
