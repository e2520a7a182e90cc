"""Stacking of predictive densities (Yao, Vehtari, Simpson & Gelman 2018), safe against underflow."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

__all__ = ["log_mixture", "stacking_weights"]

Array = NDArray[np.float64]
_TOLERANCE = 1e-12
_POLISHING = 200


def log_mixture(elpd_rows: Array, weights: Array) -> Array:
    """Log density of each row (N,) under the weighted mixture of M predictive densities (N, M)."""
    with np.errstate(divide="ignore"):
        return logsumexp(elpd_rows + np.log(weights), axis=1)


def stacking_weights(elpd_rows: Array, sample_weight: Array | None = None) -> Array:
    """Weights (M,) that maximise the sum over rows of the log of the weighted mean density.

    Parameters
    ----------
    elpd_rows : (N, M)
        Log predictive density of each row under each model. The row's largest is subtracted before anything is
        exponentiated: densities below 1e-308 would otherwise all be zero and the weights equal.
    sample_weight : (N,), optional
        Case weights of the rows.

    Notes
    -----
    Concave on the simplex. Sequential quadratic programming finds the maximum; EM steps, which cannot lower the sum,
    polish it and serve alone where that stops early.
    """
    from scipy.optimize import minimize

    n_rows, n_models = elpd_rows.shape
    share = np.full(n_rows, 1.0 / n_rows) if sample_weight is None else sample_weight / sample_weight.sum()
    density = np.exp(elpd_rows - elpd_rows.max(axis=1, keepdims=True))
    weights = np.full(n_models, 1.0 / n_models)
    if n_models == 1:
        return weights

    def negative(w: Array) -> tuple[float, Array]:
        mixed = np.maximum(density @ w, 1e-300)
        return -float(share @ np.log(mixed)), -share @ (density / mixed[:, None])

    found = minimize(
        negative,
        weights,
        jac=True,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * n_models,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1.0, "jac": np.ones_like},
        options={"maxiter": 500, "ftol": _TOLERANCE},
    )
    candidate = np.clip(found.x, 0.0, 1.0)
    candidate /= candidate.sum()
    if negative(candidate)[0] <= negative(weights)[0]:
        weights = candidate
    for _ in range(_POLISHING):
        weights = weights * -negative(weights)[1]
        weights /= weights.sum()
    return weights
