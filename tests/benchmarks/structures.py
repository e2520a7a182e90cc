"""Speed of EM for all of mclust's structures: ``python tests/benchmarks/structures.py``.

Writes ``reports/benchmarks/structures.md``: processor seconds per EM iteration of each structure at 100,000 x 8, K = 8, over
those of `full` and beside mclust's from the same partition, and of the whole grid on the iris, K = 1..9, all structures. All
timings of one structure are taken in turns, so that ratios are of neighbours in time; neither library has more than one thread.
"""

from __future__ import annotations

import argparse
import os
import time
from typing import Any

from em import our_steps, r_session, standardised, start_of
from harness import REPORTS, Spread, interleaved, number, provenance, ratios, table, timed

import bayesgmm as bg
from bayesgmm.mixture import COVARIANCE_TYPES, Design, structure_named, structures_named

REPORT = REPORTS / "structures.md"
N, D, K, STEPS = 100_000, 8, 8, 4
# Relative to `full`: where the maximisation step is closed, and where it iterates.
CLOSED, ITERATIVE = 1.3, 2.0
_ITERATIVE = ("VEI", "VEE", "EVE", "VVE", "VEV")


def per_iteration(name: str, session: Any, repeats: int, n: int) -> dict[str, list[float]]:
    """Processor seconds per iteration of a structure, of `full` and of mclust, in turns."""
    tasks = {}
    for key, own in (("ours", name), ("full", "full")):
        values, labels = standardised("made", n, D, K)
        start = start_of(values, labels, K, own)
        design = Design.of(values, start.structure)

        def ours(design: Design = design, start: Any = start) -> float:
            seconds, done = our_steps(design, start, STEPS, time.process_time)
            return seconds / done

        tasks[key] = ours
    if session is not None:
        session.load(values, labels)
        tasks["mclust"] = lambda: session.iterate(name, D, STEPS, K)[1]
    return interleaved(tasks, repeats)


def iteration_table(session: Any, repeats: int, n: int) -> tuple[str, str]:
    """A row per structure, and a sentence on the goals."""
    rows, missed = [], []
    for structure in structures_named("all"):
        seconds = per_iteration(structure.name, session, repeats, n)
        relative = ratios(seconds["ours"], seconds["full"])
        rival = ratios(seconds["mclust"], seconds["ours"]) if "mclust" in seconds else None
        goal = ITERATIVE if structure.letters in _ITERATIVE else CLOSED
        if relative.median > goal or (rival is not None and rival.median < 10):
            missed.append(structure.letters)
        rows.append((
            structure.letters, Spread.of(seconds["ours"]).text(1e3), relative, goal,
            Spread.of(seconds["mclust"]).text(1e3) if rival else "–", rival or "–",
        ))  # fmt: skip
        print(rows[-1], flush=True)
    header = ("model", "ours, ms", "over full", "goal", "mclust, ms", "mclust / ours")
    said = (
        f"Goals missed by {', '.join(missed)}."
        if missed
        else "All within their goals, and at least 10 times mclust's speed."
    )
    return table(header, rows), said


def grid_table(session: Any, repeats: int) -> str:
    """The whole grid on the iris."""
    x = bg.load_dataset("iris").iloc[:, :4].to_numpy(float)
    walls: list[float] = []

    def grid(structures: Any) -> float:
        begun = time.perf_counter()
        busy = timed(lambda: bg.fit_grid(x, range(1, 10), structures, progressbar=False), time.process_time)()
        walls.append(time.perf_counter() - begun)
        return busy

    tasks = {"all": lambda: grid("all"), "default": lambda: grid(COVARIANCE_TYPES)}
    if session is not None:
        session.load(x)
        tasks["mclust"] = lambda: session.grid(1, 9)
    seconds = interleaved(tasks, repeats)
    cells = len(bg.fit_grid(x, range(1, 10), "all", progressbar=False).fits)
    rows = [
        (f"ours, all: {cells} models, 26 starts and moves each", Spread.of(seconds["all"]), number(min(walls[2::2]))),
        ("ours, the four that are fitted by default", Spread.of(seconds["default"]), number(min(walls[3::2]))),
    ]
    if "mclust" in seconds:
        rows.append(("mclust, all fourteen, one start each", Spread.of(seconds["mclust"]), "–"))
    return table(("grid", "processor seconds", "shortest by the wall clock, s"), rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rows", type=int, default=N)
    options = parser.parse_args()
    begun = time.perf_counter()
    session, reason = r_session()
    iterations, said = iteration_table(session, options.repeats, options.rows)
    grids = grid_table(session, options.repeats)
    assert structure_named("VVV").name == "full"
    text = [
        "# EM for all of mclust's structures", (__doc__ or "").split("\n\n", 1)[1].strip(),
        provenance("NUMBA_NUM_THREADS=1 OMP_NUM_THREADS=1 python tests/benchmarks/structures.py",
                   ("bayesgmm", "numpy", "numba"), time.perf_counter() - begun,
                   [f"mclust: {reason}", f"Load average (15 minutes) at the end: {os.getloadavg()[2]:.1f}"]),
        f"## One iteration, {options.rows:,} x {D}, K = {K}", said, iterations, "## The iris, K = 1 to 9", grids,
    ]  # fmt: skip
    REPORT.write_text("\n\n".join(text) + "\n", "utf-8")


if __name__ == "__main__":
    main()
