"""Covariance structures: one object each, and nothing else in the package asks which one it has.

A structure knows the shape of its covariances, its parameter count, the design rows and products that make its
log density linear (`kernel`), the natural parameters, how to read the expected sufficient statistics, the
maximisation step, its Cholesky factors, and the shape of its free scales and correlations (`Free`), from which the
posterior's symbolic twin is built.

Symbols: N rows, D features, K components, ``...`` any leading axes (starts, draws). *Compact* covariances have
scikit-learn's shapes: full (..., K, D, D), tied (..., D, D), diag (..., K, D), spherical (..., K).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .coordinates import LoneVariances, Matrices
from .equivalence import reduced

__all__ = ["COVARIANCE_TYPES", "Free", "Structure", "structure_named"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Free:
    """Shape of a structure's free parameters besides weights and means: scales (groups, width), correlations or not."""

    groups: int
    width: int
    correlated: bool


def _outer(vector: Array) -> Array:
    return vector[..., :, None] * vector[..., None, :]


@lru_cache(maxsize=64)
def _lower(n_features: int) -> tuple[NDArray[np.intp], NDArray[np.intp], Array]:
    """Rows and columns of a lower triangle, and how often x' P x counts each, halved and negative."""
    i, j = np.tril_indices(n_features)
    return i, j, np.where(i == j, -0.5, -1.0)


def _inverse_cholesky(covariances: Array) -> tuple[Array, Array]:
    """Inverse lower Cholesky factors (..., D, D) and half log determinants (...)."""
    factor = np.linalg.cholesky(covariances)
    half_log_det = np.log(np.diagonal(factor, axis1=-2, axis2=-1)).sum(-1)
    return np.linalg.inv(factor), half_log_det


class Structure(ABC):
    """What a covariance structure must say of itself. Instances are stateless and shared."""

    name: str
    label: str
    letters: str  # mclust's for volume, shape and orientation, E equal, V varying, I identity
    contains: tuple[str, ...] = ()  # narrower structures, whose solutions this one can only better
    common_scale: bool = False  # whether all features must keep one scale for the structure to be the same
    squared_norm: bool = False  # whether the design carries |x|^2 as one more row
    bounded: bool = False  # whether the likelihood is bounded, so that no component can collapse onto a few rows

    def __repr__(self) -> str:
        return f"<covariance structure {self.name!r}>"

    def identity(self, n_components: int, n_features: int) -> str:
        """What the structure is at this size: structures of one identity are one model (`equivalence`)."""
        return reduced(self.letters, n_components, n_features)

    @abstractmethod
    def shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        """Shape of compact covariances without leading axes."""

    @abstractmethod
    def free(self, n_components: int, n_features: int) -> Free:
        """Shape of the free scales and correlations."""

    def n_parameters(self, n_components: int, n_features: int) -> int:
        """Free parameters of the mixture: weights, means and covariances."""
        free = self.free(n_components, n_features)
        correlations = free.groups * n_features * (n_features - 1) // 2 if free.correlated else 0
        return n_components - 1 + n_components * n_features + free.groups * free.width + correlations

    @abstractmethod
    def dense(self, covariances: Array, n_components: int, n_features: int) -> Array:
        """Compact covariances as (..., K, D, D)."""

    @abstractmethod
    def compact(self, dense: Array) -> Array:
        """Inverse of `dense`, for matrices that have this structure."""

    def rows(self, values: Array) -> Array:
        """Augmented design (A, N), from values (N, D): a row of ones, the features, and |x|^2 with `squared_norm`."""
        squares = [(values**2).sum(1)] if self.squared_norm else []
        return np.vstack([np.ones(values.shape[0]), values.T, *squares])

    @abstractmethod
    def pairs(self, n_features: int) -> NDArray[np.int64]:
        """Which rows of the design are multiplied (P, 2)."""

    @abstractmethod
    def natural(self, weights: Array, means: Array, covariances: Array) -> Array:
        """Natural parameters (..., K, F), up to `shared_quadratic`."""

    def shared_quadratic(self, covariances: Array, scatter: Array) -> Array | float:
        """The part of the log likelihood that is quadratic in the data and common to all components.

        ``scatter`` (D, D) is the weighted sum of x x'. Zero except where components share one matrix.
        """
        return 0.0

    @abstractmethod
    def second_moments(self, statistics: Array, scatter: Array) -> Array:
        """Second moments in the structure's own shape, from expected statistics (..., K, F)."""

    @abstractmethod
    def reduce(self, second: Array) -> Array:
        """Second moments in the structure's own shape, from dense ones (..., K, D, D)."""

    @abstractmethod
    def maximise(self, counts: Array, shift: Array, second: Array) -> Array:
        """Compact covariances that maximise the expected log likelihood.

        Parameters
        ----------
        counts : (..., K)
            Expected rows of each component, all positive.
        shift : (..., K, D)
            New mean minus the centre about which ``second`` was taken.
        second : (..., own shape)
            Second moments as `second_moments` or `reduce` return them.
        """

    @abstractmethod
    def add_ridge(self, covariances: Array, ridge: float) -> Array:
        """Covariances with ``ridge`` added to every variance."""

    @abstractmethod
    def precision_cholesky(self, covariances: Array) -> Array:
        """scikit-learn's ``precisions_cholesky_``: upper triangular, or reciprocal standard deviations."""

    @abstractmethod
    def coordinates(self, covariances: Array) -> Array:
        """Unconstrained coordinates of compact covariances, in an array of the same shape."""

    @abstractmethod
    def from_coordinates(self, coordinates: Array) -> Array:
        """Inverse of `coordinates`."""

    @abstractmethod
    def inverted(self, covariances: Array) -> Array:
        """Compact precisions from compact covariances, and the reverse."""

    @abstractmethod
    def floored(self, covariances: Array, floor: float) -> tuple[Array, Array]:
        """Covariances with no eigenvalue below ``floor``, and the smallest eigenvalues before that."""

    @property
    def pointwise(self) -> Structure:
        """The structure whose natural parameters give whole log densities row by row (no shared part left out)."""
        return self


