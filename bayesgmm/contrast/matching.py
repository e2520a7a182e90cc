"""The maximum-likelihood mixture that a contrast is about, numbered as the posterior numbers its components."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data import InputError
from ..em import EMFit, check_same_data
from ..mixture import Mixture, structure_named
from ..sampling import Posterior

__all__ = ["best_labels", "em_mixture"]

Array = NDArray[np.float64]


def em_mixture(gm: Any, view: Posterior) -> Mixture:
    """The mixture of ``gm`` (estimator, `EMFit`, `Mixture` or None: that of the tree) in the units of the data.

    Raises
    ------
    InputError
        It is not fitted, or is of another model or of other data than the posterior.
    """
    if gm is None:
        return view.em
    if isinstance(gm, EMFit):
        mixture = gm.mixture
    elif isinstance(gm, Mixture):
        mixture = gm
    elif hasattr(gm, "weights_"):
        parts = (np.asarray(part, dtype=float) for part in (gm.weights_, gm.means_, gm.covariances_))
        mixture = Mixture(structure_named(gm.covariance_type), *parts)
    elif hasattr(gm, "fit"):
        raise InputError("gm is not fitted; call gm.fit(data) first, or pass None for the EM fit kept in the posterior")
    else:
        raise InputError(f"gm is a {type(gm).__name__}; pass a fitted GaussianMixture, an EMFit, or None")
    _check_same_model(mixture, view)
    fit = gm if isinstance(gm, EMFit) else getattr(gm, "result_", None)
    if isinstance(fit, EMFit):
        check_same_data(fit, view.values, view.sample_weight, "gm")
    return mixture


def _check_same_model(mixture: Mixture, view: Posterior) -> None:
    own = (mixture.n_components, mixture.n_features, mixture.structure.name)
    other = (view.n_components, len(view.columns), view.draws.structure.name)
    for name, a, b in zip(("n_components", "number of columns", "covariance_type"), own, other, strict=True):
        if a != b:
            raise InputError(f"{name} is {a!r} in gm and {b!r} in the posterior; fit the same model both ways")


def best_labels(responsibilities: Array, reference: Array) -> NDArray[np.intp]:
    """Which column of ``responsibilities`` (N, K) takes each column of ``reference`` (N, K): most mass in common."""
    from scipy.optimize import linear_sum_assignment

    _, order = linear_sum_assignment(-(reference.T @ responsibilities))
    return np.asarray(order)
