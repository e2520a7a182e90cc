"""Draws from the Gaussian approximation at the mode, corrected by importance resampling."""

from __future__ import annotations

import numpy as np

from ...mixture import single_threaded_blas
from ...posterior import sample_laplace
from ..draws import Draws
from ..settings import Settings
from ..starts import Prepared

__all__ = ["sample_by_laplace"]


def sample_by_laplace(prepared: Prepared, settings: Settings) -> Draws:
    """As many draws as ``settings`` ask for; how far they may be believed is ``attrs["pareto_k"]``."""
    with single_threaded_blas():
        laplace = sample_laplace(prepared.target, prepared.modes[0], settings.draws * settings.chains, prepared.rng)
    shape = (settings.chains, settings.draws)
    stats = {
        "lp": prepared.target.many(laplace.unconstrained).reshape(shape),
        "diverging": np.zeros(shape, dtype=bool),
    }
    unconstrained = laplace.unconstrained.reshape(*shape, -1)
    return Draws(unconstrained, stats, "laplace", 0, attrs={"pareto_k": laplace.pareto_k})
