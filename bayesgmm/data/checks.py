"""Checks of arguments that both paths take."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import InputError
from .frames import unmasked

__all__ = ["check_components", "checked_weight"]


def checked_weight(sample_weight: Any, n_rows: int) -> NDArray[np.float64] | None:
    """Case weights (N,), finite and not negative, or None; one number stands for all rows.

    Raises
    ------
    InputError
    """
    if sample_weight is None:
        return None
    try:
        weight = unmasked(sample_weight)
    except (TypeError, ValueError):
        raise InputError("sample_weight holds no numbers; give one weight for each row") from None
    if weight.ndim == 0:
        weight = np.full(n_rows, float(weight))
    if weight.shape != (n_rows,):
        raise InputError(f"sample_weight has shape {weight.shape}; give one weight for each of the {n_rows} rows")
    wrong = ~(np.isfinite(weight) & (weight >= 0))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise InputError(f"sample_weight of row {row} is {weight[row]:g}; weights must be finite and not negative")
    if not weight.any():
        raise InputError("sample_weight is zero for every row; give at least one row a positive weight")
    return weight


def check_components(n_components: Any, n_rows: int) -> None:
    """Refuse what is no number of components, and more components than rows of positive weight.

    Raises
    ------
    InputError
    """
    if isinstance(n_components, bool) or not isinstance(n_components, int | np.integer) or n_components < 1:
        raise InputError(f"n_components={n_components!r} is not a positive whole number; give 1, 2, 3, ...")
    if n_components > n_rows:
        raise InputError(
            f"n_components={n_components} is more than the {n_rows} rows (of positive weight); use fewer components. "
            f"Expected n_samples >= n_components but got n_components = {n_components}, n_samples = {n_rows}"
        )
