"""Quantities of draws that do not depend on the names of the components, and whether chains agree on them.

Label switching leaves these quantities as they are, so that what R-hat and the effective sample sizes say of them holds
whether or not the labels moved (Vehtari, Gelman, Simpson, Carpenter & Buerkner 2021 for the diagnostics).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..mixture import Mixture, draw_responsibilities

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["MAX_R_HAT", "MIN_ESS", "is_settled", "label_free", "summarise"]

Array = NDArray[np.float64]

MAX_R_HAT = 1.01
MIN_ESS = 400
_MAX_EVALUATIONS = 2 * 10**8
_N_POINTS = 5
_CERTAIN = 1e-9
_NO_SPREAD = 1e-12


def label_free(
    draws: Mixture,
    values: Array,
    columns: Sequence[str],
    sample_weight: Array | None = None,
    obs_id: NDArray[Any] | None = None,
) -> dict[str, Array]:
    """Quantities (S,) of each draw that no exchange of components changes.

    Log likelihood, log density at fixed rows, mean and covariance of the mixture, entropy of the weights, sorted weights,
    sorted log determinants, mean allocation entropy. Where draws x rows exceed 2e8, log likelihood and entropy are those of
    evenly spaced rows. Beyond four features the mixture covariance enters by its variances and log determinant.

    Parameters
    ----------
    draws : Mixture
        One leading axis of S draws, in the units of ``values``.
    values : (N, D)
    columns : sequence of D names
    sample_weight : (N,), optional
    obs_id : (N,), optional
        Names of the rows.
    """
    d = draws.n_features
    result = _row_quantities(draws, values, sample_weight, np.arange(len(values)) if obs_id is None else obs_id)
    weights, dense = draws.weights, draws.dense_covariances
    mean = np.einsum("sk,skd->sd", weights, draws.means)
    off = draws.means - mean[:, None, :]
    covariance = np.einsum("sk,skij->sij", weights, dense) + np.einsum("sk,ski,skj->sij", weights, off, off)
    for i in range(d):
        result[f"mean[{columns[i]}]"] = mean[:, i]
    for i in range(d):
        for j in range(i, d):
            # One component without correlations has none by definition.
            if i == j or (d <= 4 and covariance[:, i, j].any()):
                result[f"covariance[{columns[i]}, {columns[j]}]"] = covariance[:, i, j]
    if d > 4:
        result["log det covariance"] = np.linalg.slogdet(covariance)[1]
    result |= _component_quantities(weights, np.linalg.slogdet(dense)[1])
    return result


def _component_quantities(weights: Array, log_det: Array) -> dict[str, Array]:
    """Sorted weights and log determinants, each (S, K); one determinant where all components have the same."""
    k = weights.shape[1]
    result: dict[str, Array] = {}
    if k > 1:
        result["entropy of weights"] = -(weights * np.log(np.maximum(weights, 1e-300))).sum(1)
        for i, column in enumerate(np.sort(weights, axis=1)[:, ::-1].T):
            result[f"sorted weight {i + 1}"] = column
    finite = np.isfinite(log_det)
    shared = bool(finite.all()) and float(np.ptp(log_det, axis=1).max(initial=0.0)) < _CERTAIN
    for i, column in enumerate(np.sort(log_det, axis=1)[:, ::-1].T[: 1 if shared else k]):
        result[f"sorted log det {i + 1}"] = column
    return result


def _row_quantities(
    draws: Mixture, values: Array, sample_weight: Array | None, obs_id: NDArray[Any]
) -> dict[str, Array]:
    """Log likelihood, log density at fixed rows and mean allocation entropy of each draw."""
    n_draws, n_rows = len(draws.weights), len(values)
    size = max(1, min(n_rows, _MAX_EVALUATIONS // n_draws))
    kept = np.linspace(0, n_rows - 1, size).astype(int)
    counts = np.ones(size) if sample_weight is None else sample_weight[kept]
    points = np.linspace(0, size - 1, min(_N_POINTS, size)).astype(int)
    log_likelihood, entropy = np.zeros(n_draws), np.zeros(n_draws)
    result: dict[str, Array] = {"log likelihood": log_likelihood}
    for block in draw_responsibilities(draws, values[kept]):
        mine = counts[block.rows]
        log_likelihood += block.log_density @ mine
        r = block.responsibilities
        entropy -= np.einsum("skb,skb,b->s", r, np.log(np.maximum(r, 1e-300)), mine)
        for p in points[(points >= block.rows.start) & (points < block.rows.stop)]:
            result[f"log density[row {obs_id[kept[p]]}]"] = block.log_density[:, p - block.rows.start].copy()
    # Where every row is certain under every draw the entropy is rounding error, and says nothing.
    if entropy.max(initial=0.0) > _CERTAIN * counts.sum():
        result["mean allocation entropy"] = entropy / counts.sum()
    return result


def _mixing(draws: Array) -> tuple[float, float, float]:
    """R-hat, bulk and tail effective sample size of draws (chain, draw)."""
    from arviz_stats.base import array_stats

    finite = bool(np.isfinite(draws).all())
    if not (finite and float(np.ptp(draws)) > _NO_SPREAD * max(1.0, float(np.abs(draws).max()))):
        # Without spread there is nothing to estimate: every draw is the same point.
        return np.inf, 1.0, 1.0
    split = draws if len(draws) > 1 else draws[:, : draws.shape[1] // 2 * 2].reshape(2, -1)
    with np.errstate(divide="ignore", invalid="ignore"):
        r_hat, bulk = array_stats.rhat(split), array_stats.ess(split, method="bulk")
        return float(r_hat), float(bulk), float(array_stats.ess(split, method="tail", prob=0.05))


def summarise(chains: dict[str, Array]) -> pd.DataFrame:
    """Table over quantities (chain, draw): mean, sd, r_hat (rank-normalised), ess_bulk, ess_tail.

    A single chain is judged by its two halves.
    """
    import pandas as pd

    rows = {}
    for name, draws in chains.items():
        rows[name] = (float(draws.mean()), float(draws.std(ddof=1)), *_mixing(draws))
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["mean", "sd", "r_hat", "ess_bulk", "ess_tail"])
    table.index.name = "quantity"
    return table


def is_settled(table: pd.DataFrame) -> bool:
    """Whether chains agree: R-hat < 1.01, bulk and tail effective sample sizes > 400, on every quantity."""
    return bool((table["r_hat"] < MAX_R_HAT).all() and (table[["ess_bulk", "ess_tail"]] > MIN_ESS).all(axis=None))
