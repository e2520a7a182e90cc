"""The report of `em.py`, from the results of its stages."""

from __future__ import annotations

from typing import Any

import numpy as np
from harness import load_told, number, provenance, ratios, table

__all__ = ["write_report"]

_RELATIVE = 1e-6


def _size(case: list[Any]) -> str:
    return f"{case[0]:,} x {case[1]}, K={case[2]}"


def _milliseconds(seconds: list[float]) -> str:
    return number(1e3 * float(np.median(seconds)))


def _verdict(measured: float, goal: float | None) -> str:
    if goal is None:
        return ""
    return f"≥ {goal:g}: {'met' if measured >= goal else 'MISSED'}"


def _iteration(part: dict[str, Any], title: str) -> str:
    if "skipped" in part:
        return f"## Time per EM iteration, {title}\n\n{part['skipped']}"
    rows = []
    for row in part["rows"]:
        s = row["seconds"]
        against = ratios(s["scikit-learn"], s["ours"])
        mclust = ratios(s["mclust"], s["ours"]).text() if "mclust" in s else "–"
        rows.append(
            [row["case"][3], _size(row["case"]), *(_milliseconds(s[e]) if e in s else "–" for e in _ENGINES),
             against.text(), mclust, _verdict(against.median, row["goal"])]
        )  # fmt: skip
    header = ["structure", "data", "ours, ms", "scikit-learn, ms", "mclust, ms", "scikit-learn / ours",
              "mclust / ours", "goal"]  # fmt: skip
    parts = [
        f"## Time per EM iteration, {title}",
        "",
        "The same number of plain EM iterations from the same start (a partition), without acceleration and without "
        "convergence checks; ratios are median (smallest-largest) over interleaved repeats.",
        "",
        table(header, rows),
    ]
    small = next((r for r in part["rows"] if "side by side" in r["seconds"]), None)
    if small is not None:
        s = small["seconds"]
        parts += [
            "",
            f"At {_size(small['case'])} ours is mostly the interpreter's overhead, which starts run side by side share: "
            f"with 26 starts, as the default search runs them, one iteration of one start takes "
            f"{_milliseconds(s['side by side'])} ms, scikit-learn {ratios(s['scikit-learn'], s['side by side']).text()} "
            "times that.",
        ]
    if not part["mclust"][:1].isdigit():
        parts += ["", f"mclust was left out: {part['mclust']}."]
    return "\n".join(parts)


def _one_core(part: dict[str, Any]) -> str:
    return _iteration(part, "one core, one thread in every library, processor time")


def _all_cores(part: dict[str, Any]) -> str:
    title = "all cores, every library's default threads, wall-clock time"
    return _iteration(part, title) + (
        "\n\nOur own BLAS calls run on one thread: slices of rows share the cores instead. mclust has no threads."
    )


_ENGINES = ("ours", "scikit-learn", "mclust")


def _target(result: dict[str, Any]) -> str:
    rows = []
    for row in result["rows"]:
        s, steps = row["seconds"], row["steps"]
        if "scikit-learn" in s:
            against = ratios(s["scikit-learn"], s["ours"])
            last = [_milliseconds(s["scikit-learn"]), against.text(), _verdict(against.median, 10.0)]
        else:
            last = ["–", "reaches another optimum", ""]
        rows.append(
            [row["case"][3], _size(row["case"]), f"{steps['ours']} / {steps['scikit-learn']}",
             _milliseconds(s["ours"]), *last]
        )  # fmt: skip
    header = ["structure", "data", "E-steps, ours / theirs", "ours, ms", "scikit-learn, ms", "scikit-learn / ours",
              "goal"]  # fmt: skip
    return "\n".join(
        [
            "## Time from one start to its optimum",
            "",
            "Until the log likelihood is within 1e-6 (relative) of the optimum that the start leads to. Ours "
            "accelerates, and laying out the data is counted; scikit-learn takes its own EM steps and is stopped for "
            "free at the first that reaches the target. One core, processor time.",
            "",
            table(header, rows),
        ]
    )


def _per_success(tries: list[list[float]], best: float) -> float:
    """Expected seconds until a try reaches the best optimum known."""
    hits = sum(v >= best - _RELATIVE * abs(best) for _, v in tries)
    return sum(s for s, _ in tries) / hits if hits else np.inf


