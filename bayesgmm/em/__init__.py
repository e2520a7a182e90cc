"""The core path: starts, EM, criteria, the grid, the estimator."""

from .estimator import GaussianMixture
from .fit import fit_mixture
from .grid import Grid, fit_grid
from .result import EMFit

__all__ = ["EMFit", "GaussianMixture", "Grid", "fit_grid", "fit_mixture"]
