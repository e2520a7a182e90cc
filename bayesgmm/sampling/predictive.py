"""What the model says before and after the data: prior draws, and replicated data from prior or posterior."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..mixture import Mixture
from ..posterior.coordinates import Coordinates
from ..posterior.priors import InverseGammaScale, Priors, ScalePrior
from ..posterior.target import Problem
from .posterior import view_of

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["posterior_predictive", "prior_draws", "prior_predictive", "replicates"]

Array = NDArray[np.float64]
_GRID = 200_001


def _log_scale_draws(scale: ScalePrior, k: int, d: int, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Log standard deviations from any scale prior, by inverting the distribution function on a fine grid."""
    grid = np.linspace(-30.0, 30.0, _GRID)
    with np.errstate(over="ignore"):
        log_density = scale.log_density(grid, k, d)
    density = np.exp(log_density - log_density.max())
    cumulative = np.concatenate([[0.0], np.cumsum(0.5 * (density[1:] + density[:-1]))])
    inside = np.flatnonzero(density > 0)
    part = slice(max(inside[0] - 1, 0), inside[-1] + 1)
    return np.interp(rng.uniform(size=shape) * cumulative[-1], cumulative[part], grid[part])


def prior_draws(coordinates: Coordinates, priors: Priors, n_draws: int, rng: np.random.Generator) -> Array:
    """Draws (S, P) from the prior, on the unconstrained scale."""
    k, d = coordinates.n_components, coordinates.n_features
    free = coordinates.structure.free(k, d)
    # Logs of gamma variables, by log G(a) = log G(a + 1) + log(U) / a: small concentrations underflow otherwise.
    a = priors.weight_concentration
    log_gamma = np.log(rng.standard_gamma(a + 1, (n_draws, k))) + np.log(rng.uniform(size=(n_draws, k))) / a
    logits = log_gamma - log_gamma.mean(1, keepdims=True)
    location, spread = priors.mean_vectors(d)
    means = location + spread * rng.standard_normal((n_draws, k, d))
    scale = priors.scale
    width = (n_draws, free.groups * free.width)
    rate = np.empty((n_draws, 0))
    if isinstance(scale, InverseGammaScale) and scale.hyper is not None:
        # Variances are the rate times those of rate one.
        shape, inverse = scale.hyper
        draws = rng.standard_gamma(shape + 1, (n_draws, 1))
        rate = np.log(draws) + np.log(rng.uniform(size=(n_draws, 1))) / shape - np.log(inverse)
        unit = replace(scale, rate=1.0, hyper=None)
        scales = _log_scale_draws(unit, k, d, width, rng) + 0.5 * rate
    else:
        scales = _log_scale_draws(scale, k, d, width, rng)
    odds = np.empty((n_draws, 0))
    if free.correlated and d > 1:
        # Canonical partial correlations: (1 + rho) / 2 ~ Beta(b, b) (Lewandowski, Kurowicka & Joe 2009).
        b = np.array([priors.correlation_eta + 0.5 * (d - 2 - j) for i in range(d) for j in range(i)] * free.groups)
        p = np.clip(rng.beta(b, b, (n_draws, b.size)), 1e-12, 1 - 1e-12)
        odds = np.log(p) - np.log1p(-p)
    return np.concatenate([logits[:, :-1], means.reshape(n_draws, -1), scales, odds, rate], axis=1)


def replicates(draws: Mixture, n_rows: int, rng: np.random.Generator) -> Array:
    """One data set (n_rows, D) from each of S mixtures: (S, n_rows, D)."""
    n_draws, k = draws.weights.shape
    edges = np.cumsum(draws.weights, axis=1)[:, None, :-1]
    labels = (rng.uniform(size=(n_draws, n_rows, 1)) > edges).sum(-1)
    factors = np.linalg.cholesky(draws.dense_covariances)
    z = rng.standard_normal((n_draws, n_rows, draws.n_features))
    result = np.empty_like(z)
    for label in range(k):
        drawn, row = np.nonzero(labels == label)
        noise = np.einsum("nij,nj->ni", factors[drawn, label], z[drawn, row])
        result[drawn, row] = draws.means[drawn, label] + noise
    return result


def posterior_predictive(post: xr.DataTree, random_seed: int | None = None) -> xr.Dataset:
    """Replicated data of every draw: ``x`` (chain, draw, obs_id, feature), for the group ``posterior_predictive``."""
    import xarray as xr

    view = view_of(post)
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


def prior_predictive(problem: Problem, n_draws: int = 500, random_seed: int | None = None) -> dict[str, xr.Dataset]:
    """Groups ``prior`` and ``prior_predictive``: parameters and replicated data drawn from the prior, in data units.

    Parameters
    ----------
    problem : Problem
    n_draws : int
    random_seed : int, optional
    """
    import xarray as xr

    rng = np.random.default_rng(random_seed)
    k, d = problem.n_components, problem.table.n_features
    coordinates = problem.density().coordinates
    points = prior_draws(coordinates, problem.own_priors, n_draws, rng)
    drawn = coordinates.mixture(points).in_data_units(problem.scaling)
    features = list(problem.table.columns)
    axes = {"chain": [0], "draw": np.arange(n_draws)}
    named = {"cluster": np.arange(k), "feature": features, "feature_bis": features}
    covariances = np.ascontiguousarray(drawn.dense_covariances).reshape(1, n_draws, k, d, d)
    prior = xr.Dataset(
        {
            "weights": (("chain", "draw", "cluster"), drawn.weights[None]),
            "means": (("chain", "draw", "cluster", "feature"), drawn.means[None]),
            "covariances": (("chain", "draw", "cluster", "feature", "feature_bis"), covariances),
        },
        coords={**axes, **named},
    )
    x = replicates(drawn, problem.table.n_obs, rng)[None]
    replicated = xr.Dataset(
        {"x": (("chain", "draw", "obs_id", "feature"), x)},
        coords={**axes, "obs_id": np.arange(problem.table.n_obs), "feature": features},
    )
    return {"prior": prior, "prior_predictive": replicated}
