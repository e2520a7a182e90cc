"""The page of `outcomes_study`: bias, error and coverage by entropy R2, outcome and method."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from outcomes_study import BOOTSTRAPS, CELLS, METHODS, OUTCOMES, N, truths

PAGE = Path(__file__).parents[2] / "reports" / "outcomes.md"
WHAT = {"normal": "means 0, 0.5, 1, SD 1", "share": "0.2, 0.5, 0.7", "skewed": "exponential, means 0, 0.5, 1"}


def figures(lines: list[dict[str, Any]], outcome: str, method: str) -> tuple[float, float, float, float, float]:
    """Bias and root mean squared error of the difference of the last group and the first; coverage of it, of the three
    means, and the Monte Carlo error of the latter."""
    found = np.array([line[outcome][method] for line in lines])
    truth = truths()[outcome]
    truth = np.append(truth, truth[2] - truth[0])
    error = found[..., 0] - truth
    inside = (found[..., 1] <= truth) & (truth <= found[..., 2])
    by_set = inside[:, :3].mean(1)
    return (
        float(error[:, 3].mean()),
        float(np.sqrt((error[:, 3] ** 2).mean())),
        float(inside[:, 3].mean()),
        float(inside[:, :3].mean()),
        float(by_set.std() / np.sqrt(len(by_set))),
    )


def largest_gap(line: dict[str, Any]) -> float:
    """Between our BCH and StepMix's, over outcomes and groups."""
    return max(
        float(np.abs(np.array(line[o]["BCH"])[:, 0] - np.array(line[o]["StepMix BCH"])[:, 0]).max()) for o in OUTCOMES
    )


def table_of(lines: list[dict[str, Any]], outcome: str) -> list[str]:
    page = ["", f"## {outcome.capitalize()}: {WHAT[outcome]}", ""]
    page += ["| entropy R2 | method | bias of the difference | RMSE | coverage, difference | coverage, means (± SE) |"]
    page += ["|---|---|---|---|---|---|"]
    for r2 in CELLS:
        own = [line for line in lines if line["cell"] == r2]
        for method in METHODS:
            bias, rmse, gap, means, se = figures(own, outcome, method)
            shown = f"**{method}**" if method == "draws" else method
            cells = f"{bias:+.3f} | {rmse:.3f} | {100 * gap:.0f}% | {100 * means:.1f}% (± {100 * se:.1f})"
            page.append(f"| {r2} | {shown} | {cells} |")
    return page


def write_report(lines: list[dict[str, Any]]) -> None:
    size = min(sum(line["cell"] == r2 for line in lines) for r2 in CELLS)
    lines = [line for line in lines if line["seed"] < size]
    page = [
        "# What differs between groups: bias and coverage",
        "",
        "Made by `python tests/benchmarks/outcomes_study.py`; the generator was fixed before the first run. Three groups",
        f"(45%, 33%, 22%) in five independent normal columns, {N} rows, three outside variables. The posterior of `diag` with",
        'three components and `outcomes(by="component")`; hard labels, BCH and three-step likelihood at EM\'s estimate,',
        f"ours; and StepMix's BCH with {BOOTSTRAPS} bootstraps: all on the same rows. {size} data sets for each entropy R2",
        "of the true mixture. Intervals are 89%. The difference is that of the last group and the first; its interval takes",
        "the groups as independent for hard labels and the three steps.",
    ]
    for outcome in OUTCOMES:
        page += table_of(lines, outcome)
    gaps = [largest_gap(line) for line in lines]
    page += [
        "",
        f"Our BCH and StepMix's are one estimate: the largest difference in a data set is {np.median(gaps):.4f} at the median",
        f"and at most 0.01 in {sum(gap < 0.01 for gap in gaps)} of {len(gaps)}; in the others the EMs part.",
        "",
    ]
    PAGE.write_text("\n".join(page), encoding="utf-8")
