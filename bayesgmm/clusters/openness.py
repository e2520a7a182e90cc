"""Which rows are open: the one rule of the package, for whoever gives the probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["OPEN_BELOW", "by_uncertainty", "is_open", "open_rows"]

# A row is open if none of its clusters has at least this probability, and settled otherwise.
OPEN_BELOW = 0.9


def is_open(probability: NDArray[np.float64], open_below: float = OPEN_BELOW) -> NDArray[np.bool_]:
    """Which rows are open (N,), from probabilities (N, K): EM's, their mean over EM's uncertainty, or the posterior's."""
    return np.asarray(probability.max(axis=1) < open_below)


def open_rows(memberships: xr.Dataset) -> NDArray[np.intp]:
    """Positions of the open rows of a result of `memberships`, the most uncertain first."""
    order = by_uncertainty(memberships)
    return order[is_open(memberships["probability"].transpose("obs_id", "cluster").values)[order]]


def by_uncertainty(memberships: xr.Dataset) -> NDArray[np.intp]:
    """Positions of all rows, by entropy of their probabilities, largest first."""
    return np.argsort(-memberships["entropy"].values, kind="stable")
