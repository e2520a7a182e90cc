"""Passes between the modes of a mixture, and what follows: which arrivals are one mode, and how far a mode captures.

All critical points lie on the ridgeline manifold x(a) = (sum a_k P_k)^-1 sum a_k P_k mu_k (Ray & Lindsay 2005): maxima on
the ridgeline between two components are starts beside the means, and its lowest point is on a path between their modes.
The pass is sought along such paths and is not known, so that no more than half of the ellipsoid that (1) of `climbing`
certifies is used.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from .climbing import ARRIVED, gradients, information, log_density_at, solve

__all__ = ["POINTS", "fill_starts", "identify", "set_reach"]

# A dip between two modes that is no deeper, in nats, is none: two equal components 2.0002 sd apart have one of 1e-8.
_DIP = 1e-8
# Points looked at on a path between two modes or components.
POINTS = 17
# Steps of a point of a path within its hyperplane, and the squared length at which it has arrived.
_RISES = 20
_RISEN = 1e-6
# A row is captured at no more than this squared distance from a mode, whatever its gap: farther off it must climb, and
# may find a mode that no component's mean leads to.
_CAPTURE = 2.0


@njit(nogil=True, cache=True, error_model="numpy")
def lowest_between(a, b, means, inverse, constant, p, y, trial):
    """Lowest log density on the straight line between two points (D,), the ends left out."""
    lowest = np.inf
    for t in range(1, POINTS - 1):
        share = t / (POINTS - 1)
        for c in range(a.size):
            trial[c] = (1.0 - share) * a[c] + share * b[c]
        lowest = min(lowest, log_density_at(trial, means, inverse, constant, p, y))
    return lowest


@njit(nogil=True, cache=True, error_model="numpy")
def identify(x, means, inverse, constant, precision, modes, metric, height, found, p, y, work):
    """The mode that x (D,), where a climb arrived, is. A new one is written and counted in ``found`` (1,).

    Two strict maxima have a dip between them on any path, so that without one they are the same. Beyond the room for
    modes the nearest is taken.
    """
    d, n_modes = x.size, found[0]
    value = log_density_at(x, means, inverse, constant, p, y)
    nearest, least = 0, np.inf
    for m in range(n_modes):
        total = 0.0
        for a in range(d):
            for b in range(d):
                total += metric[m, max(a, b), min(a, b)] * (x[a] - modes[m, a]) * (x[b] - modes[m, b])
        if total < least:
            nearest, least = m, total
        if total < ARRIVED:
            return m
        lowest = lowest_between(x, modes[m], means, inverse, constant, p, y, work[d + 2])
        if lowest >= min(value, height[m]) - _DIP:
            return m
    if n_modes == modes.shape[0]:
        return nearest
    height[n_modes] = log_density_at(x, means, inverse, constant, p, y)
    information(p, precision, metric[n_modes])
    for a in range(d):
        modes[n_modes, a] = x[a]
    found[0] += 1
    return n_modes


@njit(nogil=True, cache=True, error_model="numpy")
def _ridge_point(i, j, share, means, precision, work, x):
    """Fill x (D,) with the point of the ridgeline from mean i (share 0) to mean j (share 1).

    (a P_i + b P_j)^-1 (a P_i mu_i + b P_j mu_j), with shares relative to the size of the precisions, so that points do
    not crowd at the narrower component.
    """
    d = x.size
    size_i, size_j = 0.0, 0.0
    for a in range(d):
        size_i += precision[i, a, a]
        size_j += precision[j, a, a]
    own, other = (1.0 - share) / size_i, share / size_j
    for a in range(d):
        value = 0.0
        for b in range(d):
            value += other * precision[j, a, b] * (means[j, b] - means[i, b])
        work[d, a] = value
        for b in range(a + 1):
            work[a, b] = own * precision[i, a, b] + other * precision[j, a, b]
    solve(work[:d], work[d], x)
    for a in range(d):
        x[a] += means[i, a]


@njit(nogil=True, cache=True, error_model="numpy")
def fill_starts(means, inverse, constant, precision, starts, low, p, y, work):
    """Fill starts (T, D) with the means and the maxima between them on ridgelines; returns how many.

    ``low`` (K, K) receives the lowest log density on each ridgeline.
    """
    n_components, d = means.shape
    level = np.empty(POINTS)
    for k in range(n_components):
        for a in range(d):
            starts[k, a] = means[k, a]
    size = n_components
    for i in range(n_components):
        for j in range(i):
            low[i, j] = np.inf
            for t in range(POINTS):
                _ridge_point(i, j, t / (POINTS - 1), means, precision, work, work[d + 2])
                level[t] = log_density_at(work[d + 2], means, inverse, constant, p, y)
                low[i, j] = min(low[i, j], level[t])
                # The point before is a maximum; it is made again rather than kept.
                if t > 1 and level[t - 1] > level[t - 2] and level[t - 1] > level[t]:
                    _ridge_point(i, j, (t - 1) / (POINTS - 1), means, precision, work, starts[size])
                    size += 1
    return size


@njit(nogil=True, cache=True, error_model="numpy")
def _rise_in_slice(x, normal, means, inverse, constant, precision, p, y, own, work):
    """Climb from x (D,), in place, within the hyperplane through it with that ``normal``; the log density reached.

    There (1) is highest at M^-1 (g - c normal), with c such that the step has no part along the normal.
    """
    d = x.size
    matrix, total, step, across = work[:d], work[d], work[d + 1], work[d + 2]
    value = log_density_at(x, means, inverse, constant, p, y)
    for _ in range(_RISES):
        gradients(p, y, inverse, own, total)
        information(p, precision, matrix)
        length = solve(matrix, total, step)
        information(p, precision, matrix)
        size = solve(matrix, normal, across)
        along = 0.0
        for a in range(d):
            along += normal[a] * step[a]
        for a in range(d):
            x[a] += step[a] - along / size * across[a]
        value = log_density_at(x, means, inverse, constant, p, y)
        if length - along * along / size < _RISEN:
            break
    return value


@njit(nogil=True, cache=True, error_model="numpy")
def _pass_between(first, second, path, means, inverse, constant, precision, p, y, own, work):
    """Heights below and above which the pass between two modes (D,) is sought.

    The straight line is cut by hyperplanes, in each of which its point climbs. Every path from mode to mode crosses each
    of them, so that the lowest of the points reached is above the pass if they are the maxima of their hyperplanes; the
    lowest density on the broken line through them is below it.
    """
    d = first.size
    normal = work[d + 3]
    for a in range(d):
        normal[a] = second[a] - first[a]
    above = np.inf
    for t in range(POINTS):
        share = t / (POINTS - 1)
        for a in range(d):
            path[t, a] = (1.0 - share) * first[a] + share * second[a]
        if d > 1 and 0 < t < POINTS - 1:
            above = min(above, _rise_in_slice(path[t], normal, means, inverse, constant, precision, p, y, own, work))
    below = np.inf
    for t in range(2 * POINTS - 1):
        for a in range(d):
            work[d, a] = 0.5 * (path[t // 2, a] + path[(t + 1) // 2, a])
        below = min(below, log_density_at(work[d], means, inverse, constant, p, y))
    return below, above if d > 1 else below


@njit(nogil=True, cache=True, error_model="numpy")
def set_reach(
    n_modes, component, low, path, means, inverse, constant, precision, modes, height, passes, reach, p, y, own, work
):  # fmt: skip
    """Fill reach (M,): the squared distance within which a mode captures, half of what (1) certifies.

    The pass between two modes is no lower than the lowest point of any path: of the lines of `_pass_between`, and of the
    ridgelines between components of the two. ``passes`` (M, M) receives the highest of these.
    """
    n_components, d = means.shape
    for m in range(n_modes):
        reach[m] = _CAPTURE
    for m in range(n_modes):
        for other in range(m):
            straight = lowest_between(modes[m], modes[other], means, inverse, constant, p, y, work[d + 2])
            below, above = _pass_between(
                modes[m], modes[other], path, means, inverse, constant, precision, p, y, own, work
            )  # fmt: skip
            over = max(straight, below)
            for i in range(n_components):
                for j in range(i):
                    if (component[i] == m and component[j] == other) or (component[i] == other and component[j] == m):
                        over = max(over, low[i, j])
            passes[m, other] = over
            passes[other, m] = over
            above = max(above, over)
            reach[m] = min(reach[m], height[m] - above)
            reach[other] = min(reach[other], height[other] - above)
