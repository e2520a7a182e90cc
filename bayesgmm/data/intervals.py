"""Equal-tailed intervals: the mass that stands for all of them unless asked otherwise, its check, and the ends."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .errors import InputError

__all__ = ["CI_PROB", "check_ci_prob", "equal_tailed", "tails"]

Array = NDArray[np.float64]
# ArviZ's default.
CI_PROB = 0.89


def check_ci_prob(ci_prob: float, name: str = "ci_prob") -> None:
    """Refuse a mass that is none.

    Raises
    ------
    InputError
    """
    if not 0 < ci_prob < 1:
        raise InputError(f"{name}={ci_prob!r} is not the mass of an interval; give a number between 0 and 1")


def tails(ci_prob: float) -> tuple[float, float]:
    """Levels of the two quantiles."""
    return 0.5 * (1 - ci_prob), 0.5 * (1 + ci_prob)


def equal_tailed(values: Array, ci_prob: float = CI_PROB, axis: int = 0) -> tuple[Array, Array]:
    """Lower and upper ends (``lb``, ``ub``) over the draws along ``axis``."""
    lb, ub = np.quantile(values, tails(ci_prob), axis=axis)
    return lb, ub
