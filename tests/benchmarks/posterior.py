"""The posterior path against stock PyMC, NumPyro and Stan: writes ``reports/benchmarks/posterior.md``.

    python tests/benchmarks/posterior.py [--quick] [--stages ess,structures,cold,reuse,gradient]
        [--problems small,medium,large] [--engines ours,NumPyro]

Same data, same priors, the same number of chains, EM's solution as the start of every engine, each engine in a fresh
process with empty caches. Where an engine would take too long for 1,000 draws after 1,000 tuning steps it gets fewer of
both (`DRAWS`), which the report states. Results are kept beside the report as JSON, so that a stage, an engine or a
target can be run again alone. Stan needs R with rstan (`rivals_posterior.stan`, the function, says how) and is left
out with the reason where it cannot run. An engine that has not finished after 1,500 seconds (``BENCHMARK_LIMIT`` in the
environment names another limit) is told by what it can have reached at most.
"""

from __future__ import annotations

import argparse
import atexit
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from harness import REPORTS, REPOSITORY, in_fresh_process, interleaved, timed
from harness_posterior import write_report

STAGES = ("ess", "structures", "cold", "reuse", "gradient")
RESULTS = REPORTS / "results"
ENGINES = ("ours", "PyMC", "PyMC + nutpie", "NumPyro", "Stan")
COMPONENTS = {"small": 2, "medium": 3, "large": 4}
# Draws, and as many tuning steps (ours: its default of 300), where 1,000 would take too long.
DRAWS = {
    ("large", "PyMC"): 100,
    ("large", "PyMC + nutpie"): 150,
    ("large", "NumPyro"): 100,
    ("large", "Stan"): 50,
    ("medium", "PyMC"): 250,
    ("medium", "PyMC + nutpie"): 500,
    ("medium", "NumPyro"): 500,
    ("medium", "Stan"): 250,
}
# Seconds for one engine on one target.
_TIME_LIMIT = float(os.environ.get("BENCHMARK_LIMIT", "1500"))


def data_of(target: str) -> np.ndarray:
    """Standardised rows of a target: faithful, 2,000 x 2 with three overlapping components, 10,000 x 5 with four."""
    if target == "small":
        from bayesgmm import load_dataset

        values = load_dataset("faithful").to_numpy(dtype=float)
    else:
        n, d, k = (2_000, 2, 3) if target == "medium" else (10_000, 5, 4)
        rng = np.random.default_rng(11)
        means = np.array([[0.0, 0.0], [2.6, 0.6], [0.3, 2.8]]) if target == "medium" else rng.normal(0, 2.0, (k, d))
        labels = rng.choice(k, n, p=np.array([0.5, 0.3, 0.2] if target == "medium" else [0.4, 0.3, 0.2, 0.1]))
        factors = np.eye(d) + 0.5 * np.tril(rng.standard_normal((k, d, d)), -1)
        values = means[labels] + (factors[labels] @ rng.standard_normal((n, d, 1)))[..., 0]
    return (values - values.mean(0)) / values.std(0)


def task_of(target: str, engine: str, quick: bool) -> Any:
    """The target as one engine gets it."""
    from rivals_posterior import Task

    from bayesgmm import fit_mixture

    values = data_of(target)
    start = fit_mixture(values, COMPONENTS[target], "full", random_state=0).mixture
    draws = 50 if quick else DRAWS.get((target, engine), 1000)
    return Task(values, start, draws, draws)


