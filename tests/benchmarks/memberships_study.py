"""Are the posterior's memberships right? Calibration and coverage over simulated data sets, EM beside the posterior.

    python tests/benchmarks/memberships_study.py

writes reports/memberships.md and reports/memberships.png. Parameters are drawn from the prior, labels and rows from the
parameters, so that a correct posterior must be calibrated over data sets: its intervals cover at their nominal rate,
and its probabilities come true as often as they say. EM (ours and scikit-learn's) and mclust see the same rows.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# ruff: noqa: E402
# One core per process: the processes are the parallelism. Set before the libraries start their threads.
for _name in ("PYTHON_CPU_COUNT", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np

from bayesgmm.em import fit_mixture
from bayesgmm.mixture import Mixture, draw_responsibilities, responsibilities, structure_named
from bayesgmm.posterior.coordinates import Coordinates
from bayesgmm.posterior.priors import Priors
from bayesgmm.sampling.posterior import Posterior
from bayesgmm.sampling.predictive import prior_draws
from bayesgmm.sampling.sample import sample_posterior

CI_PROB = 0.89
BINS = 10
PAIRS = 2000  # scored for calibration
CHECKED = 20  # rows and pairs per data set whose intervals are checked
DRAWS, CHAINS = 350, 2
AMBIGUITY = 0.01
OPEN = 0.01  # a quantity between this and one minus this is not settled
METHODS = ("posterior", "EM", "scikit-learn", "mclust")
MCLUST_NAMES = {"full": "VVV", "tied": "EEE", "diag": "VVI", "spherical": "VII"}
MCLUST_1D = {"full": "V", "tied": "E", "diag": "V", "spherical": "V"}


@dataclass(frozen=True)
class Cell:
    """One setting of the study: structure, K, D, N and the prior sd of the means, which sets the separation."""

    structure: str
    k: int
    d: int
    n: int
    spread: float = 2.0

    @property
    def small(self) -> bool:
        """Whether N < 50 K D, where EM is expected to be overconfident."""
        return self.n < 50 * self.k * self.d

    @property
    def label(self) -> str:
        return f"{self.structure}, K={self.k}, D={self.d}, N={self.n}, means ~ N(0, {self.spread:g})"

    @property
    def priors(self) -> Priors:
        return Priors(mean_scale=self.spread, units="data")


CELLS = (
    Cell("full", 2, 1, 50),
    Cell("full", 2, 1, 400),
    Cell("full", 2, 2, 50),
    Cell("full", 2, 2, 50, 1.0),
    Cell("full", 2, 2, 50, 4.0),
    Cell("full", 2, 2, 800),
    Cell("full", 3, 2, 100),
    Cell("full", 2, 4, 80),
    Cell("tied", 2, 2, 50),
    Cell("tied", 3, 2, 400),
    Cell("diag", 2, 4, 60),
    Cell("diag", 3, 2, 100),
    Cell("spherical", 2, 2, 50),
    Cell("spherical", 3, 2, 120),
    Cell("spherical", 2, 2, 400, 1.0),
)


def prior_mixture(cell: Cell, rng: np.random.Generator) -> Mixture:
    """One draw of the parameters from the prior."""
    c = Coordinates(structure_named(cell.structure), cell.k, cell.d)
    return c.mixture(prior_draws(c, cell.priors, 1, rng)[0])


@dataclass(frozen=True)
class Simulated:
    """A data set with its truth."""

    truth: Mixture
    values: np.ndarray
    labels: np.ndarray
    pairs: np.ndarray
    rows: np.ndarray


def simulate(cell: Cell, seed: int) -> Simulated:
    rng = np.random.default_rng([seed, CELLS.index(cell)])
    truth = prior_mixture(cell, rng)
    labels = rng.choice(cell.k, size=cell.n, p=truth.weights)
    factors = np.linalg.cholesky(truth.dense_covariances)
    noise = rng.standard_normal((cell.n, cell.d))
    values = truth.means[labels] + np.einsum("nij,nj->ni", factors[labels], noise)
    pairs = rng.integers(0, cell.n, size=(PAIRS, 2))
    pairs[:, 1] = (pairs[:, 0] + 1 + rng.integers(0, cell.n - 1, size=PAIRS)) % cell.n
    rows = rng.choice(cell.n, CHECKED, replace=False)
    return Simulated(truth, values, labels, pairs, rows)


def together(r: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Probability that the rows of each pair share a component (..., P), from responsibilities (..., N, K)."""
    return (r[..., pairs[:, 0], :] * r[..., pairs[:, 1], :]).sum(-1)


