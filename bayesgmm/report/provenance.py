"""Where an analysis came from: versions, settings, priors and the data's fingerprint."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from ..data import Table
from ..posterior import Priors

__all__ = ["provenance_of"]

_LIBRARIES = ("bayesgmm", "numpy", "scipy", "numba", "nutpie", "arviz", "xarray", "scikit-learn", "pymc")


def provenance_of(table: Table, settings: dict[str, Any], priors: Priors, seconds: float) -> dict[str, Any]:
    """Versions, settings, priors and the data's fingerprint."""
    versions = {}
    for library in _LIBRARIES:
        try:
            versions[library] = version(library)
        except PackageNotFoundError:  # pragma: no cover
            continue
    return {
        "data": table.name,
        "rows": table.n_obs,
        "columns": list(table.columns),
        "fingerprint": table.fingerprint,
        "settings": settings,
        "priors": priors.describe(),
        "versions": versions,
        "python": platform.python_version(),
        "seconds": round(seconds, 1),
    }
