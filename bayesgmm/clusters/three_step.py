"""The answers that users of latent profiles know: hard labels, and the two corrections of their error in a third step.

With W the most probable group of a row and T its own, P(W = s | T = t) = D_ts is known from the mixture. Hard labels take
W for T. BCH weights each row by the inverse of D, so that the weighted sums are right on average whatever the distribution of
y; maximum likelihood keeps D and fits a distribution.

Bolck, A., Croon, M. & Hagenaars, J. (2004). Estimating latent structure models with categorical variables: one-step versus
three-step estimators. Political Analysis 12, 3-27. Vermunt, J. K. (2010). Latent class modeling with covariates: two improved
three-step approaches. Political Analysis 18, 450-469. Bakk, Z., Tekle, F. B. & Vermunt, J. K. (2013). Estimating the
association between latent class membership and external variables using bias-adjusted three-step approaches. Sociological
Methodology 43, 272-311.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["bch", "classification_errors", "hard", "three_step_ml"]

Array = NDArray[np.float64]
_MAX_ITER, _TOL = 2000, 1e-10
# Of a group's variance under maximum likelihood, as a share of the pooled one: less is a spike on a row.
_LEAST_VARIANCE = 1e-4
# Estimate and standard error, each (G, P).
Estimates = tuple[Array, Array]


def classification_errors(shares: Array, weight: Array) -> Array:
    """P(most probable group is s given group t), (G, G), from probabilities (N, G); a group without mass has NaN."""
    assigned = np.eye(shares.shape[1])[shares.argmax(1)]
    total = (weight @ shares)[:, None]
    joint = (shares * weight[:, None]).T @ assigned
    return np.divide(joint, total, out=np.full_like(joint, np.nan), where=total > 0)


def hard(labels: NDArray[np.intp], n_groups: int, design: Array, y: Array, weight: Array) -> Estimates:
    """Least squares in each group of rows, as if their labels were known, with robust standard errors."""
    return _weighted(np.eye(n_groups)[labels] * weight[:, None], design, y)


def bch(labels: NDArray[np.intp], errors: Array, design: Array, y: Array, weight: Array) -> Estimates:
    """Least squares with the weights of Bolck, Croon & Hagenaars; errors (G, G) are taken as known.

    Weights w_it = (D^-1)_{s_i t} have E[w_it | T_i = u] = sum_s D_us (D^-1)_st = 1{u = t}.
    """
    try:
        inverse = np.linalg.inv(errors)
    except np.linalg.LinAlgError:
        inverse = np.full_like(errors, np.nan)
    return _weighted(inverse[labels] * weight[:, None], design, y)


def _weighted(weights: Array, design: Array, y: Array) -> Estimates:
    """Weighted least squares for each column of weights (n, G), weights of either sign, with the sandwich."""
    n_groups, p = weights.shape[1], design.shape[1]
    estimate, error = np.full((2, n_groups, p), np.nan)
    for g in range(n_groups):
        w = weights[:, g]
        square = (design * w[:, None]).T @ design
        if not np.isfinite(square).all() or np.linalg.matrix_rank(square) < p:
            continue
        bread = np.linalg.inv(square)
        estimate[g] = bread @ (design.T @ (w * y))
        scores = design * (w * (y - design @ estimate[g]))[:, None]
        error[g] = np.sqrt(np.maximum(np.diagonal(bread @ (scores.T @ scores) @ bread), 0.0))
    return estimate, error


def three_step_ml(
    labels: NDArray[np.intp], errors: Array, design: Array, y: Array, weight: Array, *, indicator: bool = False
) -> Estimates:
    """Maximum likelihood of sum_t p_t f(y | t) P(s | t), Vermunt's third step, errors known; standard errors from scores.

    f is N(x'b_t, sd_t^2), or for an ``indicator`` (design a constant) a Bernoulli distribution with probability b_t.
    """
    n_groups, p = len(errors), design.shape[1]
    start = bch(labels, errors, design, y, weight)[0]
    if not (np.isfinite(errors).all() and np.isfinite(start).all()):
        return np.full((n_groups, p), np.nan), np.full((n_groups, p), np.nan)
    kind = _Bernoulli(y, np.clip(start[:, 0], 0.01, 0.99)) if indicator else _Normal(design, y, weight, start)
    size, before = np.bincount(labels, weight, n_groups) / weight.sum(), -np.inf
    for _ in range(_MAX_ITER):
        logs = np.log(np.maximum(size * errors[:, labels].T, 1e-300)) + kind.log_density()
        top = logs.max(1, keepdims=True)
        density = np.exp(logs - top).sum(1, keepdims=True)
        own = np.exp(logs - top) / density * weight[:, None]
        now = float(weight @ (top + np.log(density))[:, 0])
        if now - before < _TOL * abs(now):
            break
        before = now
        size = own.sum(0) / weight.sum()
        kind.maximise(own)
    # The last size is what the others leave.
    of_size = own[:, :-1] / size[:-1] - own[:, -1:] / size[-1]
    scores = np.column_stack([kind.scores(own), of_size])
    covariance = np.linalg.pinv(scores.T @ scores, hermitian=True)
    error = np.sqrt(np.maximum(np.diagonal(covariance)[: n_groups * p], 0.0))
    return kind.b, error.reshape(n_groups, p)


class _Normal:
    """y ~ N(x'b_t, variance_t)."""

    def __init__(self, design: Array, y: Array, weight: Array, start: Array) -> None:
        self.design, self.y, self.b = design, y, start.copy()
        root = np.sqrt(weight)
        pooled = np.linalg.lstsq(design * root[:, None], y * root, rcond=None)[0]
        variance = float(weight @ (y - design @ pooled) ** 2 / weight.sum())
        self.least, self.variance = _LEAST_VARIANCE * variance, np.full(len(start), variance)

    def log_density(self) -> Array:
        apart = self.y[:, None] - self.design @ self.b.T
        return -0.5 * (apart**2 / self.variance + np.log(2 * np.pi * self.variance))

    def maximise(self, own: Array) -> None:
        for g, root in enumerate(np.sqrt(own.T)):
            self.b[g] = np.linalg.lstsq(self.design * root[:, None], self.y * root, rcond=None)[0]
        apart = self.y[:, None] - self.design @ self.b.T
        self.variance = np.maximum((own * apart**2).sum(0) / own.sum(0), self.least)

    def scores(self, own: Array) -> Array:
        """Of b, group by group, then of the variances."""
        apart = self.y[:, None] - self.design @ self.b.T
        of_b = (own * apart / self.variance)[:, :, None] * self.design[:, None, :]
        of_variance = own * (apart**2 / self.variance - 1) / (2 * self.variance)
        return np.column_stack([of_b.reshape(len(own), -1), of_variance])


class _Bernoulli:
    """y is 1 with probability b_t."""

    def __init__(self, y: Array, start: Array) -> None:
        self.y, self.b = y, start[:, None].copy()

    def _bounded(self) -> Array:
        return np.clip(self.b[:, 0], 1e-10, 1 - 1e-10)

    def log_density(self) -> Array:
        p = self._bounded()
        return np.where(self.y[:, None] > 0, np.log(p), np.log1p(-p))

    def maximise(self, own: Array) -> None:
        self.b = ((own.T @ self.y) / own.sum(0))[:, None]

    def scores(self, own: Array) -> Array:
        p = self._bounded()
        return own * (self.y[:, None] - p) / (p * (1 - p))
