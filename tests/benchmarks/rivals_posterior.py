"""The engines that sample one posterior: ours, stock PyMC, NumPyro and Stan, with the same priors on standardised data.

Each takes a `Task` and returns a `Sampled`: draws of weights, means and covariances, and where the time went. They are
meant to run in a fresh process with empty caches, so that compilation is counted in full.
"""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bayesgmm.mixture import Mixture

__all__ = ["ENGINES", "Sampled", "Task"]

CHAINS = 4
CORES = 2


@dataclass(frozen=True)
class Task:
    """What is to be sampled: standardised rows (N, D), EM's solution (single) for a start, draws and tuning steps."""

    values: np.ndarray
    start: Mixture
    draws: int
    tune: int
    seed: int = 1

    @property
    def scales(self) -> np.ndarray:
        """Standard deviations of the start (K, D)."""
        return np.sqrt(np.diagonal(self.start.dense_covariances, axis1=-2, axis2=-1))

    @property
    def scale_location(self) -> float:
        """Location of the log-normal prior of the scales."""
        return -math.log(self.start.n_components) / self.start.n_features


@dataclass(frozen=True)
class Sampled:
    """Draws (chain, draw, ...), gradient evaluations while drawing, and seconds.

    ``sampling`` counts warm-up and draws; ``compile`` what came before them; ``whole`` the first call, caches empty, of
    everything the engine does.
    """

    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray
    steps: int
    compile: float
    sampling: float
    whole: float


def ours(task: Task, covariance_type: str = "full") -> Sampled:
    """`sample_posterior`, first with empty caches and then once more, which is the run that is kept."""
    import bayesgmm as bg

    def run(seed: int) -> tuple[Any, float]:
        begun = time.perf_counter()
        post = bg.sample_posterior(
            task.values, task.start.n_components, covariance_type, draws=task.draws, chains=CHAINS, cores=CORES,
            random_seed=seed, progressbar=False, em=fit,
        )  # fmt: skip
        return post, time.perf_counter() - begun

    fit = bg.fit_mixture(task.values, task.start.n_components, covariance_type, random_state=0)
    whole = run(task.seed + 1)[1]
    post, seconds = run(task.seed)
    sampling = float(post.attrs["sampling_time"])
    p = post["posterior"]
    steps = int(post["sample_stats"]["n_steps"].sum())
    return Sampled(
        p["weights"].values, p["means"].values, p["covariances"].values, steps, whole - seconds, sampling, whole
    )


def _pymc_model(task: Task) -> tuple[Any, dict[str, np.ndarray]]:
    import pymc as pm

    k, d = task.start.means.shape
    starts = {"weights": task.start.weights, "means": task.start.means}
    with pm.Model() as model:
        weights = pm.Dirichlet("weights", np.full(k, 4.0))
        means = pm.Normal("means", 0.0, 2.0, shape=(k, d))
        components = []
        for j in range(k):
            sd = pm.LogNormal.dist(task.scale_location, 0.6, shape=d)
            factor, _, _ = pm.LKJCholeskyCov(f"factor{j}", n=d, eta=2.0, sd_dist=sd, compute_corr=True)
            components.append(pm.MvNormal.dist(means[j], chol=factor))
            starts[f"factor{j}"] = np.linalg.cholesky(task.start.dense_covariances[j])[np.tril_indices(d)]
        pm.Mixture("x", w=weights, comp_dists=components, observed=task.values)
    return model, starts


def _sampled_by_pymc(tree: Any, task: Task, sampling: float, whole: float) -> Sampled:
    """What PyMC's model gives, with dense covariances."""
    posterior, stats = tree["posterior"], tree["sample_stats"]
    k, d = task.start.means.shape
    i, j = np.tril_indices(d)
    factors = np.zeros((*posterior["weights"].shape[:2], k, d, d))
    for c in range(k):
        factors[..., c, i, j] = posterior[f"factor{c}"].values
    return Sampled(
        posterior["weights"].values, posterior["means"].values, factors @ np.swapaxes(factors, -1, -2),
        int(stats["n_steps"].sum()), whole - sampling, sampling, whole,
    )  # fmt: skip


def pymc(task: Task) -> Sampled:
    """``pm.Mixture`` of ``MvNormal`` with ``LKJCholeskyCov``; PyMC's own NUTS by default settings from EM's solution."""
    import pymc as pm

    begun = time.perf_counter()
    model, starts = _pymc_model(task)
    with model:
        tree = pm.sample(
            task.draws, tune=task.tune, chains=CHAINS, cores=CORES, nuts_sampler="pymc", initvals=starts,
            random_seed=task.seed, progressbar=False, compute_convergence_checks=False,
        )  # fmt: skip
    whole = time.perf_counter() - begun
    return _sampled_by_pymc(tree, task, float(tree["posterior"].attrs["sampling_time"]), whole)


def pymc_nutpie(task: Task) -> Sampled:
    """The same model as PyMC samples it where nutpie is installed; compilation and sampling timed apart."""
    import nutpie

    begun = time.perf_counter()
    model, starts = _pymc_model(task)
    compiled = nutpie.compile_pymc_model(model, initial_points=starts)
    compiled_at = time.perf_counter()
    tree = nutpie.sample(
        compiled, draws=task.draws, tune=task.tune, chains=CHAINS, cores=CORES, seed=task.seed, save_warmup=False,
        progress_bar=False,
    )  # fmt: skip
    ended = time.perf_counter()
    return _sampled_by_pymc(tree, task, ended - compiled_at, ended - begun)


