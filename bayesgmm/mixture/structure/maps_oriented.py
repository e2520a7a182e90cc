"""Compiled maps of structures with directions: volumes and shapes with correlations, or along the axes of rotations.

Loops over scalars, as in `maps`. Rotations are R_0 (I - S)(I + S)^-1 = R_0 (2 M - I) with M = (I + S)^-1, S skew-symmetric
(`rotation`): dR = -2 R_0 M dS M.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from ..machine import CALLED_BY_COMPILED
from .maps import (
    fill_correlated,
    fill_spectra,
    log_volume_of_correlations,
    pull_correlated,
    pull_log_volume,
    pull_spectra,
)

__all__ = ["fill_sheared", "fill_turned", "invert_one_plus_skew", "pull_sheared", "pull_turned"]


@njit(nogil=True, cache=True, error_model="numpy", **CALLED_BY_COMPILED)
def fill_sheared(u, n_volumes, n_shapes, n_correlated, whole_volume, factors):
    """Factors (K, D, D) = diag(sd) C, from u = [`fill_spectra`, log odds of the partial correlations (B, D(D-1)/2)].

    With ``whole_volume`` they are divided by the geometric mean of the diagonal of C: their determinants are those of sd.
    """
    n_components, d = factors.shape[0], factors.shape[1]
    sd = np.empty((n_components, d))
    first = _fill_scales(u, n_volumes, n_shapes, n_correlated, whole_volume, sd)
    fill_correlated(u, first, n_correlated, sd, factors)


@njit(nogil=True, cache=True, error_model="numpy", **CALLED_BY_COMPILED)
def _fill_scales(u, n_volumes, n_shapes, n_correlated, whole_volume, sd):
    """Standard deviations (K, D) that the correlations of `fill_sheared` are scaled by; where their log odds begin in u."""
    n_components, d = sd.shape
    fill_spectra(u, n_volumes, n_shapes, sd)
    n_pairs = d * (d - 1) // 2
    first = n_volumes + n_shapes * (d - 1)
    if whole_volume:
        for k in range(n_components):
            start = first + (k if n_correlated > 1 else 0) * n_pairs
            grow = math.exp(-log_volume_of_correlations(u, start, start + n_pairs) / d)
            for i in range(d):
                sd[k, i] *= grow
    return first


@njit(nogil=True, cache=True, error_model="numpy", **CALLED_BY_COMPILED)
def pull_sheared(u, n_volumes, n_shapes, n_correlated, whole_volume, factors, d_factors, d_u):
    """Add to d_u the gradient with respect to u of `fill_sheared`."""
    n_components, d = factors.shape[0], factors.shape[1]
    n_pairs = d * (d - 1) // 2
    sd, d_logs = np.empty((n_components, d)), np.zeros((n_components, d))
    first = _fill_scales(u, n_volumes, n_shapes, n_correlated, whole_volume, sd)
    pull_correlated(u, first, n_correlated, sd, factors, d_factors, d_logs, d_u)
    if whole_volume:
        for k in range(n_components):
            total = 0.0
            for i in range(d):
                total += d_logs[k, i]
            start = first + (k if n_correlated > 1 else 0) * n_pairs
            pull_log_volume(u, start, start + n_pairs, -total / d, d_u)
    pull_spectra(n_volumes, n_shapes, d_logs, d_u)


@njit(nogil=True, cache=True, error_model="numpy", **CALLED_BY_COMPILED)
def invert_one_plus_skew(u, start, inverse):
    """(I + S)^-1 into ``inverse`` (D, D), S the skew matrix whose strict lower triangle is u[start:] by rows; log det(I + S).

    Gauss and Jordan's elimination without exchanges: the symmetric part of I + S is the identity, and pivots are at least 1.
    """
    d = inverse.shape[0]
    work = np.empty((d, d))
    m = start
    for i in range(d):
        for j in range(i):
            work[i, j], work[j, i] = u[m], -u[m]
            inverse[i, j], inverse[j, i] = 0.0, 0.0
            m += 1
        work[i, i], inverse[i, i] = 1.0, 1.0
    log_det = 0.0
    for p in range(d):
        pivot = work[p, p]
        log_det += math.log(pivot)
        for j in range(d):
            work[p, j] /= pivot
            inverse[p, j] /= pivot
        for i in range(d):
            if i != p:
                times = work[i, p]
                for j in range(d):
                    work[i, j] -= times * work[p, j]
                    inverse[i, j] -= times * inverse[p, j]
    return log_det


@njit(nogil=True, cache=True, error_model="numpy", **CALLED_BY_COMPILED)
def _fill_axes_of(u, start, reference, o, inverse, axes):
    """Axes R_0 (2 M - I) (D, D) of one rotation, and M into ``inverse``."""
    d = inverse.shape[0]
    invert_one_plus_skew(u, start, inverse)
    for i in range(d):
        for j in range(d):
            total = -reference[o, i, j]
            for m in range(d):
                total += 2.0 * reference[o, i, m] * inverse[m, j]
            axes[i, j] = total


@njit(nogil=True, cache=True, error_model="numpy", **CALLED_BY_COMPILED)
def _fill_cholesky(axes, sd, k, lower):
    """lower[k], the Cholesky factor of axes diag(sd[k])^2 axes'."""
    d = axes.shape[0]
    for i in range(d):
        for j in range(d):
            lower[k, i, j] = 0.0
        for j in range(i + 1):
            total = 0.0
            for m in range(d):
                total += axes[i, m] * sd[k, m] * sd[k, m] * axes[j, m]
            for m in range(j):
                total -= lower[k, i, m] * lower[k, j, m]
            lower[k, i, j] = math.sqrt(total) if i == j else total / lower[k, j, j]


