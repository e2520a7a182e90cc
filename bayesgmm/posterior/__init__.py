"""The Bayesian path: priors, PyMC model, marginal likelihood, sampling, relabelling."""

from .coordinates import Coordinates
from .density import log_density_and_gradient, log_prior_and_gradient
from .modes import Mode, find_mode, sample_laplace, starting_mixtures
from .priors import HalfNormalScale, InverseGammaScale, LogNormalScale, Priors, ScalePrior
from .resampling import systematic
from .target import Target
from .terms import CorrelationsTerm, MeansTerm, ScalesTerm, Term, numbers_of, terms_of, terms_of_one

__all__ = [
    "Coordinates",
    "CorrelationsTerm",
    "HalfNormalScale",
    "InverseGammaScale",
    "LogNormalScale",
    "MeansTerm",
    "Mode",
    "Priors",
    "ScalePrior",
    "ScalesTerm",
    "Target",
    "Term",
    "find_mode",
    "log_density_and_gradient",
    "log_prior_and_gradient",
    "numbers_of",
    "sample_laplace",
    "starting_mixtures",
    "systematic",
    "terms_of",
    "terms_of_one",
]
