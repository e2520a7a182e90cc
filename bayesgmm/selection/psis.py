"""Pareto-smoothed importance sampling, compiled, for many rows at once.

Vehtari, Simpson, Gelman, Yao & Gabry (2024), Pareto smoothed importance sampling, JMLR 25; the same steps as
`arviz_stats`, which the tests compare with, at a twentieth of its time per row.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..mixture import run_parallel

__all__ = ["psis_loo", "tail_length"]

Array = NDArray[np.float64]
_ROWS = 64


def tail_length(n_draws: int, reff: float) -> int:
    """Draws in the tail that is smoothed."""
    return int(3 * math.sqrt(n_draws / reff)) if n_draws * reff > 225 else n_draws // 5


@njit(nogil=True, cache=True, error_model="numpy")
def _fit_pareto(tail):
    """Shape and scale of a generalised Pareto distribution, sorted sample (Zhang & Stephens 2009), weak prior at 0.5."""
    n = tail.size
    first_quartile = tail[int(n / 4 + 0.5) - 1]
    if not first_quartile > tail[0]:
        return np.nan, np.nan
    m = 30 + int(math.sqrt(n))
    b = np.empty(m)
    score = np.empty(m)
    for j in range(m):
        b[j] = (1.0 - math.sqrt(m / (j + 0.5))) / (3.0 * first_quartile) + 1.0 / tail[n - 1]
        total = 0.0
        for i in range(n):
            total += math.log1p(-b[j] * tail[i])
        k = total / n
        score[j] = n * (math.log(-b[j] / k) - k - 1.0)
    weight = np.exp(score - score.max())
    b_mean = (b * weight).sum() / weight.sum()
    k = 0.0
    for i in range(n):
        k += math.log1p(-b_mean * tail[i])
    k /= n
    return (n * k + 5.0) / (n + 10.0), -k / b_mean


@njit(nogil=True, cache=True, error_model="numpy")
def _log_sum_exp(x):
    top = x.max()
    total = 0.0
    for i in range(x.size):
        total += math.exp(x[i] - top)
    return top + math.log(total)


@njit(nogil=True, cache=True, error_model="numpy")
def _loo_rows(log_likelihood, left_out, n_tail, elpd, lppd, shape):
    """For rows of log_likelihood (B, S): elpd, log pointwise predictive density and Pareto k, each (B,)."""
    n_draws = log_likelihood.shape[1]
    for row in range(log_likelihood.shape[0]):
        ll = log_likelihood[row]
        lppd[row] = _log_sum_exp(ll) - math.log(n_draws)
        ratio = left_out[row] * (ll.min() - ll)
        if not np.ptp(ratio) > 1e-12:
            # All draws say the same of this row: leaving it out changes nothing.
            elpd[row] = lppd[row]
            shape[row] = -np.inf
            continue
        cutoff = np.partition(ratio, n_draws - n_tail - 1)[n_draws - n_tail - 1]
        above = np.flatnonzero(ratio > cutoff)
        if n_tail >= 5:
            # Repeated draws may tie with the cutoff; then the tail is whichever of them come last.
            if above.size == n_tail:
                order = above[np.argsort(ratio[above])]
            else:
                order = np.argsort(ratio)[n_draws - n_tail :]
            k, sigma = _fit_pareto(np.exp(ratio[order]) - math.exp(cutoff))
            shape[row] = k
            if np.isfinite(k):
                n = order.size
                for i in range(n):
                    p = (i + 0.5) / n
                    excess = -sigma * math.log1p(-p) if k == 0 else sigma * math.expm1(-k * math.log1p(-p)) / k
                    ratio[order[i]] = min(math.log(math.exp(cutoff) + excess), 0.0)
        else:
            shape[row] = np.inf
        elpd[row] = _log_sum_exp(ratio + ll) - _log_sum_exp(ratio)


def psis_loo(log_likelihood: Array, reff: float = 1.0, left_out: Array | None = None) -> tuple[Array, Array, Array]:
    """Leave-one-out densities of rows from the draws' pointwise log likelihood.

    Parameters
    ----------
    log_likelihood : (S, B)
    reff : float
        Effective draws per draw.
    left_out : (B,), optional
        How much of each row's likelihood is left out, as a power; 1 by default.

    Returns
    -------
    elpd, lppd, pareto_k : (B,)
    """
    rows = np.ascontiguousarray(log_likelihood.T)
    elpd, lppd, shape = np.empty((3, len(rows)))
    power = np.ones(len(rows)) if left_out is None else np.ascontiguousarray(left_out, dtype=float)
    n_tail = tail_length(rows.shape[1], min(reff, 1.0))

    def over(part: slice) -> None:
        _loo_rows(rows[part], power[part], n_tail, elpd[part], lppd[part], shape[part])

    run_parallel(over, [slice(a, a + _ROWS) for a in range(0, len(rows), _ROWS)])
    return elpd, lppd, shape
