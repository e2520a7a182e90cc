"""The core path: starts, EM, criteria, the grid, the estimator, and what the estimates are worth."""

from .criteria import aic, bic, classification_terms, icl
from .estimator import GaussianMixture
from .fit import fit_mixture
from .grid import Grid, extended, fit_grid
from .likelihood_ratio import LikelihoodRatioTest, likelihood_ratio_test
from .membership_intervals import MembershipIntervals, membership_intervals
from .model_file import FORMAT, fit_document, json_digest
from .plain import fit_to_plain, plain_value
from .read_plain import fit_from_plain
from .result import EMFit
from .same_data import check_same_data
from .standard_errors import StandardErrors, standard_errors
from .transformation import suggest_transforms
from .validated import MembershipTransformer, TableInput

__all__ = [
    "FORMAT",
    "EMFit",
    "GaussianMixture",
    "Grid",
    "LikelihoodRatioTest",
    "MembershipIntervals",
    "MembershipTransformer",
    "StandardErrors",
    "TableInput",
    "aic",
    "bic",
    "check_same_data",
    "classification_terms",
    "extended",
    "fit_document",
    "fit_from_plain",
    "fit_grid",
    "fit_mixture",
    "fit_to_plain",
    "icl",
    "json_digest",
    "likelihood_ratio_test",
    "membership_intervals",
    "plain_value",
    "standard_errors",
    "suggest_transforms",
]
