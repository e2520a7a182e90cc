"""Covariance structures, one file each, and their names."""

from __future__ import annotations

from collections.abc import Iterable

from ...data import InputError
from .base import Entry, Layout, Structure
from .diag import DIAG
from .eei import EEI
from .eev import EEV
from .eii import EII
from .equivalence import FAMILIES
from .eve import EVE
from .evi import EVI
from .evv import EVV
from .full import FULL
from .maps_oriented import invert_one_plus_skew
from .parts import Correlations, Orientations, Part, Scales, Shapes, Volumes, contrasts
from .spherical import SPHERICAL
from .tangent import curvature, tangent
from .tied import Tied
from .vee import VEE
from .vei import VEI
from .vev import VEV
from .vve import VVE

__all__ = [
    "COVARIANCE_TYPES", "FAMILIES", "STRUCTURES", "Correlations", "Entry", "Layout", "Orientations", "Part", "Scales", "Shapes",
    "Structure", "Volumes", "contrasts", "curvature", "invert_one_plus_skew", "model_names", "place_of", "structure_named",
    "structures_named", "tangent",
]  # fmt: skip

# scikit-learn's four, which are fitted by default, then mclust's others.
_SCIKIT_LEARN = (FULL, Tied(), DIAG, SPHERICAL)
_OTHERS = (EEI(), EII(), VEI(), EVI(), VEE(), EVE(), VVE(), EEV(), VEV(), EVV())
STRUCTURES: dict[str, Structure] = {s.name: s for s in (*_SCIKIT_LEARN, *_OTHERS)}
COVARIANCE_TYPES: tuple[str, ...] = tuple(s.name for s in _SCIKIT_LEARN)
# mclust's names for each of them; with one column it says E and V.
_MCLUST = {s.letters: s for s in STRUCTURES.values()}
_MCLUST |= {letters[0]: _MCLUST[letters] for letters in ("EII", "VII")}


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
    found = STRUCTURES.get(name, _MCLUST.get(name)) if isinstance(name, str) else None
    if found is None:
        known = ", ".join(STRUCTURES)
        raise InputError(f"covariance_type={name!r} is unknown: choose one of {known}")
    return found


def structures_named(names: str | Structure | Iterable[str | Structure]) -> list[Structure]:
    """Distinct structures, narrower ones first: of one name, of several, or with "all" every one there is.

    Raises
    ------
    InputError
        If there is none of a name.
    """
    if isinstance(names, str | Structure):
        names = list(STRUCTURES) if names == "all" else [names]
    found = {structure.name: structure for structure in map(structure_named, names)}
    return sorted(found.values(), key=lambda s: len(s.contains))


def model_names(structures: Iterable[Structure], n_components: int, n_features: int) -> dict[str, str]:
    """The name under which each structure's model goes: that of the first of the structures given that are the same model."""
    first: dict[str, str] = {}
    return {s.name: first.setdefault(s.identity(n_components, n_features), s.name) for s in structures}
