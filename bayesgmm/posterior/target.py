"""What is to be sampled: rows, model and priors, checked once, as an unnormalised density on the unconstrained scale.

Everything that evaluates the posterior takes a `Target`: modes, samplers, evidence, leave-one-out. What it is made of on the
way (rows laid out, coordinates, terms of the prior, the numbers that compiled code reads) is made when first asked for, and
shared by the targets that differ in case weights or in the power of the likelihood alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from math import lgamma
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..data import InputError, Scaling, Table, as_table, check_components, checked_weight
from ..mixture import (
    Design,
    Mixture,
    ModelKey,
    Structure,
    blocks_of,
    labels_by_pivot,
    run_parallel,
    single_threaded_blas,
    structure_named,
)
from .coordinates import Coordinates
from .density import log_densities, log_density_and_gradient, log_prior_and_gradient
from .gradient import complete_rows
from .priors import Priors
from .terms import Term, has_rate, numbers_of, terms_of

__all__ = ["Target"]

Array = NDArray[np.float64]
# Points per task of `Target.many`.
_CHUNK = 256


@dataclass(frozen=True, eq=False)
class Target:
    """Rows, model and priors: the log posterior density and its gradient at unconstrained points.

    Attributes
    ----------
    table : Table
    structure : Structure
    n_components : int
    priors : Priors
        As given.
    scaling : Scaling
        From the units of the data to the scale on which everything is computed: standardised, or only centred where the
        priors are in the units of the data.
    sample_weight : (N,) or None
    power : float
        Of the likelihood; below one the density is tempered.
    jacobian : bool
        Whether the transforms' Jacobians count: without them the maximum is what PyMC's ``find_MAP`` looks for.
    reference : (G, D, D) or None
        Orientations that the coordinates are about, for a structure that has any (`Structure.reference`).
    """

    table: Table
    structure: Structure
    n_components: int
    priors: Priors
    scaling: Scaling
    sample_weight: Array | None = None
    power: float = 1.0
    jacobian: bool = True
    reference: Array | None = None

    @classmethod
    def of(
        cls,
        data: Any,
        n_components: int,
        covariance_type: str | Structure = "full",
        priors: Priors | None = None,
        sample_weight: ArrayLike | None = None,
        missing: str = "error",
    ) -> Target:
        """Check the parts against each other; ``missing`` as in `as_table`.

        Raises
        ------
        InputError
            For data that is no table of finite numbers, an unknown covariance type, a number of components that is not
            between 1 and N, case weights that do not fit, or priors of another number of features.
        """
        structure = structure_named(covariance_type)
        priors = Priors() if priors is None else priors
        if not isinstance(priors, Priors):
            raise InputError(f"priors={priors!r}: give an instance of Priors, or None for the defaults")
        table = as_table(data, missing=missing)
        weight = checked_weight(table.of_kept(sample_weight), table.n_obs)
        scaling = structure.scaling(table.values, weight)
        if priors.units == "data":
            scaling = Scaling(scaling.location, np.ones(table.n_features))
        priors.mean_vectors(table.n_features)
        check_components(n_components, table.n_obs if weight is None else int(np.count_nonzero(weight)))
        return cls(table, structure, int(n_components), priors, scaling, weight)

    @classmethod
    def of_rows(
        cls,
        rows: Array,
        n_components: int,
        structure: str | Structure,
        priors: Priors,
        sample_weight: Array | None = None,
    ) -> Target:
        """For rows (N, D) that are on the scale of the priors already."""
        import pandas as pd

        rows = np.array(rows, dtype=np.float64)
        columns = tuple(f"x{j}" for j in range(rows.shape[1]))
        table = Table(rows, columns, pd.RangeIndex(len(rows), name="obs_id"))
        scaling = Scaling.identity(rows.shape[1])
        return cls(table, structure_named(structure), n_components, priors, scaling, sample_weight)

    # What it is made of

    @property
    def key(self) -> str:
        """Short name of the model, such as "2 full"."""
        return str(ModelKey(self.n_components, self.structure.name))

    @property
    def own_priors(self) -> Priors:
        """The priors on the scale of ``scaling``, where everything is computed."""
        return self.priors.on_scale_of(self.scaling)

    @cached_property
    def design(self) -> Design:
        """The rows on the scale of ``scaling``, laid out for the structure."""
        return Design.of(self.scaling.rows(self.table.values), self.structure, self.sample_weight)

    @property
    def values(self) -> Array:
        """The rows (N, D) on the scale of ``scaling``."""
        return self.design.source

    @property
    def missing(self) -> str:
        """What becomes of missing values in further rows: what has become of them in these."""
        return "error" if self.table.is_complete else "marginalise"

    @property
    def filled_weight(self) -> Array:
        """Case weights (N,), ones where none were given."""
        return np.ones(self.table.n_obs) if self.sample_weight is None else self.sample_weight

    @property
    def log_jacobian(self) -> float:
        """What is added to the log likelihood of standardised data for that of the data as given."""
        return float(self.filled_weight @ self.scaling.log_jacobians(self.table.values))

    @property
    def log_labelings(self) -> float:
        """Log of the number of ways to name components, K!, and axes, where a structure has any of its own."""
        own = self.structure.log_symmetries(self.n_components, self.table.n_features)
        return lgamma(self.n_components + 1) + own

    @cached_property
    def coordinates(self) -> Coordinates:
        k, d = self.n_components, self.table.n_features
        return Coordinates(self.structure, k, d, has_rate(self.priors), self.reference)

    @cached_property
    def terms(self) -> tuple[Term, ...]:
        """The prior, term by term."""
        d = self.table.n_features
        return terms_of(self.structure, self.n_components, d, self.own_priors, self.jacobian, self.coordinates.parts)

    @property
    def size(self) -> int:
        """Number of coordinates P."""
        return self.coordinates.size

    @cached_property
    def arguments(self) -> tuple[Any, ...]:
        """What `density.log_density_and_gradient` takes after the point and the gradient."""
        k, d = self.n_components, self.table.n_features
        terms, numbers = numbers_of(self.terms, self.power)
        model = [k, d, self.structure.n_factors(k), *self.structure.addresses, *terms, len(numbers)]
        numbers += self.coordinates.numbers.tolist()
        return np.array(model, dtype=np.int64), np.array(numbers, dtype=np.float64), self._rows_read[0]

    @cached_property
    def _rows_read(self) -> tuple[NDArray[np.int64], Any]:
        """What the density reads of the rows, and arrays that have to be kept for it."""
        if self.design.groups is None:
            address, read = complete_rows(self.design)
            return np.array([address, *read], dtype=np.int64), self.design
        from .grouped_gradient import grouped_rows

        address, read, kept = grouped_rows(self.design, self.n_components)
        return np.array([address, *read], dtype=np.int64), (self.design, kept)

    # The density

    def __call__(self, x: Array) -> tuple[float, Array]:
        """Log density and gradient (P,) at an unconstrained point (P,)."""
        gradient = np.empty(self.size)
        value = log_density_and_gradient(np.ascontiguousarray(x, dtype=float), gradient, *self.arguments)
        return value, gradient

    def many(self, points: Array) -> Array:
        """Log densities (S,) at points (S, P), on all cores."""
        points = np.ascontiguousarray(points, dtype=float)
        values = np.empty(len(points))
        arguments = self.arguments

        def over(part: slice) -> None:
            log_densities(points[part], values[part], *arguments)

        with single_threaded_blas():
            run_parallel(over, blocks_of(len(points), _CHUNK))
        return values

    def tempered(self, power: float) -> Target:
        """The same prior times the likelihood to the given power."""
        return self._with(power=power)

    def with_priors(self, priors: Priors) -> Target:
        """The same rows and model under other priors, of the same family of scales."""
        return self._with(priors=priors)

    def log_prior(self, points: Array) -> Array:
        """Log prior densities (S,) at unconstrained points (S, P), Jacobians included."""
        model, numbers, *_ = self.arguments
        gradient = np.empty(self.size)
        points = np.ascontiguousarray(points, dtype=float)
        return np.array([log_prior_and_gradient(point, gradient, model, numbers) for point in points])

    def without_jacobian(self) -> Target:
        """The density of the model's own variables (`terms.terms_of`)."""
        return self._with(jacobian=False)

    def reweighted(self, sample_weight: Array) -> Target:
        """The same with other case weights (N,): the likelihood of row i to the power of its weight."""
        other = replace(self, sample_weight=sample_weight)
        other.__dict__.update(
            design=self.design.reweighted(sample_weight), coordinates=self.coordinates, terms=self.terms
        )
        return other

    def about(self, mixture: Mixture) -> Target:
        """The same density in coordinates that are regular near a mixture of the design's rows."""
        reference = self.structure.reference(mixture.dense_covariances)
        if reference is None:
            return self
        other = replace(self, reference=reference)
        other.__dict__.update(design=self.design)
        return other

    def _with(self, **changes: Any) -> Target:
        """Other settings of the density of the same rows, which are not laid out again."""
        other = replace(self, **changes)
        other.__dict__.update(design=self.design, coordinates=self.coordinates, _rows_read=self._rows_read)
        return other

    # Points

    def start_at(self, mixture: Mixture) -> Array:
        """The point (P,) to start from for a mixture of the design's rows: a place where the density is finite."""
        dense = mixture.dense_covariances + 1e-6 * np.eye(mixture.n_features)
        # A component that EM has emptied still needs a weight.
        weights = np.maximum(mixture.weights, 1e-3 / mixture.n_components)
        return self.coordinates.unconstrain(weights / weights.sum(), mixture.means, dense)

    def mixtures(self, points: Array) -> Mixture:
        """The mixtures (S) at unconstrained points (S, P), on the scale of ``scaling``."""
        return self.coordinates.mixture(points)

    def labels(self, points: Array, pivot: Mixture) -> NDArray[np.intp]:
        """For each point (S, P), the component that takes each of the pivot's labels (S, K).

        The answer for a point depends on nothing but the point: the points that keep their labels are one of K!
        congruent regions.
        """
        return labels_by_pivot(self.mixtures(points), self.values, pivot.rounded())

    def in_region(self, points: Array, pivot: Mixture) -> Array:
        """The points (S, P), each under the names of components, and axes, that put it into the pivot's region."""
        if self.n_components > 1:
            order = self.labels(points, pivot)
        elif self.structure.log_symmetries(1, self.table.n_features) > 0:
            order = np.zeros((len(points), 1), dtype=np.intp)
        else:
            return points
        return self.coordinates.permuted(points, order)

    def are_in_region(self, points: Array, pivot: Mixture) -> NDArray[np.bool_]:
        """Which points (S,) are in the pivot's region as they stand."""
        kept = np.ones(len(points), dtype=bool)
        if self.n_components > 1:
            kept = (self.labels(points, pivot) == np.arange(self.n_components)).all(1)
        if self.structure.log_symmetries(self.n_components, self.table.n_features) > 0:
            kept[kept] = self.coordinates.are_folded(points[kept])
        return kept

    def middle(self, points: Array, pivot: Mixture) -> Mixture:
        """A pivot in the middle of the aligned points (S, P): the region around it cuts through fewer of them."""
        if self.n_components == 1:
            return pivot
        thinned = points[:: max(1, len(points) // 1000)]
        for _ in range(2):
            pivot = self.mixtures(np.median(self.in_region(thinned, pivot), axis=0)[None])[0]
        return pivot

    # Errors

    def check_fit(self, mixture: Mixture) -> None:
        """Refuse an EM fit of another model.

        Raises
        ------
        InputError
        """
        if mixture.n_components != self.n_components or mixture.structure is not self.structure:
            raise InputError(
                f"em is a fit of {mixture.n_components} components, {mixture.structure.name}; the posterior asked "
                f"for has {self.n_components}, {self.structure.name}: fit the same model or leave em out"
            )

    def no_density(self) -> InputError:
        """The error for priors that give the data no finite density anywhere near EM's optima."""
        return InputError(
            f"the priors give the data no finite density near any EM optimum of the model {self.key}: "
            f"check mean_location, mean_scale and scale of {self.priors}"
        )
