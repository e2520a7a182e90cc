"""The report of `memberships_study`: tables, the figure, and what they say of the aims."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["undecided", "write_report"]

METHODS = ("posterior", "EM", "scikit-learn", "mclust")
QUANTITIES = ("co-clustering", "allocation entropy", "responsibility")
TARGET = (0.87, 0.91)
BOOTSTRAPS = 500
Result = dict[str, Any]


def rate(results: Sequence[Result], quantity: str, unsettled: bool) -> tuple[float, float, int]:
    """Coverage, its standard error with data sets as the units, and the number of data sets."""
    at = slice(2, 4) if unsettled else slice(0, 2)
    pairs = np.array([r["coverage"][quantity][at] for r in results if quantity in r["coverage"]])
    pairs = pairs[pairs[:, 1] > 0] if len(pairs) else np.empty((0, 2))
    if not len(pairs):
        return np.nan, np.nan, 0
    share = pairs[:, 0].sum() / pairs[:, 1].sum()
    residual = pairs[:, 0] - share * pairs[:, 1]
    return float(share), float(np.sqrt((residual**2).sum()) / pairs[:, 1].sum()), len(pairs)


def calibration_error(binned: np.ndarray) -> float:
    """Expected calibration error of bins (3, B) summed over data sets: sum_b n_b / n |mean said - share true|."""
    count, said, true = binned
    return float(np.abs(said - true).sum() / count.sum())


def summed(results: Sequence[Result], method: str, what: str) -> np.ndarray:
    """Bins (R, 3, B) of each data set, each weighing the same: larger ones do not count for more."""
    parts = np.stack([r["scores"][method][what] for r in results])
    return parts / parts[:, :1].sum(2, keepdims=True)


def compared(results: Sequence[Result], other: str, what: str, rng: np.random.Generator) -> tuple[float, float, float]:
    """Calibration error of the posterior and of another method, and the standard error of the difference."""
    ours, theirs = summed(results, "posterior", what), summed(results, other, what)
    differences = []
    for _ in range(BOOTSTRAPS):
        drawn = rng.integers(0, len(results), len(results))
        differences.append(calibration_error(ours[drawn].sum(0)) - calibration_error(theirs[drawn].sum(0)))
    return calibration_error(ours.sum(0)), calibration_error(theirs.sum(0)), float(np.std(differences))


def complete(results: Sequence[Result], method: str) -> list[Result]:
    return [r for r in results if method in r["scores"]]


def mean_score(results: Sequence[Result], method: str, what: str) -> float:
    return float(np.mean([r["scores"][method][what] for r in results])) if results else np.nan


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return ["| " + " | ".join(row) + " |" for row in (header, ["---"] * len(header), *rows)]


def coverage_table(results: Sequence[Result], cells: Sequence[Any]) -> list[str]:
    def line(label: str, chosen: Sequence[Result]) -> list[str]:
        cellsof = [label, str(len(chosen))]
        for quantity in QUANTITIES:
            for unsettled in (False, True):
                share, se, count = rate(chosen, quantity, unsettled)
                cellsof.append("" if not count else f"{100 * share:.1f} ± {100 * se:.1f}")
        return cellsof

    rows = [line(cell.label, [r for r in results if r["cell"] == i]) for i, cell in enumerate(cells)]
    rows.append(line("**all**", results))
    rows.append(line("one mode found", [r for r in results if r["n_modes"] == 1]))
    rows.append(line("several modes found", [r for r in results if r["n_modes"] > 1]))
    rows.append(line("split R-hat of the log density < 1.05", [r for r in results if r["r_hat"] < 1.05]))
    names = [f"{q}{note}" for q in QUANTITIES for note in ("", ", open")]
    return table(["cell", "data sets", *names], rows)


def error_table(results: Sequence[Result], cells: Sequence[Any], what: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    rng = np.random.default_rng(0)
    rows, compared_cells = [], []
    for i, cell in enumerate(cells):
        chosen = [r for r in results if r["cell"] == i]
        ours, em, se = compared(chosen, "EM", what, rng)
        compared_cells.append((cell, ours, em, se))
        line = [cell.label, "yes" if cell.small else "no", f"{100 * ours:.2f}", f"{100 * em:.2f}"]
        line.append(f"{100 * (ours - em):+.2f} ± {100 * se:.2f}")
        for other in METHODS[2:]:
            fitted = complete(chosen, other)
            line.append(f"{100 * calibration_error(summed(fitted, other, what).sum(0)):.2f}" if fitted else "")
        rows.append(line)
    header = ["cell", "N < 50 K D", "posterior", "EM", "posterior - EM", "scikit-learn", "mclust"]
    return table(header, rows), compared_cells


def undecided(results: Sequence[Result], cells: Sequence[Any]) -> list[int]:
    """Cells in which the calibration errors of posterior and EM are within two standard errors, of pairs or of rows."""
    found = []
    for i in range(len(cells)):
        chosen = [r for r in results if r["cell"] == i]
        for what in ("pairs", "rows"):
            ours, em, se = compared(chosen, "EM", what, np.random.default_rng(0))
            if abs(ours - em) < 2 * se:
                found.append(i)
                break
    return found


def score_table(results: Sequence[Result], cells: Sequence[Any]) -> list[str]:
    rows = []
    for i, cell in enumerate(cells):
        chosen = [r for r in results if r["cell"] == i]
        line = [cell.label]
        for what in ("pair_log_score", "row_log_score"):
            line += [f"{mean_score(complete(chosen, m), m, what):.4f}" if complete(chosen, m) else "" for m in METHODS]
        rows.append(line)
    return table(["cell", *(f"{m}, pairs" for m in METHODS), *(f"{m}, rows" for m in METHODS)], rows)


def verdicts(results: Sequence[Result], pairs: list[tuple[Any, ...]], rows: list[tuple[Any, ...]]) -> list[str]:
    """The aims, and whether the numbers meet them."""
    lines = []
    for quantity in QUANTITIES:
        for unsettled in (False, True):
            share, se, count = rate(results, quantity, unsettled)
            met = TARGET[0] <= share <= TARGET[1]
            what = f"{quantity}{', open ones' if unsettled else ''}"
            lines.append(
                f"- 89% intervals of {what}: {100 * share:.2f} ± {100 * se:.2f}% over {count:,} data sets; aim 87 to "
                f"91: **{'met' if met else 'missed'}**."
            )
    for what, compared_cells in (("pairs", pairs), ("rows", rows)):
        for small in (True, False):
            chosen = [c for c in compared_cells if c[0].small == small]
            where = "N < 50 K D" if small else "N at least 50 K D"
            better = sum(ours < em if small else ours <= em for _, ours, em, _ in chosen)
            within = sum(ours < em + 2 * se for _, ours, em, se in chosen)
            aim = "below EM's" if small else "no worse than EM's"
            lines.append(
                f"- Calibration error of {what}, {where}: {aim} in {better} of {len(chosen)} cells, and not above it "
                f"by more than two standard errors in {within}: **{'met' if better == len(chosen) else 'missed'}**."
            )
    return lines


def likelihood_note(results: Sequence[Result], cells: Sequence[Any]) -> list[str]:
    """Why our EM can score below scikit-learn's: where it finds a higher likelihood, and where it does not."""
    lines = []
    for small in (True, False):
        chosen = [r for r in results if cells[r["cell"]].small == small]
        higher = [r for r in chosen if r["em_gain"] > 0.1]
        same = [r for r in chosen if abs(r["em_gain"]) <= 0.1]
        lower = len(chosen) - len(higher) - len(same)
        told = [
            f"ours {mean_score(part, 'EM', 'row_log_score'):.3f}, theirs "
            f"{mean_score(part, 'scikit-learn', 'row_log_score'):.3f}, posterior "
            f"{mean_score(part, 'posterior', 'row_log_score'):.3f}"
            for part in (higher, same)
        ]
        lines.append(
            f"- {'N < 50 K D' if small else 'N at least 50 K D'}: our EM reaches a higher likelihood than scikit-learn "
            f"(by more than 0.1) in {len(higher)} of {len(chosen)} data sets, a lower one in {lower}. Log score per "
            f"row where it is higher: {told[0]}; where the two agree: {told[1]}."
        )
    return [
        "The better maximum need not give the better memberships: a search that stops early is a crude prior.",
        "",
        *lines,
    ]


