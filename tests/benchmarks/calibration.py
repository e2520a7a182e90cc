"""Simulation-based calibration of the posterior path: ``python -m tests.benchmarks.calibration``.

Parameters are drawn from the prior, data from the parameters, and the posterior of the data is sampled; the rank of the
true value among the draws is then uniform if density, sampler and coordinates are all right (Talts, Betancourt, Simpson,
Vehtari & Gelman 2018; Modrak et al. 2023 for adding the log likelihood). Quantities are symmetric in the components, so that
labels do not matter. Writes ``reports/calibration.md`` and ``reports/calibration.png``; the ranks of finished cells are
kept in ``reports/benchmarks/results/calibration-<sampler>.npz``, so that an interrupted run goes on (``--fresh`` starts over).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from math import sqrt
from pathlib import Path

import numpy as np
from scipy.stats import chi2, kstest, norm

from bayesgmm.mixture import Mixture, single_threaded_blas
from bayesgmm.posterior.modes import find_mode
from bayesgmm.posterior.priors import Priors
from bayesgmm.posterior.target import Target
from bayesgmm.sampling.predictive import prior_draws, replicates
from bayesgmm.sampling.samplers.chains import Chain, run_chains
from bayesgmm.sampling.starts import Start
from bayesgmm.selection.smc import smc_log_evidence

REPORT = Path(__file__).resolve().parents[2] / "reports" / "calibration.md"
RESULTS = REPORT.parent / "benchmarks" / "results"
STRUCTURES = ("full", "tied", "diag", "spherical")
QUANTITIES = ("log likelihood", "largest weight", "mixture mean", "mixture variance", "smallest log det")
N_ROWS, N_RANKS = 25, 99
COVERAGES = (0.5, 0.89)
_BINS = 10


def quantities(mixture: Mixture, density: Target, nothing: Target, points: np.ndarray) -> np.ndarray:
    """Label-free quantities (S, 5) of draws."""
    log_likelihood = density.many(points) - nothing.many(points)
    weights, first = mixture.weights, mixture.means[..., 0]
    mean = (weights * first).sum(-1)
    variances = mixture.dense_covariances[..., 0, 0]
    variance = (weights * (variances + (first - mean[:, None]) ** 2)).sum(-1)
    log_det = np.linalg.slogdet(mixture.dense_covariances)[1].min(-1)
    return np.column_stack([log_likelihood, weights.max(-1), mean, variance, log_det])


def by_nuts(target: Target, seed: int) -> np.ndarray:
    """Draws of two chains at the mode found from a prior draw, thinned: what `sample_posterior` runs, less its search."""
    rng = np.random.default_rng(seed)
    starts = prior_draws(target.coordinates, target.own_priors, 20, rng)
    with single_threaded_blas():
        modes = [find_mode(target, start) for start in starts[np.argsort(-target.many(starts))[:3]]]
    modes.sort(key=lambda mode: -(mode.value + np.log(np.diag(mode.spread)).sum()))
    chains = [
        Chain(target, Start(modes[0], rng.standard_normal(target.size), int(rng.integers(2**63))), 600, 250, 0.9, "")
        for _ in range(2)
    ]
    points = np.concatenate([u for u, _ in run_chains(chains, 1, False)[0]])
    return points[np.linspace(0, len(points) - 1, N_RANKS).astype(int)]


def by_smc(target: Target, seed: int) -> np.ndarray:
    """Particles of tempered SMC, which visits all modes: what is left to be wrong is the density."""
    _, cloud = smc_log_evidence(target, particles=5 * N_RANKS, repeats=1, sweeps=3, random_seed=seed)
    return cloud[np.random.default_rng(seed).permutation(len(cloud))[:N_RANKS]]


SAMPLERS: dict[str, Callable[[Target, int], np.ndarray]] = {"nuts": by_nuts, "smc": by_smc}


def simulate(task: tuple[str, int, int, int, str]) -> np.ndarray:
    """Ranks (Q,) of the true quantities among the draws' in one simulation: 0..N_RANKS."""
    structure, k, d, seed, sampler = task
    priors = Priors()
    rng = np.random.default_rng([seed, k, d, STRUCTURES.index(structure)])
    blank = Target.of_rows(np.zeros((1, d)), k, structure, priors)
    truth = prior_draws(blank.coordinates, priors, 1, rng)
    values = replicates(blank.mixtures(truth), N_ROWS, rng)[0]
    # The prior is stated on the scale of the data here, so that simulated data are not standardised.
    target = Target.of_rows(values, k, structure, priors)
    nothing = target.reweighted(np.zeros(N_ROWS))
    points = SAMPLERS[sampler](target, int(rng.integers(2**31)))
    drawn = quantities(target.mixtures(points), target, nothing, points)
    true = quantities(target.mixtures(truth), target, nothing, truth)[0]
    below = (drawn < true - 1e-12).sum(0)
    tied = (np.abs(drawn - true) <= 1e-12).sum(0)
    # Ties, as of the largest weight where K = 1, are broken at random.
    return below + rng.integers(0, tied + 1)


