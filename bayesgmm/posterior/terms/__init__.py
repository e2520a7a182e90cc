"""The prior, term by term: one file each, found by the name of the part that it is the prior of."""

from __future__ import annotations

from typing import Any

from ...mixture import Structure
from ..priors import InverseGammaScale, Priors
from .base import Term
from .correlations import CorrelationsTerm
from .means import MeansTerm
from .scales import ScalesTerm
from .weights import WeightsTerm

__all__ = ["MeansTerm", "Term", "has_rate", "terms_of"]

_TERMS: dict[str, Any] = {term.name: term for term in (ScalesTerm, CorrelationsTerm)}


def has_rate(priors: Priors) -> bool:
    """Whether the rate of the scales is one more unknown, the last coordinate."""
    return isinstance(priors.scale, InverseGammaScale) and priors.scale.hyper is not None


def terms_of(
    structure: Structure, n_components: int, n_features: int, priors: Priors, jacobian: bool = True
) -> tuple[Term, ...]:
    """The terms of a prior, in the order of `Coordinates`.

    Without ``jacobian`` their sum is the density of the model's own variables, as a function of the coordinates. The
    transforms' Jacobians are powers that the priors have too, so that leaving them out lowers exponents and changes
    nothing else.
    """
    k = n_components
    location, spread = priors.mean_vectors(n_features)
    weights = WeightsTerm(k, priors.weight_concentration, jacobian)
    found: list[Term] = [weights, MeansTerm(k, location, spread, k - 1)]
    start = k - 1 + k * n_features
    parts = structure.parts(k, n_features)
    at_rate = start + sum(part.length for part in parts)
    for part in parts:
        found.append(_TERMS[part.name].of(part, priors, k, start, at_rate, jacobian))
        start += part.length
    return tuple(found)
