"""Mixtures of any structure, and EM at its start."""

from __future__ import annotations

import numpy as np

from bayesgmm.data import Scaling
from bayesgmm.em.search.moves import batch_of
from bayesgmm.em.search.starts import Rows, make_starts
from bayesgmm.mixture import Design, Mixture, structure_named


def random_mixture(rng: np.random.Generator, name: str, k: int, d: int) -> Mixture:
    """A mixture of the structure, from random dense covariances by its own M-step."""
    structure = structure_named(name)
    root = rng.normal(size=(k, d, d)) * 0.4 + np.eye(d)
    dense = root @ np.swapaxes(root, -1, -2) + 0.05 * np.eye(d)
    weights = rng.dirichlet(np.full(k, 2.0))
    second = structure.reduce(weights[:, None, None] * dense)
    means = rng.normal(size=(k, d))
    return Mixture(structure, weights, means, structure.maximise(weights, np.zeros((k, d)), second))


def blobs(seed: int, n: int = 120, d: int = 2, k: int = 3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(k, d))[rng.integers(k, size=n)] * 2.5 + rng.normal(size=(n, d))


def started(name: str, x: np.ndarray, k: int, count: int, seed: int) -> tuple[Design, Mixture]:
    structure = structure_named(name)
    z = Scaling.of(x, common=structure.common_scale).standardise(x)
    starts = make_starts(structure, Rows(z), k, count, np.random.default_rng(seed))
    return Design.of(z, structure), batch_of(starts)