def p_uniform(ranks: np.ndarray) -> float:
    """p-value of uniformity of ranks in 0..N_RANKS, by a chi-squared test over ten bins."""
    counts = np.bincount(ranks * _BINS // (N_RANKS + 1), minlength=_BINS)
    expected = len(ranks) / _BINS
    return float(chi2.sf(((counts - expected) ** 2 / expected).sum(), _BINS - 1))


def coverage(ranks: np.ndarray, mass: float) -> float:
    """Share of simulations whose truth lies in the central interval of the draws that holds ``mass``."""
    position = (ranks + 0.5) / (N_RANKS + 1)
    return float((np.abs(position - 0.5) < mass / 2).mean())


def cell(structure: str, k: int, d: int, n: int, sampler: str, pool: ProcessPoolExecutor | None) -> np.ndarray:
    """Ranks (n, Q) of one cell."""
    tasks = [(structure, k, d, seed, sampler) for seed in range(n)]
    return np.stack(list(map(simulate, tasks) if pool is None else pool.map(simulate, tasks, chunksize=8)))


def draw_ranks(ranks: dict[tuple[str, int, int], np.ndarray], path: Path) -> None:
    """Rank histograms, a row of panels per structure, all quantities of a cell together."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(16, 7), layout="constrained")
    axes = figure.subplots(4, 9, sharex=True, sharey=True)
    for ((structure, k, d), values), ax in zip(ranks.items(), axes.ravel(), strict=False):
        n = len(values)
        for column in values.T:
            ax.hist(column, bins=_BINS, range=(0, N_RANKS + 1), histtype="step", lw=0.8)
        band = norm.ppf(0.9995) * sqrt(n / _BINS * (1 - 1 / _BINS))
        ax.axhspan(n / _BINS - band, n / _BINS + band, color="0.9", zorder=0)
        ax.set_title(f"{structure}, K={k}, D={d}", fontsize=8)
    figure.supxlabel("rank of the truth among 99 draws; grey: 99.9% of uniform ranks")
    figure.savefig(path, dpi=110)


class Kept:
    """Ranks (n, Q) of finished cells, on disk."""

    def __init__(self, sampler: str, n: int, fresh: bool) -> None:
        self.path, self.n = RESULTS / f"calibration-{sampler}.npz", n
        self.ranks: dict[str, np.ndarray] = {}
        if self.path.exists() and not fresh:
            with np.load(self.path, allow_pickle=False) as stored:
                self.ranks = {name: stored[name].astype(int) for name in stored.files if len(stored[name]) == n}

    def add(self, name: str, ranks: np.ndarray) -> None:
        self.ranks[name] = ranks
        self.path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(self.path, **{key: value.astype(np.uint8) for key, value in self.ranks.items()})


def judged(name: tuple[str, int, int], ranks: np.ndarray, n_tests: int) -> tuple[str, float, int]:
    """The table's row of one cell, its corrected p-value, and how many coverages are off."""
    structure, k, d = name
    p_values = [p_uniform(column) for column in ranks.T]
    p = min(1.0, min(p_values) * n_tests)
    shares, outside = [], 0
    for mass in COVERAGES:
        error = sqrt(mass * (1 - mass) / len(ranks))
        # All quantities of a cell together have at most the error of one of them.
        average = float(np.mean([coverage(column, mass) for column in ranks.T]))
        outside += abs(average - mass) > 2 * error
        shares.append(f"{average:.3f} ± {error:.3f}")
    worst = f"{min(p_values):.3g} ({QUANTITIES[int(np.argmin(p_values))]})"
    return f"| {structure} | {k} | {d} | {worst} | {p:.3g} | {' | '.join(shares)} |", p, outside


def write_report(ranks: dict[tuple[str, int, int], np.ndarray], n: int, sampler: str) -> None:
    """The page and its picture."""
    n_tests = len(ranks) * len(QUANTITIES)
    rows = [judged(name, values, n_tests) for name, values in ranks.items()]
    smallest, outside = min(p for _, p, _ in rows), sum(off for _, _, off in rows)
    everything = np.concatenate([r.ravel() for r in ranks.values()])
    overall = kstest((everything + 0.5) / (N_RANKS + 1), "uniform").statistic
    draw_ranks(ranks, REPORT.with_suffix(".png"))
    lines = [
        "# Simulation-based calibration",
        "",
        f"`python -m tests.benchmarks.calibration -n {n} --sampler {sampler}`, seeds fixed. {n} simulations in each of "
        f"{len(ranks)} cells, {N_ROWS} rows, {N_RANKS} thinned draws, default priors; quantities: {', '.join(QUANTITIES)}.",
        "",
        f"Smallest p-value of uniformity after correction for {n_tests} tests (Bonferroni): **{smallest:.3g}**. "
        f"Coverages more than two Monte Carlo standard errors off: **{outside} of {2 * len(ranks)}** "
        f"(by chance alone up to {0.0455 * 2 * len(ranks):.1f} expected). "
        f"Largest distance of all ranks together from uniform: {overall:.4f}.",
        "",
        "![ranks](calibration.png)",
        "",
        "| structure | K | D | smallest p (quantity) | corrected | coverage of 50% | coverage of 89% |",
        "|---|---|---|---|---|---|---|",
        *(row for row, _, _ in rows),
        "",
    ]
    REPORT.write_text("\n".join(lines))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=200, help="simulations per cell")
    parser.add_argument("--sampler", choices=sorted(SAMPLERS), default="nuts")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--fresh", action="store_true", help="forget the cells that an earlier run finished")
    options = parser.parse_args()
    kept, ranks, begun = Kept(options.sampler, options.n, options.fresh), {}, time.perf_counter()
    with ProcessPoolExecutor(options.cores) as pool:
        for structure, k, d in product(STRUCTURES, (1, 2, 3), (1, 2, 3)):
            name = f"{structure}-{k}-{d}"
            if name not in kept.ranks:
                kept.add(name, cell(structure, k, d, options.n, options.sampler, pool))
                print(name, f"{time.perf_counter() - begun:.0f} s", flush=True)
            ranks[structure, k, d] = kept.ranks[name]
    write_report(ranks, options.n, options.sampler)
    print(REPORT)


if __name__ == "__main__":
    main()
