"""Do EM's delta-method intervals hold what they say, and what does the posterior add? Over simulated data sets.

    python tests/benchmarks/contrast_study.py --per-cell 20

writes reports/contrast.md. Data sets are those of memberships_study.py: parameters from the prior, labels and rows from the
parameters. Three answers of `em_vs_posterior` are compared with the truth: EM's point, EM with its uncertainty (delta
method), and the posterior.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from pathlib import Path
from typing import Any

import numpy as np
from memberships_study import CELLS, CI_PROB, OPEN, Cell, simulate

from bayesgmm.clusters.memberships import summarise_rows
from bayesgmm.clusters.rows import training_rows
from bayesgmm.contrast.matching import best_labels
from bayesgmm.em import fit_mixture
from bayesgmm.em.membership_intervals import membership_intervals
from bayesgmm.em.standard_errors import standard_errors
from bayesgmm.mixture import responsibilities
from bayesgmm.sampling.posterior import Posterior
from bayesgmm.sampling.sample import sample_posterior

ANSWERS = ("EM", "EM with intervals", "posterior")


def matched(reference: np.ndarray, other: np.ndarray) -> np.ndarray:
    """``other`` (N, K) with its columns in the order of ``reference``."""
    return other[:, best_labels(other, reference)]


def told(p: np.ndarray, labels: np.ndarray) -> tuple[float, float, float]:
    """Mean log score of the true label, and misallocations expected and made, clusters matched to the labels."""
    p = matched(np.eye(p.shape[1])[labels], p)
    log_score = np.log(np.maximum(p[np.arange(len(p)), labels], 1e-12)).mean()
    return float(log_score), float((1 - p.max(1)).mean()), float((p.argmax(1) != labels).mean())


def study_one(task: tuple[Cell, int]) -> dict[str, Any]:
    cell, seed = task
    data = simulate(cell, seed)
    fit = fit_mixture(data.values, cell.k, cell.structure, random_state=seed)
    post = sample_posterior(
        data.values, cell.k, cell.structure, cell.priors, draws=500, chains=2, cores=1, random_seed=seed,
        progressbar=False, em=fit, log_likelihood=False,
    )  # fmt: skip
    view = Posterior.read(post)
    summary = summarise_rows(training_rows(view), CI_PROB)
    p = summary["probability"]
    r, _ = responsibilities(fit.mixture, data.values)
    em = fit.mixture.reordered(best_labels(r, p))
    delta = membership_intervals(standard_errors(em, data.values, fit.scaling), data.values, CI_PROB)
    truth = matched(p, responsibilities(data.truth, data.values)[0])
    # The second most probable cluster keeps its digits where the first is near one.
    at, second = np.arange(len(p)), p.argsort(1)[:, -2]
    rows = p[at, second] > OPEN
    known = bool(np.isfinite(delta.lb).all())
    own = (at[rows], second[rows])
    answers = {"EM": delta.plug_in, "EM with intervals": delta.probability if known else None, "posterior": p}
    return {
        "cell": CELLS.index(cell),
        "known": known,
        "n": int(rows.sum()),
        "posterior covers": float(
            ((summary["probability_lb"] <= truth) & (truth <= summary["probability_ub"]))[own].sum()
        ),
        "EM covers": float(((delta.lb <= truth) & (truth <= delta.ub))[own].sum()),
        "told": {name: told(q, data.labels) for name, q in answers.items() if q is not None},
    }


def share(results: list[dict[str, Any]], what: str) -> str:
    """Coverage in percent, its standard error over data sets."""
    hits, n = np.array([r[what] for r in results]), np.array([float(r["n"]) for r in results])
    if n.sum() == 0:
        return "–"
    rate = hits.sum() / n.sum()
    se = np.sqrt(((hits - rate * n) ** 2).sum()) / n.sum()
    return f"{100 * rate:.1f} ± {100 * se:.1f}"


def line(name: str, results: list[dict[str, Any]]) -> str:
    known = [r for r in results if r["known"]]
    cells = [
        name,
        str(len(results)),
        str(len(results) - len(known)),
        share(known, "EM covers"),
        share(known, "posterior covers"),
    ]
    for part in range(2):
        for answer in ANSWERS:
            values = [r["told"][answer] for r in known]
            cells.append(
                f"{np.mean([v[0] for v in values]):.3f}"
                if part == 0
                else f"{100 * np.mean([v[1] for v in values]):.1f} / {100 * np.mean([v[2] for v in values]):.1f}"
            )
    return f"| {' | '.join(cells)} |" if known else f"| {name} | {len(results)} | all {'|  ' * 8}|"


def report(results: list[dict[str, Any]], command: str, minutes: float) -> str:
    """The page."""
    head = [
        "cell", "data sets", "no standard errors", "EM's intervals", "posterior's",
        *(f"log score, {a}" for a in ANSWERS), *(f"misallocated, expected / made, %: {a}" for a in ANSWERS),
    ]  # fmt: skip
    lines = [
        "# EM with its intervals against the posterior",
        "",
        f"Made by `{command}` in {minutes:.1f} minutes. {len(results)} data sets, those of "
        "[memberships.md](memberships.md): parameters from the prior, under which calibration of the posterior is a theorem.",
        "",
        f"Coverage of {100 * CI_PROB:g}% intervals is of the true responsibility of the posterior's second most probable "
        f"cluster, in rows where its mean exceeds {OPEN:g}; standard errors take data sets as the units. Where EM's "
        "information matrix is not positive definite it has no standard errors; these data sets are counted and left out "
        "elsewhere. Log score: mean log probability of the true label. Misallocated: rows whose most probable cluster is not "
        "the true one, as each answer expects and as it was. Clusters are matched to the true labels as well as can be, for "
        "every answer.",
        "",
        f"| {' | '.join(head)} |",
        f"|{' --- |' * len(head)}",
    ]
    for i, cell in enumerate(CELLS):
        own = [r for r in results if r["cell"] == i]
        if own:
            lines.append(line(cell.label, own))
    for name, small in (("**N < 50 K D**", True), ("**N at least 50 K D**", False)):
        lines.append(line(name, [r for r in results if CELLS[r["cell"]].small == small]))
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--per-cell", type=int, default=100, help="data sets per cell")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[2] / "reports")
    options = parser.parse_args()
    begun = time.perf_counter()
    tasks = [(cell, options.seed * 10**6 + i) for i in range(options.per_cell) for cell in CELLS]
    with multiprocessing.get_context("spawn").Pool(options.processes) as pool:
        results = pool.map(study_one, tasks, chunksize=4)
    command = f"python tests/benchmarks/contrast_study.py --per-cell {options.per_cell} --seed {options.seed}"
    page = report(results, command, (time.perf_counter() - begun) / 60)
    (options.out / "contrast.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
