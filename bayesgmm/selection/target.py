"""The posterior behind a tree of draws, rebuilt so that it can be evaluated at other points, with other row weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import lgamma
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..data import InputError
from ..mixture import Design, Mixture
from ..mixture.relabel import labels_by_pivot
from ..posterior.coordinates import Coordinates
from ..posterior.density import Density
from ..posterior.priors import Priors
from ..sampling.posterior import PosteriorView, priors_of, view_of

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Target"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Target:
    """Data, model and priors, as an unnormalised density on the unconstrained scale.

    Attributes
    ----------
    values : (N, D)
        Standardised.
    density : Density
        Of the standardised data, with their case weights.
    priors : Priors
        On the scale of ``values``.
    log_jacobian : float
        What is added to the log likelihood of standardised data for that of the data as given.
    """

    values: Array
    density: Density
    priors: Priors
    log_jacobian: float

    @classmethod
    def of(cls, view: PosteriorView, priors: Priors) -> Target:
        """From what a tree of draws holds."""
        values, priors = view.scaling.rows(view.values), priors.on_scale_of(view.scaling)
        weight = None if (view.row_weight == 1).all() else view.row_weight
        density = Density.of(Design.of(values, view.draws.structure, weight), view.n_components, priors)
        return cls(values, density, priors, float(view.row_weight.sum()) * view.scaling.log_jacobian)

    @classmethod
    def of_tree(cls, post: xr.DataTree) -> tuple[Target, PosteriorView]:
        """From a tree, and what was read from it.

        Raises
        ------
        InputError
            If the tree holds no unconstrained draws.
        """
        view = view_of(post)
        target = cls.of(view, priors_of(post))
        if view.unconstrained.shape[1] != target.coordinates.size:
            raise InputError(
                f"the posterior given holds {view.unconstrained.shape[1]} unconstrained coordinates and its model has "
                f"{target.coordinates.size}: the group 'unconstrained_posterior' is missing or from another model; "
                "sample it anew with bayesgmm.sample_posterior"
            )
        return target, view

    @property
    def coordinates(self) -> Coordinates:
        return self.density.coordinates

    @property
    def row_weight(self) -> Array:
        """Case weights (N,)."""
        own = self.density.design.row_weight
        return own if own.size else np.ones(len(self.values))

    @property
    def n_components(self) -> int:
        return self.coordinates.n_components

    @property
    def log_labelings(self) -> float:
        """Log of K!, the number of ways to name the components."""
        return lgamma(self.n_components + 1)

    def weighted(self, row_weight: Array) -> Density:
        """The density with other case weights (N,): the likelihood of row i to the power of its weight."""
        return replace(self.density, design=Design.of(self.values, self.coordinates.structure, row_weight))

    def mixtures(self, points: Array) -> Mixture:
        """The mixtures (S) at unconstrained points (S, P), on the standardised scale."""
        return self.coordinates.mixture(points)

    def labels(self, points: Array, pivot: Mixture) -> NDArray[np.intp]:
        """For each point (S, P), the component that takes each of the pivot's labels (S, K).

        The answer for a point depends on nothing but the point: the points that keep their labels are one of K!
        congruent regions.
        """
        return labels_by_pivot(self.mixtures(points), self.values, pivot.rounded())
