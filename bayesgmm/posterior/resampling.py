"""Draws in proportion to their weights."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["systematic"]


def systematic(log_weights: NDArray[np.float64], size: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Systematic resampling: ``size`` positions in ascending order, each as often as its weight says, to within one.

    Parameters
    ----------
    log_weights : (S,)
        Up to a constant; at least one finite.
    size : int
    rng : Generator
        Asked for one number.

    Notes
    -----
    Kitagawa, G. (1996). Monte Carlo filter and smoother for non-Gaussian nonlinear state space models. JCGS 5, 1-25.
    """
    edges = np.cumsum(np.exp(log_weights - log_weights.max()))
    edges /= edges[-1]
    return np.searchsorted(edges, (np.arange(size) + rng.uniform()) / size)
