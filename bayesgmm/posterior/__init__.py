"""The Bayesian path: priors, PyMC model, marginal likelihood, sampling, relabelling."""

from .priors import HalfNormalScale, InverseGammaScale, LogNormalScale, Priors

__all__ = ["HalfNormalScale", "InverseGammaScale", "LogNormalScale", "Priors"]