class Full(Matrices, Structure):
    """Each component has its own covariance matrix (mclust's VVV)."""

    name = "full"
    letters = "VVV"
    label = "each component its own matrix"
    contains = ("spherical", "diag", "tied")

    def shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        return (n_components, n_features, n_features)

    def free(self, n_components: int, n_features: int) -> Free:
        return Free(n_components, n_features, True)

    def dense(self, covariances: Array, n_components: int, n_features: int) -> Array:
        return covariances

    def compact(self, dense: Array) -> Array:
        return dense

    def pairs(self, n_features: int) -> NDArray[np.int64]:
        return np.stack(_lower(n_features)[:2], axis=1).astype(np.int64) + 1

    def natural(self, weights: Array, means: Array, covariances: Array) -> Array:
        n_features = means.shape[-1]
        inverse, half_log_det = _inverse_cholesky(covariances)
        precision = np.swapaxes(inverse, -1, -2) @ inverse
        linear = (precision @ means[..., None])[..., 0]
        quadratic = (means * linear).sum(-1)
        constant = np.log(weights) - half_log_det - 0.5 * (quadratic + n_features * np.log(2 * np.pi))
        i, j, times = _lower(n_features)
        return np.concatenate([constant[..., None], linear, precision[..., i, j] * times], axis=-1)

    def second_moments(self, statistics: Array, scatter: Array) -> Array:
        n_features = scatter.shape[-1]
        i, j, _ = _lower(n_features)
        second = np.empty((*statistics.shape[:-1], n_features, n_features))
        second[..., i, j] = statistics[..., 1 + n_features :]
        second[..., j, i] = statistics[..., 1 + n_features :]
        return second

    def reduce(self, second: Array) -> Array:
        return second

    def maximise(self, counts: Array, shift: Array, second: Array) -> Array:
        return second / counts[..., None, None] - _outer(shift)

    def add_ridge(self, covariances: Array, ridge: float) -> Array:
        return covariances + ridge * np.eye(covariances.shape[-1])

    def precision_cholesky(self, covariances: Array) -> Array:
        return np.swapaxes(_inverse_cholesky(covariances)[0], -1, -2)


class Tied(Matrices, Structure):
    """All components share one covariance matrix (mclust's EEE).

    The quadratic part is the same for all components, so that phi(x) = [1, x] is enough to tell them apart; the
    rest of the log likelihood depends on the data only through their scatter matrix, computed once.
    """

    name = "tied"
    letters = "EEE"
    label = "one matrix shared by all"
    bounded = True

    def shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        return (n_features, n_features)

    def free(self, n_components: int, n_features: int) -> Free:
        return Free(1, n_features, True)

    def dense(self, covariances: Array, n_components: int, n_features: int) -> Array:
        shape = (*covariances.shape[:-2], n_components, n_features, n_features)
        return np.broadcast_to(covariances[..., None, :, :], shape)

    def compact(self, dense: Array) -> Array:
        return dense[..., 0, :, :]

    def pairs(self, n_features: int) -> NDArray[np.int64]:
        return np.empty((0, 2), dtype=np.int64)

    def natural(self, weights: Array, means: Array, covariances: Array) -> Array:
        n_features = means.shape[-1]
        inverse, half_log_det = _inverse_cholesky(covariances)
        precision = np.swapaxes(inverse, -1, -2) @ inverse
        linear = means @ precision
        quadratic = (means * linear).sum(-1)
        normaliser = half_log_det + 0.5 * n_features * np.log(2 * np.pi)
        constant = np.log(weights) - normaliser[..., None] - 0.5 * quadratic
        return np.concatenate([constant[..., None], linear], axis=-1)

    def shared_quadratic(self, covariances: Array, scatter: Array) -> Array | float:
        inverse, _ = _inverse_cholesky(covariances)
        return -0.5 * ((inverse @ scatter) * inverse).sum((-2, -1))

    def second_moments(self, statistics: Array, scatter: Array) -> Array:
        return np.broadcast_to(scatter, (*statistics.shape[:-2], *scatter.shape))

    def reduce(self, second: Array) -> Array:
        return second.sum(-3)

    def maximise(self, counts: Array, shift: Array, second: Array) -> Array:
        between = np.swapaxes(shift * counts[..., None], -1, -2) @ shift
        return (second - between) / counts.sum(-1)[..., None, None]

    def add_ridge(self, covariances: Array, ridge: float) -> Array:
        return covariances + ridge * np.eye(covariances.shape[-1])

    def precision_cholesky(self, covariances: Array) -> Array:
        return np.swapaxes(_inverse_cholesky(covariances)[0], -1, -2)

    @property
    def pointwise(self) -> Structure:
        return _FULL


