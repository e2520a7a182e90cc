"""Posterior predictive checks: could the fitted model have produced data that look like these?

For each feature a few statistics of the observed column are set against the same statistics of replicated columns, one per
draw (Gelman, Meng & Stern 1996). A Bayesian p-value near 0 or 1 says that the model does not reproduce that aspect.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..data import InputError, check_ci_prob, checked, equal_tailed
from ..mixture import replicates
from ..sampling import Posterior

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["STATISTICS", "predictive_checks"]

Array = NDArray[np.float64]
# Features x rows held at once.
_BLOCK = 2_000_000
_BINS = 12
# Wider than the intervals of estimates: what lies outside speaks against the model.
_CI_PROB = 0.94


def _standardised(x: Array) -> Array:
    off = x - x.mean(-1, keepdims=True)
    return off / np.maximum(off.std(-1, keepdims=True), np.finfo(float).tiny)


def skewness(x: Array) -> Array:
    """Third standardised moment along the last axis."""
    return (_standardised(x) ** 3).mean(-1)


def kurtosis(x: Array) -> Array:
    """Fourth standardised moment less three, along the last axis."""
    return (_standardised(x) ** 4).mean(-1) - 3.0


def largest_gap(x: Array) -> Array:
    """Largest distance between neighbours among the middle 90% of the values, in standard deviations.

    The outermost values are left out: gaps there are as wide as the tails are long.
    """
    ordered = np.sort(x, axis=-1)
    n = x.shape[-1]
    cut = n // 20
    inner = ordered[..., cut : n - cut]
    return np.diff(inner, axis=-1).max(-1, initial=0.0) / np.maximum(x.std(-1), np.finfo(float).tiny)


def spread(x: Array) -> Array:
    """Standard deviation along the last axis."""
    return x.std(-1)


STATISTICS: dict[str, Callable[[Array], Array]] = {
    "standard deviation": spread,
    "skewness": skewness,
    "kurtosis": kurtosis,
    "largest gap": largest_gap,
}


def _density_distance(shares: Array, expected: Array) -> Array:
    """Pearson's distance of the shares (..., B) of rows in bins from what is expected there (B,)."""
    return ((shares - expected) ** 2 / np.maximum(expected, 1e-12)).sum(-1)


@checked
def predictive_checks(
    post: xr.DataTree,
    *,
    n_replicates: int = 500,
    ci_prob: float = _CI_PROB,
    random_seed: int = 0,
    mass: float | None = None,
) -> pd.DataFrame:
    """Check the model against its own data, feature by feature.

    Parameters
    ----------
    post : DataTree
    n_replicates : int
        Replicated data sets, from evenly spaced draws.
    ci_prob : float
        Mass of the equal-tailed interval of the replicated statistics.
    random_seed : int
    mass : float, optional
        An older name of ``ci_prob``.

    Returns
    -------
    DataFrame
        Index (feature, statistic): ``observed``, ``replicated`` (mean), ``lb``, ``ub``, ``p_value``, the share of
        replicates whose statistic is at least the observed one (ties counted half). ``density`` compares histograms over bins
        of equal content with the mean of the replicates' histograms; there only large observed values, small p, speak against
        the model.

    Notes
    -----
    Case weights say how often a row counts: rows are repeated, and replicates have as many rows. Weights with fractions are
    rounded, each within one, so that their running sums are kept. Where values are missing replicates lack the same ones:
    the comparison is fair where what is missing does not depend on the values themselves.

    Raises
    ------
    InputError
        For fewer than 20 replicates, a ``ci_prob`` that is not between 0 and 1, or case weights that leave no two rows.
    """
    import pandas as pd

    ci_prob = ci_prob if mass is None else mass
    check_ci_prob(ci_prob)
    if n_replicates < 20:
        raise InputError(f"n_replicates={n_replicates} shows little: give at least 20")
    view = Posterior.read(post)
    values = _counted(view.values, view.sample_weight)
    n_draws, (n_rows, n_features) = len(view.draws.weights), values.shape
    chosen = np.linspace(0, n_draws - 1, min(n_replicates, n_draws)).astype(int)
    # Replicates lack what the data lack.
    seen = ~np.isnan(values)
    edges = [np.quantile(values[seen[:, i], i], np.linspace(0, 1, _BINS + 1)[1:-1]) for i in range(n_features)]
    rng = np.random.default_rng(random_seed)
    found: dict[tuple[int, str], list[Array]] = {(i, name): [] for i in range(n_features) for name in STATISTICS}
    shares: list[list[Array]] = [[] for _ in range(n_features)]
    size = max(1, _BLOCK // (n_rows * n_features))
    for first in range(0, len(chosen), size):
        x = replicates(view.draws[chosen[first : first + size]], n_rows, rng)
        for i in range(n_features):
            for name, statistic in STATISTICS.items():
                found[i, name].append(statistic(x[:, seen[:, i], i]))
            shares[i].append(np.stack([_shares(column, edges[i]) for column in x[:, seen[:, i], i]]))
    rows = {}
    for i, column in enumerate(view.columns):
        for name, statistic in STATISTICS.items():
            observed = float(statistic(values[seen[:, i], i]))
            rows[column, name] = _row(observed, np.concatenate(found[i, name]), ci_prob)
        replicated = np.concatenate(shares[i])
        expected = replicated.mean(0)
        observed = float(_density_distance(_shares(values[seen[:, i], i], edges[i]), expected))
        rows[column, "density"] = _row(observed, _density_distance(replicated, expected), ci_prob)
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["observed", "replicated", "lb", "ub", "p_value"])
    table.index = pd.MultiIndex.from_tuples(table.index, names=["feature", "statistic"])
    table.attrs.update(interval="equal-tailed", ci_prob=ci_prob, n_replicates=len(chosen), seed=random_seed)
    return table


def _counted(values: Array, weight: Array) -> Array:
    """Rows (N, D), each as often as its case weight (N,) says."""
    if (weight == 1).all():
        return values
    counts = np.diff(np.floor(np.cumsum(weight) + 0.5), prepend=0.0).astype(int)
    if counts.sum() < 2:
        raise InputError(f"case weights that sum to {weight.sum():.3g} leave no two rows to check: rescale them")
    return np.repeat(values, counts, axis=0)


def _shares(column: Array, edges: Array) -> Array:
    """Shares of a column's values in the bins between the edges."""
    return np.bincount(np.searchsorted(edges, column), minlength=len(edges) + 1) / len(column)


def _row(observed: float, replicated: Array, ci_prob: float) -> tuple[float, float, float, float, float]:
    lb, ub = equal_tailed(replicated, ci_prob)
    p_value = float((replicated > observed).mean() + 0.5 * (replicated == observed).mean())
    return observed, float(replicated.mean()), float(lb), float(ub), p_value
