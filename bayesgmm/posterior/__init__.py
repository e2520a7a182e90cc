"""The Bayesian path: priors, PyMC model, marginal likelihood, sampling, relabelling."""

from .coordinates import Coordinates
from .density import log_density_and_gradient
from .modes import Mode, find_mode, sample_laplace, starting_mixtures
from .priors import HalfNormalScale, InverseGammaScale, LogNormalScale, Priors, ScalePrior
from .resampling import systematic
from .target import Target
from .terms import MeansTerm, terms_of

__all__ = [
    "Coordinates",
    "HalfNormalScale",
    "InverseGammaScale",
    "LogNormalScale",
    "MeansTerm",
    "Mode",
    "Priors",
    "ScalePrior",
    "Target",
    "find_mode",
    "log_density_and_gradient",
    "sample_laplace",
    "starting_mixtures",
    "systematic",
    "terms_of",
]
