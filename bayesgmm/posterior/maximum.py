"""`find_map`: the maximum of the posterior density, under the same priors as the draws.

Penalised maximum likelihood of a mixture is usually done by EM with a penalty in the M-step (Fraley & Raftery 2007,
Journal of Classification 24). Here the fused density has an exact gradient at the price of one E-step, so that
quasi-Newton and then Newton steps reach the same point in fewer passes over the data, from each of EM's optima.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..data import InputError, checked
from ..em import EMFit, fit_mixture
from ..mixture import Mixture, Structure, log_density, single_threaded_blas
from .modes import Mode, find_mode, starting_mixtures
from .priors import Priors
from .target import Target
from .terms import terms_of

__all__ = ["MAPFit", "find_map"]

# Distance from the mode, in posterior standard deviations, within which the search has arrived.
_ARRIVED = 1e-3


@dataclass(frozen=True)
class MAPFit:
    """The mixture of highest posterior density.

    Attributes
    ----------
    mixture : Mixture
        In the units of the data, in the order of its canonical labels.
    log_posterior : float
        Log likelihood plus log prior density, of `build_model`'s variables, without the Jacobians of their transforms.
    log_likelihood : float
        Of the data as given.
    gradient_norm : float
        Distance to the mode, in posterior standard deviations.
    smallest_curvature : float
        Smallest eigenvalue of the negative Hessian; positive at a maximum.
    outcome : {"converged", "not converged"}
    """

    mixture: Mixture
    log_posterior: float
    log_likelihood: float
    gradient_norm: float
    smallest_curvature: float
    outcome: str


@checked
def find_map(
    data: Any,
    n_components: int,
    covariance_type: str | Structure = "full",
    priors: Priors | None = None,
    *,
    em: EMFit | None = None,
    sample_weight: ArrayLike | None = None,
    random_state: int = 0,
    missing: str = "error",
) -> MAPFit:
    """Maximise the posterior density of a Gaussian mixture: EM's answer, drawn towards the prior.

    The maximum is that of the density of `build_model`'s own variables (weights, standardised means, standard deviations
    or variances, partial correlations), as ``pymc.find_MAP`` defines it. Another choice of variables has another
    maximum; the posterior draws (`sample_posterior`) do not depend on that choice.

    Parameters
    ----------
    data : table or array (N, D)
        Anything that `data.as_table` reads.
    n_components : int
    covariance_type : {"full", "tied", "diag", "spherical"}
    priors : Priors, optional
        By default ``Priors()``, stated on standardised data.
    em : EMFit, optional
        Whose optima the search starts from; fitted here if not given.
    sample_weight : (N,), optional
        Weight 0 is a row left out, weight 2 a row given twice.
    random_state : int
        Of the EM fit.
    missing : {"error", "drop", "marginalise"}
        What becomes of rows with a missing value: refused, left out, or kept for what they have: their likelihood is the
        marginal density of what was observed.

    Returns
    -------
    MAPFit

    Raises
    ------
    InputError
        For arguments that cannot be used, and for ``weight_concentration`` or ``correlation_eta`` below 1, under which the
        density has no maximum: it is infinite where a weight is 0, or a correlation 1.
    """
    target = Target.of(data, n_components, covariance_type, priors, sample_weight, missing)
    _check_bounded(target)
    if em is None:
        weight = target.sample_weight
        em = fit_mixture(target.table, n_components, target.structure, sample_weight=weight, random_state=random_state)
    target.check_fit(em.mixture)
    with single_threaded_blas():
        best = _best_mode(target.without_jacobian(), em)
    found = target.mixtures(best.point)
    mixture = found.reordered(found.canonical_order()).in_data_units(target.scaling)
    arrived = best.gradient_norm < _ARRIVED and best.smallest_curvature > 0
    return MAPFit(
        mixture=mixture,
        log_posterior=best.value + target.log_jacobian,
        log_likelihood=float(target.filled_weight @ log_density(mixture, target.table.values)),
        gradient_norm=best.gradient_norm,
        smallest_curvature=best.smallest_curvature,
        outcome="converged" if arrived else "not converged",
    )


def _check_bounded(target: Target) -> None:
    """Refuse priors under which the density has no maximum."""
    for term in terms_of(target.structure, target.n_components, target.table.n_features, target.priors):
        if term.unbounded:
            raise InputError(f"{term.unbounded}, so that it has no maximum: give at least 1, or use sample_posterior")


def _best_mode(target: Target, em: EMFit) -> Mode:
    modes = []
    for mixture in starting_mixtures(em):
        start = target.start_at(mixture.standardised(target.scaling))
        if np.isfinite(target(start)[0]):
            modes.append(find_mode(target, start))
    if not modes:
        raise target.no_density()
    return max(modes, key=lambda mode: mode.value)
