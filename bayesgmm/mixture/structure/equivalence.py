"""What mclust's letters say of a covariance structure: which structures are one model, and which contain which.

A structure says of itself how the components' volumes, shapes and orientations vary (Celeux & Govaert 1995; E equal, V varying,
I identity): ``lambda_k D_k A_k D_k'``. What coincides follows from the letters:

- one component has nothing to be equal to: with K=1 every V is an E;
- one feature has a volume and nothing else: with D=1 shape and orientation are I;
- a sphere has no orientation: shape I makes orientation I.

So with one column ``full`` = ``diag`` = ``spherical`` (mclust's V) and ``tied`` = EEI = EII (mclust's E); with one component
``full`` = ``tied``. A structure outside this family says its identity itself (`Structure.identity`). One structure contains
another where letter by letter it is as free: I is an E, and an E a V.
"""

from __future__ import annotations

__all__ = ["FAMILIES", "FOURTEEN", "family", "narrower", "reduced"]

# mclust's, narrower ones before those that contain them, and the names that scikit-learn has for four of them.
FOURTEEN = ("EII", "VII", "EEI", "VEI", "EVI", "VVI", "EEE", "VEE", "EVE", "VVE", "EEV", "VEV", "EVV", "VVV")
_NAMES = {"VVV": "full", "EEE": "tied", "VVI": "diag", "VII": "spherical"}
_FREEDOM = "IEV"
FAMILIES = ("spheres", "along the features", "axes in common", "axes of their own")


def reduced(letters: str, n_components: int, n_features: int) -> str:
    """mclust's three letters of the narrowest structure that is the same model at this size."""
    if n_components == 1:
        letters = letters.replace("V", "E")
    if n_features == 1 or letters[1] == "I":
        return letters[0] + "II"
    return letters


def family(letters: str) -> str:
    """The family of a structure, by the axes of its components."""
    if letters[1] == "I":
        return FAMILIES[0]
    return FAMILIES[1 + _FREEDOM.index(letters[2])]


def narrower(letters: str) -> tuple[str, ...]:
    """Names of the structures among the fourteen that a structure contains, itself left out."""
    inside = [
        other
        for other in FOURTEEN
        if other != letters and all(_FREEDOM.index(a) <= _FREEDOM.index(b) for a, b in zip(other, letters, strict=True))
    ]
    return tuple(_NAMES.get(other, other) for other in inside)
