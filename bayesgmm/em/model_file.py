"""An EM fit as a document of its own: what ``save`` writes and `load_model` reads."""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from ..data import digest_of
from .plain import fit_to_plain, plain_value

if TYPE_CHECKING:
    from .result import EMFit

__all__ = ["FORMAT", "fit_document", "json_digest"]

FORMAT = "bayesgmm model 1"


def fit_document(fit: EMFit) -> dict[str, Any]:
    """All of a fit in plain values, with the digest of them."""
    plain = fit_to_plain(fit)
    document = {
        "format": FORMAT,
        "kind": "em",
        "columns": list(fit.columns),
        "scaling": plain["scaling"],
        "provenance": {"bayesgmm": version("bayesgmm"), "outcome": fit.outcome},
        "fit": plain,
    }
    document = json.loads(json.dumps(document, default=plain_value))
    return document | {"digest": json_digest(document)}


def json_digest(document: dict[str, Any]) -> str:
    """Of all that a document says, however it is laid out."""
    said = {name: value for name, value in document.items() if name != "digest"}
    return digest_of(json.dumps(said, sort_keys=True).encode())