def summary(sampled: Any, task: Any) -> dict[str, Any]:
    """Labels aligned, then ESS, means and Monte Carlo standard errors of weights, means and covariances."""
    from arviz_stats.base import array_stats

    from bayesgmm.mixture import Mixture
    from bayesgmm.mixture.relabel import align_labels

    chains, n_draws, k = sampled.weights.shape
    d = task.start.n_features
    draws = Mixture.from_dense(
        "full",
        sampled.weights.reshape(-1, k),
        sampled.means.reshape(-1, k, d),
        sampled.covariances.reshape(-1, k, d, d),
    )
    aligned = draws.reordered(align_labels(draws, task.values, task.start).order)
    i, j = np.tril_indices(d)
    parts = (aligned.weights, aligned.means, aligned.covariances[:, :, i, j])
    flat = np.concatenate([part.reshape(chains, n_draws, -1) for part in parts], axis=2)
    flat = flat[:, :, np.ptp(flat, axis=(0, 1)) > 0]  # covariances that the structure fixes at zero

    def of_each(statistic: Any, **options: Any) -> list[float]:
        return [float(statistic(flat[..., q], chain_axis=0, draw_axis=1, **options)) for q in range(flat.shape[2])]

    return {
        "draws": n_draws, "chains": chains, "steps": sampled.steps, "compile": sampled.compile,
        "sampling": sampled.sampling, "whole": sampled.whole, "ess": of_each(array_stats.ess, method="bulk"),
        "rhat": max(of_each(array_stats.rhat)), "mcse": of_each(array_stats.mcse, method="mean"),
        "mean": flat.mean((0, 1)).tolist(),
    }  # fmt: skip


def ess_worker(target: str, engine: str, quick: bool) -> dict[str, Any]:
    from rivals_posterior import ENGINES as RUN

    task = task_of(target, engine, quick)
    try:
        return {"tune": 300 if engine == "ours" else task.tune, **summary(RUN[engine](task), task)}
    except (RuntimeError, ImportError) as error:
        return {"skipped": str(error)}


def structures_worker(problems: Sequence[str], quick: bool) -> list[dict[str, Any]]:
    """Ours, all four structures; machine code loaded before the clock starts."""
    from dataclasses import replace

    from rivals_posterior import CORES, ours

    import bayesgmm as bg

    rows = []
    bg.sample_posterior(data_of("small"), 2, draws=20, progressbar=False, cores=CORES)
    for target in problems:
        for name in ("full", "tied", "diag", "spherical"):
            task = task_of(target, "ours", quick)
            fit = bg.fit_mixture(task.values, COMPONENTS[target], name, random_state=0)
            task = replace(task, start=fit.mixture)
            rows.append({"target": target, "structure": name, **summary(ours(task, name), task)})
    return rows


def cold_worker(target: str, engine: str, quick: bool, start: str) -> dict[str, Any]:
    """A first posterior, as a user's script would make it."""
    values = data_of(target)
    if engine == "ours":
        import bayesgmm as bg

        post = bg.sample_posterior(values, COMPONENTS[target], draws=1000, chains=4, random_seed=1, progressbar=False)
        return {"draws": int(post["posterior"].sizes["draw"])}
    from rivals_posterior import ENGINES as RUN
    from rivals_posterior import Task

    from bayesgmm.mixture import Mixture

    given = np.load(start)
    mixture = Mixture.from_dense("full", given["weights"], given["means"], given["covariances"])
    draws = 50 if quick else DRAWS.get((target, engine), 1000)
    return {"draws": RUN[engine](Task(values, mixture, draws, draws)).weights.shape[1]}


def reuse_worker(quick: bool) -> list[dict[str, Any]]:
    """Compilations that numba makes, and seconds, while K, D, N and the structure change in one process."""
    from numba.core import event

    import bayesgmm as bg

    rng = np.random.default_rng(0)
    cases = [(300, 2, 2, "full"), (300, 2, 3, "full"), (300, 4, 3, "full"), (700, 4, 3, "full"), (300, 2, 5, "full"),
             (500, 3, 2, "diag"), (500, 3, 4, "diag"), (500, 3, 2, "spherical"), (500, 3, 2, "tied")]  # fmt: skip
    rows = []
    for n, d, k, name in cases:
        values = rng.normal(size=(n, d)) + 3 * rng.integers(0, k, size=(n, 1))
        listener = event.RecordingListener()
        event.register("numba:compile", listener)
        begun = time.perf_counter()
        bg.sample_posterior(values, k, name, draws=50, chains=2, random_seed=1, progressbar=False)
        seconds = time.perf_counter() - begun
        event.unregister("numba:compile", listener)
        count = sum(e.is_start for _, e in listener.buffer)
        rows.append({"case": [n, d, k, name], "compilations": count, "seconds": seconds})
    return rows