class Diag(LoneVariances, Structure):
    """Axis-parallel components with their own variances (mclust's VVI)."""

    name = "diag"
    letters = "VVI"
    label = "each component its own variances"
    contains = ("spherical",)

    def shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        return (n_components, n_features)

    def free(self, n_components: int, n_features: int) -> Free:
        return Free(n_components, n_features, False)

    def dense(self, covariances: Array, n_components: int, n_features: int) -> Array:
        return covariances[..., None] * np.eye(n_features)

    def compact(self, dense: Array) -> Array:
        return np.diagonal(dense, axis1=-2, axis2=-1)

    def pairs(self, n_features: int) -> NDArray[np.int64]:
        features = np.arange(1, n_features + 1, dtype=np.int64)
        return np.stack([features, features], axis=1)

    def natural(self, weights: Array, means: Array, covariances: Array) -> Array:
        precision = 1.0 / covariances
        linear = means * precision
        constant = np.log(weights) - 0.5 * (
            (means * linear).sum(-1) + np.log(covariances).sum(-1) + means.shape[-1] * np.log(2 * np.pi)
        )
        return np.concatenate([constant[..., None], linear, -0.5 * precision], axis=-1)

    def second_moments(self, statistics: Array, scatter: Array) -> Array:
        return statistics[..., 1 + scatter.shape[-1] :]

    def reduce(self, second: Array) -> Array:
        return np.diagonal(second, axis1=-2, axis2=-1)

    def maximise(self, counts: Array, shift: Array, second: Array) -> Array:
        return second / counts[..., None] - shift**2

    def add_ridge(self, covariances: Array, ridge: float) -> Array:
        return covariances + ridge

    def precision_cholesky(self, covariances: Array) -> Array:
        return 1.0 / np.sqrt(covariances)


class Spherical(LoneVariances, Structure):
    """Spheres with their own radii (mclust's VII). The design carries |x|^2 as one row of its own."""

    name = "spherical"
    letters = "VII"
    label = "each component its own sphere"
    common_scale = True
    squared_norm = True

    def shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        return (n_components,)

    def free(self, n_components: int, n_features: int) -> Free:
        return Free(n_components, 1, False)

    def dense(self, covariances: Array, n_components: int, n_features: int) -> Array:
        return covariances[..., None, None] * np.eye(n_features)

    def compact(self, dense: Array) -> Array:
        return dense[..., 0, 0]

    def pairs(self, n_features: int) -> NDArray[np.int64]:
        return np.empty((0, 2), dtype=np.int64)

    def natural(self, weights: Array, means: Array, covariances: Array) -> Array:
        precision = 1.0 / covariances
        linear = means * precision[..., None]
        constant = np.log(weights) - 0.5 * (
            (means * linear).sum(-1) + means.shape[-1] * np.log(2 * np.pi * covariances)
        )
        return np.concatenate([constant[..., None], linear, -0.5 * precision[..., None]], axis=-1)

    def second_moments(self, statistics: Array, scatter: Array) -> Array:
        return statistics[..., -1]

    def reduce(self, second: Array) -> Array:
        return np.trace(second, axis1=-2, axis2=-1)

    def maximise(self, counts: Array, shift: Array, second: Array) -> Array:
        return (second / counts - (shift**2).sum(-1)) / shift.shape[-1]

    def add_ridge(self, covariances: Array, ridge: float) -> Array:
        return covariances + ridge

    def precision_cholesky(self, covariances: Array) -> Array:
        return 1.0 / np.sqrt(covariances)


_FULL = Full()
_STRUCTURES: dict[str, Structure] = {s.name: s for s in (_FULL, Tied(), Diag(), Spherical())}
COVARIANCE_TYPES: tuple[str, ...] = tuple(_STRUCTURES)


def structure_named(name: str | Structure) -> Structure:
    """The structure of a scikit-learn ``covariance_type``.

    Raises
    ------
    ValueError
        If there is none of that name.
    """
    if isinstance(name, Structure):
        return name
    if name not in _STRUCTURES:
        known = ", ".join(_STRUCTURES)
        raise ValueError(f"covariance_type={name!r} is unknown: choose one of {known}")
    return _STRUCTURES[name]