def draw_figure(results: Sequence[Result], cells: Sequence[Any], pairs: list[tuple[Any, ...]], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 4.4), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    small = [r for r in results if cells[r["cell"]].small]
    for method in METHODS:
        fitted = complete(small, method)
        if fitted:
            count, said, true = summed(fitted, method, "pairs").sum(0)
            left.plot(said / count, true / count, "o-", ms=4, lw=1, label=method)
    left.plot([0, 1], [0, 1], color="black", lw=0.6)
    left.set(xlabel="said: probability of being together", ylabel="came true", title="Pairs of rows, N < 50 K D")
    left.legend(fontsize=8)
    for cell, ours, em, se in pairs:
        colour = "tab:red" if cell.small else "tab:blue"
        middle.errorbar(100 * em, 100 * ours, yerr=100 * se, fmt="o", ms=4, lw=0.8, color=colour)
    top = 105 * max(max(ours, em) for _, ours, em, _ in pairs)
    middle.plot([0, top], [0, top], color="black", lw=0.6)
    middle.set(
        xlabel="EM, %",
        ylabel="posterior, %",
        title="Calibration error of pairs\n(a cell each; red: N < 50 K D)",
    )
    y = np.arange(len(cells))[::-1]
    for shift, quantity in zip((0.2, 0, -0.2), QUANTITIES, strict=True):
        found = [rate([r for r in results if r["cell"] == i], quantity, True) for i in range(len(cells))]
        share, se = np.array([f[:2] for f in found]).T
        right.errorbar(100 * share, y + shift, xerr=100 * se, fmt="o", ms=3, lw=0.8, label=f"{quantity}, open")
    right.axvspan(100 * TARGET[0], 100 * TARGET[1], color="0.9", zorder=0)
    right.set_yticks(y, [f"{c.structure} K{c.k} D{c.d} N{c.n} sd{c.spread:g}" for c in cells], fontsize=7)
    right.set(xlabel="coverage of 89% intervals, %", title="Coverage by cell (band: the aim)")
    right.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.4, -0.12), ncols=3, frameon=False)
    figure.savefig(path, dpi=110)


