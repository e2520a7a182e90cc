"""A sampled posterior as later steps compute with it, read from its tree once, at each public door."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..data import InputError, Scaling, Table
from ..mixture import Mixture, draw_responsibilities, structure_named
from ..posterior import Priors, Target

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Posterior", "pointwise_log_likelihood"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Posterior:
    """Aligned draws, and the rows and the model they come from.

    Attributes
    ----------
    target : Target
        The density that was sampled.
    draws : Mixture
        Aligned draws in data units, one leading axis S = chains * draws, chain by chain.
    em : Mixture
        The EM optimum, same labels.
    unconstrained : (S, P)
        As sampled: labels not aligned, standardised scale.
    n_chains, n_draws : int
    """

    target: Target
    draws: Mixture
    em: Mixture
    unconstrained: Array
    n_chains: int
    n_draws: int

    @classmethod
    def read(cls, post: xr.DataTree | Posterior) -> Posterior:
        """From a tree made by `sample_posterior`; what is read already stays as it is.

        Raises
        ------
        InputError
            If it is not one: naming the group that is missing.
        """
        import pandas as pd

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

        values = np.ascontiguousarray(observed["x"].values, dtype=float)
        columns = tuple(str(c) for c in observed["feature"].values)
        target = Target(
            Table(np.array(values), columns, pd.Index(observed["obs_id"].values, name="obs_id")),
            structure,
            p.sizes["cluster"],
            Priors.from_description(json.loads(post.attrs["priors"])),
            Scaling(constant["location"].values, constant["scale"].values),
            constant["sample_weight"].values if "sample_weight" in constant else None,
            reference=constant["reference_axes"].values if "reference_axes" in constant else None,
        )
        unconstrained = np.empty((chains * n_draws, 0))
        if "unconstrained_posterior" in post.children:
            unconstrained = post["unconstrained_posterior"].dataset["u"].values.reshape(chains * n_draws, -1)
        em = (constant[f"em_{name}"].values for name in ("weights", "means", "covariances"))
        return cls(
            target,
            Mixture.from_dense(structure, flat("weights"), flat("means"), flat("covariances")),
            Mixture.from_dense(structure, *em),
            unconstrained,
            chains,
            n_draws,
        )

    @property
    def values(self) -> Array:
        """The rows (N, D), in the units of the data."""
        return self.target.table.values

    @property
    def obs_id(self) -> NDArray[Any]:
        """Row labels (N,)."""
        return self.target.table.index.to_numpy()

    @property
    def columns(self) -> tuple[str, ...]:
        return self.target.table.columns

    @property
    def scaling(self) -> Scaling:
        return self.target.scaling

    @property
    def sample_weight(self) -> Array:
        """Case weights (N,), ones where none were given."""
        return self.target.filled_weight

    @property
    def n_components(self) -> int:
        return self.target.n_components

    def sampled_target(self) -> Target:
        """The target, where the draws on its scale are there.

        Raises
        ------
        InputError
            If the tree held no unconstrained draws of this model.
        """
        if self.unconstrained.shape[1] != self.target.size:
            raise InputError(
                f"the posterior given holds {self.unconstrained.shape[1]} unconstrained coordinates and its model has "
                f"{self.target.size}: the group 'unconstrained_posterior' is missing or from another model; "
                "sample it anew with bayesgmm.sample_posterior"
            )
        return self.target


def pointwise_log_likelihood(draws: Mixture, values: Array) -> Array:
    """Log density of every row under every draw (S, N), labels summed out, in the units of ``values``."""
    result = np.empty((len(draws.weights), len(values)))
    for block in draw_responsibilities(draws, values):
        result[:, block.rows] = block.log_density
    return result
