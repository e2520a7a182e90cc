"""The core path: starts, EM, criteria, the grid, the estimator."""

from .fit import fit_mixture
from .result import EMFit

__all__ = ["EMFit", "fit_mixture"]