def numpyro(task: Task) -> Sampled:
    """NumPyro's NUTS on ``MixtureSameFamily``, double precision, chains in parallel."""
    import jax
    import jax.numpy as jnp
    import numpyro as npy
    import numpyro.distributions as dist
    from numpyro.infer import MCMC, NUTS, init_to_value

    npy.set_host_device_count(CHAINS)
    npy.enable_x64()
    compiling: list[float] = []

    def note(name: str, seconds: float, **_: Any) -> None:
        # Tracing is nested and would be counted twice: it is left in the time of sampling.
        if name.endswith(("backend_compile_duration", "jaxpr_to_mlir_module_duration")):
            compiling.append(seconds)

    jax.monitoring.register_event_duration_secs_listener(note)
    k, d = task.start.means.shape

    def model(z: Any) -> None:
        weights = npy.sample("weights", dist.Dirichlet(jnp.full(k, 4.0)))
        means = npy.sample("means", dist.Normal(0.0, 2.0).expand([k, d]).to_event(2))
        scales = npy.sample("scales", dist.LogNormal(task.scale_location, 0.6).expand([k, d]).to_event(2))
        factors = npy.sample("factors", dist.LKJCholesky(d, 2.0).expand([k]).to_event(1))
        components = dist.MultivariateNormal(means, scale_tril=scales[..., None] * factors)
        npy.sample("x", dist.MixtureSameFamily(dist.Categorical(probs=weights), components), obs=z)

    start = {
        "weights": task.start.weights,
        "means": task.start.means,
        "scales": task.scales,
        "factors": np.linalg.cholesky(task.start.dense_covariances) / task.scales[..., None],
    }
    start = {name: jnp.asarray(value) for name, value in start.items()}
    kernel = NUTS(model, init_strategy=init_to_value(values=start))
    sampler = MCMC(kernel, num_warmup=task.tune, num_samples=task.draws, num_chains=CHAINS, progress_bar=False)
    begun = time.perf_counter()
    sampler.run(jax.random.PRNGKey(task.seed), jnp.asarray(task.values), extra_fields=("num_steps",))
    draws = {name: np.asarray(v) for name, v in sampler.get_samples(group_by_chain=True).items()}
    whole = time.perf_counter() - begun
    factors = draws["scales"][..., None] * draws["factors"]
    steps = int(np.asarray(sampler.get_extra_fields()["num_steps"]).sum())
    compile_seconds = float(sum(compiling))
    return Sampled(
        draws["weights"], draws["means"], factors @ np.swapaxes(factors, -1, -2), steps, compile_seconds,
        whole - compile_seconds, whole,
    )  # fmt: skip


def stan(task: Task) -> Sampled:
    """rstan in a process of R.

    Raises
    ------
    RuntimeError
        With the reason, where it cannot run. On Debian: ``r-cran-rstan``, ``r-cran-bh``, and Boost's headers where
        ``system.file("include", package="BH")`` points: ``ln -s /usr/include/boost`` into that folder.
    """
    if shutil.which("Rscript") is None:
        raise RuntimeError("Rscript is not installed")
    here = Path(__file__).parent
    k, d = task.start.means.shape
    factors = np.linalg.cholesky(task.start.dense_covariances) / task.scales[..., None]
    with tempfile.TemporaryDirectory() as folder:
        given, drawn = Path(folder) / "input.R", Path(folder) / "draws"
        constants = f"N <- {len(task.values)}L\nD <- {d}L\nK <- {k}L\n"
        arrays = {
            "z": task.values, "weights": task.start.weights, "means": task.start.means, "scales": task.scales,
            "correlations": factors,
        }  # fmt: skip
        given.write_text(constants + "".join(_r_array(name, array) for name, array in arrays.items()))
        command = ["Rscript", "--vanilla", here / "rivals_stan.R", here / "rivals.stan", given, drawn]
        numbers = [CHAINS, task.tune, task.draws, CORES, task.seed]
        begun = time.perf_counter()
        done = subprocess.run([*map(str, command + numbers)], capture_output=True, text=True, check=False)
        whole = time.perf_counter() - begun
        if done.returncode != 0:
            raise RuntimeError(f"rstan: {' '.join(done.stderr.strip().splitlines()[-2:])}")
        told = json.loads(done.stdout.strip().splitlines()[-1])
        flat = np.fromfile(drawn).reshape(len(told["names"]), CHAINS, task.draws).transpose(1, 2, 0)
    column = {name: i for i, name in enumerate(told["names"])}

    def block(name: str, *shape: int) -> np.ndarray:
        where = [column[f"{name}[{','.join(str(i + 1) for i in index)}]"] for index in np.ndindex(*shape)]
        return flat[..., where].reshape(*flat.shape[:2], *shape)

    factors = block("scales", k, d)[..., None] * block("correlations", k, d, d)
    covariances = factors @ np.swapaxes(factors, -1, -2)
    return Sampled(
        block("weights", k), block("means", k, d), covariances, told["steps"], told["compile"], told["sampling"], whole
    )


def _r_array(name: str, array: np.ndarray) -> str:
    numbers = ",".join(f"{v:.17g}" for v in array.ravel(order="F"))
    return f"{name} <- array(c({numbers}), dim = c({','.join(f'{n}L' for n in array.shape)}))\n"


ENGINES: dict[str, Callable[[Task], Sampled]] = {
    "ours": ours,
    "PyMC": pymc,
    "PyMC + nutpie": pymc_nutpie,
    "NumPyro": numpyro,
    "Stan": stan,
}
