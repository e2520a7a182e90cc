"""What a new user waits for: compilation with empty caches, stage by stage; writes ``reports/benchmarks/start.md``.

    python tests/benchmarks/start.py [--repeats 3] [--before REVISION]

Every measurement is a fresh process with empty caches of numba and PyTensor. With ``--before``, the package at a revision
takes turns with the present one (A B A B ...) and stands beside it. CPU seconds are given as the smallest of the repeats with
the largest behind: other work on the machine only adds to them.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from harness import REPORTS, REPOSITORY, in_fresh_process, number, provenance, table

STAGES = Path(__file__).with_name("start_stages.py")
# Compilation in CPU seconds, on top of the stages before: what we aim at.
GOALS = {"first EM fit": 1.5, "first posterior": 4.0, "first compare": 1.0}
MAIN_JOB = ("report", "faithful", "-k", "1:4")
MAIN_JOB_GOAL = 25.0


def empty_caches(folder: str) -> dict[str, str]:
    caches = {"NUMBA_CACHE_DIR": f"{folder}/numba", "PYTENSOR_FLAGS": f"base_compiledir={folder}/pytensor"}
    return {**{k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}, **caches}


def package_at(revision: str, folder: str) -> str:
    """The package of a revision, unpacked into ``folder``."""
    archive = subprocess.run(
        ["git", "archive", revision, "bayesgmm"], cwd=REPOSITORY, stdout=subprocess.PIPE, check=True
    )
    subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
    return folder


def stages_of(package: str) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        return in_fresh_process([str(STAGES)], 600, {**empty_caches(folder), "PYTHONPATH": package})


def main_job(package: str) -> dict[str, float]:
    """Wall and CPU seconds of the README's main job, Python's own byte code compiled before ("after installation")."""
    with tempfile.TemporaryDirectory() as folder:
        begun, before = time.perf_counter(), os.times()
        run = "from bayesgmm.cli import main; main()"
        subprocess.run(
            [sys.executable, "-c", run, *MAIN_JOB, "-o", f"{folder}/out"], env={**empty_caches(folder), "PYTHONPATH": package},
            cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=True,
        )  # fmt: skip
        after = os.times()
        cpu = after.children_user + after.children_system - before.children_user - before.children_system
        return {"wall": time.perf_counter() - begun, "cpu": cpu}


def smallest(values: list[float]) -> str:
    return f"{number(min(values))} (–{number(max(values))})"


def stage_rows(runs: dict[str, list[Any]]) -> list[list[str]]:
    rows = []
    for name in runs["now"][0]:
        row = [name]
        for version in runs.values():
            functions = [function for function, _ in version[0][name]["functions"]]
            own = sum(function.startswith("bayesgmm.") for function in functions)
            row += [f"{own} + {len(functions) - own}", smallest([run[name]["seconds"] for run in version])]
        goal = GOALS.get(name)
        met = goal is not None and min(run[name]["seconds"] for run in runs["now"]) <= goal
        rows.append([*row, "" if goal is None else f"{number(goal)}: {'met' if met else 'not met'}"])
    return rows


def report(runs: dict[str, list[Any]], jobs: dict[str, list[dict[str, float]]], about: str) -> str:
    versions = ["now"] if len(runs) == 1 else ["before", "now"]
    columns = [f"{what}, {version}" for version in versions for what in ("functions", "CPU s")]
    return "\n\n".join(
        [
            "# The start: compilation with empty caches",
            about,
            "CPU seconds of compilation alone, each stage on top of those before: smallest of the repeats (largest). "
            "Functions: the package's + NumPy's and others that numba builds for it; C functions are in the seconds, not in "
            "the count.",
            table(["stage", *columns, "goal, CPU s"], stage_rows(runs)),
            *_told_of_jobs(jobs, versions),
        ]
    )


def _told_of_jobs(jobs: dict[str, list[dict[str, float]]], versions: list[str]) -> list[str]:
    told = f"The README's main job, `bayesgmm {' '.join(MAIN_JOB)}`, with empty caches"
    if not jobs["now"]:
        return [f"{told}, was left out of this run."]
    rows = [
        [version, *(smallest([run[clock] for run in jobs[version]]) for clock in ("wall", "cpu"))]
        for version in versions
    ]
    met = "met" if min(run["wall"] for run in jobs["now"]) <= MAIN_JOB_GOAL else "not met"
    return [
        f"{told}; goal: {number(MAIN_JOB_GOAL)} s of wall time, {met}.",
        table(["version", "wall s", "CPU s"], rows),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--before", help="a revision to measure beside the present package")
    parser.add_argument("--stages-only", action="store_true", help="leave the README's main job out")
    arguments = parser.parse_args()
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        packages = {"now": str(REPOSITORY)}
        if arguments.before:
            packages = {"before": package_at(arguments.before, folder), **packages}
        for package in packages.values():
            subprocess.run([sys.executable, "-m", "compileall", "-q", f"{package}/bayesgmm"], check=True)
        runs: dict[str, list[Any]] = {version: [] for version in packages}
        jobs: dict[str, list[dict[str, float]]] = {version: [] for version in packages}
        for _ in range(arguments.repeats):
            for version, package in packages.items():
                runs[version].append(stages_of(package))
                if not arguments.stages_only:
                    jobs[version].append(main_job(package))
                print(
                    version, {name: round(stage["seconds"], 2) for name, stage in runs[version][-1].items()}, flush=True
                )
                print(version, jobs[version][-1:], flush=True)
    command = "python tests/benchmarks/start.py" + "".join(f" {argument}" for argument in sys.argv[1:])
    load = f"Load average (15 minutes) at the end, own work included: {os.getloadavg()[2]:.1f}"
    about = provenance(command, ["numba", "llvmlite", "numpy", "pytensor"], time.perf_counter() - begun, [load])
    path = REPORTS / "start.md"
    path.write_text(report(runs, jobs, about) + "\n")
    print(path)


if __name__ == "__main__":
    main()
