"""Rotation matrices by Cayley's coordinates, and axes that several matrices share.

A rotation R near another, R_0, is R_0 (I - S)(I + S)^-1 with S skew-symmetric; its coordinates are the strict lower triangle of
S by rows. They reach every rotation but those that turn some plane of R_0 by half a turn (Cayley 1846). Haar's measure has the
density det(I + S)^-(D - 1) in them up to a constant (Leon, Masse & Rivest 2006, Journal of Multivariate Analysis 97).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

__all__ = ["coordinates_of", "named_axes", "proper", "rotation_at", "shared_axes"]

Array = NDArray[np.float64]
# Multiples of matrices in the sum whose eigenvectors are the axes that they share: any for which no two eigenvalues meet.
_GOLDEN = 0.5 * (math.sqrt(5.0) - 1.0)


def rotation_at(coordinates: Array, n_features: int) -> Array:
    """Rotations (..., D, D) at coordinates (..., D(D-1)/2), about the identity."""
    i, j = np.tril_indices(n_features, -1)
    skew = np.zeros((*coordinates.shape[:-1], n_features, n_features), dtype=coordinates.dtype)
    skew[..., i, j] = coordinates
    skew[..., j, i] = -coordinates
    one = np.eye(n_features)
    # The factors commute.
    return np.asarray(np.linalg.solve(one + skew, one - skew))


def coordinates_of(rotations: Array) -> Array:
    """Coordinates (..., D(D-1)/2) of rotations (..., D, D): inverse of `rotation_at`, which is its own inverse."""
    n_features = rotations.shape[-1]
    one = np.eye(n_features)
    skew = np.linalg.solve(one + rotations, one - rotations)
    i, j = np.tril_indices(n_features, -1)
    return np.asarray(0.5 * (skew[..., i, j] - skew[..., j, i]))


def proper(axes: Array) -> Array:
    """Axes (..., D, D), the last turned round where they are no rotation."""
    axes = np.array(axes)
    axes[..., -1] *= np.sign(np.linalg.det(axes))[..., None]
    return axes


def named_axes(axes: Array, reference: Array) -> tuple[Array, NDArray[np.intp]]:
    """Axes (..., G, D, D) in one order for all G and with signs in which they are nearest to those of the reference.

    Of all orders the one with the largest sum of |cosines| of the angles between axes and their namesakes; then each points the
    way of its namesake, and where that is no rotation the one that is furthest from its own is turned round. What is returned
    depends on the set of axes alone, and is one of the D! 2^((D - 1) G) ways to name them.

    Returns
    -------
    axes : (..., G, D, D)
    order : (..., D)
        Which of the axes given is each.
    """
    d = axes.shape[-1]
    cosines = np.swapaxes(reference, -1, -2) @ axes
    total = np.abs(cosines).sum(-3)
    flat = [linear_sum_assignment(-own)[1] for own in total.reshape(-1, d, d)]
    order = np.array(flat, dtype=np.intp).reshape(*total.shape[:-2], d)
    places = order[..., None, None, :]
    axes, cosines = np.take_along_axis(axes, places, axis=-1), np.take_along_axis(cosines, places, axis=-1)
    own = np.einsum("...ii->...i", cosines)
    signs = np.where(own < 0, -1.0, 1.0)
    mirrored = np.linalg.det(axes) * signs.prod(-1) < 0
    furthest = np.abs(own).argmin(-1)[..., None] == np.arange(d)
    signs = np.where(furthest & mirrored[..., None], -signs, signs)
    return axes * signs[..., None, :], order


def shared_axes(matrices: Array) -> Array:
    """Axes (..., D, D) that symmetric matrices (..., K, D, D) share: eigenvectors of a sum of multiples of them."""
    multiples = 0.5 + np.mod(_GOLDEN * np.arange(1, matrices.shape[-3] + 1), 1.0)
    size = np.sqrt((matrices**2).sum((-2, -1), keepdims=True))
    return np.asarray(np.linalg.eigh((matrices / size * multiples[:, None, None]).sum(-3))[1])
