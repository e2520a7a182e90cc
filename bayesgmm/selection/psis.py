"""Pareto-smoothed importance sampling for many rows at once.

Vehtari, Simpson, Gelman, Yao & Gabry (2024), Pareto smoothed importance sampling, JMLR 25; the same steps as
`arviz_stats`, which the tests compare with, taken for a block of rows together.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ..mixture import blocks_of, run_parallel

__all__ = ["psis_loo", "smoothed", "tail_length"]

Array = NDArray[np.float64]
# Rows per block: their tails and ratios stay in the cache.
_ROWS = 32


def tail_length(n_draws: int, reff: float) -> int:
    """Draws in the tail that is smoothed."""
    return int(3 * math.sqrt(n_draws / reff)) if n_draws * reff > 225 else n_draws // 5


def _mean_log1p(b: Array, tails: Array) -> Array:
    """Mean of log(1 - b x) over each of the tails (B, n), for b (B,)."""
    return np.asarray(np.log1p(-b[:, None] * tails).mean(1))


def _fit_pareto(tails: Array) -> tuple[Array, Array]:
    """Shape and scale (B,) of generalised Pareto distributions, from sorted samples (B, n) with weak priors at 0.5.

    Zhang & Stephens (2009). Both are nan where a quarter of the sample is one number.
    """
    n = tails.shape[1]
    quartile, largest = tails[:, int(n / 4 + 0.5) - 1], tails[:, -1]
    m = 30 + int(math.sqrt(n))
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = (1.0 - np.sqrt(m / (np.arange(m) + 0.5))) / 3.0
        b = spread[:, None] / quartile + 1.0 / largest
        k = np.array([_mean_log1p(own, tails) for own in b])
        score = n * (np.log(-b / k) - k - 1.0)
        weight = np.exp(score - score.max(0))
        b_mean = (b * weight).sum(0) / weight.sum(0)
        k = _mean_log1p(b_mean, tails)
        shape, scale = (n * k + 5.0) / (n + 10.0), -k / b_mean
    known = quartile > tails[:, 0]
    return np.where(known, shape, np.nan), np.where(known, scale, np.nan)


def _quantiles(shape: Array, scale: Array, n: int) -> Array:
    """Quantiles (B, n) at (i + 1/2) / n of generalised Pareto distributions."""
    log_tail = np.log1p(-(np.arange(n) + 0.5) / n)
    shape, scale = shape[:, None], scale[:, None]
    exponential = shape == 0
    k = np.where(exponential, 1.0, shape)
    return np.asarray(np.where(exponential, -scale * log_tail, scale * np.expm1(-k * log_tail) / k))


def _log_sum_exp(x: Array) -> Array:
    top = x.max(1)
    return np.asarray(top + np.log(np.exp(x - top[:, None]).sum(1)))


def _smooth(ratio: Array, n_tail: int) -> Array:
    """Smooth the ``n_tail`` largest of each row of log ratios (B, S), at most 0, in place; the Pareto shapes (B,)."""
    n_draws = ratio.shape[1]
    order = np.argpartition(ratio, n_draws - n_tail - 1, axis=1)[:, n_draws - n_tail - 1 :]
    # The first is the largest below the tail; draws that tie with it may be of either side: their ratios are equal.
    cutoff = np.take_along_axis(ratio, order[:, :1], 1)
    tail = np.take_along_axis(ratio, order[:, 1:], 1)
    order = np.take_along_axis(order[:, 1:], np.argsort(tail, axis=1), 1)
    tail.sort(axis=1)
    shape, scale = _fit_pareto(np.exp(tail) - np.exp(cutoff))
    fitted = np.isfinite(shape)
    excess = _quantiles(shape[fitted], scale[fitted], n_tail)
    tail[fitted] = np.minimum(np.log(np.exp(cutoff[fitted]) + excess), 0.0)
    np.put_along_axis(ratio, order, tail, 1)
    return shape


def smoothed(log_ratios: Array) -> tuple[Array, float]:
    """Smoothed log importance ratios of independent draws (S,), the largest of them 0, and their Pareto k."""
    ratios = np.array(log_ratios, dtype=float)[None]
    if -ratios.min() <= 1e-12:
        return ratios[0], -np.inf
    return ratios[0], float(_smooth(ratios, tail_length(ratios.shape[1], 1.0))[0])


def _loo_rows(ll: Array, left_out: Array, n_tail: int) -> tuple[Array, Array, Array]:
    """For rows of the log likelihood (B, S): elpd, log pointwise predictive density and Pareto k, each (B,)."""
    lppd = _log_sum_exp(ll) - math.log(ll.shape[1])
    ratio = left_out[:, None] * (ll.min(1, keepdims=True) - ll)
    # Where all draws say the same of a row, leaving it out changes nothing.
    changed = np.flatnonzero(-ratio.min(1) > 1e-12)
    elpd, shape = lppd.copy(), np.full(len(ll), -np.inf)
    ratio = ratio[changed]
    shape[changed] = _smooth(ratio, n_tail) if n_tail >= 5 and changed.size else np.inf
    elpd[changed] = _log_sum_exp(ratio + ll[changed]) - _log_sum_exp(ratio)
    return elpd, lppd, shape


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
    n_draws, n_rows = log_likelihood.shape
    elpd, lppd, shape = np.empty((3, n_rows))
    power = np.ones(n_rows) if left_out is None else np.asarray(left_out, dtype=float)
    n_tail = tail_length(n_draws, min(reff, 1.0))

    def over(part: slice) -> None:
        own = np.ascontiguousarray(log_likelihood[:, part].T)
        elpd[part], lppd[part], shape[part] = _loo_rows(own, power[part], n_tail)

    run_parallel(over, blocks_of(n_rows, _ROWS))
    return elpd, lppd, shape
