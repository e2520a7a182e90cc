"""Gaussian mixtures fitted twice, by EM and by the full posterior, with the answers side by side.

The names below are imported when first used: ``import bayesgmm`` is light, and pymc, arviz and nutpie are loaded by the
posterior path alone.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "InputError": "tables",
    "list_datasets": "tables",
    "load_dataset": "tables",
    "EMFit": "em",
    "GaussianMixture": "em",
    "Grid": "em",
    "fit_grid": "em",
    "fit_mixture": "em",
    "likelihood_ratio_test": "em",
    "standard_errors": "em",
    "HalfNormalScale": "posterior",
    "InverseGammaScale": "posterior",
    "LogNormalScale": "posterior",
    "Priors": "posterior",
    "build_model": "posterior.model",
    "find_map": "posterior.maximum",
    "sample_posterior": "posterior.sampling",
    "diagnose": "uncertainty.verdict",
    "compare": "uncertainty.comparison",
    "log_evidence": "uncertainty.evidence",
    "memberships": "uncertainty.memberships",
    "memberships_table": "uncertainty.memberships",
    "coclustering": "uncertainty.coclustering",
    "consensus": "uncertainty.consensus",
    "em_vs_posterior": "uncertainty.contrast",
    "kmeans_contrast": "uncertainty.kmeans",
    "predictive_checks": "uncertainty.predictive_checks",
    "filled_components": "uncertainty.sparse",
    "plot_coclustering": "report.plots_rows",
    "plot_contrast": "report.plots_checks",
    "plot_criteria": "report.plots_checks",
    "plot_marginals": "report.plots_model",
    "plot_memberships": "report.plots_rows",
    "plot_pairs": "report.plots_model",
    "plot_predictive": "report.plots_model",
    "plot_uncertain_rows": "report.plots_rows",
    "plot_verdict": "report.plots_checks",
    "analyze": "analysis",
    "Analysis": "analysis",
    "load_analysis": "analysis",
}

__all__ = [*_HOME, "__version__"]

if TYPE_CHECKING:
    from .analysis import Analysis, analyze, load_analysis
    from .em import EMFit, GaussianMixture, Grid, fit_grid, fit_mixture, likelihood_ratio_test, standard_errors
    from .posterior import HalfNormalScale, InverseGammaScale, LogNormalScale, Priors
    from .posterior.maximum import find_map
    from .posterior.model import build_model
    from .posterior.sampling import sample_posterior
    from .report.plots_checks import plot_contrast, plot_criteria, plot_verdict
    from .report.plots_model import plot_marginals, plot_pairs, plot_predictive
    from .report.plots_rows import plot_coclustering, plot_memberships, plot_uncertain_rows
    from .tables import InputError, list_datasets, load_dataset
    from .uncertainty.coclustering import coclustering
    from .uncertainty.comparison import compare
    from .uncertainty.consensus import consensus
    from .uncertainty.contrast import em_vs_posterior
    from .uncertainty.evidence import log_evidence
    from .uncertainty.kmeans import kmeans_contrast
    from .uncertainty.memberships import memberships, memberships_table
    from .uncertainty.predictive_checks import predictive_checks
    from .uncertainty.verdict import diagnose


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'bayesgmm' has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
