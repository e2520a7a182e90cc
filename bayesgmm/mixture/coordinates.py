"""Unconstrained coordinates and lower bounds of compact covariances: of matrices, and of lone variances.

A structure inherits from the one that says what its compact covariances are. Extrapolation (SQUAREM) moves in these
coordinates, so that what it reaches is always a covariance matrix.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["LoneVariances", "Matrices"]

Array = NDArray[np.float64]


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
