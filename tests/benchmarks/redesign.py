"""Two checkouts side by side, figure by figure of ``em.md`` and ``posterior.md``: writes ``reports/benchmarks/redesign.md``.

    python tests/benchmarks/redesign.py --before CHECKOUT [--now CHECKOUT] [--stages iteration,gradient,...] [--repeats 41]

Each checkout is a process that stays and measures on request, with the functions of its own ``tests/benchmarks/em.py`` and
``posterior.py``, so that a change of internal interfaces does not matter. Repeats alternate, A B A B ..., each a fraction of a
second by the processor's clock, and the ratio of a figure is the median of the ratios of neighbours: what else the machine does
falls on both. Stages are kept beside the report as JSON, so that they can be run again one by one.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from harness import REPORTS, REPOSITORY, load_told, number, provenance, table

RESULTS = REPORTS / "results"
WORKER = Path(__file__).with_name("redesign_worker.py")
# Ratio now / before above which a figure is worse.
ALLOWED = 1.05
TITLES = {
    "iteration": "Time per EM iteration, ms",
    "target": "From one start to within 1e-6 of its optimum, ms",
    "growth": "Time per EM iteration as N, K and D grow, ms",
    "default": "A fit by default settings, ms",
    "memory": "Memory added by a fit, MB",
    "gradient": "Log density and gradient, and the E-step alone (10,000 x 5, K=4), ms",
    "reuse": "A posterior of 50 draws after another (2 chains), ms",
    "draws": "CPU ms per effective draw of the worst parameter (4 chains of 1,000 draws)",
    "cold": "A first posterior with empty caches, whole process, ms",
}
# Pairs of each stage, as multiples of --repeats.
SHARE = {"growth": 0.35, "default": 0.25, "target": 0.5, "memory": 0.05, "draws": 0.15, "cold": 0.08}


class Checkout:
    """A version of the package, in a process that measures what it is asked for."""

    def __init__(self, folder: Path, caches: str) -> None:
        self.folder = folder
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        self.environment = {**environment, **one, "PYTHONPATH": str(folder), "NUMBA_CACHE_DIR": caches}
        self.process = subprocess.Popen(
            [sys.executable, str(WORKER), str(folder)],
            env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def ask(self, *question: Any) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the worker of {self.folder} has died")
        return json.loads(line)


def measured(before: Checkout, now: Checkout, stage: str, repeats: int, only: str) -> Iterator[dict[str, Any]]:
    """Cases of a stage, each with pairs of seconds (or megabytes), and what else they report."""
    for case in now.ask("cases", stage):
        if only not in case:
            continue
        told = [checkout.ask("prepare", stage, case) for checkout in (before, now)]
        pairs = []
        for i in range(repeats):
            # Who is first takes turns too.
            order = (before, now) if i % 2 == 0 else (now, before)
            values = {checkout: checkout.ask("measure") for checkout in order}
            pairs.append([values[before], values[now]])
        row = {"case": case, "told": told, "pairs": pairs}
        print(stage, case, number(ratio_of(row)[1]), file=sys.stderr, flush=True)
        yield row


def ratio_of(row: dict[str, Any]) -> tuple[float, float, float]:
    """Quartiles of the ratios now / before: the second is the figure."""
    before, now = np.array(row["pairs"]).T
    low, middle, high = np.quantile(now / before, (0.25, 0.5, 0.75))
    return float(low), float(middle), float(high)


def _table_of(stage: str, rows: list[dict[str, Any]]) -> str:
    lines = []
    for row in rows:
        low, middle, high = ratio_of(row)
        before, now = np.median(np.array(row["pairs"]), axis=0)
        scale = 1.0 if stage == "memory" else 1e3
        said = "better" if middle < 1 / ALLOWED else "as before" if middle <= ALLOWED else "WORSE"
        told = ["" if text is None else str(text) for text in row["told"]]
        lines.append(
            [
                row["case"], number(scale * before), number(scale * now),
                f"{middle:.3f} ({low:.3f}-{high:.3f})", said, " / ".join(told) if any(told) else "",
            ]
        )  # fmt: skip
    return table(["case", "before", "now", "now / before", "", "beside it, before / now"], lines)


def report(stages: dict[str, Any], about: str) -> str:
    every = [(stage, row, ratio_of(row)[1]) for stage, part in stages.items() for row in part["result"]]
    worse = [f"{row['case']} ({stage}, {r:.2f})" for stage, row, r in every if r > ALLOWED]
    said = f"{len(every) - len(worse)} of {len(every)} figures are within 5% of those before, or better."
    parts = [
        "# The redesign: every figure before and after",
        about,
        said + (f" Not so: {'; '.join(worse)}." if worse else ""),
        "Medians, and the median ratio of neighbours in time with its quartiles; CPU time of one core.",
        "A posterior's chains start at the modes of four EM searches now, on small tables, and did at those of one: that "
        "is meant, so that few modes are missed. What ends in “from one EM search” compares like with like.",
    ]
    for stage, title in TITLES.items():
        if stage in stages:
            parts += [f"## {title}", _table_of(stage, stages[stage]["result"])]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, required=True)
    parser.add_argument("--now", type=Path, default=REPOSITORY)
    parser.add_argument("--stages", default=",".join(TITLES))
    parser.add_argument("--repeats", type=int, default=41)
    parser.add_argument("--only", default="", help="cases with this text in their name; the others stay as they were")
    options = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as caches:
        folders = (options.before.resolve(), options.now.resolve())
        before, now = (Checkout(folder, f"{caches}/{i}") for i, folder in enumerate(folders))
        for stage in options.stages.split(","):
            begun = time.perf_counter()
            repeats = max(3, round(options.repeats * SHARE.get(stage, 1.0)))
            path = RESULTS / f"redesign-{stage}.json"
            earlier = json.loads(path.read_text()) if options.only and path.exists() else {"result": [], "seconds": 0.0}
            rows = {row["case"]: row for row in earlier["result"]}
            rows |= {row["case"]: row for row in measured(before, now, stage, repeats, options.only)}
            kept = {"result": list(rows.values()), "seconds": earlier["seconds"] + time.perf_counter() - begun,
                    "load": os.getloadavg()[2], "quick": False}  # fmt: skip
            path.write_text(json.dumps(kept))
            print(f"{stage}: {kept['seconds']:.0f} s", flush=True)
    stages = {s: json.loads(p.read_text()) for s in TITLES if (p := RESULTS / f"redesign-{s}.json").exists()}
    revision = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=options.before, capture_output=True, text=True, check=True
    ).stdout.strip()
    seconds = sum(part["seconds"] for part in stages.values())
    extra = [load_told(stages), f"Before: revision {revision}"]
    about = provenance("python tests/benchmarks/redesign.py --before CHECKOUT", ["numpy", "numba"], seconds, extra)
    path = REPORTS / "redesign.md"
    path.write_text(report(stages, about))
    print(path.relative_to(REPOSITORY))


if __name__ == "__main__":
    main()