def _default(result: dict[str, Any]) -> str:
    rows, times = [], []
    for row in result["rows"]:
        data, n, d, k, name = row["case"]
        best = row["best"]

        def reached(tries: list[list[float]], best: float = best) -> str:
            hits = sum(v >= best - _RELATIVE * abs(best) for _, v in tries)
            gap = best - float(np.median([v for _, v in tries]))
            return f"{hits} of {len(tries)}" + (f" (median short by {number(gap)})" if hits < len(tries) else "")

        mclust = row["mclust"]
        gap = best - mclust[1] if mclust and mclust[1] is not None else np.nan
        if np.isnan(gap):
            last = "–"
        elif abs(gap) <= _RELATIVE * abs(best):
            last = "yes"
        else:
            last = f"short by {number(gap)}" if gap > 0 else f"above by {number(-gap)}"
        label = f"{data} {n:,} x {d}, K={k}, {name}"
        rows.append([label, reached(row["ours"]), reached(row["scikit-learn"]), reached(row["restarts"]), last])
        ours, theirs = (_per_success(row[e], best) for e in ("ours", "restarts"))
        plain = float(np.median([s for s, _ in row["scikit-learn"]]))
        median = float(np.median([s for s, _ in row["ours"]]))
        ratio = number(theirs / ours) if np.isfinite(theirs) else f"not in {len(row['restarts'])} starts"
        times.append([label, median, plain, mclust[0] if mclust else np.nan, ours, theirs, ratio])
    return "\n".join(
        [
            "## Optimum reached by default settings",
            "",
            "How often the log likelihood is within 1e-6 (relative) of the best optimum known, over seeds. "
            "“scikit-learn, converged” is run from its own k-means starts with tol=1e-7 and as many iterations as it "
            "takes; optima with a component of fewer than max(5, 2D) rows do not count as best.",
            "",
            table(["data", "ours", "scikit-learn, default", "scikit-learn, converged", "mclust, default"], rows),
            "",
            "Processor seconds of a default fit on one core (median), and expected seconds until the best optimum known "
            "is reached by restarting (total time over successes).",
            "",
            table(
                ["data", "ours, s", "scikit-learn, s", "mclust, s", "ours, to best, s", "scikit-learn, to best, s",
                 "ratio to best"],
                times,
            ),
        ]
    )  # fmt: skip


def _memory(result: dict[str, Any]) -> str:
    rows = []
    for row in result["rows"]:
        if "skipped" in row:
            rows.append([_size(row["case"]), row["engine"], "–", row["skipped"], "", ""])
            continue
        goal = 64.0 if row["engine"] == "ours" and row["case"][0] == 1_000_000 else None
        verdict = "" if goal is None else f"< 64: {'met' if row['added'] < goal else 'MISSED'}"
        rows.append([_size(row["case"]), row["engine"], row["data"], row["added"], row["seconds"], verdict])
    header = ["data", "library", "data, MB", "added by the fit, MB", "seconds", "goal"]
    return "\n".join(
        [
            "## Peak memory of a fit",
            "",
            "Peak resident memory of a process during the fit, less what it held with libraries, machine code and the "
            "data loaded. Ours by default settings (many starts, until converged); scikit-learn one start, three "
            "iterations, which is its peak already.",
            "",
            table(header, rows),
        ]
    )


def _exponent(sizes: np.ndarray, seconds: np.ndarray) -> float:
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def _growth(result: dict[str, Any]) -> str:
    rows = []
    position = {"N": 0, "D": 1, "K": 2}
    for name in ("full", "tied", "diag", "spherical"):
        line = [name]
        for along in ("N", "K", "D"):
            mine = [r for r in result["rows"] if r["structure"] == name and r["along"] == along]
            sizes = np.array([r["case"][position[along]] for r in mine], dtype=float)
            seconds = np.array([np.median(r["seconds"]) for r in mine])
            if len(np.unique(sizes)) < 2:
                line += ["–", "–"]
                continue
            upper = slice(-3, None)
            line += [number(_exponent(sizes, seconds)), number(_exponent(sizes[upper], seconds[upper]))]
        rows.append(line)
    header = ["structure", *(f"{along}, {part}" for along in "NKD" for part in ("all", "upper"))]
    return "\n".join(
        [
            "## How ours grows",
            "",
            "Exponent b of seconds per iteration ~ size^b, over the whole range and over its three largest sizes: N "
            "from 1,000 to 1,000,000 (D=8, K=8), K from 2 to 32 (N=100,000, D=8), D from 1 to 32 (N=100,000, K=8). One "
            "core, processor time.",
            "",
            table(header, rows),
        ]
    )


_PARTS = {
    "one-core": _one_core,
    "all-cores": _all_cores,
    "target": _target,
    "default": _default,
    "memory": _memory,
    "growth": _growth,
}


def write_report(stages: dict[str, Any]) -> str:
    """The whole page, of the stages that have been run."""
    extra = [load_told(stages)]
    mclust = stages.get("one-core", {}).get("result", {}).get("mclust")
    if mclust:
        extra.append(f"mclust {mclust} (R)")
    if any(part["quick"] for part in stages.values()):
        extra.append("Some stages were run with --quick: small sizes only")
    parts = [
        "# EM: speed, optimum and memory against scikit-learn and mclust",
        "",
        provenance(
            "python tests/benchmarks/em.py",
            ["numpy", "scipy", "numba", "scikit-learn"],
            sum(part["seconds"] for part in stages.values()),
            extra,
        ),
        "",
    ]
    for name, write in _PARTS.items():
        if name in stages:
            parts += [write(stages[name]["result"]), ""]
    return "\n".join(parts)
