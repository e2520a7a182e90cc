"""Draws to an `xarray.DataTree` in ArviZ's schema, and back to what the later steps compute with.

Whatever the sampler: groups `posterior`, `sample_stats`, `log_likelihood`, `log_prior`, `observed_data`,
`constant_data`, `unconstrained_posterior`; dims `chain, draw, cluster, feature, feature_bis, obs_id, coordinate`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..data import InputError, Scaling, Table
from ..mixture import Mixture, draw_responsibilities, structure_named
from ..posterior.coordinates import Coordinates
from ..posterior.priors import Priors
from ..posterior.terms import terms_of

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = [
    "MAX_LOG_LIKELIHOOD",
    "PosteriorView",
    "log_likelihood_group",
    "pointwise_log_likelihood",
    "priors_of",
    "to_datatree",
    "view_of",
]

Array = NDArray[np.float64]
# Draws x rows kept as a group; beyond, `compare` computes what it needs in blocks.
MAX_LOG_LIKELIHOOD = 20_000_000


def pointwise_log_likelihood(draws: Mixture, values: Array) -> Array:
    """Log density of every row under every draw (S, N), labels summed out, in the units of ``values``."""
    result = np.empty((len(draws.weights), len(values)))
    for block in draw_responsibilities(draws, values):
        result[:, block.rows] = block.log_density
    return result


def log_prior(coordinates: Coordinates, unconstrained: Array, priors: Priors) -> dict[str, Array]:
    """Log prior densities of weights, means, scales and correlations (S,), on their own scales.

    What `arviz.psense_summary` perturbs. ``priors`` are on the scale of the coordinates (`Priors.on_scale_of`); with a
    hyperprior on the rate of the scales, these are integrated over it.
    """
    c, blocks = coordinates, coordinates.split(unconstrained)
    terms = terms_of(c.structure, c.n_components, c.n_features, priors)
    return {term.name: term.log_density(blocks) for term in terms if c.sizes[term.name] or term.name == "weights"}


def to_datatree(
    unconstrained: Array,
    stats: dict[str, Array],
    *,
    table: Table,
    scaling: Scaling,
    coordinates: Coordinates,
    priors: Priors,
    order: NDArray[np.intp],
    moved: NDArray[np.bool_],
    em: Mixture,
    attrs: dict[str, Any],
    log_likelihood: bool | None = None,
    row_weight: Array | None = None,
) -> xr.DataTree:
    """Assemble the tree.

    Parameters
    ----------
    unconstrained : (chain, draw, P)
        As sampled, on the standardised scale.
    stats : dict of (chain, draw)
    order, moved : (chain * draw, K), (chain * draw,)
        The alignment.
    em : Mixture
        The EM optimum in data units that served as pivot; kept in `constant_data`.
    log_likelihood : bool, optional
        Keep the pointwise log likelihood; by default if draws x rows do not exceed `MAX_LOG_LIKELIHOOD`.
    row_weight : (N,), optional
        Case weights; kept as ``sample_weight`` in `constant_data`.
    """
    import xarray as xr

    chains, n_draws, _ = unconstrained.shape
    k, d = coordinates.n_components, coordinates.n_features
    flat = unconstrained.reshape(chains * n_draws, -1)
    draws = coordinates.mixture(flat).in_data_units(scaling).reordered(order)
    lead = (chains, n_draws)
    features = list(table.columns)
    axes = {"chain": np.arange(chains), "draw": np.arange(n_draws)}
    clusters = {"cluster": np.arange(k)}
    wide = {**clusters, "feature": features, "feature_bis": features}
    posterior = xr.Dataset(
        {
            "weights": (("chain", "draw", "cluster"), draws.weights.reshape(*lead, k)),
            "means": (("chain", "draw", "cluster", "feature"), draws.means.reshape(*lead, k, d)),
            "covariances": (
                ("chain", "draw", "cluster", "feature", "feature_bis"),
                np.ascontiguousarray(draws.dense_covariances).reshape(*lead, k, d, d),
            ),
        },
        coords={**axes, **wide},
    )
    sample_stats = xr.Dataset(
        {name: (("chain", "draw"), value) for name, value in stats.items()}
        | {"relabelled": (("chain", "draw"), moved.reshape(lead))},
        coords=axes,
    )
    log_priors = log_prior(coordinates, flat, priors.on_scale_of(scaling))
    prior = {name: (("chain", "draw"), value.reshape(lead)) for name, value in log_priors.items()}
    obs = {"obs_id": obs_labels(table.index), "feature": features}
    groups: dict[str, xr.Dataset] = {
        "posterior": posterior,
        "sample_stats": sample_stats,
        "log_prior": xr.Dataset(prior, coords=axes),
        "observed_data": xr.Dataset({"x": (("obs_id", "feature"), np.array(table.values))}, coords=obs),
        "constant_data": xr.Dataset(
            {
                "location": (("feature",), np.array(scaling.location)),
                "scale": (("feature",), np.array(scaling.scale)),
                "em_weights": (("cluster",), em.weights),
                "em_means": (("cluster", "feature"), em.means),
                "em_covariances": (
                    ("cluster", "feature", "feature_bis"),
                    np.ascontiguousarray(em.dense_covariances),
                ),
            },
            coords=wide,
        ),
        "unconstrained_posterior": xr.Dataset(
            {"u": (("chain", "draw", "coordinate"), unconstrained)},
            coords={**axes, "coordinate": np.arange(unconstrained.shape[-1])},
        ),
    }
    if row_weight is not None:
        groups["constant_data"] = (
            groups["constant_data"].assign_coords(obs).assign(sample_weight=("obs_id", row_weight))
        )
    keep = chains * n_draws * table.n_obs <= MAX_LOG_LIKELIHOOD if log_likelihood is None else log_likelihood
    everything = {
        "inference_library": "bayesgmm",
        "inference_library_version": version("bayesgmm"),
        "covariance_type": coordinates.structure.name,
        "n_components": k,
        "data_name": table.name,
        "data_fingerprint": table.fingerprint,
        "priors": json.dumps(priors.describe()),
        **attrs,
    }
    tree = xr.DataTree.from_dict({f"/{name}": group for name, group in groups.items()})
    tree.attrs.update(everything)
    for group in ("posterior", "sample_stats"):
        tree[group].attrs.update(everything)
    if keep:
        tree["log_likelihood"] = xr.DataTree(log_likelihood_group(tree))
    return tree


def log_likelihood_group(post: xr.DataTree) -> xr.Dataset:
    """The group ``log_likelihood``: x (chain, draw, obs_id), from the draws and the data of the tree itself."""
    import xarray as xr

    view = view_of(post)
    pointwise = pointwise_log_likelihood(view.draws, view.values).reshape(view.n_chains, view.n_draws, -1)
    axes = {name: post["posterior"][name].values for name in ("chain", "draw")}
    return xr.Dataset({"x": (("chain", "draw", "obs_id"), pointwise)}, coords={**axes, "obs_id": view.obs_id})


def obs_labels(index: pd.Index) -> NDArray[Any]:
    """Row labels that NetCDF can store: integers stay integers, all else becomes text."""
    labels = np.asarray(index)
    return labels if labels.dtype.kind in "iu" else np.asarray([str(v) for v in labels], dtype=object)


@dataclass(frozen=True)
class PosteriorView:
    """What later steps compute with, read from a tree.

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

    @property
    def n_components(self) -> int:
        return self.draws.n_components


def view_of(post: xr.DataTree) -> PosteriorView:
    """Read a tree made by `sample_posterior`.

    Raises
    ------
    InputError
        If it is not one: naming the group that is missing.
    """
    missing = [g for g in ("posterior", "observed_data", "constant_data") if g not in post.children]
    if missing or "covariance_type" not in post.attrs:
        what = f"has no group {missing[0]!r}" if missing else "has no attribute 'covariance_type'"
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
    return PosteriorView(
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
    )


def priors_of(post: xr.DataTree) -> Priors:
    """The priors a tree was sampled under, read from its attributes."""
    return Priors.from_description(json.loads(post.attrs["priors"]))
