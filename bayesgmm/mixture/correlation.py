"""Correlation matrices through their canonical partial correlations (Lewandowski, Kurowicka & Joe 2009).

Pairs (i, j), j < i, run over the strict lower triangle by rows. With rho_ij the partial correlation of i and j given
0..j-1, the Cholesky factor of the matrix is C_ij = rho_ij prod_{q<j} sqrt(1 - rho_iq^2), and C_ii the whole product. Under
LKJ(eta) the (1 + rho_ij) / 2 are independent Beta(b, b), b = eta + (D - 2 - j) / 2 with 0-based j. Coordinates are their log
odds z: rho = tanh(z / 2), sqrt(1 - rho^2) = 1 / cosh(z / 2).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["factor_from_odds", "lkj_exponents", "odds_from_factor", "pairs_of"]

Array = NDArray[np.float64]
_LARGEST = 1 - 1e-12


def pairs_of(n_features: int) -> list[tuple[int, int]]:
    """The strict lower triangle by rows: the order of the partial correlations."""
    return [(i, j) for i in range(n_features) for j in range(i)]


@lru_cache(maxsize=64)
def _columns(n_features: int) -> Array:
    return np.array([j for _, j in pairs_of(n_features)], dtype=float)


def lkj_exponents(eta: float, n_features: int) -> Array:
    """b of each partial correlation's Beta(b, b) under LKJ(eta) (D(D-1)/2,)."""
    return eta + 0.5 * (n_features - 2 - _columns(n_features))


def factor_from_odds(odds: Array, n_features: int) -> Array:
    """Cholesky factors (..., D, D) of correlation matrices from log odds (..., D(D-1)/2)."""
    factor = np.zeros((*odds.shape[:-1], n_features, n_features), dtype=odds.dtype)
    m = 0
    for i in range(n_features):
        remaining = np.ones(odds.shape[:-1])
        for j in range(i):
            factor[..., i, j] = np.tanh(0.5 * odds[..., m]) * remaining
            remaining = remaining / np.cosh(0.5 * odds[..., m])
            m += 1
        factor[..., i, i] = remaining
    return factor


def odds_from_factor(factor: Array) -> Array:
    """Log odds (..., D(D-1)/2): inverse of `factor_from_odds`, correlations kept 1e-12 away from one."""
    n_features = factor.shape[-1]
    odds = np.empty((*factor.shape[:-2], n_features * (n_features - 1) // 2))
    m = 0
    for i in range(n_features):
        remaining = np.ones(factor.shape[:-2])
        for j in range(i):
            rho = np.clip(factor[..., i, j] / remaining, -_LARGEST, _LARGEST)
            odds[..., m] = 2.0 * np.arctanh(rho)
            remaining = remaining * np.sqrt(1.0 - rho**2)
            m += 1
    return odds
