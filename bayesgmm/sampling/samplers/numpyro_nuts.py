"""NumPyro's NUTS on the PyMC model compiled by JAX."""

from __future__ import annotations

import warnings
from importlib.util import find_spec

from ..draws import Draws
from ..settings import Settings
from ..starts import Prepared
from . import one_by_one
from .model_nuts import ModelNUTS

__all__ = ["sample_with_numpyro"]


@one_by_one
def sample_with_numpyro(prepared: Prepared, settings: Settings) -> Draws:
    """NumPyro's NUTS, on whatever device JAX uses, from where the chains are told to start, without jitter.

    Chains run in parallel where JAX has a device for each, and side by side on one device (a GPU) otherwise; how
    many cores a device uses is up to JAX, so that ``cores`` only says whether they may run in parallel. An interrupt
    leaves no draws: NumPyro runs all iterations in one compiled loop.

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

    run = ModelNUTS.of(prepared, settings)
    parallel = settings.n_cores > 1 and settings.chains <= jax.local_device_count()
    with warnings.catch_warnings():
        # PyMC passes NumPyro's renamed options; nothing that a user could change.
        warnings.filterwarnings("ignore", category=DeprecationWarning, module="(pymc|numpyro|jax)")
        tree = sample_numpyro_nuts(
            settings.draws,
            tune=settings.tune,
            chains=settings.chains,
            target_accept=settings.target_accept,
            random_seed=run.seed,
            initvals=run.starts,
            jitter=False,
            model=run.model,
            var_names=[v.name for v in run.model.value_vars],
            keep_untransformed=True,
            progressbar=settings.progressbar,
            quiet=not settings.progressbar,
            chain_method="parallel" if parallel else "vectorized",
            compute_convergence_checks=False,
        )
    stats = run.stats(tree)
    # NumPyro's potential energy is minus the log density.
    stats["lp"] = -stats["lp"]
    return run.draws(tree, stats, "numpyro")
