"""A typical analysis, stage by stage: which functions numba compiles, for what, and the CPU seconds that takes.

    NUMBA_CACHE_DIR=$(mktemp -d) python tests/benchmarks/start_stages.py [STAGE ...]

Prints one JSON object. Run in a fresh process with empty caches, by ``start.py`` and by the tests. It uses the public interface
alone, so that it measures earlier versions too.
"""

from __future__ import annotations

import json
import sys
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any

from numba.core import event


class Functions(event.Listener):
    """Functions that numba compiles, as (name, argument types)."""

    def __init__(self) -> None:
        self.compiled: list[tuple[str, str]] = []

    def on_start(self, event: event.Event) -> None:
        function = event.data["dispatcher"].py_func
        self.compiled.append((f"{function.__module__}.{function.__qualname__}", str(event.data["args"])))

    def on_end(self, event: event.Event) -> None:
        pass


class Seconds(event.Listener):
    """CPU seconds of threads while they hold the lock that every compilation holds, C functions (``cfunc``) included.

    Its holder may take it again: only the outermost time counts.
    """

    def __init__(self) -> None:
        self.total = 0.0
        self._thread = threading.local()

    def on_start(self, event: event.Event) -> None:
        self._thread.depth = getattr(self._thread, "depth", 0) + 1
        if self._thread.depth == 1:
            self._thread.begun = time.thread_time()

    def on_end(self, event: event.Event) -> None:
        self._thread.depth -= 1
        if self._thread.depth == 0:
            self.total += time.thread_time() - self._thread.begun


def stages() -> dict[str, Callable[[dict[str, Any]], Any]]:
    """Name and action of each stage; what a stage returns is kept under its name."""
    import bayesgmm as bg

    df = bg.load_dataset("faithful")
    quiet: dict[str, Any] = {"progressbar": False}
    few: dict[str, Any] = {"draws": 200, "tune": 100, "chains": 2, "random_seed": 0, **quiet}
    return {
        "first EM fit": lambda _: bg.GaussianMixture(2, random_state=0).fit(df),
        "first posterior": lambda _: bg.sample_posterior(df, 2, **few),
        "second posterior": lambda _: bg.sample_posterior(df, 3, **few),
        "first compare": lambda done: bg.compare(
            {"2": done["first posterior"], "3": done["second posterior"]}, **quiet
        ),
        "memberships and contrast": lambda done: (
            bg.memberships(done["first posterior"]),
            bg.em_vs_posterior(done["first EM fit"], done["first posterior"]),
        ),
        "coclustering and consensus": lambda done: (
            bg.coclustering(done["first posterior"]),
            bg.consensus(done["first posterior"]),
        ),
        "filled components": lambda _: bg.filled_components(df, draws=50, tune=50, chains=2, random_seed=0),
    }


def main(wanted: list[str]) -> None:
    warnings.simplefilter("ignore")  # few draws
    functions, seconds = Functions(), Seconds()
    event.register("numba:compile", functions)
    event.register("numba:compiler_lock", seconds)
    result, done = {}, {}
    for name, action in stages().items():
        if wanted and name not in wanted:
            continue
        functions.compiled, seconds.total = [], 0.0
        begun = time.process_time()
        done[name] = action(done)
        cpu = time.process_time() - begun
        result[name] = {"functions": functions.compiled, "seconds": seconds.total, "cpu": cpu}
    print(json.dumps(result))


if __name__ == "__main__":
    main(sys.argv[1:])
