"""EM fits as plain values, for JSON: every field, to the last digit. Read again by `read_plain`."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from ..mixture import Mixture

if TYPE_CHECKING:
    from .result import EMFit

__all__ = ["fit_to_plain", "mixture_to_plain", "plain_value"]


def mixture_to_plain(mixture: Mixture) -> dict[str, Any]:
    """Structure, weights, means and covariances."""
    return {
        "structure": mixture.structure.name,
        "weights": mixture.weights,
        "means": mixture.means,
        "covariances": mixture.covariances,
    }


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


def plain_value(value: Any) -> Any:
    """For `json.dumps`: arrays and NumPy scalars as lists and numbers."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"cannot write {type(value).__name__} as JSON")
