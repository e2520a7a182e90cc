"""The core path: starts, EM, criteria, the grid, the estimator, and what the estimates are worth."""

from .estimator import GaussianMixture
from .fit import fit_mixture
from .grid import Grid, fit_grid
from .likelihood_ratio import LikelihoodRatioTest, likelihood_ratio_test
from .membership_intervals import MembershipIntervals, membership_intervals
from .result import EMFit
from .standard_errors import StandardErrors, standard_errors

__all__ = [
    "EMFit",
    "GaussianMixture",
    "Grid",
    "LikelihoodRatioTest",
    "MembershipIntervals",
    "StandardErrors",
    "fit_grid",
    "fit_mixture",
    "likelihood_ratio_test",
    "membership_intervals",
    "standard_errors",
]
