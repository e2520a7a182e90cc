"""`impute`: what is missing, drawn from the posterior given what is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..data import check_whole, checked
from ..mixture import completed
from .posterior import Posterior

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["impute"]


@checked
def impute(post: xr.DataTree, n_imputations: int = 20, *, random_seed: int = 0) -> xr.Dataset:
    """The data with draws in the place of missing values, for further work by multiple imputation.

    Parameters
    ----------
    post : DataTree
        From `sample_posterior` with ``missing="marginalise"``.
    n_imputations : int
        Completed tables, each under a posterior draw of its own, evenly spaced: parameters vary from table to table as the
        posterior says, components and values as the mixture says.
    random_seed : int

    Returns
    -------
    Dataset
        ``x`` (imputation, obs_id, feature), in the units of the data, and ``missing`` (obs_id, feature), which of them are
        drawn.

    Raises
    ------
    InputError
        For fewer imputations than one.

    Notes
    -----
    Proper under the model where what is missing does not depend on its own value given the rest (missing at random).
    Rubin, D. B. (1987). Multiple Imputation for Nonresponse in Surveys.
    """
    import xarray as xr

    check_whole("n_imputations", n_imputations)
    view = Posterior.read(post)
    draws = view.draws.standardised(view.scaling)
    values = view.scaling.standardise(view.values)
    chosen = np.linspace(0, len(draws.weights) - 1, n_imputations).astype(int)
    seeds = np.random.SeedSequence(random_seed).spawn(n_imputations)
    filled = np.stack(
        [completed(draws[s], values, np.random.default_rng(seed)) for s, seed in zip(chosen, seeds, strict=True)]
    )
    # What is there stays, to the last digit.
    there = ~np.isnan(view.values)
    x = np.where(there, view.values, view.scaling.restore(filled))
    dims = ("imputation", "obs_id", "feature")
    coords = {"imputation": np.arange(n_imputations), "obs_id": view.obs_id, "feature": list(view.columns)}
    return xr.Dataset({"x": (dims, x), "missing": (dims[1:], ~there)}, coords=coords)
