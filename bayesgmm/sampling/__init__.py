"""Draws of the posterior: settings, samplers, the result and its store."""

from .memory import refuse_beyond_memory
from .posterior import Posterior, pointwise_log_likelihood
from .predictive import prior_draws, replicates
from .quantities import MAX_R_HAT, MIN_ESS, is_settled, summarise
from .sample import sample_posterior
from .samplers.tempering import seconds_of
from .schema import obs_labels
from .settings import Settings
from .starts import prepare
from .store import DrawStore, draws_file, fingerprint_of, is_kept, read_draws, write_draws, write_netcdf
from .sweep import sample_many

__all__ = [
    "MAX_R_HAT",
    "MIN_ESS",
    "DrawStore",
    "Posterior",
    "Settings",
    "draws_file",
    "fingerprint_of",
    "is_kept",
    "is_settled",
    "obs_labels",
    "pointwise_log_likelihood",
    "prepare",
    "prior_draws",
    "read_draws",
    "refuse_beyond_memory",
    "replicates",
    "sample_many",
    "sample_posterior",
    "seconds_of",
    "summarise",
    "write_draws",
    "write_netcdf",
]
