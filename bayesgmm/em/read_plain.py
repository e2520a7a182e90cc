"""EM fits from plain values: the inverse of `plain`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..data import Scaling
from ..mixture import Mixture, structure_named
from .result import EMFit, Optimum

__all__ = ["fit_from_plain", "mixture_from_plain"]


def mixture_from_plain(saved: dict[str, Any]) -> Mixture:
    """Inverse of `plain.mixture_to_plain`."""
    arrays = (np.asarray(saved[name], dtype=float) for name in ("weights", "means", "covariances"))
    return Mixture(structure_named(saved["structure"]), *arrays)


def fit_from_plain(saved: dict[str, Any]) -> EMFit:
    """Inverse of `plain.fit_to_plain`.

    Raises
    ------
    KeyError, TypeError, ValueError
        A field is missing, of another type or of another shape.
    """
    values = dict(saved)
    for name in ("mixture", "standardised"):
        values[name] = mixture_from_plain(saved[name])
    values["scaling"] = Scaling(np.asarray(saved["scaling"]["location"]), np.asarray(saved["scaling"]["scale"]))
    values["optima"] = tuple(
        Optimum(o["log_likelihood"], o["hits"], o["spurious"], mixture_from_plain(o)) for o in saved["optima"]
    )
    for name in ("columns", "collinear"):
        values[name] = tuple(saved[name])
    for name in ("map_counts", "trace"):
        values[name] = np.asarray(saved[name], dtype=float)
    return EMFit(**values)
