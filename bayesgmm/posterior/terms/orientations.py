"""Orientations: rotations under Haar's measure, uniform over all directions, in Cayley's coordinates (`mixture.rotation`).

In the measure of R'dR a rotation's coordinates have the density 2^P det(I + S)^-(D - 1), P = D(D - 1)/2, and all of SO(D) the
volume prod_{m=2}^D 2 pi^(m/2) / Gamma(m/2): of the spheres that its columns run through one after the other. Turned by a fixed
rotation Haar's measure stays what it is, so that the prior knows nothing of the rotation about which the coordinates are.
"""

from __future__ import annotations

from math import lgamma, log, pi
from typing import Any

import numpy as np
from numba import carray
from numpy.typing import NDArray

from ...mixture import ADD_TERM, Orientations, address_of, coordinates_of, doubles, invert_one_plus_skew, proper
from ..priors import Priors
from .base import Term

__all__ = ["OrientationsTerm"]

Array = NDArray[np.float64]


def _add(x_, numbers_, gradient_):
    """-(D - 1) log det(I + S) of every rotation; d log det / dS = (I + S)^-T."""
    head = carray(doubles(numbers_), (3,))
    start, n_blocks, d = int(head[0]), int(head[1]), int(head[2])
    n_pairs = d * (d - 1) // 2
    size = start + n_blocks * n_pairs
    x, gradient = carray(doubles(x_), (size,)), carray(doubles(gradient_), (size,))
    inverse = np.empty((d, d))
    value = 0.0
    m = start
    for _ in range(n_blocks):
        value -= (d - 1) * invert_one_plus_skew(x, m, inverse)
        for i in range(d):
            for j in range(i):
                gradient[m] -= (d - 1) * (inverse[j, i] - inverse[i, j])
                m += 1
    return value


class OrientationsTerm(Term):
    """Prior of the orientations of a structure: coordinates from ``start`` on."""

    name = "orientation"

    def __init__(self, part: Orientations, start: int) -> None:
        self.part = part
        d = part.n_features
        volume = sum(log(2) + 0.5 * m * log(pi) - lgamma(0.5 * m) for m in range(2, d + 1))
        self.normaliser = part.size * log(2) - volume
        self.constant = part.n_blocks * self.normaliser
        self.numbers = np.array([start, part.n_blocks, d], dtype=float)

    @classmethod
    def of(
        cls, part: Orientations, priors: Priors, n_components: int, start: int, at_rate: int, jacobian: bool
    ) -> OrientationsTerm:
        return cls(part, start)

    @property
    def address(self) -> int:
        return address_of(_add, ADD_TERM)

    def log_density(self, blocks: dict[str, Array]) -> Array:
        """In Haar's probability measure, whose density in itself is one."""
        return np.zeros(blocks["orientation"].shape[:-1])

    def draw(self, n_draws: int, rng: np.random.Generator) -> dict[str, Array]:
        """Q of the QR decomposition of a normal matrix, the diagonal of R made positive (Stewart 1980)."""
        d = self.part.n_features
        q, r = np.linalg.qr(rng.standard_normal((n_draws, self.part.n_blocks, d, d)))
        axes = proper(q * np.sign(np.einsum("...ii->...i", r))[..., None, :])
        return {"orientation": coordinates_of(axes).reshape(n_draws, self.part.length)}

    def variable(self) -> Any:
        import pymc as pm
        import pytensor.tensor as pt

        part, d = self.part, self.part.n_features
        reference = part.numbers.reshape(part.n_blocks, d, d)
        if not part.size:
            return pt.as_tensor(reference)
        coordinates = pm.CustomDist(
            "rotation_coordinates", np.zeros(part.size), dist=_drawn_symbolically, logp=self._symbolic_log_density,
            signature="(p)->(p)", class_name="HaarRotation", dims=part.dims,
        )  # fmt: skip
        turns = 2 * pt.linalg.inv(_one_plus_skew(coordinates, d)) - pt.eye(d)
        return pt.matmul(reference, turns)

    def _symbolic_log_density(self, value: Any, _: Any) -> Any:
        import pytensor.tensor as pt

        d = self.part.n_features
        log_det = pt.linalg.slogdet(_one_plus_skew(value, d))[1].reshape(value.shape[:-1])
        return self.normaliser - (d - 1) * log_det

    @property
    def free_variables(self) -> dict[str, dict[str, float]]:
        return {"orientation": {"rotation_coordinates": 1.0}}


def _one_plus_skew(coordinates: Any, d: int) -> Any:
    """I + S (B, D, D) of PyTensor coordinates (..., D(D-1)/2)."""
    import pytensor.tensor as pt

    flat = coordinates.reshape((-1, d * (d - 1) // 2))
    i, j = np.tril_indices(d, -1)
    lower = pt.zeros((flat.shape[0], d, d))[:, i, j].set(flat)
    return pt.eye(d) + lower - lower.transpose(0, 2, 1)


def _drawn_symbolically(zero: Any, size: Any) -> Any:
    """Coordinates of Haar's rotations, as `OrientationsTerm.draw` makes them, with PyTensor's random numbers."""
    import pymc as pm
    import pytensor.tensor as pt
    from pymc.distributions.shape_utils import rv_size_is_none

    n_pairs = zero.type.shape[-1]
    d = round(0.5 + (0.25 + 2 * n_pairs) ** 0.5)
    lead = () if rv_size_is_none(size) else tuple(size[i] for i in range(size.type.shape[0]))
    count = pt.prod(size) if lead else 1
    q, r = pt.linalg.qr(pm.Normal.dist(size=(count, d, d)))
    axes = q * pt.sign(pt.diagonal(r, axis1=-2, axis2=-1))[:, None, :]
    sign = pt.sign(pt.linalg.det(axes))
    axes = axes[:, :, -1].set(axes[:, :, -1] * sign[:, None])
    skew = pt.matmul(pt.linalg.inv(pt.eye(d) + axes), pt.eye(d) - axes)
    i, j = np.tril_indices(d, -1)
    return skew[:, i, j].reshape((*lead, n_pairs))
