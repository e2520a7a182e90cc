"""The maximisation step of axes that all components share, compiled at its first use."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

__all__ = ["turn_axes"]

# Sweeps of `turn_axes`, and the angle below which it ends.
_SWEEPS, _STILL = 500, 1e-10


@njit(nogil=True, cache=True, error_model="numpy")
def turn_axes(within, counts, common_volume, axes, spreads):
    """Turn axes until the spreads along them are those of maximum likelihood, for S mixtures.

    With T_k the scatter of component k in the axes and a_ki its variances along them, the angle of the plane (i, j) matters to
    the likelihood through sum_k (1 / a_ki - 1 / a_kj) T_kii: P cos 2t + Q sin 2t in the angle t, whose minimum is closed. After
    each turn the variances follow: a round of Flury & Gautschi's (1986, SIAM Journal on Scientific and Statistical Computing 7)
    algorithm with one inner step. No turn and no update lowers the likelihood.

    Parameters
    ----------
    within : (S, K, D, D)
        Overwritten: the scatter in the final axes.
    counts : (S, K)
    common_volume : bool
        Whether the variances a_ki of all components have one product (EVE) or their own (VVE).
    axes : (S, D, D)
        To begin with; overwritten.
    spreads : (S, K, D)
        Written: diagonals of the scatter in the final axes.
    """
    n_mixtures, n_components, d = spreads.shape
    weight = np.empty(n_components)
    for s in range(n_mixtures):
        for _ in range(_SWEEPS):
            largest = 0.0
            for i in range(d):
                for j in range(i):
                    for k in range(n_components):
                        weight[k] = counts[s, k]
                        if common_volume:
                            total = 0.0
                            for m in range(d):
                                total += math.log(within[s, k, m, m])
                            weight[k] = math.exp(total / d)
                    p, q, scale = 0.0, 0.0, 0.0
                    for k in range(n_components):
                        own, other = within[s, k, i, i], within[s, k, j, j]
                        slope = weight[k] * (1.0 / own - 1.0 / other)
                        p += 0.5 * slope * (own - other)
                        q += slope * within[s, k, i, j]
                        scale += weight[k]
                    if not abs(p) + abs(q) > 1e-14 * scale:
                        continue
                    angle = 0.5 * math.atan2(-q, -p)
                    largest = max(largest, abs(math.sin(angle)))
                    _turn(within, axes, s, i, j, math.cos(angle), math.sin(angle))
            if largest < _STILL:
                break
        for k in range(n_components):
            for i in range(d):
                spreads[s, k, i] = within[s, k, i, i]


@njit(nogil=True, cache=True, error_model="numpy")
def _turn(within, axes, s, i, j, cosine, sine):
    """Turn axes i and j: the scatter of every component, and the axes themselves."""
    d = axes.shape[1]
    for k in range(within.shape[1]):
        for m in range(d):
            a, b = within[s, k, m, i], within[s, k, m, j]
            within[s, k, m, i] = cosine * a + sine * b
            within[s, k, m, j] = cosine * b - sine * a
        for m in range(d):
            a, b = within[s, k, i, m], within[s, k, j, m]
            within[s, k, i, m] = cosine * a + sine * b
            within[s, k, j, m] = cosine * b - sine * a
    for m in range(d):
        a, b = axes[s, m, i], axes[s, m, j]
        axes[s, m, i] = cosine * a + sine * b
        axes[s, m, j] = cosine * b - sine * a
