"""What a group looks like: its size, centre and spread, with their uncertainty."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..mixture import Mixture

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["profile_of"]

Array = NDArray[np.float64]


def profile_of(draws: Mixture, union: Array, columns: tuple[str, ...], ci_prob: float) -> xr.Dataset:
    """Weight, mean and standard deviation of the mixture that each group is, with equal-tailed intervals.

    Of several groups also ``apart``: the group's mean less that of all others together, in standard deviations of the column.

    Parameters
    ----------
    draws : Mixture
        One leading axis of S draws, in the units of the data.
    union : (S, G, K)
        Zeros and ones: the components of each group. A draw without any for a group says nothing of it.
    """
    import xarray as xr

    own = union * draws.weights[:, None, :]
    weight = own.sum(2)
    share = np.divide(own, weight[..., None], out=np.full_like(own, np.nan), where=weight[..., None] > 0)
    mean = share @ draws.means
    variances = np.diagonal(draws.dense_covariances, axis1=-2, axis2=-1)
    # Within the components and between them.
    apart = draws.means[:, None] - mean[:, :, None]
    sd = np.sqrt(share @ variances + np.einsum("sgk,sgkd->sgd", share, apart**2))
    variables: dict[str, Any] = {}
    named = [("weight", weight), ("mean", mean), ("sd", sd)]
    if union.shape[1] > 1:
        named.append(("apart", _apart(draws, weight, mean, variances)))
    for name, value in named:
        dims = ("group", "feature")[: value.ndim - 1]
        lb, ub = np.nanquantile(value, [0.5 * (1 - ci_prob), 0.5 * (1 + ci_prob)], axis=0)
        variables |= {name: (dims, np.nanmean(value, 0)), f"{name}_lb": (dims, lb), f"{name}_ub": (dims, ub)}
    attrs = {"interval": "equal-tailed", "ci_prob": ci_prob}
    return xr.Dataset(variables, {"group": np.arange(union.shape[1]), "feature": list(columns)}, attrs)


def _apart(draws: Mixture, weight: Array, mean: Array, variances: Array) -> Array:
    """What sets a group apart (S, G, D); NaN where a draw has no such group, or no other."""
    whole = np.einsum("sk,skd->sd", draws.weights, draws.means)
    sd = np.sqrt(np.einsum("sk,skd->sd", draws.weights, variances + (draws.means - whole[:, None]) ** 2))
    others = 1.0 - weight[..., None]
    there = (others > 1e-12) & np.isfinite(mean)
    # whole = weight mean + (1 - weight) rest, so that mean - rest = (mean - whole) / (1 - weight).
    return np.divide(mean - whole[:, None], others * sd[:, None], out=np.full_like(mean, np.nan), where=there)