def write_report(results: list[Result], cells: Sequence[Any], folder: Path, seconds: float, options: str) -> None:
    """Write memberships.md and memberships.png into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    results = sorted(results, key=lambda r: (r["cell"], r["seed"]))
    pair_table, pairs = error_table(results, cells, "pairs")
    row_table, rows = error_table(results, cells, "rows")
    draw_figure(results, cells, pairs, folder / "memberships.png")
    share_of: Callable[[Callable[[Result], bool]], str] = lambda f: f"{100 * np.mean([f(r) for r in results]):.1f}%"  # noqa: E731
    lacking = sum("mclust" not in r["scores"] for r in results)
    text = [
        "# Memberships: calibration and coverage",
        "",
        f"Made by `python tests/benchmarks/memberships_study.py {options}` in {seconds / 60:.1f} minutes "
        f"on {cores()} cores; {versions()}.",
        "",
        f"{len(results):,} data sets in {len(cells)} cells. Parameters are drawn from the prior (stated in the units "
        "of the data: means N(0, sd) with the sd of the cell, the package's defaults otherwise), labels and rows from "
        "the parameters; the posterior is sampled under the same prior with 2 chains of 350 draws, started from our EM "
        "fit. No data set is left out, whatever the sampler's diagnostics say.",
        "",
        "- *Coverage*: 20 rows and 20 pairs per data set; the true value is that of the true parameters. *Open*: the "
        "posterior mean exceeds 0.01 (for a pair: of the smaller of together and apart; for a row: of the entropy, or "
        "of the second most probable cluster), a condition on the data alone. Responsibilities are those of the second "
        f"most probable cluster, in the data sets with ambiguity below 1% ({share_of(lambda r: r['ambiguity'] < 0.01)} "
        "of all). Standard errors take data sets as the units.",
        "- *Calibration error*: 10 bins of equal width, all data sets of a cell pooled with equal weight. *Pairs*: the "
        "probability that two rows are of one component, which needs no matching of labels. *Rows*: the probability of "
        "the most probable cluster, after matching clusters to the true labels as well as can be, which flatters every "
        "method. The error of a perfectly calibrated method is above zero by sampling. Differences have bootstrap "
        "standard errors. Cells in which posterior and EM are within two of them after the first data sets get more "
        "(`--undecided`), whichever is ahead.",
        "- *EM* is `fit_mixture` (many starts), *scikit-learn* its GaussianMixture with default settings, *mclust* "
        "`Mclust` with the same structure and K"
        + (f" ({lacking} data sets that it could not fit are left out of its column)." if lacking else "."),
        "",
        "## What was aimed at, and what came out",
        "",
        *verdicts(results, pairs, rows),
        "",
        *likelihood_note(results, cells),
        "",
        f"Split R-hat of the log density over 1.05: {share_of(lambda r: r['r_hat'] > 1.05)} of the data sets; several "
        f"competing modes found: {share_of(lambda r: r['n_modes'] > 1)}.",
        "",
        "![Reliability, calibration error and coverage](memberships.png)",
        "",
        "## Coverage of 89% intervals, %",
        "",
        *coverage_table(results, cells),
        "",
        "## Calibration error of pairs, %",
        "",
        *pair_table,
        "",
        "## Calibration error of rows, %",
        "",
        *row_table,
        "",
        "## Log score of the truth, per pair and per row (higher is better)",
        "",
        *score_table(results, cells),
        "",
    ]
    (folder / "memberships.md").write_text("\n".join(text))


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def versions() -> str:
    names = ("bayesgmm", "nutpie", "scikit-learn", "numpy")
    return f"Python {platform.python_version()}, " + ", ".join(f"{name} {version(name)}" for name in names)
