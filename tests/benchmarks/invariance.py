"""Whether the comparison survives a change of units: every cell of K = 1..6 and four structures, on data and on copies.

    uv run python -m tests.benchmarks.invariance

Each data set is compared as it is, and after shifting each column and rescaling: by one factor for all columns, and by a factor
for each (where spherical is left out: there another factor for each column is another model). A log density of the data then
changes by the Jacobian, N times the sum of the logarithms of the factors, and nothing else may change. Written to
``reports/invariance.md``: for each column of the table the largest change, over all cells, of what should have stayed. The same
comparison of one data set, with its report, is ``bayesgmm report faithful -k 1:6 --all``.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
from bayesgmm.sampling.until import sampled_until_settled

from bayesgmm.data import Table, as_table, read_table
from bayesgmm.em import fit_grid
from bayesgmm.mixture import COVARIANCE_TYPES
from bayesgmm.posterior.target import Target
from bayesgmm.progress import progress_display
from bayesgmm.sampling.settings import Settings
from bayesgmm.selection.compare import compare

ROOT = Path(__file__).parents[2]
SETS = ("faithful", "galaxies", "iris")
COUNTS = range(1, 7)
# Multiples of the Jacobian by which a column changes: log densities by one, criteria by minus two, the others not at all.
JACOBIANS = {"log_likelihood": 1, "aic": -2, "bic": -2, "icl": -2, "elpd": 1, "log_evidence": 1}
COLUMNS = (
    *JACOBIANS, "elpd_se", "elpd_diff", "elpd_diff_se", "p_loo", "n_high_k", "n_refitted", "weight", "log_evidence_se", "p_k",
)  # fmt: skip


def copies(table: Table) -> dict[str, tuple[Table, np.ndarray, tuple[str, ...]]]:
    """The data as they are and changed: the table, the factor of each column, and the structures compared."""
    d = table.n_features
    steps = np.arange(d)
    narrower = tuple(name for name in COVARIANCE_TYPES if name != "spherical")
    changes = {
        "as it is": (np.ones(d), np.zeros(d), COVARIANCE_TYPES),
        "3.7 x + 1000": (np.full(d, 3.7), np.full(d, 1000.0), COVARIANCE_TYPES),
        "0.0123 x - 5, -6, ...": (np.full(d, 0.0123), -5.0 - steps, COVARIANCE_TYPES),
        "7.1 x + 3, 0.9 x + 20, ...": (7.1 / (1 + 6.9 * steps), 3.0 + 17 * steps, narrower),
    }
    return {
        name: (as_table(pd.DataFrame(table.values * a + b, columns=table.columns), name=table.name), a, names)
        for name, (a, b, names) in changes.items()
    }


def compared(table: Table, structures: tuple[str, ...], draws: int, chains: int, show: bool) -> pd.DataFrame:
    """`compare` on every cell, models in the order of the grid."""
    grid = fit_grid(table, COUNTS, structures, random_state=0, progressbar=show)
    problems = [Target.of(table, k, name) for k, name in grid.fits]
    posts, _, _ = sampled_until_settled(
        problems, grid, Settings(draws=draws, chains=chains, random_seed=0, progressbar=show)
    )
    return compare(posts, grid=grid, progressbar=show).loc[list(posts)]


def changes(first: pd.DataFrame, again: pd.DataFrame, log_jacobian: float) -> dict[str, float | int]:
    """Per column the largest change of what should have stayed; and how many verdicts changed."""
    found: dict[str, float | int] = {}
    for name in COLUMNS:
        one, two = (frame[name].to_numpy(dtype=float) for frame in (first, again))
        gap = np.abs(two - one - JACOBIANS.get(name, 0) * log_jacobian)
        gap[np.isnan(one) & np.isnan(two)] = 0.0
        found[name] = float(np.where(np.isnan(gap), np.inf, gap).max())
    found["verdict"] = int((again["verdict"] != first["verdict"]).sum())
    return found


def shown(change: float | int) -> str:
    """A change as the page shows it."""
    return f"{change:.1e}" if isinstance(change, float) and change else f"{change:.0f}"


def written(results: pd.DataFrame, settings: str, minutes: float) -> str:
    """The page."""
    columns = [*COLUMNS, "verdict"]
    lines = [
        "# The comparison under a change of units",
        "",
        "Every cell of K = 1..6 and the four structures, compared on the data and on shifted and rescaled copies. Largest",
        "change over the cells of each column of `compare`, after what the Jacobian must change; `verdict`: how many changed.",
        "With a factor for each column, spherical is another model and left out, of both.",
        "",
        f"Made by `uv run python -m tests.benchmarks.invariance{settings}` in {minutes:.0f} minutes.",
        "",
        "| data | change | cells | " + " | ".join(columns) + " |",
        "|---|---|---:|" + "---:|" * len(columns),
    ]
    for row in results.to_dict("records"):
        cells = " | ".join(
            f"{row[c]:.1e}" if isinstance(row[c], float) and row[c] else f"{row[c]:.0f}" for c in columns
        )
        lines.append(f"| {row['data']} | {row['change']} | {row['cells']} | {cells} |")
    worst = results[list(COLUMNS)].to_numpy().max()
    lines += [
        "",
        f"Largest of all: {worst:.1e}; asked for is 1e-6 at most. Verdicts that changed: {results['verdict'].sum()}.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the sweep and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=SETS)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--chains", type=int, default=4)
    parser.add_argument("--verbose", action="store_true", help="a progress bar for each step")
    parser.add_argument("--output", type=Path, default=ROOT / "reports" / "invariance.md")
    given = parser.parse_args()
    settings = "" if (given.draws, given.chains) == (1000, 4) else f" --draws {given.draws} --chains {given.chains}"
    if tuple(given.sets) != SETS:
        settings += f" --sets {' '.join(given.sets)}"
    begun, rows = time.perf_counter(), []

    def write() -> None:
        minutes = (time.perf_counter() - begun) / 60
        given.output.write_text(written(pd.DataFrame(rows), settings, minutes), encoding="utf-8")

    with progress_display(not given.verbose) as progress:
        task = progress.add_task("comparing", total=4 * len(given.sets), detail="")
        for data in given.sets:
            # The data as they are, by the structures that are compared.
            originals: dict[tuple[str, ...], pd.DataFrame] = {}
            for change, (table, factors, structures) in copies(read_table(data)).items():
                progress.update(task, detail=f"{data}: {change}")
                if structures not in originals:
                    originals[structures] = compared(
                        read_table(data), structures, given.draws, given.chains, given.verbose
                    )
                if change == "as it is":
                    progress.advance(task)
                    continue
                result = compared(table, structures, given.draws, given.chains, given.verbose)
                progress.advance(task)
                jacobian = -table.n_obs * float(np.log(factors).sum())
                rows.append(
                    {
                        "data": data,
                        "change": change,
                        "cells": len(result),
                        **changes(originals[structures], result, jacobian),
                    }
                )
                write()
                changed = ", ".join(f"{name} {rows[-1][name]:.1e}" for name in ("elpd_diff", "log_evidence", "p_k"))
                progress.console.print(f"{data}, {change}: {changed}")


if __name__ == "__main__":
    main()