def apart(r: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """One minus `together`, without cancellation where that is near one."""
    a, b = r[..., pairs[:, 0], :], r[..., pairs[:, 1], :]
    k = r.shape[-1]
    return sum(a[..., i] * b[..., j] for i in range(k) for j in range(k) if i != j)


def entropy(r: np.ndarray) -> np.ndarray:
    return -(r * np.log(np.where(r > 0, r, 1.0))).sum(-1)


def scores(p: np.ndarray, pair_p: np.ndarray, data: Simulated) -> dict[str, np.ndarray]:
    """Binned calibration and log scores of probabilities (N, K), and of pairs (P,).

    Rows are scored after matching the method's clusters to the true labels as well as can be; pairs need no matching.
    """
    from scipy.optimize import linear_sum_assignment

    onehot = np.eye(p.shape[1])[data.labels]
    _, order = linear_sum_assignment(-(onehot.T @ p))
    p = p[:, order]
    same = data.labels[data.pairs[:, 0]] == data.labels[data.pairs[:, 1]]
    return {
        "rows": binned(p.max(1), p.argmax(1) == data.labels),
        "pairs": binned(pair_p, same),
        "row_log_score": np.log(np.maximum(p[np.arange(len(p)), data.labels], 1e-12)).mean(),
        "pair_log_score": np.log(np.maximum(np.where(same, pair_p, 1 - pair_p), 1e-12)).mean(),
    }


def binned(confidence: np.ndarray, came_true: np.ndarray) -> np.ndarray:
    """Count, sum of confidence, and sum of what came true, in bins of equal width (3, BINS)."""
    at = np.minimum((confidence * BINS).astype(int), BINS - 1)
    return np.stack([np.bincount(at, w, BINS) for w in (np.ones(len(at)), confidence, came_true.astype(float))])


def covered(draws: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Whether the equal-tailed interval of draws (S, ...) holds the truth (...)."""
    low, high = np.quantile(draws, [0.5 * (1 - CI_PROB), 0.5 * (1 + CI_PROB)], axis=0)
    return (low <= truth) & (truth <= high)


def coverage(r: np.ndarray, data: Simulated, ambiguity: float) -> dict[str, tuple[float, float, float, float]]:
    """For each quantity: covered and counted, among all checked and among those that are open."""
    k = r.shape[2]
    true_r = responsibilities(data.truth, data.values)[0]
    pairs = data.pairs[:CHECKED]
    mean = r.mean(0)
    # Whichever of together and apart is the smaller keeps its digits; an interval of one is an interval of the other.
    sum_, difference = together(r, pairs), apart(r, pairs)
    small = np.median(sum_, 0) < 0.5
    pair_draws = np.where(small, sum_, difference)
    pair_truth = np.where(small, together(true_r, pairs), apart(true_r, pairs))
    found = {"co-clustering": (covered(pair_draws, pair_truth), (pair_draws.mean(0) > OPEN))}
    part, true_part = r[:, data.rows], true_r[data.rows]
    entropies = entropy(part)
    found["allocation entropy"] = (covered(entropies, entropy(true_part)), entropies.mean(0) > OPEN)
    if ambiguity < AMBIGUITY:
        # The truth gets the labels that make it closest to the posterior's probabilities, as each draw did.
        from scipy.optimize import linear_sum_assignment

        _, order = linear_sum_assignment(-(np.log(np.maximum(mean, 1e-12)).T @ true_r))
        true_part = true_part[:, order]
        # One cluster per row: the second most probable, which keeps its digits where the first is near one.
        own = mean[data.rows].argsort(1)[:, -2] if k > 1 else np.zeros(CHECKED, dtype=int)
        at = np.arange(CHECKED)
        draws = part[:, at, own]
        found["responsibility"] = (covered(draws, true_part[at, own]), draws.mean(0) > OPEN)
    return {
        name: (float(hit.sum()), float(hit.size), float(hit[unsettled].sum()), float(unsettled.sum()))
        for name, (hit, unsettled) in found.items()
    }


def split_r_hat(lp: np.ndarray) -> float:
    """Of the log density, chains (C, S) halved."""
    half = lp.shape[1] // 2
    parts = np.concatenate([lp[:, :half], lp[:, half : 2 * half]])
    within = parts.var(1, ddof=1).mean()
    return float(np.sqrt(1 - 1 / half + parts.mean(1).var(ddof=1) / within))


def study_one(task: tuple[Cell, int]) -> dict[str, Any]:
    """Everything but mclust, for one data set."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    cell, seed = task
    data = simulate(cell, seed)
    fit = fit_mixture(data.values, cell.k, cell.structure, random_state=seed)
    post = sample_posterior(
        data.values, cell.k, cell.structure, cell.priors, draws=DRAWS, chains=CHAINS, cores=1, random_seed=seed,
        progressbar=False, em=fit, log_likelihood=False,
    )  # fmt: skip
    view = Posterior.read(post)
    # Responsibilities of all draws (S, N, K): small here.
    r = np.concatenate(
        [b.responsibilities.transpose(0, 2, 1) for b in draw_responsibilities(view.draws, data.values)], axis=1
    )
    pair_p = np.mean([together(part, data.pairs) for part in r], axis=0)
    em = responsibilities(fit.mixture, data.values)[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        theirs = GaussianMixture(cell.k, covariance_type=cell.structure, random_state=seed).fit(data.values)
    sk = theirs.predict_proba(data.values)
    ambiguity = float(post.attrs["relabelling_ambiguity"])
    return {
        "cell": CELLS.index(cell),
        "seed": seed,
        "ambiguity": ambiguity,
        "n_modes": int(post.attrs["n_modes"]),
        "r_hat": split_r_hat(post["sample_stats"]["lp"].values),
        "outcome": fit.outcome,
        "em_gain": fit.log_likelihood - float(theirs.score(data.values)) * cell.n,
        "coverage": coverage(r, data, ambiguity),
        "scores": {
            "posterior": scores(r.mean(0), pair_p, data),
            "EM": scores(em, together(em, data.pairs), data),
            "scikit-learn": scores(sk, together(sk, data.pairs), data),
        },
    }


R_SCRIPT = """
suppressMessages(library(mclust))
args <- commandArgs(TRUE)
jobs <- read.csv(args[1], stringsAsFactors = FALSE)
for (i in seq_len(nrow(jobs))) {
  job <- jobs[i, ]
  x <- matrix(readBin(job$path, "double", job$n * job$d), job$n, job$d)
  fit <- tryCatch(suppressWarnings(Mclust(x, G = job$k, modelNames = job$model, verbose = FALSE)),
                  error = function(e) NULL)
  if (!is.null(fit) && !is.null(fit$z)) writeBin(as.double(fit$z), paste0(job$path, ".z"))
}
"""


def mclust_jobs(tasks: list[tuple[Cell, int]], folder: Path, name: str) -> Path:
    """Write data sets as R reads them, and the list of what to fit."""
    lines = ["path,n,d,k,model"]
    for cell, seed in tasks:
        path = folder / f"{CELLS.index(cell)}-{seed}"
        path.write_bytes(simulate(cell, seed).values.T.astype("<f8").tobytes())
        model = (MCLUST_1D if cell.d == 1 else MCLUST_NAMES)[cell.structure]
        lines.append(f"{path},{cell.n},{cell.d},{cell.k},{model}")
    listed = folder / f"{name}.csv"
    listed.write_text("\n".join(lines) + "\n")
    return listed


def run_mclust(tasks: list[tuple[Cell, int]], processes: int) -> dict[tuple[int, int], dict[str, Any]]:
    """Scores of mclust by (cell, seed), without those data sets that it could not fit; empty without R or mclust."""
    if shutil.which("Rscript") is None:
        return {}
    found = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        script = folder / "fit.R"
        script.write_text(R_SCRIPT)
        running = [
            subprocess.Popen(["Rscript", str(script), str(mclust_jobs(tasks[i::processes], folder, f"jobs{i}"))])
            for i in range(processes)
        ]
        if any(process.wait() for process in running):
            print("mclust: Rscript failed; its column is left out")
            return {}
        for cell, seed in tasks:
            path = folder / f"{CELLS.index(cell)}-{seed}.z"
            if path.exists():
                z = np.frombuffer(path.read_bytes(), "<f8").reshape(cell.k, cell.n).T
                data = simulate(cell, seed)
                found[CELLS.index(cell), seed] = scores(z, together(z, data.pairs), data)
    return found


def run_all(tasks: list[tuple[Cell, int]], processes: int) -> list[dict[str, Any]]:
    from bayesgmm.progress import progress_display

    context = multiprocessing.get_context("spawn")
    results = []
    with context.Pool(processes) as pool, progress_display() as display:
        task = display.add_task("Data sets", total=len(tasks), detail="")
        for result in pool.imap_unordered(study_one, tasks, chunksize=4):
            results.append(result)
            display.advance(task)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--per-cell", type=int, default=100, help="data sets per cell")
    parser.add_argument("--undecided", type=int, default=0, help="data sets for cells that --per-cell leaves undecided")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[2] / "reports")
    options = parser.parse_args()
    from memberships_report import undecided, write_report

    def tasks(cells: list[Cell], first: int, stop: int) -> list[tuple[Cell, int]]:
        """Cells take turns, so that neither the slow nor the quick ones come last."""
        return [(cell, options.seed * 10**6 + i) for i in range(first, stop) for cell in cells]

    begun = time.perf_counter()
    todo = tasks(CELLS, 0, options.per_cell)
    results = run_all(todo, options.processes)
    if options.undecided > options.per_cell:
        more = tasks([CELLS[i] for i in undecided(results, CELLS)], options.per_cell, options.undecided)
        results += run_all(more, options.processes)
        todo += more
    by_key = {(r["cell"], r["seed"]): r for r in results}
    for key, found in run_mclust(todo, options.processes).items():
        by_key[key]["scores"]["mclust"] = found
    seconds = time.perf_counter() - begun
    told = f"--per-cell {options.per_cell} --undecided {options.undecided} --seed {options.seed}"
    write_report(results, CELLS, options.out, seconds, told)


if __name__ == "__main__":
    main()
