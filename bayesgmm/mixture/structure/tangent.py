"""How covariances move with the coordinates of a structure's parts: first and second derivatives at one mixture.

Where covariances are no linear space (`Structure.linear`), standard errors and stationarity are statements about the surface
that they form. First derivatives are by complex steps (Squire & Trapp 1998, SIAM Review 40), exact to rounding; second ones are
central differences of those.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .base import Structure
from .parts import Part

__all__ = ["curvature", "tangent"]

Array = NDArray[np.float64]
_COMPLEX, _STEP = 1e-30, 1e-4


def tangent(structure: Structure, dense: Array) -> Array:
    """Derivatives (Q, K, D, D) of covariances (K, D, D) in the Q coordinates of the parts."""
    parts, point = _parts_about(structure, dense)
    moved = point + 1j * _COMPLEX * np.eye(len(point))
    return np.asarray(_dense_at(structure, parts, moved, len(dense)).imag / _COMPLEX)


def curvature(structure: Structure, dense: Array, slope: Array) -> Array:
    """Second derivatives (Q, Q) of sum_k tr(G_k S_k) for symmetric G (K, D, D) held fixed, in the coordinates of `tangent`."""
    parts, point = _parts_about(structure, dense)
    one = np.eye(len(point))

    def gradients(sign: float) -> Array:
        moved = point + sign * _STEP * one[:, None] + 1j * _COMPLEX * one
        along = _dense_at(structure, parts, moved, len(dense)).imag / _COMPLEX
        return np.asarray(np.einsum("pqkij,kij->pq", along, slope))

    found = (gradients(1.0) - gradients(-1.0)) / (2 * _STEP)
    return np.asarray(0.5 * (found + found.T))


def _parts_about(structure: Structure, dense: Array) -> tuple[tuple[Part, ...], Array]:
    """The parts with coordinates regular at covariances (K, D, D), and the point (Q,) there."""
    k, d = dense.shape[:2]
    values = structure.disassemble(dense)
    parts = tuple(part.about(values[part.name]) for part in structure.parts(k, d))
    return parts, np.concatenate([part.unconstrain(values[part.name]) for part in parts])


def _dense_at(structure: Structure, parts: Sequence[Part], u: Array, n_components: int) -> Array:
    """Covariances (..., K, D, D) at coordinates (..., Q)."""
    d = parts[0].n_features
    blocks = np.split(u, np.cumsum([part.length for part in parts])[:-1], axis=-1)
    values = {part.name: part.constrain(block) for part, block in zip(parts, blocks, strict=True)}
    factors = structure.assemble(values, d)
    dense = factors @ np.swapaxes(factors, -1, -2)
    return np.asarray(np.broadcast_to(dense, (*u.shape[:-1], n_components, d, d)))
