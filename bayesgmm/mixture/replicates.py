"""Rows drawn from mixtures: the one sampler of whatever needs replicated data."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .mixture import Mixture
from .parallel import blocks_of

__all__ = ["drawn_labels", "drawn_rows", "replicates"]

Array = NDArray[np.float64]
# Rows for which factors are gathered at a time.
_AT_ONCE = 2**14


def drawn_labels(shares: Array, size: tuple[int, ...], rng: Any) -> NDArray[np.intp]:
    """Components (*size) by their shares (..., K)."""
    return np.asarray((rng.uniform(size=(*size, 1)) > np.cumsum(shares, axis=-1)[..., :-1]).sum(-1))


def drawn_rows(mixture: Mixture, which: tuple[NDArray[np.intp], ...], rng: Any) -> Array:
    """Rows (N, D), one from each of the components that are pointed at.

    Parameters
    ----------
    mixture : Mixture
        One, or many with leading axes.
    which : tuple of (N,) int
        Of each row, the place of its component: along the leading axes, if any, and among the K.
    rng : Generator or RandomState
        Asked for standard normal numbers (N, D).
    """
    n_rows = len(which[-1])
    z = rng.standard_normal((n_rows, mixture.n_features))
    factors = np.linalg.cholesky(mixture.dense_covariances)
    for part in blocks_of(n_rows, _AT_ONCE):
        own = tuple(index[part] for index in which)
        z[part] = mixture.means[own] + np.einsum("nij,nj->ni", factors[own], z[part])
    return z


def replicates(draws: Mixture, n_rows: int, rng: np.random.Generator) -> Array:
    """One data set (n_rows, D) from each of S mixtures: (S, n_rows, D)."""
    n_draws = len(draws.weights)
    labels = drawn_labels(draws.weights[:, None], (n_draws, n_rows), rng)
    which = np.repeat(np.arange(n_draws), n_rows), labels.ravel()
    return drawn_rows(draws, which, rng).reshape(n_draws, n_rows, draws.n_features)
