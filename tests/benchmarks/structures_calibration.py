"""Simulation-based calibration of structures with parts of their own: ``python -m tests.benchmarks.structures_calibration``.

As `calibration`, for VEI (volumes and one shape), EEV (an orientation of each component's own) and VVE (one for all), with
K = 2 and D = 2, 3: ranks of label-free quantities, the log likelihood among them, and of two more for orientation and shape.
Chains start where `sample_posterior` starts them: at the best mode, in coordinates about its orientations. Writes
``reports/structures_calibration.md``.
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import product

import numpy as np

from bayesgmm.mixture import Mixture, single_threaded_blas
from bayesgmm.posterior.modes import find_mode
from bayesgmm.posterior.priors import Priors
from bayesgmm.posterior.target import Target
from bayesgmm.sampling.predictive import prior_draws, replicates
from bayesgmm.sampling.samplers.chains import Chain, run_chains
from bayesgmm.sampling.starts import Start

from .calibration import COVERAGES, N_RANKS, N_ROWS, QUANTITIES, coverage, p_uniform, quantities
from .harness import REPOSITORY, provenance, table

REPORT = REPOSITORY / "reports" / "structures_calibration.md"
STRUCTURES, DIMENSIONS, K = ("VEI", "EEV", "VVE"), (2, 3), 2
ALL = (*QUANTITIES, "largest correlation", "largest condition number")


def measured(target: Target, points: np.ndarray) -> np.ndarray:
    """Quantities (S, 7) of points."""
    mixture = target.mixtures(points)
    nothing = target.reweighted(np.zeros(len(target.values)))
    return np.column_stack([quantities(mixture, target, nothing, points), *_of_shape(mixture)])


def _of_shape(mixture: Mixture) -> tuple[np.ndarray, np.ndarray]:
    dense = mixture.dense_covariances
    sd = np.sqrt(np.einsum("skii->ski", dense))
    correlation = dense[..., 0, 1] / (sd[..., 0] * sd[..., 1])
    values = np.linalg.eigvalsh(dense)
    return correlation.max(-1), (values[..., -1] / values[..., 0]).max(-1)


def sampled(target: Target, seed: int) -> tuple[Target, np.ndarray]:
    """Draws (N_RANKS, P) of two chains, and the target in whose coordinates they are."""
    rng = np.random.default_rng(seed)
    starts = prior_draws(target.coordinates, target.own_priors, 20, rng)
    tried = [target.mixtures(start[None])[0] for start in starts[np.argsort(-target.many(starts))[:3]]]
    target = target.about(tried[0])
    with single_threaded_blas():
        modes = [
            find_mode(target, target.coordinates.unconstrain(m.weights, m.means, m.dense_covariances)) for m in tried
        ]
        best = max(modes, key=lambda mode: mode.value + np.log(np.diag(mode.spread)).sum())
        best_mixture = target.mixtures(best.point[None])[0]
        target = target.about(best_mixture)
        m = best_mixture
        best = find_mode(target, target.coordinates.unconstrain(m.weights, m.means, m.dense_covariances))
    chains = [
        Chain(target, Start(best, rng.standard_normal(target.size), int(rng.integers(2**63))), 600, 250, 0.9, "")
        for _ in range(2)
    ]
    points = np.concatenate([u for u, _ in run_chains(chains, 1, False)[0]])
    return target, points[np.linspace(0, len(points) - 1, N_RANKS).astype(int)]


def simulate(task: tuple[str, int, int]) -> np.ndarray:
    """Ranks (Q,) of the truth among the draws in one simulation."""
    structure, d, seed = task
    priors = Priors()
    rng = np.random.default_rng([seed, d, STRUCTURES.index(structure)])
    blank = Target.of_rows(np.zeros((1, d)), K, structure, priors)
    truth = prior_draws(blank.coordinates, priors, 1, rng)
    values = replicates(blank.mixtures(truth), N_ROWS, rng)[0]
    given = Target.of_rows(values, K, structure, priors)
    target, points = sampled(given, int(rng.integers(2**31)))
    drawn, true = measured(target, points), measured(given, truth)[0]
    below, tied = (drawn < true - 1e-12).sum(0), (np.abs(drawn - true) <= 1e-12).sum(0)
    return below + rng.integers(0, tied + 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=200, help="simulations of each cell")
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    begun = time.perf_counter()
    rows, smallest = [], []
    with ProcessPoolExecutor(options.workers) as pool:
        for structure, d in product(STRUCTURES, DIMENSIONS):
            ranks = np.stack(list(pool.map(simulate, [(structure, d, seed) for seed in range(options.n)], chunksize=5)))
            own = [
                q for q in range(len(ALL)) if np.ptp(ranks[:, q]) > 0 and not (structure == "VEI" and q == len(ALL) - 2)
            ]
            p = np.array([p_uniform(ranks[:, q]) for q in own])
            smallest.append(min(1.0, p.min() * len(p)))
            shares = [f"{np.mean([coverage(ranks[:, q], mass) for q in own]):.3f}" for mass in COVERAGES]
            rows.append(
                (
                    structure,
                    d,
                    options.n,
                    f"{p.min():.3g} ({ALL[own[int(p.argmin())]]})",
                    f"{smallest[-1]:.3g}",
                    *shares,
                )
            )
            print(rows[-1], flush=True)
    header = (
        "structure",
        "D",
        "simulations",
        "smallest p (quantity)",
        "Bonferroni",
        *(f"coverage of {m:.0%}" for m in COVERAGES),
    )
    text = [
        "# Calibration of structures with volumes, shapes and orientations", (__doc__ or "").split("\n\n", 1)[1].strip(),
        f"Of {len(rows)} cells the smallest p, corrected for {len(ALL)} quantities, is {min(smallest):.3g}; by chance alone "
        f"one below {0.05 / len(rows):.2g} comes once in 20 studies. {N_ROWS} rows, {N_RANKS} draws each.",
        provenance(f"python -m tests.benchmarks.structures_calibration -n {options.n}", ("bayesgmm", "nutpie"),
                   time.perf_counter() - begun),
        table(header, rows),
    ]  # fmt: skip
    REPORT.write_text("\n\n".join(text) + "\n", "utf-8")


if __name__ == "__main__":
    main()
