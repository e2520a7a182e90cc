"""`sample_posterior`: from a table to aligned draws."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from ..data import checked
from ..em import EMFit
from ..mixture import Structure
from ..posterior import Priors, Target
from .settings import Method, Settings
from .sweep import sample_many

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["sample_posterior"]


@checked
def sample_posterior(
    data: Any,
    n_components: int = 1,
    covariance_type: str | Structure = "full",
    priors: Priors | None = None,
    *,
    draws: int = Settings.draws,
    tune: int | None = None,
    chains: int = Settings.chains,
    cores: int | None = Settings.cores,
    random_seed: int | None = Settings.random_seed,
    target_accept: float = Settings.target_accept,
    progressbar: bool = Settings.progressbar,
    sampler: str = Settings.sampler,
    method: Method = Settings.method,
    em: EMFit | None = None,
    sample_weight: ArrayLike | None = None,
    log_likelihood: bool | None = Settings.log_likelihood,
    predictive: bool = Settings.predictive,
    missing: str = "error",
) -> xr.DataTree:
    """Sample the posterior of a Gaussian mixture, labels summed out and aligned afterwards.

    Parameters
    ----------
    data : table or array (N, D)
        Anything that `data.as_table` reads.
    n_components : int
    covariance_type : {"full", "tied", "diag", "spherical"}
    priors : Priors, optional
        By default ``Priors()``, stated on standardised data.
    draws, tune, chains : int
        Draws per chain after ``tune`` steps of adaptation (300), and chains.
    cores : int, optional
        Chains run at once; all cores by default.
    random_seed : int, optional
        The same seed gives the same numbers, however many cores run.
    target_accept : float
    progressbar : bool
        False prints nothing.
    sampler : {"nutpie", "pymc", "numpyro", "jumps", "tempering"}
        nutpie runs the fused log density without compilation; "pymc" and "numpyro" run the PyMC model of `build_model`.
        "jumps" goes on from nutpie's draws until the chains agree: independence proposals from a mixture fitted to the
        draws, and local steps, for chains that are slow or have settled in several modes.
        "tempering" is non-reversible parallel tempering from the prior: each chain is a run of its own, which reaches
        every mode from the prior, however far apart they are. It runs until the chains agree, whatever ``tune`` says;
        its log evidence (of the standardised data), restarts and barrier are in ``attrs``.
    method : {"nuts", "laplace", "auto"}
        "laplace" draws from the Gaussian approximation at the mode, corrected by importance resampling; its Pareto k is
        in ``attrs["pareto_k"]``. "auto" returns that where k < 0.7 and runs NUTS otherwise.
    em : EMFit, optional
        Where chains start and what the labels mean; fitted here if not given.
    sample_weight : (N,), optional
        Weight 0 is a row left out, weight 2 a row given twice.
    log_likelihood : bool, optional
        Keep the pointwise log likelihood; by default if it has at most 20 million entries.
    predictive : bool
        Add the groups ``posterior_predictive``, ``prior`` and ``prior_predictive``.
    missing : {"error", "drop", "marginalise"}
        What becomes of rows with a missing value: refused, left out, or kept for what they have: their likelihood is the
        marginal density of what was observed.

    Returns
    -------
    xarray.DataTree
        Groups and dims as in `sampling.posterior`; ``posterior`` holds ``weights``, ``means`` and ``covariances`` in the
        units of the data. After an interrupt it holds the draws so far and ``attrs["interrupted"]`` is 1.

    Raises
    ------
    InputError
        Before sampling, for data, components, priors or settings that cannot be used; the message says which and what
        to do.
    """
    settings = Settings(
        draws=draws,
        tune=Settings.tune if tune is None else tune,
        chains=chains,
        cores=cores,
        random_seed=random_seed,
        target_accept=target_accept,
        progressbar=progressbar,
        sampler=sampler,
        method=method,
        log_likelihood=log_likelihood,
        predictive=predictive,
    )
    target = Target.of(data, n_components, covariance_type, priors, sample_weight, missing)
    return sample_many([target], settings, em=None if em is None else {target.key: em})[target.key]
