"""Covariance structures: one object each, in a file of its own, and nothing else in the package asks which one it has.

A structure says what its covariances are (compact shape, parts, parameter count), which products of features make its log
density linear (`layout`, `natural`), how to read the expected sufficient statistics, the maximisation step, and the map from
unconstrained coordinates to covariance factors with its gradient, compiled. Everything above it knows parts, everything below
it *(weights, means, covariance factors)*.

Symbols: N rows, D features, K components, G factors (K, or 1 where all share one), ``...`` any leading axes (starts, draws).
*Compact* covariances have scikit-learn's shapes: full (..., K, D, D), tied (..., D, D), diag (..., K, D), spherical (..., K).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...data import Scaling
from ..addresses import CONSTRAIN, PULL_BACK, address_of
from .equivalence import family, narrower, reduced
from .parts import Part

__all__ = ["Entry", "Layout", "Structure"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Layout:
    """Which numbers of a row phi(x) holds beside the constant and the features.

    Attributes
    ----------
    pairs : (P, 2) int64
        Rows of [1, x, ...] that are multiplied.
    squared_norm : bool
        Whether |x|^2 is one of them.
    """

    pairs: NDArray[np.int64]
    squared_norm: bool = False

    @property
    def common(self) -> bool:
        """Whether there is nothing quadratic: one matrix serves all, and the scatter of the data tells what it does."""
        return not (len(self.pairs) or self.squared_norm)

    @property
    def along_axes(self) -> bool:
        """Whether there are squares only: features are independent within a component."""
        return self.kind in (1, 2)

    @property
    def kind(self) -> int:
        """Which products there are: 0 all, 1 squares, 2 the squared norm, 3 none (`mixture.grouped`)."""
        if self.common or self.squared_norm:
            return 3 if self.common else 2
        return int((self.pairs[:, 0] == self.pairs[:, 1]).all())

    def n_rows(self, n_features: int) -> int:
        """How many numbers of [1, x, |x|^2] are among those."""
        return 1 + n_features + self.squared_norm

    def rows(self, values: Array) -> Array:
        """What is multiplied, (A, N), from values (N, D): a row of ones, the features, and |x|^2."""
        squares = [(values**2).sum(1)] if self.squared_norm else []
        return np.vstack([np.ones(values.shape[0]), values.T, *squares])


@dataclass(frozen=True)
class Entry:
    """A distinct entry of the covariances, as reports name it.

    Attributes
    ----------
    component : int or None
        None where all components share it.
    row, column : int or None
        Features; None where all features share it.
    """

    component: int | None
    row: int | None
    column: int | None

    def name(self, columns: Sequence[str]) -> str:
        """Such as ``covariances[0, width, height]``."""
        features = [] if self.row is None or self.column is None else [columns[self.row], columns[self.column]]
        return f"covariances[{', '.join(([] if self.component is None else [str(self.component)]) + features)}]"

    def of(self, dense: Array) -> Array:
        """Its values (...) in covariances (..., K, D, D)."""
        return dense[..., self.component or 0, self.row or 0, self.column or 0]


class Structure(ABC):
    """What a covariance structure must say of itself. Instances are stateless and shared."""

    name: str
    letters: str  # mclust's for volume, shape and orientation, E equal, V varying, I identity
    label: str
    maps: tuple[Callable[..., Any], Callable[..., Any]]  # u -> factors and its gradient, as `addresses` compiles them
    common_scale: bool = False  # whether all features must keep one scale for the structure to be the same

    def __repr__(self) -> str:
        return f"<covariance structure {self.name!r}>"

    # What it is

    def identity(self, n_components: int, n_features: int) -> str:
        """What the structure is at this size: structures of one identity are one model (`equivalence`)."""
        return reduced(self.letters, n_components, n_features)

    @property
    def contains(self) -> tuple[str, ...]:
        """Names of narrower structures, whose solutions this one can only better."""
        return narrower(self.letters)

    @property
    def mclust(self) -> str:
        """mclust's name: three letters for volume, shape and orientation."""
        return self.letters

    @property
    def family(self) -> str:
        """One of `equivalence.FAMILIES`: what the axes of the components are."""
        return family(self.letters)

    @property
    def linear(self) -> Structure:
        """The narrowest structure around this one whose covariances are a linear space, of the same compact shape."""
        return self

    @abstractmethod
    def shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        """Shape of compact covariances without leading axes."""

    @abstractmethod
    def parts(self, n_components: int, n_features: int) -> tuple[Part, ...]:
        """The blocks of unconstrained coordinates, in order."""

    def n_parameters(self, n_components: int, n_features: int) -> int:
        """Free parameters of the mixture: weights, means and covariances."""
        free = sum(part.length for part in self.parts(n_components, n_features))
        return n_components - 1 + n_components * n_features + free

    @abstractmethod
    def entries(self, n_components: int, n_features: int) -> tuple[Entry, ...]:
        """The distinct entries of the covariances, in the order of reports."""

    def directions(self, n_components: int, n_features: int) -> tuple[Array, NDArray[np.intp]]:
        """Distinct entries as linear coordinates of the covariances.

        Returns
        -------
        directions : (Q, D, D)
            Change of a covariance matrix when one of its distinct entries grows.
        blocks : (K,)
            Which block of Q coordinates is each component's.
        """
        entries = self.entries(n_components, n_features)
        first = [entry for entry in entries if entry.component in (None, 0)]
        directions = np.zeros((len(first), n_features, n_features))
        for direction, entry in zip(directions, first, strict=True):
            if entry.row is None:
                np.fill_diagonal(direction, 1.0)
            else:
                direction[entry.row, entry.column] = direction[entry.column, entry.row] = 1.0
        shared = first[0].component is None
        return directions, np.zeros(n_components, dtype=np.intp) if shared else np.arange(n_components)

    def scaling(self, values: Array, sample_weight: Array | None = None) -> Scaling:
        """The standardisation of values (N, D) under which the structure stays what it is."""
        return Scaling.of(values, common=self.common_scale, sample_weight=sample_weight)

    def admitted(self, scaling: Scaling) -> Scaling:
        """The nearest standardisation under which the structure stays what it is."""
        return scaling.common() if self.common_scale else scaling

    # Compact covariances

    @abstractmethod
    def dense(self, covariances: Array, n_components: int, n_features: int) -> Array:
        """Compact covariances as (..., K, D, D)."""

    @abstractmethod
    def compact(self, dense: Array) -> Array:
        """Inverse of `dense`, for matrices that have this structure."""

    @abstractmethod
    def add_ridge(self, covariances: Array, ridge: float) -> Array:
        """Covariances with ``ridge`` added to every variance."""

    @abstractmethod
    def precision_cholesky(self, covariances: Array) -> Array:
        """scikit-learn's ``precisions_cholesky_``: upper triangular, or reciprocal standard deviations."""

    @abstractmethod
    def inverted(self, covariances: Array) -> Array:
        """Compact precisions from compact covariances, and the reverse."""

    @abstractmethod
    def floored(self, covariances: Array, floor: float) -> tuple[Array, Array]:
        """Covariances with no eigenvalue below ``floor``, and the smallest eigenvalues before that."""

    def smallest_per_component(self, smallest: Array, n_components: int) -> Array:
        """Smallest eigenvalue of each component (S, K), from those (S, ...) that `floored` returns."""
        own = smallest.reshape(len(smallest), self.n_factors(n_components), -1).min(-1)
        return own if own.shape[1] == n_components else np.repeat(own, n_components, axis=1)

    @abstractmethod
    def coordinates(self, covariances: Array) -> Array:
        """Unconstrained coordinates for extrapolation, in an array of the same shape."""

    @abstractmethod
    def from_coordinates(self, coordinates: Array) -> Array:
        """Inverse of `coordinates`."""

    # The two steps of EM

    @abstractmethod
    def layout(self, n_features: int) -> Layout:
        """What phi(x) holds."""

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
    def maximise(self, counts: Array, shift: Array, second: Array, start: Array | None = None) -> Array:
        """Compact covariances that maximise the expected log likelihood.

        Parameters
        ----------
        counts : (..., K)
            Expected rows of each component, all positive.
        shift : (..., K, D)
            New mean minus the centre about which ``second`` was taken.
        second : (..., own shape)
            Second moments as `second_moments` or `reduce` return them.
        start : (..., compact shape), optional
            Covariances to begin with, where there is no closed form; the expected log likelihood does not fall below theirs.
        """

    @property
    def pointwise(self) -> Structure:
        """The structure whose natural parameters give whole log densities row by row (no shared part left out)."""
        return self

    # The map to covariance factors

    @abstractmethod
    def n_factors(self, n_components: int) -> int:
        """G: how many factors `assemble` and the compiled map fill."""

    @abstractmethod
    def assemble(self, parts: Mapping[str, Any], n_features: int) -> Any:
        """Roots (..., G, D, D) of covariances from the values of the parts, NumPy arrays or PyTensor variables.

        Scales come as (..., G, E) standard deviations, correlations as (..., G, D, D) Cholesky factors.
        """

    def lower_factors(self, parts: Mapping[str, Any], n_features: int, cholesky: Callable[[Any], Any]) -> Any:
        """Lower triangular factors (..., G, D, D), as everything below takes them; ``cholesky`` for NumPy or PyTensor."""
        return self.assemble(parts, n_features)

    def reference(self, dense: Array) -> Array | None:
        """Orientations (G, D, D) of covariances (K, D, D) for coordinates to be about; None where there are no such."""
        return None

    def near(self, parts: dict[str, Array], reference: Array | None) -> dict[str, Array]:
        """The same covariances with their axes, where they have any, named as those of the reference."""
        return parts

    def log_symmetries(self, n_components: int, n_features: int) -> float:
        """Log of the number of points, for each point, with the same covariances: where axes can be named in many ways."""
        return 0.0

    @abstractmethod
    def disassemble(self, dense: Array) -> dict[str, Array]:
        """Values of the parts, as `assemble` takes them, of covariances (..., K, D, D) near the structure."""

    @property
    def addresses(self) -> tuple[int, int]:
        """C functions of `addresses.CONSTRAIN` and `addresses.PULL_BACK`: u -> factors, and its gradient."""
        constrain, pull_back = self.maps
        return address_of(constrain, CONSTRAIN), address_of(pull_back, PULL_BACK)