def pymc_reuse_worker() -> list[dict[str, Any]]:
    """What stock PyMC spends before its first draw when K changes in one process."""
    from dataclasses import replace

    from rivals_posterior import pymc_nutpie

    from bayesgmm import fit_mixture

    rows = []
    for k in (2, 3):
        task = task_of("small", "PyMC", True)
        start = fit_mixture(task.values, k, "full", random_state=0).mixture
        seconds = pymc_nutpie(replace(task, start=start)).compile
        rows.append({"case": [len(task.values), 2, k, "full"], "seconds": seconds})
    return rows


def gradient_worker(quick: bool) -> list[dict[str, Any]]:
    """Value and gradient against one E-step alone, at 10,000 x 5 with four components; one thread, processor time."""
    from bayesgmm.mixture import single_threaded_blas
    from bayesgmm.mixture.kernel import BLOCK, accumulate
    from bayesgmm.posterior.target import Target

    rows = []
    values = data_of("large")
    for name in ("full", "tied", "diag", "spherical"):
        density = Target.of(values, 4, name)
        fit = task_start(values, name)
        point = density.coordinates.unconstrain(fit.weights, fit.means, fit.dense_covariances)
        design, theta = density.design, np.ascontiguousarray(fit.natural[None])
        n = design.n_rows

        def e_step(theta: np.ndarray = theta, design: Any = design, n: int = n) -> None:
            for _ in range(20):
                accumulate(theta, design.rows, design.pairs, design.sample_weight, 0, n, BLOCK)

        def gradient(density: Any = density, point: np.ndarray = point) -> None:
            for _ in range(20):
                density(point)

        with single_threaded_blas():
            tasks = {"E-step": timed(e_step, time.process_time), "gradient": timed(gradient, time.process_time)}
            seconds = interleaved(tasks, 5 if quick else 40)
        rows.append({"structure": name, "seconds": {e: [s / 20 for s in each] for e, each in seconds.items()}})
    return rows


def task_start(values: np.ndarray, name: str) -> Any:
    from bayesgmm import fit_mixture

    return fit_mixture(values, 4, name, random_state=0).mixture


