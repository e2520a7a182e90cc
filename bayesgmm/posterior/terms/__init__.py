"""The prior, term by term: one file each, found by the name of the part that it is the prior of."""

from __future__ import annotations

from typing import Any

from ...mixture import Part, Structure
from ..priors import InverseGammaScale, Priors
from .base import Term
from .correlations import CorrelationsTerm
from .means import MeansTerm
from .orientations import OrientationsTerm
from .scales import ScalesTerm
from .volumes import ShapesTerm, VolumesTerm
from .weights import WeightsTerm

__all__ = ["CorrelationsTerm", "MeansTerm", "ScalesTerm", "Term", "has_rate", "numbers_of", "terms_of", "terms_of_one"]

_TERMS: dict[str, Any] = {
    term.name: term for term in (ScalesTerm, CorrelationsTerm, VolumesTerm, ShapesTerm, OrientationsTerm)
}


def has_rate(priors: Priors) -> bool:
    """Whether the rate of the scales is one more unknown, the last coordinate."""
    return isinstance(priors.scale, InverseGammaScale) and priors.scale.hyper is not None


def terms_of(
    structure: Structure,
    n_components: int,
    n_features: int,
    priors: Priors,
    jacobian: bool = True,
    parts: tuple[Part, ...] | None = None,
) -> tuple[Term, ...]:
    """The terms of a prior, in the order of `Coordinates`.

    Without ``jacobian`` their sum is the density of the model's own variables, as a function of the coordinates. The
    transforms' Jacobians are powers that the priors have too, so that leaving them out lowers exponents and changes
    nothing else. ``parts`` are those of `Coordinates`, where they are about a reference.
    """
    k = n_components
    location, spread = priors.mean_vectors(n_features)
    weights = WeightsTerm(k, priors.weight_concentration, jacobian)
    found: list[Term] = [weights, MeansTerm(k, location, spread, k - 1)]
    parts = structure.parts(k, n_features) if parts is None else parts
    return (*found, *_terms_of_parts(parts, priors, k, k - 1 + k * n_features, jacobian))


def terms_of_one(structure: Structure, n_components: int, n_features: int, priors: Priors) -> tuple[Term, ...]:
    """The terms of the covariance of one component among ``n_components``: its own coordinates, and the rate's, alone."""
    return _terms_of_parts(structure.parts(1, n_features), priors, n_components, 0, True)


def _terms_of_parts(
    parts: tuple[Part, ...], priors: Priors, n_components: int, start: int, jacobian: bool
) -> tuple[Term, ...]:
    found: list[Term] = []
    at_rate = start + sum(part.length for part in parts)
    for part in parts:
        found.append(_TERMS[part.name].of(part, priors, n_components, start, at_rate, jacobian))
        start += part.length
    return tuple(found)


def numbers_of(terms: tuple[Term, ...], power: float = 1.0) -> tuple[list[int], list[float]]:
    """Addresses and places of terms, and their numbers, as `density.log_prior_and_gradient` reads them."""
    numbers = [sum(term.constant for term in terms), power]
    model = [len(terms)]
    for term in terms:
        model += [term.address, len(numbers)]
        numbers += term.numbers.tolist()
    return model, numbers
