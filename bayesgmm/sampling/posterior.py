"""A sampled posterior as later steps compute with it, read from its tree once, at each public door."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..data import InputError, Scaling, Table
from ..mixture import Mixture, draw_responsibilities, structure_named
from ..posterior.priors import Priors
from ..posterior.target import Target

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Posterior", "pointwise_log_likelihood"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Posterior:
    """Aligned draws, the rows and the model they come from.

    Attributes
    ----------
    draws : Mixture
        Aligned draws in data units, one leading axis S = chains * draws, chain by chain.
    em : Mixture
        The EM optimum, same labels.
    values : (N, D)
    obs_id : (N,)
    columns : tuple of D names
    scaling : Scaling
    n_chains, n_draws : int
    unconstrained : (S, P)
        As sampled: labels not aligned, standardised scale.
    row_weight : (N,)
        Case weights; ones where none were given.
    priors : Priors
    """

    draws: Mixture
    em: Mixture
    values: Array
    obs_id: NDArray[Any]
    columns: tuple[str, ...]
    scaling: Scaling
    n_chains: int
    n_draws: int
    unconstrained: Array
    row_weight: Array
    priors: Priors = field(default_factory=Priors)

    @classmethod
    def read(cls, post: xr.DataTree | Posterior) -> Posterior:
        """From a tree made by `sample_posterior`; what is read already stays as it is.

        Raises
        ------
        InputError
            If it is not one: naming the group that is missing.
        """
        if isinstance(post, Posterior):
            return post
        missing = [g for g in ("posterior", "observed_data", "constant_data") if g not in post.children]
        lacking = [a for a in ("covariance_type", "priors") if a not in post.attrs]
        if missing or lacking:
            what = f"has no group {missing[0]!r}" if missing else f"has no attribute {lacking[0]!r}"
            raise InputError(f"the posterior given {what}: pass the result of bayesgmm.sample_posterior")
        structure = structure_named(post.attrs["covariance_type"])
        p, constant, observed = (post[g].dataset for g in ("posterior", "constant_data", "observed_data"))
        chains, n_draws = p.sizes["chain"], p.sizes["draw"]

        def flat(name: str) -> Array:
            values = p[name].values
            return np.ascontiguousarray(values.reshape(chains * n_draws, *values.shape[2:]))

        unconstrained = np.empty((chains * n_draws, 0))
        if "unconstrained_posterior" in post.children:
            unconstrained = post["unconstrained_posterior"].dataset["u"].values.reshape(chains * n_draws, -1)
        values = np.ascontiguousarray(observed["x"].values, dtype=float)
        weight = constant["sample_weight"].values if "sample_weight" in constant else np.ones(len(values))
        return cls(
            Mixture.from_dense(structure, flat("weights"), flat("means"), flat("covariances")),
            Mixture.from_dense(
                structure, constant["em_weights"].values, constant["em_means"].values, constant["em_covariances"].values
            ),
            values,
            observed["obs_id"].values,
            tuple(str(c) for c in observed["feature"].values),
            Scaling(constant["location"].values, constant["scale"].values),
            chains,
            n_draws,
            unconstrained,
            weight,
            Priors.from_description(json.loads(post.attrs["priors"])),
        )

    @property
    def n_components(self) -> int:
        return self.draws.n_components

    @cached_property
    def target(self) -> Target:
        """The density that was sampled.

        Raises
        ------
        InputError
            If the tree held no unconstrained draws of this model.
        """
        import pandas as pd

        table = Table(np.array(self.values), self.columns, pd.Index(self.obs_id, name="obs_id"))
        weight = None if (self.row_weight == 1).all() else self.row_weight
        target = Target(table, self.draws.structure, self.n_components, self.priors, self.scaling, weight)
        if self.unconstrained.shape[1] != target.size:
            raise InputError(
                f"the posterior given holds {self.unconstrained.shape[1]} unconstrained coordinates and its model has "
                f"{target.size}: the group 'unconstrained_posterior' is missing or from another model; "
                "sample it anew with bayesgmm.sample_posterior"
            )
        return target


def pointwise_log_likelihood(draws: Mixture, values: Array) -> Array:
    """Log density of every row under every draw (S, N), labels summed out, in the units of ``values``."""
    result = np.empty((len(draws.weights), len(values)))
    for block in draw_responsibilities(draws, values):
        result[:, block.rows] = block.log_density
    return result