@cache
def _bytecode() -> str:
    """A folder of Python's own bytecode of every package, which pip writes when it installs them and others do not."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    packages = [sysconfig.get_path("purelib"), str(REPOSITORY / "bayesgmm"), str(Path(__file__).parent)]
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": folder.name}
    # Some packages hold templates that are no valid Python: the exit status says nothing.
    subprocess.run([sys.executable, "-m", "compileall", "-qq", *packages], env=environment, check=False)
    return folder.name


class _EmptyCaches:
    """Environment of a process that finds no machine code of an earlier one."""

    def __enter__(self) -> dict[str, str]:
        self._folder = tempfile.TemporaryDirectory()
        numba, pytensor = Path(self._folder.name) / "numba", Path(self._folder.name) / "pytensor"
        caches = {"NUMBA_CACHE_DIR": str(numba), "PYTENSOR_FLAGS": f"base_compiledir={pytensor}"}
        return {**caches, "PYTHONPYCACHEPREFIX": _bytecode()}

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()


def _worker(*arguments: str, quick: bool, environment: dict[str, str] | None = None) -> Any:
    flags = ["--quick"] if quick else []
    return in_fresh_process([__file__, "--worker", *arguments, *flags], _TIME_LIMIT, environment)


def ess_stage(problems: Sequence[str], engines: Sequence[str], quick: bool, path: Path) -> Any:
    """Every engine on every target. Each result is kept as it comes, beside those of earlier runs, in ``path``."""
    from rivals_posterior import CHAINS

    begun = time.perf_counter()
    kept = json.loads(path.read_text()) if path.exists() else {"result": {}, "seconds": 0.0}
    results, seconds = kept["result"], kept["seconds"]
    for target in problems:
        for engine in engines:
            with _EmptyCaches() as environment:
                row = _worker("ess", "--problems", target, "--engines", engine, quick=quick, environment=environment)
            if str(row.get("skipped", "")).startswith("not finished"):
                row["at_most"] = CHAINS * (50 if quick else DRAWS.get((target, engine), 1000)) / _TIME_LIMIT
            results[f"{target}/{engine}"] = row
            _keep(path, results, seconds + time.perf_counter() - begun, quick)
            told = row.get("skipped") or f"{min(row['ess']) / row['sampling']:.3g} ESS/s in {row['whole']:.0f} s"
            print(target, engine, told, flush=True)
    return results


def cold_stage(problems: Sequence[str], quick: bool) -> Any:
    rows = []
    for target in problems:
        if target == "large":
            continue
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "start.npz"
            mixture = task_of(target, "ours", True).start
            np.savez(path, weights=mixture.weights, means=mixture.means, covariances=mixture.dense_covariances)
            for engine in ("ours", "PyMC", "PyMC + nutpie"):
                with _EmptyCaches() as environment:
                    begun = time.perf_counter()
                    told = _worker("cold", "--problems", target, "--engines", engine, "--start", str(path),
                                   quick=quick, environment=environment)  # fmt: skip
                    rows.append({"target": target, "engine": engine, "seconds": time.perf_counter() - begun, **told})
                print(rows[-1], flush=True)
    return rows


def reuse_stage(quick: bool) -> Any:
    with _EmptyCaches() as environment:
        first = _worker("reuse", quick=quick, environment=environment)
        again = _worker("reuse", quick=quick, environment=environment)
    with _EmptyCaches() as environment:
        rival = _worker("pymc-reuse", quick=quick, environment=environment)
    return {"first": first, "again": again, "PyMC + nutpie": rival}


def _keep(path: Path, result: Any, seconds: float, quick: bool) -> None:
    kept = {"result": result, "seconds": seconds, "quick": quick, "load": os.getloadavg()[2]}
    path.write_text(json.dumps(kept, indent=1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="50 draws: does it run?")
    parser.add_argument("--stages", default=",".join(STAGES))
    parser.add_argument("--problems", default=",".join(COMPONENTS))
    parser.add_argument("--engines", default=",".join(ENGINES))
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--start", help=argparse.SUPPRESS)
    options = parser.parse_args()
    problems, engines, quick = options.problems.split(","), options.engines.split(","), options.quick
    workers = {
        "ess": lambda: ess_worker(problems[0], engines[0], quick),
        "structures": lambda: structures_worker(problems, quick),
        "cold": lambda: cold_worker(problems[0], engines[0], quick, options.start),
        "reuse": lambda: reuse_worker(quick),
        "pymc-reuse": pymc_reuse_worker,
        "gradient": lambda: gradient_worker(quick),
    }
    if options.worker:
        print(json.dumps(workers[options.worker]()))
        return
    RESULTS.mkdir(parents=True, exist_ok=True)
    for stage in options.stages.split(","):
        path = RESULTS / f"posterior-{stage}.json"
        if stage == "ess" and set(problems) == set(COMPONENTS) and set(engines) == set(ENGINES):
            path.unlink(missing_ok=True)
        begun = time.perf_counter()
        result = {
            "ess": lambda path=path: ess_stage(problems, engines, quick, path),
            "structures": lambda: _worker("structures", "--problems", options.problems, quick=quick),
            "cold": lambda: cold_stage(problems, quick),
            "reuse": lambda: reuse_stage(quick),
            "gradient": lambda: _worker("gradient", quick=quick),
        }[stage]()
        seconds = time.perf_counter() - begun
        if stage != "ess":
            _keep(path, result, seconds, quick)
        print(f"{stage}: {seconds:.0f} s", flush=True)
    stages = {s: json.loads(p.read_text()) for s in STAGES if (p := RESULTS / f"posterior-{s}.json").exists()}
    path = REPORTS / "posterior.md"
    path.write_text(write_report(stages))
    print(path.relative_to(REPOSITORY))


if __name__ == "__main__":
    main()
