"""Gaussian mixtures fitted twice, by EM and by the full posterior, with the answers side by side.

The names below are imported when first used: ``import bayesgmm`` is light, and pymc, arviz and nutpie are loaded by the
posterior path alone.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "InputError": "data",
    "list_datasets": "data",
    "load_dataset": "data",
    "EMFit": "em",
    "GaussianMixture": "em",
    "Grid": "em",
    "fit_grid": "em",
    "fit_mixture": "em",
    "likelihood_ratio_test": "em",
    "membership_intervals": "em",
    "standard_errors": "em",
    "HalfNormalScale": "posterior",
    "InverseGammaScale": "posterior",
    "LogNormalScale": "posterior",
    "Priors": "posterior",
    "build_model": "posterior.pymc_model",
    "find_map": "posterior.maximum",
    "sample_posterior": "sampling.sample",
    "impute": "sampling.imputing",
    "diagnose": "checks.verdict",
    "compare": "selection.compare",
    "log_evidence": "selection.evidence",
    "memberships": "clusters.memberships",
    "memberships_table": "clusters.memberships",
    "missingness": "clusters.missingness",
    "coclustering": "clusters.coclustering",
    "consensus": "clusters.consensus",
    "clusters": "clusters.clusters",
    "partitions": "clusters.partitions",
    "outcomes": "clusters.outcomes",
    "average": "selection.average",
    "em_vs_posterior": "contrast.em",
    "kmeans_contrast": "contrast.kmeans",
    "predictive_checks": "checks.predictive_checks",
    "filled_components": "selection.filled",
    "prior_sensitivity": "selection.sensitivity",
    "plot_coclustering": "report.plots.rows",
    "plot_contrast": "report.plots.checks",
    "plot_criteria": "report.plots.checks",
    "plot_marginals": "report.plots.model",
    "plot_memberships": "report.plots.rows",
    "plot_pairs": "report.plots.model",
    "plot_predictive": "report.plots.model",
    "plot_structures": "report.plots.structures",
    "plot_uncertain_rows": "report.plots.rows",
    "plot_verdict": "report.plots.checks",
    "PosteriorMixture": "kept.estimator",
    "update": "kept.update",
    "save_onnx": "kept.onnx",
    "load_model": "kept",
    "save_model": "kept",
    "analyze": "analysis",
    "Analysis": "analysis",
    "load_analysis": "analysis",
}

__all__ = [*_HOME, "__version__"]

if TYPE_CHECKING:
    from .analysis import Analysis, analyze, load_analysis
    from .checks.predictive_checks import predictive_checks
    from .checks.verdict import diagnose
    from .clusters.clusters import clusters
    from .clusters.coclustering import coclustering
    from .clusters.consensus import consensus
    from .clusters.memberships import memberships, memberships_table
    from .clusters.missingness import missingness
    from .clusters.outcomes import outcomes
    from .clusters.partitions import partitions
    from .contrast.em import em_vs_posterior
    from .contrast.kmeans import kmeans_contrast
    from .data import InputError, list_datasets, load_dataset
    from .em import EMFit, GaussianMixture, Grid, fit_grid, fit_mixture, likelihood_ratio_test
    from .em.membership_intervals import membership_intervals
    from .em.standard_errors import standard_errors
    from .kept import load_model, save_model
    from .kept.estimator import PosteriorMixture
    from .kept.onnx import save_onnx
    from .kept.update import update
    from .posterior import HalfNormalScale, InverseGammaScale, LogNormalScale, Priors
    from .posterior.maximum import find_map
    from .posterior.pymc_model import build_model
    from .report.plots.checks import plot_contrast, plot_criteria, plot_verdict
    from .report.plots.model import plot_marginals, plot_pairs, plot_predictive
    from .report.plots.rows import plot_coclustering, plot_memberships, plot_uncertain_rows
    from .report.plots.structures import plot_structures
    from .sampling.imputing import impute
    from .sampling.sample import sample_posterior
    from .selection.average import average
    from .selection.compare import compare
    from .selection.evidence import log_evidence
    from .selection.sensitivity import prior_sensitivity


class _Package(ModuleType):
    """Importing the folder `clusters` must not hide the function of that name."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOME and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'bayesgmm' has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
