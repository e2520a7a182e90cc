"""EM fits as plain values, for JSON, and back: every field, to the last digit."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np

from ..data import Scaling
from ..mixture import Mixture, structure_named
from .result import EMFit, Optimum

__all__ = ["fit_from_plain", "fit_to_plain", "mixture_from_plain", "mixture_to_plain", "plain_value"]


def mixture_to_plain(mixture: Mixture) -> dict[str, Any]:
    """Structure, weights, means and covariances."""
    return {
        "structure": mixture.structure.name,
        "weights": mixture.weights,
        "means": mixture.means,
        "covariances": mixture.covariances,
    }


def mixture_from_plain(saved: dict[str, Any]) -> Mixture:
    """Inverse of `mixture_to_plain`."""
    arrays = (np.asarray(saved[name], dtype=float) for name in ("weights", "means", "covariances"))
    return Mixture(structure_named(saved["structure"]), *arrays)


def fit_to_plain(fit: EMFit) -> dict[str, Any]:
    """Every field of a fit; nested objects as dictionaries."""
    result = {f.name: getattr(fit, f.name) for f in fields(fit)}
    result["mixture"] = mixture_to_plain(fit.mixture)
    result["standardised"] = mixture_to_plain(fit.standardised)
    result["scaling"] = {"location": fit.scaling.location, "scale": fit.scaling.scale}
    result["optima"] = [
        {"log_likelihood": o.log_likelihood, "hits": o.hits, "spurious": o.spurious, **mixture_to_plain(o.mixture)}
        for o in fit.optima
    ]
    return result


def fit_from_plain(saved: dict[str, Any]) -> EMFit:
    """Inverse of `fit_to_plain`.

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


def plain_value(value: Any) -> Any:
    """For `json.dumps`: arrays and NumPy scalars as lists and numbers."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"cannot write {type(value).__name__} as JSON")
