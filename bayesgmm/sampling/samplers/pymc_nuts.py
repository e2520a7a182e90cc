"""PyMC's own NUTS on the PyMC model, chains in processes of their own."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from ..draws import Draws
from ..settings import Settings
from ..starts import Prepared
from . import one_by_one
from .model_nuts import ModelNUTS

__all__ = ["sample_with_pymc"]


@one_by_one
def sample_with_pymc(prepared: Prepared, settings: Settings) -> Draws:
    """PyMC's NUTS, from where the chains are told to start, without jitter.

    Returns
    -------
    Draws
        After an interrupt, the draws that PyMC kept: it may drop the chains that were behind.

    Raises
    ------
    KeyboardInterrupt
        If interrupted before the first draw.
    """
    import pymc as pm

    run = ModelNUTS.of(prepared, settings)
    try:
        with run.model, _forks_allowed():
            tree = pm.sample(
                settings.draws,
                tune=settings.tune,
                chains=settings.chains,
                cores=settings.n_cores,
                random_seed=run.seed,
                initvals=run.starts,
                init="adapt_diag",
                nuts_sampler="pymc",
                nuts={"target_accept": settings.target_accept},
                progressbar=settings.progressbar,
                quiet=not settings.progressbar,
                compute_convergence_checks=False,
                idata_kwargs={"include_transformed": True},
            )
    except ValueError as error:
        if "Not enough samples" in str(error):
            raise KeyboardInterrupt from error
        raise
    stats = run.stats(tree)
    stats["n_steps"] = stats["n_steps"].astype(np.int64)
    return run.draws(tree, stats, "pymc")


@contextmanager
def _forks_allowed() -> Iterator[None]:
    """PyMC forks its worker processes, and says nothing; Python and JAX warn of it where other threads exist.

    The workers run the compiled log density and nothing else: neither this package's threads nor JAX.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*use of fork.*", category=DeprecationWarning)
        warnings.filterwarnings("ignore", message=".*os.fork.. was called.*", category=RuntimeWarning)
        yield
