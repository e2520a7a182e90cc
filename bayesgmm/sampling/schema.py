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
    sample_weight: Array | None = None,
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
    sample_weight : (N,), optional
        Case weights; kept as ``sample_weight`` in `constant_data`.
    """
    import xarray as xr

    chains, n_draws, _ = unconstrained.shape
    lead, c = (chains, n_draws), coordinates
    flat = unconstrained.reshape(chains * n_draws, -1)
    axes = {"chain": np.arange(chains), "draw": np.arange(n_draws)}
    features = list(table.columns)
    wide = {"cluster": np.arange(c.n_components), "feature": features, "feature_bis": features}
    obs = {"obs_id": obs_labels(table.index), "feature": features}

    def by_draw(values: dict[str, NDArray]) -> xr.Dataset:
        return xr.Dataset({n: (("chain", "draw"), v.reshape(lead)) for n, v in values.items()}, coords=axes)

    draws = c.mixture(flat).in_data_units(scaling).reordered(order)
    constant = _parameters(em, (), "em_").assign(
        location=("feature", scaling.location), scale=("feature", scaling.scale)
    )
    constant = constant.assign_coords(wide)
    if coordinates.reference is not None:
        each = np.broadcast_to(coordinates.reference, (c.n_components, table.n_features, table.n_features))
        constant = constant.assign(reference_axes=(("cluster", "feature", "feature_bis"), np.array(each)))
    if sample_weight is not None:
        constant = constant.assign_coords(obs).assign(sample_weight=("obs_id", sample_weight))
    groups: dict[str, xr.Dataset] = {
        "posterior": _parameters(draws, lead).assign_coords({**axes, **wide}),
        "sample_stats": by_draw({**stats, "relabelled": moved}),
        "log_prior": by_draw(log_prior(c, flat, priors.on_scale_of(scaling))),
        "observed_data": xr.Dataset({"x": (("obs_id", "feature"), np.array(table.values))}, coords=obs),
        "constant_data": constant,
        "unconstrained_posterior": xr.Dataset(
            {"u": (("chain", "draw", "coordinate"), unconstrained)},
            coords={**axes, "coordinate": np.arange(unconstrained.shape[-1])},
        ),
    }
    tree = xr.DataTree.from_dict({f"/{name}": group for name, group in groups.items()})
    described = {**_provenance(table, c, priors), **attrs}
    for node in (tree, tree["posterior"], tree["sample_stats"]):
        node.attrs.update(described)
    small = chains * n_draws * table.n_obs <= MAX_LOG_LIKELIHOOD
    if small if log_likelihood is None else log_likelihood:
        tree["log_likelihood"] = xr.DataTree(log_likelihood_group(tree))
    return tree


def _parameters(mixture: Mixture, lead: tuple[int, ...], prefix: str = "") -> xr.Dataset:
    """Weights, means and covariances of a mixture, or of draws laid out as ``lead``, without coordinates."""
    import xarray as xr

    dims = ("chain", "draw")[: len(lead)]
    own = {
        "weights": (mixture.weights, ("cluster",)),
        "means": (mixture.means, ("cluster", "feature")),
        "covariances": (mixture.dense_covariances, ("cluster", "feature", "feature_bis")),
    }
    return xr.Dataset(
        {
            prefix + name: ((*dims, *axes), np.array(values).reshape(*lead, *values.shape[-len(axes) :]))
            for name, (values, axes) in own.items()
        }
    )


def _provenance(table: Table, coordinates: Coordinates, priors: Priors) -> dict[str, Any]:
    return {
        "inference_library": "bayesgmm",
        "inference_library_version": version("bayesgmm"),
        "covariance_type": coordinates.structure.name,
        "n_components": coordinates.n_components,
        "data_name": table.name,
        "data_fingerprint": table.fingerprint,
        "priors": json.dumps(priors.describe()),
    }


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
