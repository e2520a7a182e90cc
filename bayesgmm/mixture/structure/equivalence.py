"""Which covariance structures are one model at a given size, so that none is fitted, sampled or counted twice.

A structure says of itself how the components' volumes, shapes and orientations vary, in mclust's letters (Celeux & Govaert
1995; E equal, V varying, I identity): ``lambda_k D_k A_k D_k'``. What coincides follows from the letters:

- one component has nothing to be equal to: with K=1 every V is an E;
- one feature has a volume and nothing else: with D=1 shape and orientation are I;
- a sphere has no orientation: shape I makes orientation I.

So with one column ``full`` = ``diag`` = ``spherical`` (mclust's V) and ``tied`` = EEI = EII (mclust's E); with one component
``full`` = ``tied``. A structure outside this family says its identity itself (`Structure.identity`).
"""

from __future__ import annotations

__all__ = ["reduced"]


def reduced(letters: str, n_components: int, n_features: int) -> str:
    """mclust's three letters of the narrowest structure that is the same model at this size."""
    if n_components == 1:
        letters = letters.replace("V", "E")
    if n_features == 1 or letters[1] == "I":
        return letters[0] + "II"
    return letters
