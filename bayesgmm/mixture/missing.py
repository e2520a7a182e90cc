"""What is missing, given what is there: conditional draws and means under a mixture, pattern by pattern.

Given x_o a row belongs to component k with its responsibility, and the rest is then normal with mean mu_m + B (x_o - mu_o) and
covariance S_mm - B S_om, B = S_mo S_oo^-1.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from .estep import responsibilities
from .groups import each_pattern
from .mixture import Mixture
from .replicates import drawn_labels

__all__ = ["completed", "expected_values"]

Array = NDArray[np.float64]
Indices = NDArray[np.intp]


def completed(mixture: Mixture, values: Array, rng: np.random.Generator) -> Array:
    """Rows (N, D) with a draw of what is missing given what is not, under a single mixture; what is there stays."""
    result = np.array(values)
    for rows, seen, absent, own, r in _incomplete_patterns(mixture, values):
        label = drawn_labels(r, (len(rows),), rng)
        noise = rng.standard_normal((len(rows), absent.size))
        drawn = np.empty_like(noise)
        for k in np.unique(label):
            mine = label == k
            mean, rest = _given(mixture, k, own[mine], seen, absent)
            variances, axes = np.linalg.eigh(0.5 * (rest + rest.T))
            drawn[mine] = mean + noise[mine] @ (axes * np.sqrt(np.maximum(variances, 0.0))).T
        result[rows[:, None], absent] = drawn
    return result


def expected_values(mixture: Mixture, values: Array) -> Array:
    """Rows (N, D) with the mean of what is missing given what is not, under a single mixture; what is there stays."""
    result = np.array(values)
    for rows, seen, absent, own, r in _incomplete_patterns(mixture, values):
        each = [_given(mixture, k, own, seen, absent)[0] for k in range(mixture.n_components)]
        result[rows[:, None], absent] = np.einsum("nk,kna->na", r, np.stack(each))
    return result


def _incomplete_patterns(mixture: Mixture, values: Array) -> Iterator[tuple[Indices, Indices, Indices, Array, Array]]:
    """Of each pattern that lacks some: rows, features had and lacked, values (N, d), responsibilities (N, K) given these."""
    everything = np.arange(values.shape[1])
    for rows, seen in each_pattern(values):
        if seen.size < everything.size:
            own = values[rows[:, None], seen]
            r, _ = responsibilities(mixture.marginal(seen), own)
            yield rows, seen, np.setdiff1d(everything, seen), own, r


def _given(mixture: Mixture, k: int, own: Array, seen: Indices, absent: Indices) -> tuple[Array, Array]:
    """Mean (N, m) and covariance (m, m) of the features ``absent`` in component k, given the others (N, d)."""
    dense = mixture.dense_covariances[k]
    cross = dense[absent[:, None], seen]
    regression = np.linalg.solve(dense[seen[:, None], seen], cross.T).T
    mean = mixture.means[k, absent] + (own - mixture.means[k, seen]) @ regression.T
    return mean, dense[absent[:, None], absent] - regression @ cross.T
