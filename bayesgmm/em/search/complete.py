"""Incomplete rows made whole for the making of starts, which partition rows; EM then goes on with what is there."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...mixture import Design, completed
from ..algorithm.iterate import run_em
from .starts import from_moments

__all__ = ["filled_in"]

# Enough for a start.
_STEPS, _TOL = 30, 1e-4


def filled_in(design: Design, rng: np.random.Generator) -> NDArray[np.float64]:
    """The standardised rows (N, D), what is missing drawn given the rest under one Gaussian fitted to what is there."""
    d = design.n_features
    start = from_moments(design.structure, np.ones((1, 1)), np.zeros((1, 1, d)), np.eye(d)[None, None])
    run = run_em(design, start, _TOL, _STEPS)
    return completed(run.mixture[0], design.values, rng)
