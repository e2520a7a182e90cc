"""Speed, optimum and memory of the EM path against scikit-learn and mclust: writes ``reports/benchmarks/em.md``.

    python tests/benchmarks/em.py [--quick] [--stages one-core,all-cores,target,default,memory,growth]

Every comparison is made within one run, rivals taking turns (A B C A B C ...), and is given as a ratio with its spread
over repeats. Results of a stage are kept beside the report as JSON, so that stages can be run again one by one. mclust
is run where R has it (Debian: ``r-cran-mclust``) and left out with the reason where not.
"""

from __future__ import annotations

import argparse
import bisect
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

if "--cores" in sys.argv and sys.argv[sys.argv.index("--cores") + 1] == "1":
    # Before NumPy is imported: one core, and one thread in every library.
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import numpy as np
from harness import REPORTS, REPOSITORY, gaussian_data, in_fresh_process, interleaved, ratios, timed
from harness_em import write_report
from rivals_em import Mclust, SklearnEM, sklearn_fit

from bayesgmm import GaussianMixture, load_dataset
from bayesgmm.em.algorithm.iterate import run_em
from bayesgmm.em.search.moves import batch_of
from bayesgmm.em.search.starts import Rows, from_partition
from bayesgmm.mixture import Design, Mixture, single_threaded_blas, structure_named

STAGES = ("one-core", "all-cores", "target", "default", "memory", "growth")
RESULTS = REPORTS / "results"

# N, D, K, structure; the goal of DESIGN section 6 where there is one.
ITERATION_CASES = [
    (272, 2, 2, "full", None),
    (10_000, 5, 4, "full", None),
    (100_000, 1, 4, "full", None),
    (100_000, 8, 8, "full", 15.0),
    (100_000, 32, 16, "full", 5.0),
    (1_000_000, 8, 2, "full", None),
    (1_000_000, 8, 32, "full", None),
    (100_000, 8, 8, "tied", None),
    (100_000, 32, 16, "tied", None),
    (100_000, 8, 8, "diag", 4.0),
    (100_000, 32, 16, "diag", 4.0),
    (100_000, 8, 8, "spherical", 4.0),
    (100_000, 32, 16, "spherical", 4.0),
]
TARGET_CASES = [
    (272, 2, 2, "full"),
    (2_000, 2, 3, "full"),
    (10_000, 5, 4, "full"),
    (100_000, 8, 8, "full"),
    (100_000, 8, 8, "diag"),
    (100_000, 4, 8, "tied"),
]
DEFAULT_CASES = [
    ("faithful", 272, 2, 2, "full"),
    ("faithful", 272, 2, 3, "full"),
    ("faithful", 272, 2, 2, "tied"),
    ("iris", 150, 4, 3, "full"),
    ("galaxies", 82, 1, 3, "full"),
    ("made", 2_000, 2, 3, "full"),
    ("made", 10_000, 5, 4, "full"),
    ("made", 20_000, 4, 12, "full"),
    ("made", 100_000, 8, 8, "full"),
]
GROWTH = {
    "N": [(n, 8, 8) for n in (1_000, 10_000, 100_000, 1_000_000)],
    "K": [(100_000, 8, k) for k in (2, 4, 8, 16, 32)],
    "D": [(100_000, d, 8) for d in (1, 2, 4, 8, 16, 32)],
}
RELATIVE = 1e-6
# How many starts the default search runs side by side on a small table.
_DEFAULT_STARTS = 26


