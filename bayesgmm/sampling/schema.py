"""Draws to an `xarray.DataTree` in ArviZ's schema.

Whatever the sampler: groups `posterior`, `sample_stats`, `log_likelihood`, `log_prior`, `observed_data`,
`constant_data`, `unconstrained_posterior`; dims `chain, draw, cluster, feature, feature_bis, obs_id, coordinate`.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..data import Scaling, Table
from ..mixture import Mixture
from ..posterior import Coordinates, Priors, terms_of
from .posterior import Posterior, pointwise_log_likelihood

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["MAX_LOG_LIKELIHOOD", "log_likelihood_group", "obs_labels", "to_datatree"]

Array = NDArray[np.float64]
# Draws x rows kept as a group; beyond, `compare` computes what it needs in blocks.
MAX_LOG_LIKELIHOOD = 20_000_000


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

    own = Posterior.read(post)
    pointwise = pointwise_log_likelihood(own.draws, own.values).reshape(own.n_chains, own.n_draws, -1)
    axes = {name: post["posterior"][name].values for name in ("chain", "draw")}
    return xr.Dataset({"x": (("chain", "draw", "obs_id"), pointwise)}, coords={**axes, "obs_id": own.obs_id})


def obs_labels(index: pd.Index) -> NDArray[Any]:
    """Row labels that NetCDF can store: integers stay integers, all else becomes text."""
    labels = np.asarray(index)
    return labels if labels.dtype.kind in "iu" else np.asarray([str(v) for v in labels], dtype=object)
