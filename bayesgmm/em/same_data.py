"""Whether an EM fit is of these data: by what it keeps of them, number of rows, mean and spread of each column."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..data import InputError
from .prepare import scaling_of, used_rows
from .result import EMFit

__all__ = ["check_same_data"]

Array = NDArray[np.float64]

# Moments may be taken in blocks or at once, and differ by rounding.
_EQUAL = 1e-6


def check_same_data(fit: EMFit, values: Array, weight: Array | None, what: str) -> None:
    """Refuse a fit of other data: other rows or weights, another unit, columns in another order.

    Parameters
    ----------
    fit : EMFit
    values : (N, D)
        The data, in their units.
    weight : (N,) or None
    what : str
        What the message calls the fit.

    Raises
    ------
    InputError
        Naming what differs.
    """
    total = float(len(values)) if weight is None else float(weight.sum())
    kept = fit.scaling
    if kept.location.shape != (values.shape[1],):
        differs = f"it has {len(kept.location)} columns and the posterior's data {values.shape[1]}"
    elif abs(fit.n_rows - total) > _EQUAL * total:
        differs = f"it counts {fit.n_rows:g} rows and the posterior's data {total:g}"
    else:
        differs = _other_column(fit, *used_rows(values, weight))
    if differs:
        raise InputError(
            f"{what} is an EM fit of other data than the posterior: {differs}; fit the same data both ways"
        )


def _other_column(fit: EMFit, values: Array, weight: Array | None) -> str:
    """The first column whose mean or standard deviation is not the fit's, in words; empty where there is none."""
    kept, own = fit.scaling, scaling_of(values, fit.mixture.structure, weight)
    moved = np.abs(kept.location - own.location) / own.scale > _EQUAL
    wider = np.abs(kept.scale / own.scale - 1) > _EQUAL
    if not (moved | wider).any():
        return ""
    j = int(np.flatnonzero(moved | wider)[0])
    name = fit.columns[j] if len(fit.columns) > j else f"x{j}"
    return (
        f"its column {name!r} has mean {kept.location[j]:.6g} and standard deviation {kept.scale[j]:.6g}, the posterior's "
        f"{own.location[j]:.6g} and {own.scale[j]:.6g}"
    )
