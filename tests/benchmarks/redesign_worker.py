"""One checkout's side of `redesign.py`: answers questions on standard input, a JSON list a line, by one JSON value each.

    python tests/benchmarks/redesign_worker.py CHECKOUT

``["cases", stage]`` names the cases, ``["prepare", stage, case]`` gets one ready and tells what belongs beside it, and
``["measure"]`` gives the CPU seconds (of memory: the megabytes) of one more repeat.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest.mock import patch

CHECKOUT = Path(sys.argv[1]) if __name__ == "__main__" else None
if CHECKOUT is not None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    # Its own benchmarks, and not those beside this file.
    sys.path[0] = str(CHECKOUT / "tests" / "benchmarks")

import numpy as np  # noqa: E402

STRUCTURES = ("full", "tied", "diag", "spherical")
# Seconds that a repeat aims at.
_LASTING = 0.05

Measure = Callable[[], float]


def lasting(once: Callable[[], Any], count: float = 1.0) -> Measure:
    """CPU seconds of ``once``, per one of the ``count`` things that it does, over as many calls as last a while."""
    once()
    begun = time.process_time()
    once()
    calls = int(np.clip(_LASTING / max(time.process_time() - begun, 1e-6), 1, 2000))

    def measure() -> float:
        begun = time.process_time()
        for _ in range(calls):
            once()
        return (time.process_time() - begun) / calls / count

    return measure


def _size(n: int, d: int, k: int, name: str) -> str:
    return f"{name} {n:,} x {d}, K={k}"


def _steps(n: int, d: int, k: int, name: str, copies: int = 1) -> Measure:
    import em

    values, labels = em.standardised("made", n, d, k)
    start = em.start_of(values, labels, k, name)
    design = em.Design.of(values, start.structure)
    steps = int(np.clip(4e6 / (n * d * k), 2, 40))
    return lasting(lambda: em.our_steps(design, start, steps, time.process_time, copies), steps * copies)


def iteration() -> dict[str, Callable[[], Any]]:
    import em

    cases: dict[str, Callable[[], Any]] = {
        _size(*case[:4]): lambda case=case: (_steps(*case[:4]), None) for case in em.ITERATION_CASES
    }
    cases["full 272 x 2, K=2, 26 starts side by side"] = lambda: (_steps(272, 2, 2, "full", 26), None)
    return cases


def growth() -> dict[str, Callable[[], Any]]:
    import em

    return {
        _size(n, d, k, name): lambda n=n, d=d, k=k, name=name: (_steps(n, d, k, name), None)
        for name in STRUCTURES
        for cases in em.GROWTH.values()
        for n, d, k in cases
    }


def target() -> dict[str, Callable[[], Any]]:
    import em

    def prepared(n: int, d: int, k: int, name: str) -> tuple[Measure, str]:
        values, labels = em.standardised("made", n, d, k)
        start = em.start_of(values, labels, k, name)
        with em.single_threaded_blas():
            design = em.Design.of(values, start.structure)
            optimum = float(em.run_em(design, start[None], tol=1e-12, max_iter=20_000).log_likelihood[0])
            steps = em._steps_to(design, start, optimum - em.RELATIVE * abs(optimum))

        def once() -> None:
            with em.single_threaded_blas():
                em.run_em(em.Design.of(values, start.structure), start[None], tol=0.0, max_iter=steps)

        return lasting(once), f"{steps} E-steps"

    return {_size(*case): lambda case=case: prepared(*case) for case in em.TARGET_CASES}


def default() -> dict[str, Callable[[], Any]]:
    import em

    def prepared(data: str, n: int, d: int, k: int, name: str) -> tuple[Measure, str]:
        values, _ = em.standardised(data, n, d, k)
        found = []

        def once() -> None:
            model = em.GaussianMixture(k, covariance_type=name, random_state=len(found) % 5)
            found.append(model.fit(values).result_.log_likelihood)

        once()
        return lasting(once), f"log likelihood {found[0]:.4f}"

    return {f"{case[0]} {_size(*case[1:])}": lambda case=case: prepared(*case) for case in em.DEFAULT_CASES}


def memory() -> dict[str, Callable[[], Any]]:
    import em
    from harness import gaussian_data, in_fresh_process

    def prepared(n: int, d: int, k: int) -> tuple[Measure, None]:
        folder = tempfile.TemporaryDirectory()
        path = Path(folder.name) / "data.npy"
        np.save(path, gaussian_data(n, d, k)[0])

        def measure() -> float:
            arguments = [em.__file__, "--worker", "memory", "--data", str(path), "--engine", "ours", "-k", str(k)]
            added: float = in_fresh_process(arguments, 900)["added"]
            assert folder.name
            return added

        return measure, None

    return {f"{n:,} x {d}, K={k}": lambda n=n, d=d, k=k: prepared(n, d, k) for n, d, k in [(100_000, 8, 8)]}


def gradient() -> dict[str, Callable[[], Any]]:
    import posterior

    from bayesgmm.mixture.kernel import BLOCK, accumulate

    def density_of(values: np.ndarray, name: str) -> Any:
        try:
            from bayesgmm.posterior.target import Target
        except ImportError:
            from bayesgmm.posterior.problem import Problem

            return Problem.of(values, 4, name).density()
        return Target.of(values, 4, name)

    def prepared(name: str, what: str) -> tuple[Measure, None]:
        values = posterior.data_of("large")
        density, fit = density_of(values, name), posterior.task_start(values, name)
        if what == "gradient":
            point = density.coordinates.unconstrain(fit.weights, fit.means, fit.dense_covariances)
            return lasting(lambda: density(point)), None
        design, theta = density.design, np.ascontiguousarray(fit.natural[None])
        weight = getattr(design, "sample_weight", None)
        weight = design.row_weight if weight is None else weight
        return lasting(lambda: accumulate(theta, design.rows, design.pairs, weight, 0, design.n_rows, BLOCK)), None

    return {
        f"{what}, {name}": lambda name=name, what=what: prepared(name, what)
        for what in ("E-step", "gradient")
        for name in STRUCTURES
    }


# What a case's name ends in where a posterior's chains start from one EM search alone, as they all did before.
_ONE = ", from one EM search"


def _sampled(values: np.ndarray, k: int, name: str, draws: int, chains: int, one: bool, **more: Any) -> Any:
    import bayesgmm as bg

    less: Any = nullcontext()
    if one and find_spec("bayesgmm.sampling") is not None:
        less = patch("bayesgmm.sampling.starts._FURTHER_SEARCHES", 0)
    with less:
        return bg.sample_posterior(
            values, k, name, draws=draws, chains=chains, cores=1, progressbar=False, **{"random_seed": 1, **more}
        )


def reuse() -> dict[str, Callable[[], Any]]:
    cases = [(300, 2, 2, "full"), (300, 2, 3, "full"), (300, 4, 3, "full"), (700, 4, 3, "full"), (300, 2, 5, "full"),
             (500, 3, 2, "diag"), (500, 3, 4, "diag"), (500, 3, 2, "spherical"), (500, 3, 2, "tied")]  # fmt: skip

    def prepared(n: int, d: int, k: int, name: str, one: bool) -> tuple[Measure, None]:
        rng = np.random.default_rng(0)
        values = rng.normal(size=(n, d)) + 3 * rng.integers(0, k, size=(n, 1))
        return lasting(lambda: _sampled(values, k, name, 50, 2, one)), None

    return {
        _size(*case) + (_ONE if one else ""): lambda case=case, one=one: prepared(*case, one)
        for one in (False, True)
        for case in cases
    }


def draws() -> dict[str, Callable[[], Any]]:
    """Seconds of a posterior given EM's fit, over the smallest effective sample size, which several seeds have in common."""
    import posterior
    import rivals_posterior

    import bayesgmm as bg

    def prepared(problem: str, name: str, one: bool) -> tuple[Measure, str]:
        task = posterior.task_of(problem, "ours", False)
        fit = bg.fit_mixture(task.values, task.start.n_components, name, random_state=0)
        own = rivals_posterior.Task(task.values, fit.mixture, 1000, 1000)
        least = []

        def sampled(seed: int) -> Any:
            return _sampled(own.values, fit.mixture.n_components, name, 1000, 4, one, em=fit, random_seed=seed)

        for seed in range(3):
            p = sampled(seed)["posterior"]
            parts = (p["weights"].values, p["means"].values, p["covariances"].values)
            least.append(min(posterior.summary(rivals_posterior.Sampled(*parts, 0, 0.0, 1.0, 1.0), own)["ess"]))
        ess = float(np.median(least))
        seeds = iter(range(10**6))

        def measure() -> float:
            begun = time.process_time()
            sampled(next(seeds) % 3)
            return (time.process_time() - begun) / ess

        return measure, f"ESS {ess:.0f}"

    return {
        f"{problem}, {name}" + (_ONE if one else ""): lambda problem=problem, name=name, one=one: prepared(
            problem, name, one
        )
        for one in (False, True)
        for problem in posterior.COMPONENTS
        for name in STRUCTURES
        if problem != "large" or name == "full"
    }


