"""Draws of the posterior: settings, samplers, the result and its store.

Names are imported when first used: the command line reads the settings' defaults, and must not wait for the rest.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .memory import refuse_beyond_memory
    from .posterior import Posterior, pointwise_log_likelihood
    from .predictive import prior_draws
    from .proposal import Proposal, count_of
    from .quantities import MAX_R_HAT, MIN_ESS, is_settled, summarise
    from .sample import sample_posterior
    from .samplers.jumps import jump_seconds
    from .samplers.tempering import seconds_of
    from .schema import obs_labels
    from .settings import Settings
    from .starts import Prepared, prepare
    from .store import DrawStore, draws_file, fingerprint_of, is_kept, read_draws, write_draws, write_netcdf
    from .sweep import sample_many

_HOME = {
    "DrawStore": "store",
    "MAX_R_HAT": "quantities",
    "MIN_ESS": "quantities",
    "Posterior": "posterior",
    "Prepared": "starts",
    "Proposal": "proposal",
    "Settings": "settings",
    "count_of": "proposal",
    "draws_file": "store",
    "fingerprint_of": "store",
    "is_kept": "store",
    "is_settled": "quantities",
    "jump_seconds": "samplers.jumps",
    "obs_labels": "schema",
    "pointwise_log_likelihood": "posterior",
    "prepare": "starts",
    "prior_draws": "predictive",
    "read_draws": "store",
    "refuse_beyond_memory": "memory",
    "sample_many": "sweep",
    "sample_posterior": "sample",
    "seconds_of": "samplers.tempering",
    "summarise": "quantities",
    "write_draws": "store",
    "write_netcdf": "store",
}

__all__ = [
    "MAX_R_HAT",
    "MIN_ESS",
    "DrawStore",
    "Posterior",
    "Prepared",
    "Proposal",
    "Settings",
    "count_of",
    "draws_file",
    "fingerprint_of",
    "is_kept",
    "is_settled",
    "jump_seconds",
    "obs_labels",
    "pointwise_log_likelihood",
    "prepare",
    "prior_draws",
    "read_draws",
    "refuse_beyond_memory",
    "sample_many",
    "sample_posterior",
    "seconds_of",
    "summarise",
    "write_draws",
    "write_netcdf",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value
