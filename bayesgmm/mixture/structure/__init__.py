"""Covariance structures, one file each, and their names."""

from __future__ import annotations

from collections.abc import Iterable

from ...data import InputError
from .base import Entry, Layout, Structure
from .diag import DIAG
from .eei import EEI
from .full import FULL
from .parts import Correlations, Part, Scales
from .spherical import Spherical
from .tied import Tied

__all__ = [
    "COVARIANCE_TYPES", "STRUCTURES", "Correlations", "Entry", "Layout", "Part", "Scales", "Structure", "model_names",
    "place_of", "structure_named",
]  # fmt: skip

# scikit-learn's four, which are fitted by default, then mclust's others.
_SCIKIT_LEARN = (FULL, Tied(), DIAG, Spherical())
STRUCTURES: dict[str, Structure] = {s.name: s for s in (*_SCIKIT_LEARN, EEI())}
COVARIANCE_TYPES: tuple[str, ...] = tuple(s.name for s in _SCIKIT_LEARN)
_BY_LETTERS = {s.letters: s for s in STRUCTURES.values()}


def place_of(name: str) -> int:
    """Place of a structure's name in the order of tables."""
    return list(STRUCTURES).index(name)


def structure_named(name: str | Structure) -> Structure:
    """The structure of a scikit-learn ``covariance_type``, or of mclust's name: "full" is "VVV".

    Raises
    ------
    InputError
        If there is none of that name.
    """
    if isinstance(name, Structure):
        return name
    found = STRUCTURES.get(name, _BY_LETTERS.get(name)) if isinstance(name, str) else None
    if found is None:
        known = ", ".join(STRUCTURES)
        raise InputError(f"covariance_type={name!r} is unknown: choose one of {known}")
    return found


def model_names(structures: Iterable[Structure], n_components: int, n_features: int) -> dict[str, str]:
    """The name under which each structure's model goes: that of the first of the structures given that are the same model."""
    first: dict[str, str] = {}
    return {s.name: first.setdefault(s.identity(n_components, n_features), s.name) for s in structures}
