"""The report of `posterior.py`, from the results of its stages."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from harness import Spread, load_told, number, provenance, ratios, table

__all__ = ["write_report"]

_PROBLEMS = {
    "small": "faithful, 272 x 2, K=2",
    "medium": "2,000 x 2, K=3, overlapping",
    "large": "10,000 x 5, K=4",
}
# Goals of DESIGN section 6: smallest ESS per second, ours over theirs, on the two larger problems.
_GOALS = {"PyMC": 100.0, "PyMC + nutpie": 100.0, "NumPyro": 50.0, "Stan": 100.0}


def _met(measured: float, goal: float, at_most: bool = False) -> str:
    good = measured <= goal if at_most else measured >= goal
    return f"{'≤' if at_most else '≥'} {goal:g}: {'met' if good else 'MISSED'}"


def _rate(row: dict[str, Any], what: Any = min, with_compilation: bool = False) -> float:
    return float(what(row["ess"])) / (row["whole" if with_compilation else "sampling"])


def _without_result(engine: str, row: dict[str, Any], ours: dict[str, Any]) -> str:
    """Why an engine has no row; where time ran out, what it can have reached at most."""
    text = f"{engine} was left out: {row['skipped']}."
    if "at_most" not in row or "ess" not in ours:
        return text
    times = _rate(ours) / row["at_most"]
    return (
        f"{text} Had every one of its draws counted as an effective one, that would be fewer than "
        f"{number(row['at_most'])} per second: ours is more than {number(times)} times that "
        f"(goal {_met(times, _GOALS[engine])})."
    )


def _ess(result: dict[str, Any]) -> str:
    parts = ["## Effective draws per second", ""]
    for target, title in _PROBLEMS.items():
        mine = {key.split("/")[1]: row for key, row in result.items() if key.startswith(f"{target}/")}
        if not mine:
            continue
        rows, skipped = [], []
        reference = mine.get("ours", {})
        for engine, row in mine.items():
            if "skipped" in row:
                skipped.append(_without_result(engine, row, reference))
                continue
            ratio, goal = "", ""
            if engine != "ours" and "ess" in reference:
                times = _rate(reference) / _rate(row)
                ratio = number(times)
                goal = _met(times, _GOALS[engine]) if target != "small" else ""
            rows.append(
                [engine, f"{row['tune']:,} + {row['draws']:,}", min(row["ess"]), row["rhat"], row["sampling"],
                 row["compile"], _rate(row), _rate(row, np.median), _rate(row, min, True), _rate(row, np.median, True),
                 row["steps"] / min(row["ess"]), ratio, goal]
            )  # fmt: skip
        header = ["engine", "tune + draws", "smallest ESS", "R-hat", "sampling, s", "compile, s", "smallest ESS/s",
                  "median ESS/s", "smallest, with compiling", "median, with compiling", "gradients per effective draw",
                  "ours / theirs", "goal"]  # fmt: skip
        parts += [f"### {title}", "", table(header, rows), "", *skipped, ""]
    parts.append(
        "Four chains on two cores, starting from EM. Bulk ESS over weights, means and covariances, labels aligned by "
        "the same code for every engine; ESS/s counts warm-up and sampling. “With compiling” is the first call in a fresh "
        "process with empty caches. PyMC is `pm.sample` with its own NUTS; PyMC + nutpie what `pm.sample` takes by "
        "default where nutpie is installed. Gradient evaluations are those of the sampling phase, per smallest ESS. "
        "The ratio is of smallest ESS/s without compilation. Where an engine ran fewer draws it got as much less "
        "tuning."
    )
    return "\n".join(parts)


def _z(a: dict[str, Any], b: dict[str, Any]) -> float:
    difference = np.abs(np.array(a["mean"]) - np.array(b["mean"]))
    return float((difference / np.hypot(a["mcse"], b["mcse"])).max())


def _agreement(result: dict[str, Any]) -> str:
    rows = []
    for target, title in _PROBLEMS.items():
        mine = {k.split("/")[1]: r for k, r in result.items() if k.startswith(f"{target}/") and "ess" in r}
        if len(mine) < 2:
            continue
        pairs = {(a, b): _z(mine[a], mine[b]) for a, b in combinations(mine, 2)}
        ours = {pair[1]: z for pair, z in pairs.items() if pair[0] == "ours"}
        worst = max(pairs, key=pairs.get)  # type: ignore[arg-type]
        largest = pairs[worst]
        count = len(next(iter(mine.values()))["mean"])
        rows.append(
            [title, str(count), *(number(ours[e]) if e in ours else "–" for e in _GOALS),
             f"{number(largest)} ({worst[0]}, {worst[1]})", "met" if largest <= 4 else "MISSED"]
        )  # fmt: skip
    return "\n".join(
        [
            "## Agreement of posterior means",
            "",
            "Largest difference from ours over all weights, means and covariances, in combined Monte Carlo standard "
            "errors; then the largest between any two engines.",
            "",
            table(["data", "quantities", *_GOALS, "any two", "≤ 4"], rows),
        ]
    )


def _structures(rows: list[dict[str, Any]]) -> str:
    body = [
        [_PROBLEMS[r["target"]], r["structure"], min(r["ess"]), r["rhat"], r["sampling"], _rate(r),
         _rate(r, np.median), r["steps"] / min(r["ess"])]
        for r in rows
    ]  # fmt: skip
    header = ["data", "structure", "smallest ESS", "R-hat", "sampling, s", "smallest ESS/s", "median ESS/s",
              "gradients per effective draw"]  # fmt: skip
    told = "4 chains x 1,000 draws, no compilation."
    return "\n".join(["## Ours, all structures", "", told, "", table(header, body)])


def _cold(rows: list[dict[str, Any]]) -> str:
    body = []
    for r in rows:
        if "skipped" in r:
            body.append([_PROBLEMS[r["target"]], r["engine"], "", r["skipped"], "", ""])
            continue
        ours = next(o["seconds"] for o in rows if o["target"] == r["target"] and o["engine"] == "ours")
        share = ours / r["seconds"]
        last = ["", ""] if r["engine"] == "ours" else [share, _met(share, 0.25, True)]
        body.append([_PROBLEMS[r["target"]], r["engine"], r["draws"], r["seconds"], *last])
    return "\n".join(
        [
            "## First posterior with empty caches",
            "",
            "Seconds of a whole fresh process, imports, EM (ours only; the rivals are given its solution), compilation "
            "and four chains included, with as many tuning steps as draws (ours: 300); numba's and PyTensor's caches in "
            "an empty folder. Python's own bytecode is there for all of them, as it is after an installation by pip.",
            "",
            table(["data", "engine", "draws per chain", "seconds", "ours / theirs", "goal"], body),
        ]
    )


def _reuse(result: dict[str, Any]) -> str:
    parts = ["## Changing K, D, N and the structure in one process", ""]
    if "skipped" in result["first"] or "skipped" in result["again"]:
        return "\n".join([*parts, f"Left out: {result['first']} {result['again']}"])
    rows = []
    for first, again in zip(result["first"], result["again"], strict=True):
        n, d, k, name = first["case"]
        rows.append(
            [f"{name}, {n} x {d}, K={k}", str(first["compilations"]), first["seconds"], str(again["compilations"]),
             again["seconds"]]
        )  # fmt: skip
    later = sum(r["compilations"] for r in result["first"][1:]) + sum(r["compilations"] for r in result["again"])
    parts += [
        "`sample_posterior` (50 draws, 2 chains) one model after the other: numba compilations, counted by numba's own "
        "events, and seconds. First in a process with empty caches, then in a second one that finds the first one's.",
        "",
        table(["model", "compilations, first process", "seconds", "compilations, second process", "seconds"], rows),
        "",
        f"Compilations after the first model: {later} (goal 0: {'met' if later == 0 else 'MISSED'}).",
    ]
    rival = result.get("PyMC + nutpie")
    if isinstance(rival, list):
        told = " and ".join(f"{number(r['seconds'])} s for K={r['case'][2]}" for r in rival)
        parts += ["", f"Stock PyMC with nutpie compiles again for each K in one process: {told} before its first draw."]
    return "\n".join(parts)


def _gradient(rows: list[dict[str, Any]]) -> str:
    body = []
    for r in rows:
        s = r["seconds"]
        against: Spread = ratios(s["gradient"], s["E-step"])
        body.append(
            [r["structure"], 1e3 * float(np.median(s["E-step"])), 1e3 * float(np.median(s["gradient"])), against.text(),
             _met(against.median, 1.5, True)]
        )  # fmt: skip
    return "\n".join(
        [
            "## A gradient against an E-step",
            "",
            "Log posterior density and its gradient (`Target.__call__`) against the E-step alone "
            "(`mixture.kernel.accumulate`), 10,000 x 5, K=4, one thread, processor time; ratio median (smallest-largest) of "
            "interleaved repeats.",
            "",
            table(["structure", "E-step, ms", "gradient, ms", "ratio", "goal"], body),
        ]
    )


_PARTS = {"structures": _structures, "cold": _cold, "reuse": _reuse, "gradient": _gradient}


def write_report(stages: dict[str, Any]) -> str:
    """The whole page, of the stages that have been run."""
    extra = ["Some stages were run with --quick"] if any(part["quick"] for part in stages.values()) else []
    parts = [
        "# Posterior: effective draws per second against stock PyMC, NumPyro and Stan",
        "",
        provenance(
            "python tests/benchmarks/posterior.py",
            ["pymc", "pytensor", "nutpie", "numba", "numpyro", "jax", "numpy"],
            sum(part["seconds"] for part in stages.values()),
            ["Stan through rstan (R, Debian's r-cran-rstan: Stan 2.21)", load_told(stages), *extra],
        ),
        "",
    ]
    if "ess" in stages:
        parts += [_ess(stages["ess"]["result"]), "", _agreement(stages["ess"]["result"]), ""]
    for name, write in _PARTS.items():
        if name in stages:
            result = stages[name]["result"]
            skipped = isinstance(result, dict) and "skipped" in result
            parts += [f"{name}: {result['skipped']}" if skipped else write(result), ""]
    return "\n".join(parts)
