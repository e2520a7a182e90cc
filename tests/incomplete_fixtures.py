"""Tables with holes."""

from __future__ import annotations

import numpy as np


def hidden(x: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """The rows with a share of their cells missing completely at random, each keeping one value at least."""
    holes = rng.uniform(size=x.shape) < share
    holes[np.arange(len(x)), rng.integers(x.shape[1], size=len(x))] = False
    return np.where(holes, np.nan, x)


def two_groups(rng: np.random.Generator, n: int = 200, share: float = 0.2) -> np.ndarray:
    """Two correlated groups in three columns of different units, with holes."""
    label = rng.integers(2, size=n)
    x = rng.normal(size=(n, 3)) @ np.array([[1.0, 0.5, 0.0], [0.0, 1.0, 0.3], [0.0, 0.0, 1.0]])
    x += label[:, None] * np.array([4.0, 3.0, 0.0])
    return hidden(x * np.array([1.0, 10.0, 0.1]) + 5.0, share, rng)
