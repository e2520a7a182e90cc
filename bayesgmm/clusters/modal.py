"""Modal EM over posterior draws in machine code: their modes, and the mode to which each row climbs.

A mode's excess mass (Mueller & Sawitzki 1991) is the mass of its bump above the pass to a higher mode,

    integral over its basin of (f - f(pass))+ dx = E[1{X in basin} (1 - f(pass) / f(X))+],

estimated by the mean over the rows: times their number, how many rows the bump holds. Less must be moved to level it.
Levelling costs log likelihood: with l = log f - log f(pass) on the bump, the levelled density is min(f, f(pass)) there, and
all is divided by one minus the excess mass, so that each row of the bump loses, to first order in the excess mass,

    l - (1 - exp(-l)) >= 0.

The sum is the evidence for the mode in nats: a few rows far from all others have much of it, a ripple in a tail little.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from .climbing import climb_from, log_density_at
from .passes import POINTS, fill_starts, identify, set_reach

__all__ = ["climb_draws"]


@njit(nogil=True, cache=True, error_model="numpy")
def _bump(m, level, enough, nats, labels, alias, rows, sample_weight, means, inverse, constant, p, y):
    """Excess mass (rows) and evidence (nats) of mode m above the log density ``level``, up to where both are enough."""
    total, evidence = 0.0, 0.0
    for i in range(rows.shape[0]):
        if alias[labels[i]] == m:
            if enough <= 0.0 and nats <= 0.0:
                return 1.0, 1.0
            over = max(0.0, log_density_at(rows[i], means, inverse, constant, p, y) - level)
            excess = 1.0 - math.exp(-over)
            total += sample_weight[i] * excess
            evidence += sample_weight[i] * (over - excess)
            if total > enough and evidence > nats:
                break
    return total, evidence


@njit(nogil=True, cache=True, error_model="numpy")
def _level_slight(
    n_modes, min_rows, min_evidence, labels, alias, height, passes, rows, sample_weight, means, inverse, constant, p, y
):
    """Join modes with no more than so many rows or nats to the higher mode over the highest pass, slightest first.

    ``alias`` (M,) receives the mode that each has become. With both 0 only modes without rows are joined.
    """
    for m in range(n_modes):
        alias[m] = m
    while True:
        least, slight, heir = np.inf, -1, -1
        for m in range(n_modes):
            over, partner = -np.inf, -1
            for other in range(n_modes):
                higher = height[other] > height[m] or (height[other] == height[m] and other < m)
                if alias[m] == m and alias[other] == other and higher and passes[m, other] > over:
                    over, partner = passes[m, other], other
            if partner >= 0:
                bump, evidence = _bump(
                    m, over, min_rows, min_evidence, labels, alias, rows, sample_weight, means, inverse, constant, p, y
                )
                if (bump <= min_rows or evidence <= min_evidence) and evidence < least:
                    least, slight, heir = evidence, m, partner
        if slight < 0:
            break
        for m in range(n_modes):
            if alias[m] == slight:
                alias[m] = heir
            passes[heir, m] = max(passes[heir, m], passes[slight, m])
            passes[m, heir] = passes[heir, m]


@njit(nogil=True, cache=True, error_model="numpy")
def _compact(n_modes, alias, component, labels, modes):
    """Number the modes that are left from zero on, everywhere; returns how many."""
    left = 0
    number = np.empty(n_modes, dtype=np.int64)
    for m in range(n_modes):
        if alias[m] == m:
            number[m] = left
            for a in range(modes.shape[1]):
                modes[left, a] = modes[m, a]
            left += 1
    for k in range(component.size):
        component[k] = number[alias[component[k]]]
    for i in range(labels.size):
        labels[i] = number[alias[labels[i]]]
    return left


@njit(nogil=True, cache=True, error_model="numpy")
def climb_draws(
    means,
    inverse,
    constant,
    precision,
    rows,
    sample_weight,
    min_rows,
    min_evidence,
    component,
    number,
    modes,
    labels,
    first,
    stop,
):
    """Modes of the mixtures ``first`` to ``stop``, and the mode of each row.

    Parameters
    ----------
    means : (S, K, D)
    inverse, precision : (S, K, D, D)
        Inverse Cholesky factors of the covariances, and their inverses.
    constant : (S, K)
        Log normalisers, weights included.
    rows : (N, D)
    sample_weight : (N,)
    min_rows : float
        Modes whose bump holds no more rows are joined to a higher one,
    min_evidence : float
        and those with no more evidence, in nats.
    component : (S, K) int64
        Written: the mode to which each mean climbs.
    number : (S,) int64
        Written: modes left.
    modes : (S, M, D)
        Written: where they are.
    labels : (S, N) int16
        Written: the mode to which each row climbs.
    first, stop : int
    """
    _, n_components, d = means.shape
    room = modes.shape[1]
    p, y, own = np.empty(n_components), np.empty((n_components, d)), np.empty((n_components, d))
    work, x, found = np.empty((d + 4, d)), np.empty(d), np.zeros(1, dtype=np.int64)
    metric, height, reach = np.empty((room, d, d)), np.empty(room), np.empty(room)
    low, passes = np.empty((n_components, n_components)), np.empty((room, room))
    alias = np.empty(room, dtype=np.int64)
    path = np.empty((POINTS, d))
    starts = np.empty((n_components + n_components * n_components * POINTS // 4, d))
    for s in range(first, stop):
        at, w, c, precise, where = means[s], inverse[s], constant[s], precision[s], modes[s]
        n_starts = fill_starts(at, w, c, precise, starts, low, p, y, work)
        found[0] = 0
        # The starts climb first, and to the top; then the rows. One loop: the code of a climb is compiled once.
        q = 0
        while q < n_starts + rows.shape[0]:
            if q == n_starts:
                set_reach(
                    found[0], component[s], low, path, at, w, c, precise, where, height, passes, reach, p, y, own, work
                )  # fmt: skip
            for a in range(d):
                x[a] = starts[q, a] if q < n_starts else rows[q - n_starts, a]
            known = found[0] if q >= n_starts else 0
            m = climb_from(x, at, w, c, precise, where, metric, reach, known, p, y, own, work)
            if m < 0:
                m = identify(x, at, w, c, precise, where, metric, height, found, p, y, work)
            if q < n_components:
                component[s, q] = m
            if q >= n_starts:
                labels[s, q - n_starts] = m
                if found[0] > known:
                    # A mode that no start leads to: rows captured before may be its own.
                    q = n_starts - 1
            q += 1
        _level_slight(
            found[0], min_rows, min_evidence, labels[s], alias, height, passes, rows, sample_weight, at, w, c, p, y
        )
        number[s] = _compact(found[0], alias, component[s], labels[s], where)
