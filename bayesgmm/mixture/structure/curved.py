"""What structures share whose covariances are no linear space: products of volumes, shapes and orientations.

Everything that is linear in the covariances (natural parameters, layout, entries) is that of the narrowest linear structure
around them, `linear`, whose class they inherit from; what they share between components is theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import lgamma, log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..rotation import named_axes, proper, shared_axes
from .base import Structure
from .diag import DIAG, Diag
from .full import FULL, Full
from .matrices import outer
from .parts import Correlations, Orientations, Part, factored
from .spectra import nearest_spectra, raised_spectra, volumes_and_shapes
from .turning import turn_axes

__all__ = ["Axial", "Oriented", "OwnAxes", "SharedAxes", "Triangular", "turned"]

Array = NDArray[np.float64]
# Variance added to every scatter per row, in units of standardised data: none has a determinant of zero.
_WIDTH = 1e-14


class Axial(Diag):
    """Axis-parallel components that share volume or shape: compact covariances are variances (..., K, D).

    Log variances are linear in log volumes and log shapes, so that extrapolation keeps what is shared.
    """

    @property
    def linear(self) -> Structure:
        return DIAG

    def add_ridge(self, covariances: Array, ridge: float) -> Array:
        return np.exp(nearest_spectra(self.letters, np.log(covariances + ridge)))

    def floored(self, covariances: Array, floor: float) -> tuple[Array, Array]:
        """Variances not below ``floor`` with the same parts shared, and the variances before that."""
        low = (covariances < floor).any((-2, -1))
        if low.any():
            raised = covariances.copy()
            raised[low] = raised_spectra(self.letters, covariances[low], floor)
            return raised, covariances
        return covariances, covariances

    def parts(self, n_components: int, n_features: int) -> tuple[Part, ...]:
        return factored(self.letters, None, n_components, n_features)

    def assemble(self, parts: Mapping[str, Any], n_features: int) -> Any:
        """Diagonal factors, from volumes (..., V, 1) and shapes (..., H, D), V and H one or K."""
        return (parts["volume"] * parts["shape"])[..., :, :, None] * np.eye(n_features)

    def disassemble(self, dense: Array) -> dict[str, Array]:
        return volumes_and_shapes(self.letters, np.sqrt(np.diagonal(dense, axis1=-2, axis2=-1)))


class Oriented(Full):
    """Components with directions of their own that share volume, shape or orientation: covariances are (..., K, D, D)."""

    @property
    def linear(self) -> Structure:
        return FULL

    def within(self, counts: Array, shift: Array, second: Array) -> Array:
        """Scatter (..., K, D, D) of each component about its new mean, with a width in all directions."""
        scatter = second - counts[..., None, None] * outer(shift)
        return np.asarray(scatter + (_WIDTH * counts)[..., None, None] * np.eye(scatter.shape[-1]))

    def add_ridge(self, covariances: Array, ridge: float) -> Array:
        second = covariances + ridge * np.eye(covariances.shape[-1])
        means = np.zeros(covariances.shape[:-1])
        return self.maximise(np.ones(means.shape[:-1]), means, second, covariances)

    def floored(self, covariances: Array, floor: float) -> tuple[Array, Array]:
        """Covariances with no eigenvalue below ``floor`` and the same parts shared, and the smallest before that."""
        smallest = np.linalg.eigvalsh(covariances)[..., 0]
        low = (smallest < floor).any(-1)
        if low.any():
            values, vectors = np.linalg.eigh(covariances[low])
            covariances = covariances.copy()
            covariances[low] = turned(raised_spectra(self.letters, values, floor), vectors)
        return covariances, smallest


class Triangular(Oriented):
    """Volumes, shapes and correlations: factors are volume diag(shape) C, C of correlation matrices.

    What is shared is linear in U and log e of S = U diag(e) U', U unit lower triangular: extrapolation keeps it.
    """

    def parts(self, n_components: int, n_features: int) -> tuple[Part, ...]:
        return factored(self.letters, Correlations, n_components, n_features)

    def coordinates(self, covariances: Array) -> Array:
        factor = np.linalg.cholesky(covariances)
        diagonal = np.einsum("...ii->...i", factor)
        own = diagonal.copy()
        factor /= own[..., None, :]
        diagonal[...] = np.log(own)
        return factor

    def from_coordinates(self, coordinates: Array) -> Array:
        factor = coordinates.copy()
        diagonal = np.einsum("...ii->...i", factor)
        own = np.exp(diagonal)
        diagonal[...] = 1.0
        factor *= own[..., None, :]
        return np.asarray(factor @ np.swapaxes(factor, -1, -2))


class Turned(Oriented):
    """Volumes, shapes and orientations: covariances are D diag(volume shape)^2 D', D of rotations."""

    common_scale = True

    def parts(self, n_components: int, n_features: int) -> tuple[Part, ...]:
        return factored(self.letters, Orientations, n_components, n_features)

    def assemble(self, parts: Mapping[str, Any], n_features: int) -> Any:
        """Factors D diag(volume shape), not triangular."""
        return parts["orientation"] * (parts["volume"] * parts["shape"])[..., :, None, :]

    def lower_factors(self, parts: Mapping[str, Any], n_features: int, cholesky: Callable[[Any], Any]) -> Any:
        roots = self.assemble(parts, n_features)
        return cholesky(roots @ roots.swapaxes(-1, -2))

    def reference(self, dense: Array) -> Array | None:
        return self.disassemble(dense)["orientation"]

    def near(self, parts: dict[str, Array], reference: Array | None) -> dict[str, Array]:
        """Axes in the order and with the signs in which they are nearest to those of the reference."""
        axes = parts["orientation"]
        one = np.eye(axes.shape[-1]) if reference is None else reference[: axes.shape[-3]]
        axes, order = named_axes(axes, one)
        shape = np.take_along_axis(parts["shape"], order[..., None, :], axis=-1)
        return parts | {"orientation": axes, "shape": shape}

    def log_symmetries(self, n_components: int, n_features: int) -> float:
        """D! orders of the axes, and for each rotation 2^(D - 1) ways to turn an even number of them round."""
        n_rotations = self.parts(n_components, n_features)[-1].n_blocks
        return lgamma(n_features + 1) + n_rotations * (n_features - 1) * log(2)


