"""What both benchmark scripts share: timings side by side, the machine, Markdown tables, data made to order."""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[2]
REPORTS = REPOSITORY / "reports" / "benchmarks"


@dataclass(frozen=True)
class Spread:
    """Smallest, median and largest of repeated measurements."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(float(np.min(values)), float(np.median(values)), float(np.max(values)))

    def text(self, scale: float = 1.0) -> str:
        """The median with its range, such as "21 (19-24)"."""
        low, median, high = (number(scale * v) for v in (self.low, self.median, self.high))
        return f"{median} ({low}-{high})"


def ratios(rival: Sequence[float], ours: Sequence[float]) -> Spread:
    """Spread of rival over ours, repeat by repeat: neighbours in time share the machine's mood."""
    return Spread.of([a / b for a, b in zip(rival, ours, strict=True)])


def interleaved(tasks: Mapping[str, Callable[[], float]], repeats: int) -> dict[str, list[float]]:
    """Run tasks that return their own seconds as A B C A B C ..., after one unmeasured round."""
    for task in tasks.values():
        task()
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(repeats):
        for name, task in tasks.items():
            seconds[name].append(task())
    return seconds


def timed(function: Callable[[], Any], clock: Callable[[], float] = time.perf_counter) -> Callable[[], float]:
    """A task for `interleaved`: the seconds that ``function`` takes, by the wall clock if no other is given."""

    def task() -> float:
        begun = clock()
        function()
        return clock() - begun

    return task


def number(value: float | None) -> str:
    """Three significant digits, without exponents where they are not needed."""
    if value is None or not np.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) < 1e-3:
        return f"{value:.1e}"
    return f"{value:.3g}"


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A Markdown table; numbers are formatted by `number`."""

    def cell(value: Any) -> str:
        if isinstance(value, Spread):
            return value.text()
        return number(value) if isinstance(value, float) else str(value)

    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(cell(v) for v in row) + " |" for row in rows]
    return "\n".join(lines)


def provenance(command: str, packages: Sequence[str], seconds: float, extra: Sequence[str] = ()) -> str:
    """How a report was made, as a Markdown list."""
    versions = ", ".join(f"{name} {_version(name)}" for name in packages)
    lines = [
        f"Command: `{command}`",
        f"Date: {time.strftime('%Y-%m-%d')}; {seconds / 60:.0f} minutes",
        f"Machine: {_cpu()}, {os.cpu_count()} cores; {platform.system()}, Python {platform.python_version()}",
        f"Versions: {versions}",
        *extra,
    ]
    return "\n".join(f"- {line}" for line in lines)


def load_told(stages: Mapping[str, Mapping[str, Any]]) -> str:
    """What else the machine was doing: its load average at the end of each stage, beside its cores."""
    loads = ", ".join(f"{name} {stage['load']:.1f}" for name, stage in stages.items() if "load" in stage)
    return f"Load average (15 minutes) at the end of each stage, own work included: {loads}"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def in_fresh_process(arguments: Sequence[str], timeout: float, environment: Mapping[str, str] | None = None) -> Any:
    """Run a worker, ``python arguments``, and read the JSON on its last line; its failure is told, not hidden.

    Returns
    -------
    object
        What the worker printed, or ``{"skipped": reason}``.
    """
    env = {**os.environ, **(environment or {})}
    process = subprocess.Popen(
        [sys.executable, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env,
        cwd=REPOSITORY, start_new_session=True,
    )  # fmt: skip
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # with its own children: chains, R
        process.communicate()
        return {"skipped": f"not finished after {timeout:.0f} s"}
    if process.returncode != 0:
        last = (err.strip().splitlines() or ["no message"])[-1]
        print(err[-3000:], file=sys.stderr)
        return {"skipped": f"failed: {last[:200]}"}
    return json.loads(out.strip().splitlines()[-1])


def gaussian_data(
    n_rows: int, n_features: int, n_components: int, seed: int = 0, separation: float = 3.0
) -> tuple[np.ndarray, np.ndarray]:
    """Rows (N, D) of a mixture with correlated components, and the component of each row.

    Centres are N(0, separation^2 / 2) in each of at most 4 directions, so that components overlap somewhat whatever D.
    """
    rng = np.random.default_rng(seed)
    centres = np.zeros((n_components, n_features))
    width = min(n_features, 4)
    centres[:, :width] = rng.normal(0, separation / np.sqrt(2), (n_components, width))
    weights = rng.dirichlet(np.full(n_components, 10.0))
    labels = rng.choice(n_components, n_rows, p=weights)
    values = rng.standard_normal((n_rows, n_features))
    for k in range(n_components):
        mine = labels == k
        factor = np.eye(n_features) + 0.3 * np.tril(rng.standard_normal((n_features, n_features)), -1) / np.sqrt(
            n_features
        )
        values[mine] = values[mine] @ factor.T * np.exp(rng.normal(0, 0.2, n_features))
    values += centres[labels]
    return values, labels
