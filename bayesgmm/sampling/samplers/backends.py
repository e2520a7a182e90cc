"""The samplers that run the PyMC model itself: PyMC's own NUTS, and NumPyro's through JAX.

Both start where they are told, without jitter, and return what `chains` returns for nutpie.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...data import InputError
from ...posterior import Coordinates
from ...posterior.pymc_model import from_value_variables, to_value_variables
from ..draws import Draws
from ..settings import Settings

if TYPE_CHECKING:
    import pymc as pm

__all__ = ["sample_with_numpyro", "sample_with_pymc"]

Array = NDArray[np.float64]
_STATS = ("diverging", "energy", "lp", "n_steps", "tree_depth", "step_size", "acceptance_rate")


def sample_with_pymc(model: pm.Model, coordinates: Coordinates, start: Array, settings: Settings, seed: int) -> Draws:
    """PyMC's NUTS, chains in processes of their own.

    Parameters
    ----------
    model : pymc.Model
        As `build_model` makes it.
    coordinates : Coordinates
    start : (chains, P)
        Unconstrained starting points.
    settings : Settings
    seed : int
        Of the chains; that of ``settings`` is the sweep's.

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

    try:
        with model, _forks_allowed():
            tree = pm.sample(
                settings.draws,
                tune=settings.tune,
                chains=settings.chains,
                cores=settings.n_cores,
                random_seed=seed,
                initvals=_starts(model, coordinates, start, settings.chains),
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
    unconstrained = _points(model, coordinates, tree)
    stats = _stats(tree)
    stats["n_steps"] = stats["n_steps"].astype(np.int64)
    whole = unconstrained.shape[:2] == (settings.chains, settings.draws)
    return Draws(unconstrained, stats, "pymc", settings.tune, not whole)


def sample_with_numpyro(
    model: pm.Model, coordinates: Coordinates, start: Array, settings: Settings, seed: int
) -> Draws:
    """NumPyro's NUTS on the model compiled by JAX, on whatever device JAX uses.

    Chains run in parallel where JAX has a device for each, and side by side on one device (a GPU) otherwise; how
    many cores a device uses is up to JAX, so that ``cores`` only says whether they may run in parallel. An interrupt
    leaves no draws: NumPyro runs all iterations in one compiled loop.

    Parameters and result are as in `sample_with_pymc`.

    Raises
    ------
    ImportError
        If NumPyro is not installed.
    """
    if find_spec("numpyro") is None:
        raise ImportError("sampler='numpyro' needs NumPyro, which is not installed: pip install numpyro")
    import jax

    # Before JAX makes its devices: on import, PyMC has it make one for each chain that there could be.
    from pymc.sampling.jax import sample_numpyro_nuts

    parallel = settings.n_cores > 1 and settings.chains <= jax.local_device_count()
    with warnings.catch_warnings():
        # PyMC passes NumPyro's renamed options; nothing that a user could change.
        warnings.filterwarnings("ignore", category=DeprecationWarning, module="(pymc|numpyro|jax)")
        tree = sample_numpyro_nuts(
            settings.draws,
            tune=settings.tune,
            chains=settings.chains,
            target_accept=settings.target_accept,
            random_seed=seed,
            initvals=_starts(model, coordinates, start, settings.chains),
            jitter=False,
            model=model,
            var_names=[v.name for v in model.value_vars],
            keep_untransformed=True,
            progressbar=settings.progressbar,
            quiet=not settings.progressbar,
            chain_method="parallel" if parallel else "vectorized",
            compute_convergence_checks=False,
        )
    stats = _stats(tree)
    # NumPyro's potential energy is minus the log density.
    stats["lp"] = -stats["lp"]
    return Draws(_points(model, coordinates, tree), stats, "numpyro", settings.tune)


def _points(model: pm.Model, coordinates: Coordinates, tree: Any) -> Array:
    """Unconstrained draws (chain, draw, P)."""
    values = {v.name: tree["posterior"][v.name].values for v in model.value_vars}
    return from_value_variables(model, coordinates, values)


def _stats(tree: Any) -> dict[str, NDArray]:
    return {name: np.asarray(tree["sample_stats"][name].values) for name in _STATS}


def _starts(model: pm.Model, coordinates: Coordinates, start: Array, chains: int) -> list[dict[str, Any]]:
    """Initial values of each chain, by value variable."""
    if np.shape(start) != (chains, coordinates.size):
        raise InputError(f"start has shape {np.shape(start)}; {chains} chains need {(chains, coordinates.size)}")
    return [to_value_variables(model, coordinates, point) for point in start]


@contextmanager
def _forks_allowed() -> Iterator[None]:
    """PyMC forks its worker processes, and says nothing; Python and JAX warn of it where other threads exist.

    The workers run the compiled log density and nothing else: neither this package's threads nor JAX.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*use of fork.*", category=DeprecationWarning)
        warnings.filterwarnings("ignore", message=".*os.fork.. was called.*", category=RuntimeWarning)
        yield