def cold() -> dict[str, Callable[[], Any]]:
    import subprocess

    import posterior

    def prepared(problem: str) -> tuple[Measure, None]:
        posterior._bytecode()
        code = (
            "import sys; sys.path.insert(0, sys.argv[1]); import posterior; "
            "print(posterior.cold_worker(sys.argv[2], 'ours', False, ''))"
        )

        def measure() -> float:
            with posterior._EmptyCaches() as environment:
                before = os.times()
                subprocess.run(
                    [sys.executable, "-c", code, sys.path[0], problem],
                    env={**os.environ, **environment}, check=True, stdout=subprocess.DEVNULL,
                )  # fmt: skip
                after = os.times()
            return after.children_user + after.children_system - before.children_user - before.children_system

        return measure, None

    return {problem: lambda problem=problem: prepared(problem) for problem in ("small", "medium")}


STAGES: dict[str, Callable[[], dict[str, Callable[[], Any]]]] = {
    "iteration": iteration, "growth": growth, "target": target, "default": default, "memory": memory,
    "gradient": gradient, "reuse": reuse, "draws": draws, "cold": cold,
}  # fmt: skip


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    measure: Measure | None = None
    for line in sys.stdin:
        question, *arguments = json.loads(line)
        answer: Any = None
        if question == "cases":
            answer = list(STAGES[arguments[0]]())
        elif question == "prepare":
            measure, answer = STAGES[arguments[0]]()[arguments[1]]()
        elif measure is not None:
            answer = measure()
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
