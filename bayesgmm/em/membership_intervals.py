"""How well EM knows whose a row is: membership probabilities under the asymptotic normal distribution of its estimate.

With s_k the score of a row had it come from component k and r_k its responsibility, the log odds of component k,
eta_k = log r_k - log(1 - r_k), have the gradient

    d eta_k = s_k - sum_{j != k} r_j / (1 - r_k) s_j

in the parameters. By the delta method eta_k is normal about its estimate with variance d eta_k' V d eta_k, V the inverse of the
observed information. An interval on the scale of the log odds stays within 0 and 1; the mean of r_k over that distribution
is what EM with its uncertainty expects the membership to be, as the posterior's is the mean over the draws. Both are of
first order and do not depend on the coordinates of the parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..data import CI_PROB, InputError, check_ci_prob, checked
from ..mixture import Mixture, each_pattern
from .scores import Layout, component_scores, whitened
from .standard_errors import StandardErrors

__all__ = ["MembershipIntervals", "membership_intervals"]

Array = NDArray[np.float64]
# Numbers in the arrays of one block of rows.
_BLOCK = 2**21


@dataclass(frozen=True, eq=False)
class MembershipIntervals:
    """EM's membership probabilities of rows, with delta-method intervals.

    Attributes
    ----------
    plug_in : (N, K)
        Responsibilities at the estimate.
    probability : (N, K)
        Their mean over the asymptotic distribution of the estimate, rows scaled to sum to one.
    lb, ub : (N, K)
        Equal-tailed interval.
    log_odds_se : (N, K)
        Standard error of log r_k - log(1 - r_k).
    ci_prob : float
    """

    plug_in: Array
    probability: Array
    lb: Array
    ub: Array
    log_odds_se: Array
    ci_prob: float


@checked
def membership_intervals(errors: StandardErrors, values: ArrayLike, ci_prob: float = CI_PROB) -> MembershipIntervals:
    """Delta-method intervals of EM's membership probabilities.

    Parameters
    ----------
    errors : StandardErrors
        By information or sandwich: ``gm.standard_errors(df)``, with the data of the fit.
    values : array (N, D)
        Rows in the units of the data: those of the fit or new ones.
    ci_prob : float

    Returns
    -------
    MembershipIntervals
        All but ``plug_in`` nan where the standard errors are.

    Raises
    ------
    InputError
        Bootstrap errors, which have no joint distribution here, or rows of another number of columns.
    """
    from scipy.special import expit, ndtri

    check_ci_prob(ci_prob)
    if errors.method == "bootstrap":
        raise InputError("errors are of the bootstrap; membership intervals need method='information' or 'sandwich'")
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 2 or x.shape[1] != errors.estimate.n_features:
        raise InputError(f"values have shape {x.shape}; give rows of {errors.estimate.n_features} columns")
    if errors.estimate.n_components == 1:
        one = np.ones((len(x), 1))
        return MembershipIntervals(one, one, one, one, 0.0 * one, ci_prob)
    x = errors.scaling.standardise(x)
    eta, se = _log_odds(errors.estimate.standardised(errors.scaling), errors.covariance, x)
    reach = ndtri(0.5 * (1 + ci_prob)) * se
    probability = logistic_normal_mean(eta, se)
    probability = probability / probability.sum(1, keepdims=True)
    return MembershipIntervals(expit(eta), probability, expit(eta - reach), expit(eta + reach), se, ci_prob)


def _log_odds(mixture: Mixture, covariance: Array | None, x: Array) -> tuple[Array, Array]:
    """Log odds of each component (N, K) and their standard errors, of standardised rows ``x`` (N, D)."""
    layout = Layout(mixture)
    root = np.full((layout.n_parameters, 1), np.nan)
    if covariance is not None:
        variances, axes = np.linalg.eigh(covariance)
        root = axes * np.sqrt(np.maximum(variances, 0.0))
    eta, se = np.empty((2, len(x), layout.k))
    if not np.isnan(x).any():
        return _log_odds_of_seen(mixture, layout, root, x, None)
    for rows, features in each_pattern(x):
        eta[rows], se[rows] = _log_odds_of_seen(mixture, layout, root, np.nan_to_num(x[rows]), features)
    return eta, se


def _log_odds_of_seen(
    mixture: Mixture, layout: Layout, root: Array, x: Array, features: NDArray[np.intp] | None
) -> tuple[Array, Array]:
    """As `_log_odds`, of rows that all see the same features, by a root of the covariance."""
    inverse, along = whitened(mixture, layout, features)
    scale = np.diagonal(inverse, axis1=-2, axis2=-1)
    scale = scale if features is None else scale[:, features]
    constant = np.log(np.maximum(mixture.weights, 1e-300)) + np.log(scale).sum(-1)
    eta, se = np.empty((2, len(x), layout.k))
    size = max(32, _BLOCK // (layout.k * root.shape[1]))
    for first in range(0, len(x), size):
        part = slice(first, first + size)
        log_r = np.empty((layout.k, len(x[part])))
        spread = np.empty((layout.k, len(x[part]), root.shape[1]))
        for k in range(layout.k):
            own, where, z = component_scores(mixture, layout, inverse, along, x[part], k)
            log_r[k] = constant[k] - 0.5 * (z**2).sum(1)
            spread[k] = own @ root[where]
        eta[part], se[part] = _against_the_others(log_r, spread)
    return eta, se


def _against_the_others(log_r: Array, spread: Array) -> tuple[Array, Array]:
    """Log odds (B, K) and standard errors, from unnormalised log r (K, B) and scores times a root of V (K, B, P)."""
    from scipy.special import logsumexp

    k = len(log_r)
    eta, se = np.empty((2, log_r.shape[1], k))
    for c in range(k):
        others = [j for j in range(k) if j != c]
        total = logsumexp(log_r[others], axis=0)
        eta[:, c] = log_r[c] - total
        share = np.exp(log_r[others] - total)
        se[:, c] = np.linalg.norm(spread[c] - np.einsum("jb,jbp->bp", share, spread[others]), axis=1)
    return eta, se


def logistic_normal_mean(location: Array, sd: Array) -> Array:
    """Mean of 1 / (1 + exp(-X)), X normal, to ten digits.

    It is P(L < X) for L standard logistic: an integral over X's density or, the other way round, over L's. Over the
    narrower of the two the other function is smooth on the scale of the grid, and the trapezium rule converges
    exponentially.
    """
    from scipy.special import expit, ndtr

    result = np.full(np.shape(location), np.nan)
    narrow, wide = sd < 2, sd >= 2
    grid, m, s = np.linspace(-8.5, 8.5, 101), location[narrow], sd[narrow]
    result[narrow] = _average(lambda x: expit(m + s * x), grid, np.exp(-0.5 * grid**2))
    lines, centre, spread = np.linspace(-40.0, 40.0, 201), location[wide], sd[wide]
    result[wide] = _average(lambda x: ndtr((centre - x) / spread), lines, expit(lines) * expit(-lines))
    return result


def _average(function: Callable[[float], Array], grid: Array, density: Array) -> Array:
    """Mean of an array-valued function over a density on a grid, node by node: nodes times rows may not fit in memory."""
    terms = (weight * function(x) for x, weight in zip(grid, density / density.sum(), strict=True))
    return sum(terms, np.zeros(()))
