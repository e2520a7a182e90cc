"""What the model says before and after the data: prior draws, and replicated data from prior or posterior."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..mixture import replicates
from ..posterior import Coordinates, Priors, Target, terms_of
from .posterior import Posterior

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["posterior_predictive", "prior_draws", "prior_predictive"]

Array = NDArray[np.float64]


def prior_draws(coordinates: Coordinates, priors: Priors, n_draws: int, rng: np.random.Generator) -> Array:
    """Draws (S, P) from the prior, on the unconstrained scale."""
    c = coordinates
    drawn: dict[str, Array] = {}
    for term in terms_of(c.structure, c.n_components, c.n_features, priors):
        drawn |= term.draw(n_draws, rng)
    none = np.empty((n_draws, 0))
    return np.concatenate([drawn.get(name, none) for name in c.sizes], axis=1)


def posterior_predictive(post: xr.DataTree, random_seed: int | None = None) -> xr.Dataset:
    """Replicated data of every draw: ``x`` (chain, draw, obs_id, feature), for the group ``posterior_predictive``."""
    import xarray as xr

    view = Posterior.read(post)
    x = replicates(view.draws, len(view.values), np.random.default_rng(random_seed))
    posterior = post["posterior"]
    coords = {
        "chain": posterior["chain"].values,
        "draw": posterior["draw"].values,
        "obs_id": view.obs_id,
        "feature": list(view.columns),
    }
    shape = (view.n_chains, view.n_draws, *x.shape[1:])
    return xr.Dataset({"x": (("chain", "draw", "obs_id", "feature"), x.reshape(shape))}, coords=coords)


def prior_predictive(target: Target, n_draws: int = 500, random_seed: int | None = None) -> dict[str, xr.Dataset]:
    """Groups ``prior`` and ``prior_predictive``: parameters and replicated data drawn from the prior, in data units.

    Parameters
    ----------
    target : Target
    n_draws : int
    random_seed : int, optional
    """
    import xarray as xr

    rng = np.random.default_rng(random_seed)
    points = prior_draws(target.coordinates, target.own_priors, n_draws, rng)
    drawn = target.mixtures(points).in_data_units(target.scaling)
    features = list(target.table.columns)
    axes = {"chain": [0], "draw": np.arange(n_draws)}
    named = {"cluster": np.arange(target.n_components), "feature": features, "feature_bis": features}
    covariances = np.ascontiguousarray(drawn.dense_covariances)
    parameters = {
        "weights": (("chain", "draw", "cluster"), drawn.weights[None]),
        "means": (("chain", "draw", "cluster", "feature"), drawn.means[None]),
        "covariances": (("chain", "draw", "cluster", "feature", "feature_bis"), covariances[None]),
    }
    prior = xr.Dataset(parameters, coords={**axes, **named})
    x = replicates(drawn, target.table.n_obs, rng)[None]
    coords = {**axes, "obs_id": np.arange(target.table.n_obs), "feature": features}
    replicated = xr.Dataset({"x": (("chain", "draw", "obs_id", "feature"), x)}, coords=coords)
    return {"prior": prior, "prior_predictive": replicated}