def standardised(name: str, n: int, d: int, k: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Standardised rows (N, D), and a partition (N,) to start from: a few rounds of Lloyd's algorithm."""
    if name == "made" and n != 272:
        values, _ = gaussian_data(n, d, k, seed)
    else:
        values = load_dataset("faithful" if name == "made" else name).select_dtypes("number").to_numpy(dtype=float)
    values = np.ascontiguousarray((values - values.mean(0)) / values.std(0))
    rng = np.random.default_rng(seed)
    centres = values[rng.choice(len(values), k, replace=False)]
    for _ in range(5):
        labels = ((centres**2).sum(1) - 2 * values @ centres.T).argmin(1)
        centres = np.stack([values[labels == j].mean(0) if (labels == j).any() else centres[j] for j in range(k)])
    return values, labels


def start_of(values: np.ndarray, labels: np.ndarray, k: int, name: str) -> Mixture:
    return from_partition(structure_named(name), Rows(values), labels, k)


def r_session() -> tuple[Mclust | None, str]:
    """mclust, or None and the reason."""
    try:
        session = Mclust()
    except RuntimeError as error:
        return None, str(error)
    return session, session.version


def our_steps(
    design: Design, start: Mixture, n_steps: int, clock: Callable[[], float] = time.perf_counter, copies: int = 1
) -> tuple[float, int]:
    """Plain EM, no acceleration, of that many starts side by side: seconds and E-steps of all of them."""
    begun = clock()
    with single_threaded_blas():
        run = run_em(design, batch_of([start] * copies), tol=0.0, max_iter=n_steps, accelerate=False)
    return clock() - begun, int(run.n_iter.sum())


def iteration_stage(quick: bool) -> dict[str, Any]:
    """Seconds per EM iteration, from one start, for every library.

    On one core by the processor's clock, which other work on the machine does not advance; else by the wall's.
    """
    session, reason = r_session()
    one_core = len(os.sched_getaffinity(0)) == 1
    clock = time.process_time if one_core else time.perf_counter
    rows = []
    for n, d, k, name, goal in ITERATION_CASES:
        if quick and n * d * k > 1e5:
            continue
        values, labels = standardised("made", n, d, k)
        start = start_of(values, labels, k, name)
        design = Design.of(values, start.structure)
        rival = SklearnEM(values, start)
        once = timed(lambda rival=rival: rival.run(1))
        once()
        steps = int(np.clip(0.5 / once(), 2, 40))
        repeats = 3 if quick or n * d * k > 5e7 else 7

        def ours(design: Design = design, start: Mixture = start, steps: int = steps) -> float:
            seconds, done = our_steps(design, start, 2 * steps, clock)
            return seconds / done

        def scikit(rival: SklearnEM = rival, steps: int = steps) -> float:
            return timed(lambda: rival.run(steps), clock)() / steps

        def side_by_side(design: Design = design, start: Mixture = start, steps: int = steps) -> float:
            seconds, done = our_steps(design, start, 2 * steps, clock, _DEFAULT_STARTS)
            return seconds / done

        tasks = {"ours": ours, "scikit-learn": scikit}
        if n < 1_000:
            tasks["side by side"] = side_by_side
        if session is not None:
            session.load(values, labels)

            def mclust(d: int = d, k: int = k, name: str = name, steps: int = steps) -> float:
                return session.iterate(name, d, steps, k)[1 if one_core else 0]

            tasks["mclust"] = mclust
        seconds = interleaved(tasks, repeats)
        row = {"case": [n, d, k, name], "goal": goal, "seconds": seconds, "steps": steps}
        rows.append(row)
        told = {e: ratios(s, seconds["ours"]).text() for e, s in seconds.items() if e != "ours"}
        print(row["case"], told, file=sys.stderr, flush=True)
    if session is not None:
        session.close()
    return {"rows": rows, "mclust": reason, "cores": len(os.sched_getaffinity(0))}


def _steps_to(design: Design, start: Mixture, target: float) -> int:
    """Fewest E-steps after which our accelerated run has reached ``target``."""

    def reached(steps: int) -> bool:
        run = run_em(design, start[None], tol=0.0, max_iter=steps)
        return bool(run.log_likelihood[0] >= target)

    high = 4
    while not reached(high):
        high *= 2
        if high > 20_000:
            raise RuntimeError("the target is not reached")
    return bisect.bisect_left(range(high), True, lo=1, key=reached)


def target_stage(quick: bool) -> dict[str, Any]:
    """Seconds from one start to within 1e-6 of the optimum that it leads to; laying out the data counts for ours."""
    rows = []
    for n, d, k, name in TARGET_CASES:
        if quick and n > 5_000:
            continue
        values, labels = standardised("made", n, d, k)
        start = start_of(values, labels, k, name)
        with single_threaded_blas():
            design = Design.of(values, start.structure)
            optimum = float(run_em(design, start[None], tol=1e-12, max_iter=20_000).log_likelihood[0])
            target = optimum - RELATIVE * abs(optimum)
            ours_needs = _steps_to(design, start, target)
        rival = SklearnEM(values, start)
        rival_needs = rival.steps_until(target, 5_000)

        def ours(values: np.ndarray = values, start: Mixture = start, steps: int = ours_needs) -> None:
            with single_threaded_blas():
                run_em(Design.of(values, start.structure), start[None], tol=0.0, max_iter=steps)

        row: dict[str, Any] = {"case": [n, d, k, name], "steps": {"ours": ours_needs, "scikit-learn": rival_needs}}
        if rival_needs is None:
            row["seconds"] = interleaved({"ours": timed(ours, time.process_time)}, 3)
        else:
            run_rival = timed(lambda rival=rival, steps=rival_needs: rival.run(steps), time.process_time)
            row["seconds"] = interleaved(
                {"ours": timed(ours, time.process_time), "scikit-learn": run_rival}, 3 if n >= 100_000 else 7
            )
        rows.append(row)
        print(row["case"], row["steps"], file=sys.stderr, flush=True)
    return {"rows": rows}


def _sound(model: Any, n_rows: int, n_features: int) -> bool:
    """Whether no component of a scikit-learn fit is a spike on a few rows."""
    counts = model.weights_ * n_rows
    return bool(counts.min() >= max(5, 2 * n_features))


def _restarts(values: np.ndarray, k: int, name: str, budget: float, most: int) -> list[tuple[float, float]]:
    """scikit-learn run to convergence from its own k-means starts: (seconds, log likelihood) of each, sound ones."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture as Rival

    done: list[tuple[float, float]] = []
    begun = time.process_time()
    while len(done) < most and (time.process_time() - begun < budget or not done):
        model = Rival(k, covariance_type=name, tol=1e-7, max_iter=5_000, reg_covar=0.0, random_state=len(done))
        first = time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            try:
                model.fit(values)
                value = float(model.score(values)) * len(values) if _sound(model, *values.shape) else -np.inf
            except ValueError:  # a collapsed covariance
                value = -np.inf
        done.append((time.process_time() - first, value))
    return done


def default_stage(quick: bool) -> dict[str, Any]:
    """Optimum reached by default settings, its time, and seconds until the best optimum known is reached."""
    session, reason = r_session()
    rows = []
    for data, n, d, k, name in DEFAULT_CASES:
        if quick and n > 5_000:
            continue
        values, _ = standardised(data, n, d, k)
        ours = []
        for seed in range(5 if n < 50_000 else 3):
            begun = time.process_time()
            fit = GaussianMixture(k, covariance_type=name, random_state=seed).fit(values).result_
            ours.append((time.process_time() - begun, fit.log_likelihood))
        plain = []
        for seed in range(5):
            begun = time.process_time()
            value = sklearn_fit(values, k, name, seed)
            plain.append((time.process_time() - begun, value))
        restarted = _restarts(values, k, name, 5.0 if quick else 30.0, 20)
        mclust = None
        if session is not None and n <= 20_000:
            session.load(values)
            mclust = session.default(name, values.shape[1], k)
        best = max(v for _, v in ours + restarted)
        row = {"case": [data, *values.shape, k, name], "best": best, "ours": ours, "scikit-learn": plain,
               "restarts": restarted, "mclust": mclust}  # fmt: skip
        rows.append(row)
        print(row["case"], ours[0], plain[0], mclust, file=sys.stderr, flush=True)
    if session is not None:
        session.close()
    return {"rows": rows, "mclust": reason}


def memory_stage(quick: bool) -> dict[str, Any]:
    """Peak memory of a fit in a process of its own, beyond what the process held with the data loaded."""
    cases = [(20_000, 8, 8)] if quick else [(100_000, 8, 8), (1_000_000, 8, 32)]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for n, d, k in cases:
            path = Path(folder) / f"{n}.npy"
            np.save(path, gaussian_data(n, d, k)[0])
            for engine in ("ours", "scikit-learn"):
                arguments = [__file__, "--worker", "memory", "--data", str(path), "--engine", engine, "-k", str(k)]
                rows.append({"case": [n, d, k], "engine": engine, **in_fresh_process(arguments, 900)})
                print(rows[-1], file=sys.stderr, flush=True)
    return {"rows": rows}


def memory_worker(path: str, engine: str, k: int) -> dict[str, float]:
    """Megabytes that the peak of this process during a fit is above what it held before, the data loaded (Linux)."""

    def held(what: str) -> float:
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith(what)).split()[1]) / 1024

    def fit(values: np.ndarray, k: int) -> None:
        if engine == "ours":
            GaussianMixture(k, random_state=0).fit(values)
        else:
            sklearn_fit(values, k, "full", 0, max_iter=3)

    fit(gaussian_data(500, 8, 2)[0], 2)  # libraries and machine code loaded
    values = np.load(path)
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far, of imports and compilation, is forgotten
    before = held("VmRSS")
    begun = time.perf_counter()
    fit(values, k)
    return {"data": values.nbytes / 2**20, "added": held("VmHWM") - before, "seconds": time.perf_counter() - begun}


def growth_stage(quick: bool) -> dict[str, Any]:
    """Seconds per EM iteration of ours as N, K and D grow."""
    rows = []
    for name in ("full", "tied", "diag", "spherical"):
        for along, cases in GROWTH.items():
            for n, d, k in cases:
                if quick and n > 10_000:
                    n = 10_000
                values, labels = standardised("made", n, d, k)
                start = start_of(values, labels, k, name)
                design = Design.of(values, start.structure)
                steps = int(np.clip(4e7 / (n * d * k), 4, 100))
                each = []
                for _ in range(4):
                    seconds, done = our_steps(design, start, steps, time.process_time)
                    each.append(seconds / done)
                rows.append({"structure": name, "along": along, "case": [n, d, k], "seconds": each[1:]})
    return {"rows": rows}


def run_stage(stage: str, quick: bool) -> Any:
    flags = ["--quick"] if quick else []
    if stage == "memory":
        return memory_stage(quick)
    worker = "iteration" if stage in ("one-core", "all-cores") else stage
    cores = "all" if stage == "all-cores" else "1"
    return in_fresh_process([__file__, "--worker", worker, "--cores", cores, *flags], 1200)


_WORKERS = {
    "iteration": iteration_stage,
    "target": target_stage,
    "default": default_stage,
    "growth": growth_stage,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sizes only: does it run?")
    parser.add_argument("--stages", default=",".join(STAGES))
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--cores", default="all", help=argparse.SUPPRESS)
    parser.add_argument("--data", help=argparse.SUPPRESS)
    parser.add_argument("--engine", help=argparse.SUPPRESS)
    parser.add_argument("-k", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker == "memory":
        print(json.dumps(memory_worker(options.data, options.engine, options.k)))
        return
    if options.worker:
        print(json.dumps(_WORKERS[options.worker](options.quick)))
        return
    RESULTS.mkdir(parents=True, exist_ok=True)
    for stage in options.stages.split(","):
        begun = time.perf_counter()
        result = run_stage(stage, options.quick)
        kept = {"result": result, "seconds": time.perf_counter() - begun, "quick": options.quick,
                "load": os.getloadavg()[2]}  # fmt: skip
        (RESULTS / f"em-{stage}.json").write_text(json.dumps(kept, indent=1))
        print(f"{stage}: {kept['seconds']:.0f} s", flush=True)
    stages = {s: json.loads(p.read_text()) for s in STAGES if (p := RESULTS / f"em-{s}.json").exists()}
    path = REPORTS / "em.md"
    path.write_text(write_report(stages))
    print(path.relative_to(REPOSITORY))


if __name__ == "__main__":
    main()