@njit(nogil=True, cache=True, error_model="numpy", **CALLED_BY_COMPILED)
def fill_turned(u, n_volumes, n_shapes, reference, factors):
    """Cholesky factors (K, D, D) of D diag(sd)^2 D', from u = [`fill_spectra`, coordinates of rotations (O, D(D-1)/2)]."""
    n_components, d = factors.shape[0], factors.shape[1]
    n_rotations = reference.shape[0]
    sd = np.empty((n_components, d))
    fill_spectra(u, n_volumes, n_shapes, sd)
    inverse, axes = np.empty((d, d)), np.empty((d, d))
    start = n_volumes + n_shapes * (d - 1)
    for k in range(n_components):
        if k < n_rotations:
            _fill_axes_of(u, start, reference, k, inverse, axes)
            start += d * (d - 1) // 2
        _fill_cholesky(axes, sd, k, factors)


@njit(nogil=True, cache=True, error_model="numpy", **CALLED_BY_COMPILED)
def _pull_cholesky(factors, d_factors, k, work, slope):
    """d/dS (D, D), symmetric, into ``slope`` of S = L L', from the gradient d_factors[k] with respect to L (Murray 2016).

    It is the symmetric part of L^-T Phi(L' dL) L^-1, Phi the lower triangle with its diagonal halved.
    """
    d = slope.shape[0]
    for i in range(d):
        for j in range(d):
            total = 0.0
            if j <= i:
                for m in range(i, d):
                    total += factors[k, m, i] * d_factors[k, m, j]
            work[i, j] = 0.5 * total if i == j else total
    # work <- L^-T work, then work <- work L^-1.
    for j in range(d):
        for i in range(d - 1, -1, -1):
            total = work[i, j]
            for m in range(i + 1, d):
                total -= factors[k, m, i] * work[m, j]
            work[i, j] = total / factors[k, i, i]
    for i in range(d):
        for j in range(d - 1, -1, -1):
            total = work[i, j]
            for m in range(j + 1, d):
                total -= work[i, m] * factors[k, m, j]
            work[i, j] = total / factors[k, j, j]
    for i in range(d):
        for j in range(d):
            slope[i, j] = 0.5 * (work[i, j] + work[j, i])


@njit(nogil=True, cache=True, error_model="numpy", **CALLED_BY_COMPILED)
def _pull_rotation(reference, o, inverse, d_axes, work, start, d_u):
    """Add to d_u the gradient in the coordinates of one rotation: dS = -2 M' R_0' dD M', u_ij = S_ij = -S_ji."""
    d = inverse.shape[0]
    turned = np.empty((d, d))
    for i in range(d):
        for j in range(d):
            total = 0.0
            for m in range(d):
                total += reference[o, m, i] * d_axes[m, j]
            turned[i, j] = total
    for i in range(d):
        for j in range(d):
            total = 0.0
            for m in range(d):
                total += turned[i, m] * inverse[j, m]
            work[i, j] = total
    m = start
    for i in range(d):
        for j in range(i):
            total = 0.0
            for p in range(d):
                total += inverse[p, i] * work[p, j] - inverse[p, j] * work[p, i]
            d_u[m] -= 2.0 * total
            m += 1


@njit(nogil=True, cache=True, error_model="numpy", **CALLED_BY_COMPILED)
def pull_turned(u, n_volumes, n_shapes, reference, factors, d_factors, d_u):
    """Add to d_u the gradient with respect to u of `fill_turned`."""
    n_components, d = factors.shape[0], factors.shape[1]
    n_rotations, n_pairs = reference.shape[0], d * (d - 1) // 2
    sd, d_logs = np.empty((n_components, d)), np.zeros((n_components, d))
    fill_spectra(u, n_volumes, n_shapes, sd)
    inverse, axes, d_axes = np.empty((d, d)), np.empty((d, d)), np.empty((d, d))
    work, slope = np.empty((d, d)), np.empty((d, d))
    start = n_volumes + n_shapes * (d - 1)
    for k in range(n_components):
        if k < n_rotations:
            _fill_axes_of(u, start, reference, k, inverse, axes)
            for i in range(d):
                for j in range(d):
                    d_axes[i, j] = 0.0
        _pull_cholesky(factors, d_factors, k, work, slope)
        # S = D diag(sd)^2 D': dD = 2 dS D diag(sd)^2, and d log sd_j = sum_i D_ij dD_ij of this component.
        for j in range(d):
            along = 0.0
            for i in range(d):
                total = 0.0
                for m in range(d):
                    total += slope[i, m] * axes[m, j]
                total *= 2.0 * sd[k, j] * sd[k, j]
                d_axes[i, j] += total
                along += axes[i, j] * total
            d_logs[k, j] = along
        if n_rotations > 1 or k == n_components - 1:
            _pull_rotation(reference, k if n_rotations > 1 else 0, inverse, d_axes, work, start, d_u)
            start += n_pairs
    pull_spectra(n_volumes, n_shapes, d_logs, d_u)