class OwnAxes(Turned):
    """Components with axes of their own along which variances are shared. Spectra are ascending."""

    def coordinates(self, covariances: Array) -> Array:
        """Logarithms of the matrices."""
        values, axes = np.linalg.eigh(covariances)
        return turned(np.log(values), axes)

    def from_coordinates(self, coordinates: Array) -> Array:
        """Matrices whose spectra are the nearest that share what the structure shares."""
        logs, axes = np.linalg.eigh(coordinates)
        return turned(np.exp(nearest_spectra(self.letters, logs)), axes)

    def disassemble(self, dense: Array) -> dict[str, Array]:
        values, axes = np.linalg.eigh(dense)
        return volumes_and_shapes(self.letters, np.sqrt(values)) | {"orientation": proper(axes)}


class SharedAxes(Turned):
    """Components with the same axes, each with variances of its own along them."""

    def coordinates(self, covariances: Array) -> Array:
        """Logarithms of the matrices."""
        axes = shared_axes(covariances)
        return turned(np.log(spreads_along(axes, covariances)), axes[..., None, :, :])

    def from_coordinates(self, coordinates: Array) -> Array:
        """Matrices with the axes of a sum of the logarithms, the nearest that share what the structure shares."""
        axes = shared_axes(coordinates)
        logs = nearest_spectra(self.letters, spreads_along(axes, coordinates))
        return turned(np.exp(logs), axes[..., None, :, :])

    def disassemble(self, dense: Array) -> dict[str, Array]:
        axes = shared_axes(dense)
        values = np.sqrt(spreads_along(axes, dense))
        return volumes_and_shapes(self.letters, values) | {"orientation": proper(axes)[..., None, :, :]}

    def turned_to(self, counts: Array, within: Array, start: Array | None) -> tuple[Array, Array]:
        """Axes (..., D, D) of maximum likelihood and spreads (..., K, D) along them, from those of ``start``."""
        d = within.shape[-1]
        pooled = within / counts[..., None, None] if start is None else start
        axes = shared_axes(pooled).reshape(-1, d, d)
        scatter = np.ascontiguousarray(within.reshape(-1, *within.shape[-3:]))
        scatter = np.swapaxes(axes, -1, -2)[:, None] @ scatter @ axes[:, None]
        spreads = np.empty(scatter.shape[:-1])
        turn_axes(scatter, counts.reshape(len(axes), -1), self.letters[0] == "E", axes, spreads)
        return axes.reshape(*within.shape[:-3], d, d), spreads.reshape(within.shape[:-1])


def spreads_along(axes: Array, matrices: Array) -> Array:
    """Diagonals (..., K, D) of matrices (..., K, D, D) in shared axes (..., D, D)."""
    return np.asarray(((matrices @ axes[..., None, :, :]) * axes[..., None, :, :]).sum(-2))


def turned(spectra: Array, axes: Array) -> Array:
    """Matrices (..., D, D) of spectra (..., D) along the columns of axes (..., D, D)."""
    return (axes * spectra[..., None, :]) @ np.swapaxes(axes, -1, -2)
