"""What is to be sampled, checked once: a table, a structure, K, priors, and the scale on which they meet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..data import InputError, Scaling, Table, as_table
from ..data.checks import check_components, checked_weight
from ..mixture import Design, Mixture, Structure, structure_named
from ..mixture.key import ModelKey
from .density import Density
from .priors import Priors

__all__ = ["Problem"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Problem:
    """A checked request for a posterior.

    Attributes
    ----------
    table : Table
    structure : Structure
    n_components : int
    priors : Priors
    scaling : Scaling
        From the units of the data to the scale on which everything is computed: standardised, or only centred where the
        priors are in the units of the data.
    row_weight : (N,) or None
    """

    table: Table
    structure: Structure
    n_components: int
    priors: Priors
    scaling: Scaling
    row_weight: Array | None

    @classmethod
    def of(
        cls,
        data: Any,
        n_components: int,
        covariance_type: str | Structure = "full",
        priors: Priors | None = None,
        sample_weight: ArrayLike | None = None,
        missing: str = "error",
    ) -> Problem:
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

    @property
    def key(self) -> str:
        """Short name of the model, such as "2 full"."""
        return str(ModelKey(self.n_components, self.structure.name))

    @property
    def own_priors(self) -> Priors:
        """The priors on the scale of ``scaling``, where everything is computed."""
        return self.priors.on_scale_of(self.scaling)

    def density(self, jacobian: bool = True) -> Density:
        """The log posterior density on the unconstrained scale; without ``jacobian`` see `Density.of`."""
        values = self.scaling.rows(self.table.values)
        design = Design.of(values, self.structure, self.row_weight)
        return Density.of(design, self.n_components, self.own_priors, jacobian)

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
