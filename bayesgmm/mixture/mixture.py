"""The parameters of one or many Gaussian mixtures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data import Scaling
from .structure import Structure, structure_named

__all__ = ["Mixture"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Mixture:
    """Weights, means and covariances of a mixture, or of many with common leading axes.

    Attributes
    ----------
    structure : Structure
    weights : (..., K)
    means : (..., K, D)
    covariances : (..., compact shape of the structure)
    """

    structure: Structure
    weights: Array
    means: Array
    covariances: Array

    @classmethod
    def from_dense(cls, structure: str | Structure, weights: Array, means: Array, covariances: Array) -> Mixture:
        """From covariances (..., K, D, D) that have the structure."""
        structure = structure_named(structure)
        return cls(structure, weights, means, structure.compact(np.asarray(covariances, dtype=float)))

    @property
    def n_components(self) -> int:
        return self.means.shape[-2]

    @property
    def n_features(self) -> int:
        return self.means.shape[-1]

    @property
    def n_parameters(self) -> int:
        return self.structure.n_parameters(self.n_components, self.n_features)

    @property
    def dense_covariances(self) -> Array:
        """Covariances as (..., K, D, D)."""
        return self.structure.dense(self.covariances, self.n_components, self.n_features)

    @property
    def natural(self) -> Array:
        """Natural parameters (..., K, F) of the structure's own design."""
        return self.structure.natural(self.weights, self.means, self.covariances)

    def widened(self) -> Mixture:
        """The same mixture in the structure whose natural parameters give whole log densities."""
        wide = self.structure.pointwise
        if wide is self.structure:
            return self
        return Mixture(wide, self.weights, self.means, wide.compact(self.dense_covariances))

    def marginal(self, features: NDArray[np.intp]) -> Mixture:
        """The mixture of some features alone, in a structure whose natural parameters give whole log densities."""
        dense = self.dense_covariances[..., features[:, None], features]
        wide = structure_named("diag" if self.structure.layout(self.n_features).along_axes else "full")
        return Mixture(wide, self.weights, self.means[..., features], np.ascontiguousarray(wide.compact(dense)))

    def __getitem__(self, which: Any) -> Mixture:
        """Select along the leading axes."""
        return replace(self, weights=self.weights[which], means=self.means[which], covariances=self.covariances[which])

    def reordered(self, order: NDArray[np.intp]) -> Mixture:
        """Components in another order; ``order`` is (..., K)."""
        order = np.asarray(order)
        dense = np.take_along_axis(self.dense_covariances, order[..., None, None], axis=-3)
        return Mixture(
            self.structure,
            np.take_along_axis(self.weights, order, axis=-1),
            np.take_along_axis(self.means, order[..., None], axis=-2),
            np.ascontiguousarray(self.structure.compact(dense)),
        )

    def canonical_order(self) -> NDArray[np.intp]:
        """Largest weight first, ties by the first coordinate of the mean. For a single mixture."""
        return np.lexsort((self.means[:, 0], -self.weights))

    def rounded(self) -> Mixture:
        """Without the last digits, which a change of units may have changed: for ties that are to be broken the same way.

        For a single mixture on the standardised scale: to 2^-30, covariances relative to the smallest variance.
        """
        dense = self.dense_covariances
        smallest = np.diagonal(dense, axis1=-2, axis2=-1).min()
        if not 0 < smallest < np.inf:
            return self
        unit = 2.0**-30
        own = unit * 2.0 ** np.floor(np.log2(smallest))
        weights, means = (np.round(part / unit) * unit for part in (self.weights, self.means))
        return Mixture.from_dense(self.structure, weights, means, np.round(dense / own) * own)

    def standardised(self, scaling: Scaling) -> Mixture:
        """The same mixture of standardised data."""
        dense = scaling.covariances_from_data(self.dense_covariances)
        return Mixture.from_dense(self.structure, self.weights, scaling.means_from_data(self.means), dense)

    def in_data_units(self, scaling: Scaling) -> Mixture:
        """The same mixture in the units of the data, from standardised ones."""
        dense = scaling.covariances_to_data(self.dense_covariances)
        return Mixture.from_dense(self.structure, self.weights, scaling.means_to_data(self.means), dense)
