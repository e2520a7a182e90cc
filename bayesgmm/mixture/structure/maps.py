"""What structures' compiled maps are made of: covariance factors from parts, and the way back.

Coordinates u of a part lie block after block; everything is loops over scalars, which cost numba least to compile.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from ..machine import CALLED_BY_COMPILED

__all__ = [
    "fill_axes", "fill_axial", "fill_correlated", "fill_scales", "fill_spectra", "log_volume_of_correlations", "pull_axes",
    "pull_axial", "pull_correlated", "pull_log_volume", "pull_spectra",
]  # fmt: skip


@njit(nogil=True, cache=True, error_model="numpy", **CALLED_BY_COMPILED)
def fill_scales(logs, sd):
    """Standard deviations (G, D) from their logarithms."""
    for g in range(sd.shape[0]):
        for i in range(sd.shape[1]):
            sd[g, i] = math.exp(logs[g, i])


@njit(nogil=True, cache=True, error_model="numpy", **CALLED_BY_COMPILED)
def fill_correlated(u, first, n_groups, sd, factors):
    """Factors (K, D, D) = diag(sd) C, from u[first:] = log odds of the partial correlations (G, D(D-1)/2), G = K or one.

    The log odds are of (1 + rho) / 2: rho = tanh(z / 2), and sqrt(1 - rho^2) = 1 / cosh(z / 2) without cancellation.
    """
    n_components, n_features = sd.shape
    for k in range(n_components):
        m = first + (k if n_groups > 1 else 0) * (n_features * (n_features - 1) // 2)
        for i in range(n_features):
            remaining = sd[k, i]
            for j in range(i):
                half = 0.5 * u[m]
                factors[k, i, j] = math.tanh(half) * remaining
                remaining /= math.cosh(half)
                m += 1
            factors[k, i, i] = remaining
            for j in range(i + 1, n_features):
                factors[k, i, j] = 0.0


@njit(nogil=True, cache=True, error_model="numpy", **CALLED_BY_COMPILED)
def pull_correlated(u, first, n_groups, sd, factors, d_factors, d_logs, d_u):
    """Add to d_logs (K, D) and d_u the gradient in log sd and in u, from that in the factors of `fill_correlated`.

    With L_ij = s_i t_j prod_{q<j} c_q, t = tanh(z / 2), c = 1 / cosh(z / 2): d L_ij / d z_j = s_i prod_{q<=j} c_q * c_j / 2,
    and every later L_im of the row falls by t_j / 2 times itself.
    """
    n_components, n_features = sd.shape
    for k in range(n_components):
        m = first + (k if n_groups > 1 else 0) * (n_features * (n_features - 1) // 2)
        for i in range(n_features):
            row = 0.0
            for j in range(i + 1):
                row += factors[k, i, j] * d_factors[k, i, j]
            d_logs[k, i] += row
            later = row
            remaining = sd[k, i]
            for j in range(i):
                half = 0.5 * u[m]
                shrink = 1.0 / math.cosh(half)
                later -= factors[k, i, j] * d_factors[k, i, j]
                d_u[m] += 0.5 * (shrink * shrink * remaining * d_factors[k, i, j] - math.tanh(half) * later)
                remaining *= shrink
                m += 1


@njit(nogil=True, cache=True, error_model="numpy", **CALLED_BY_COMPILED)
def log_volume_of_correlations(u, start, stop):
    """Log of the product of a correlation factor's diagonal, from its log odds u[start:stop]."""
    total = 0.0
    for m in range(start, stop):
        total -= math.log(math.cosh(0.5 * u[m]))
    return total


@njit(nogil=True, cache=True, error_model="numpy", **CALLED_BY_COMPILED)
def pull_log_volume(u, start, stop, slope, d_u):
    """Add to d_u the gradient of ``slope`` times `log_volume_of_correlations`."""
    for m in range(start, stop):
        half = 0.5 * u[m]
        d_u[m] -= 0.5 * slope * math.tanh(half)


@njit(nogil=True, cache=True, error_model="numpy", **CALLED_BY_COMPILED)
def fill_axes(u, n_groups, width, n_features, factors):
    """Factors (G, D, D) = diag(sd) from u = log sd (G, E), E = D or one number for all features."""
    for g in range(n_groups):
        for i in range(n_features):
            for j in range(n_features):
                factors[g, i, j] = 0.0
            factors[g, i, i] = math.exp(u[g * width + (i if width > 1 else 0)])


@njit(nogil=True, cache=True, error_model="numpy", **CALLED_BY_COMPILED)
def pull_axes(n_groups, width, n_features, factors, d_factors, d_u):
    """Add to d_u the gradient with respect to u of `fill_axes`."""
    for g in range(n_groups):
        for i in range(n_features):
            d_u[g * width + (i if width > 1 else 0)] += factors[g, i, i] * d_factors[g, i, i]


@njit(nogil=True, cache=True, error_model="numpy", **CALLED_BY_COMPILED)
def fill_spectra(u, n_volumes, n_shapes, sd):
    """Standard deviations along the axes (K, D) from u = [log volumes (V,), contrasts of the log shapes (H, D - 1)].

    V and H are K or one. Contrast j (`parts.contrasts`) is 1 / sqrt(j (j + 1)) on features before j and -j times that on j.
    """
    n_components, n_features = sd.shape
    for k in range(n_components):
        size = u[k if n_volumes > 1 else 0]
        start = n_volumes + (k if n_shapes > 1 else 0) * (n_features - 1)
        later = 0.0
        for j in range(n_features - 1, 0, -1):
            unit = u[start + j - 1] / math.sqrt(j * (j + 1.0))
            sd[k, j] = math.exp(size + later - j * unit)
            later += unit
        sd[k, 0] = math.exp(size + later)


@njit(nogil=True, cache=True, error_model="numpy", **CALLED_BY_COMPILED)
def pull_spectra(n_volumes, n_shapes, d_logs, d_u):
    """Add to d_u the gradient with respect to u of `fill_spectra`, from that with respect to the log sd (K, D)."""
    n_components, n_features = d_logs.shape
    for k in range(n_components):
        start = n_volumes + (k if n_shapes > 1 else 0) * (n_features - 1)
        before = d_logs[k, 0]
        for j in range(1, n_features):
            d_u[start + j - 1] += (before - j * d_logs[k, j]) / math.sqrt(j * (j + 1.0))
            before += d_logs[k, j]
        d_u[k if n_volumes > 1 else 0] += before


@njit(nogil=True, cache=True, error_model="numpy", **CALLED_BY_COMPILED)
def fill_axial(u, n_volumes, n_shapes, factors):
    """Factors (K, D, D) = diag(sd), the sd those of `fill_spectra`."""
    n_components, n_features = factors.shape[0], factors.shape[1]
    sd = np.empty((n_components, n_features))
    fill_spectra(u, n_volumes, n_shapes, sd)
    for k in range(n_components):
        for i in range(n_features):
            for j in range(n_features):
                factors[k, i, j] = 0.0
            factors[k, i, i] = sd[k, i]


@njit(nogil=True, cache=True, error_model="numpy", **CALLED_BY_COMPILED)
def pull_axial(n_volumes, n_shapes, factors, d_factors, d_u):
    """Add to d_u the gradient with respect to u of `fill_axial`."""
    n_components, n_features = factors.shape[0], factors.shape[1]
    d_logs = np.empty((n_components, n_features))
    for k in range(n_components):
        for i in range(n_features):
            d_logs[k, i] = factors[k, i, i] * d_factors[k, i, i]
    pull_spectra(n_volumes, n_shapes, d_logs, d_u)
