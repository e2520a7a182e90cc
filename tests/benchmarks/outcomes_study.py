"""What groups differ in: bias and coverage over simulated data sets, hard labels and corrections beside the draws.

    python tests/benchmarks/outcomes_study.py run --sets 100 --out outcomes.jsonl
    python tests/benchmarks/outcomes_study.py report outcomes.jsonl

The first appends a line for each data set, so that it may be stopped and go on; the second writes reports/outcomes.md.
StepMix (Morin et al. 2025) does its own three steps on the same rows: EM, modal assignment, BCH, and the bootstrap.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import warnings
from pathlib import Path
from typing import Any

# ruff: noqa: E402
for _name in ("PYTHON_CPU_COUNT", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np

# The generator. It was fixed before the first run.
CI_PROB = 0.89
N, D = 500, 5
WEIGHTS = np.array([0.45, 0.33, 0.22])
# Standard deviations of the indicators, by group; independent within groups.
SDS = np.array([1.0, 0.8, 1.2])
# Directions of the groups' centres.
CENTRES = np.array([[-1.0, -1.0, -1.0, 0.0, 0.5], [0.0, 1.0, 0.0, 1.0, -0.5], [1.0, 0.0, 1.0, -1.0, 0.5]])
# How far apart they are, so that the entropy R2 of the true mixture is as named (found by bisection, 400,000 rows).
CELLS = {0.6: 0.7787, 0.8: 1.0795, 0.95: 1.5234}
MEANS, SD_Y = np.array([0.0, 0.5, 1.0]), np.array([1.0, 1.0, 1.0])
SHARES = np.array([0.2, 0.5, 0.7])
OUTCOMES = ("normal", "share", "skewed")
METHODS = ("hard labels", "draws", "BCH", "three-step ML", "StepMix BCH")
BOOTSTRAPS = 40


def generated(r2: float, seed: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """One data set: indicators (N, D), and three outside variables."""
    rng = np.random.default_rng([round(100 * r2), seed])
    z = rng.choice(3, N, p=WEIGHTS)
    x = CELLS[r2] * CENTRES[z] + SDS[z][:, None] * rng.normal(size=(N, D))
    return x, {
        "normal": MEANS[z] + SD_Y[z] * rng.normal(size=N),
        "share": (rng.uniform(size=N) < SHARES[z]).astype(float),
        # Exponential about the same means: the draws' normal distribution is wrong here.
        "skewed": MEANS[z] + rng.exponential(size=N) - 1.0,
    }


def truths() -> dict[str, np.ndarray]:
    return {"normal": MEANS, "share": SHARES, "skewed": MEANS}


def true_entropy_r2(scale: float, n: int = 400_000) -> float:
    rng = np.random.default_rng(1)
    z = rng.choice(3, n, p=WEIGHTS)
    x = scale * CENTRES[z] + SDS[z][:, None] * rng.normal(size=(n, D))
    apart = ((x[:, None] - scale * CENTRES) ** 2).sum(2) / SDS**2
    logs = np.log(WEIGHTS) - D * np.log(SDS) - 0.5 * apart
    r = np.exp(logs - logs.max(1, keepdims=True))
    r /= r.sum(1, keepdims=True)
    return float(1 + (r * np.log(np.maximum(r, 1e-300))).sum() / (n * np.log(3)))


def matched(centres: np.ndarray, r2: float) -> np.ndarray:
    """For each true group the fitted one, by least total squared distance."""
    from scipy.optimize import linear_sum_assignment

    cost = ((CELLS[r2] * CENTRES[:, None] - centres) ** 2).sum(2)
    return linear_sum_assignment(cost)[1]


def ours(x: np.ndarray, y: dict[str, np.ndarray], r2: float, seed: int) -> dict[str, Any]:
    import pandas as pd

    from bayesgmm.checks import diagnose
    from bayesgmm.clusters.outcomes import outcomes
    from bayesgmm.sampling import Posterior, sample_posterior

    post = sample_posterior(x, 3, "diag", draws=400, chains=2, random_seed=seed, progressbar=False)
    found = outcomes(post, pd.DataFrame(y), by="component", ci_prob=CI_PROB, random_seed=seed)
    order = matched(Posterior.read(post).em.means, r2)
    result: dict[str, Any] = {"r2": found.quality.entropy_r2, "verdict": diagnose(post).verdict}
    z = 1.5981931399228169  # of 89%
    for name in OUTCOMES:
        quantity = "1" if name == "share" else "mean"
        own = found.estimates.loc[(name, quantity)].iloc[order]
        drawn = found.draws[name].values[:, order, list(found.draws[f"quantity of {name}"].values).index(quantity)]
        gap = drawn[:, 2] - drawn[:, 0]
        result[name] = {
            "draws": _parts(own["mean"], own["lb"], own["ub"], gap.mean(), *np.quantile(gap, (0.055, 0.945)))
        }
        check = found.checks.loc[(name, quantity)].iloc[order]
        for method, column in (("hard labels", "hard"), ("BCH", "bch"), ("three-step ML", "ml")):
            m, se = check[column].to_numpy(), check[f"{column}_se"].to_numpy()
            d, dse = m[2] - m[0], float(np.hypot(se[2], se[0]))
            result[name][method] = _parts(m, m - z * se, m + z * se, d, d - z * dse, d + z * dse)
    return result


def _parts(mean: Any, lb: Any, ub: Any, gap: Any, gap_lb: Any, gap_ub: Any) -> list[list[float]]:
    """Three means and the difference of the last and the first, each with its interval."""
    stacked = np.column_stack([np.append(mean, gap), np.append(lb, gap_lb), np.append(ub, gap_ub)])
    return stacked.round(5).tolist()


def stepmix(x: np.ndarray, y: dict[str, np.ndarray], r2: float, seed: int) -> dict[str, Any]:
    """Its estimates with all three outcomes at once, and bootstrap standard errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from stepmix.stepmix import StepMix

        rows = np.column_stack([y[name] for name in OUTCOMES])

        def fitted(at: np.ndarray, state: int, starts: int) -> np.ndarray:
            model = StepMix(
                n_components=3, n_steps=3, measurement="gaussian_diag", structural="gaussian_unit", correction="BCH",
                assignment="modal", init_params="kmeans", n_init=starts, abs_tol=1e-8, max_iter=2000, random_state=state,
                progress_bar=0, verbose=0,
            )  # fmt: skip
            model.fit(x[at], rows[at])
            found = model.get_parameters()
            return np.asarray(found["structural"]["means"])[matched(found["measurement"]["means"], r2)]

        point = fitted(np.arange(N), seed, 5)
        rng = np.random.default_rng(seed)
        again = np.stack([fitted(rng.integers(N, size=N), seed, 1) for _ in range(BOOTSTRAPS)])
    z, se, gap_se = 1.5981931399228169, again.std(0), (again[:, 2] - again[:, 0]).std(0)
    gap = point[2] - point[0]
    return {
        name: _parts(
            point[:, j], point[:, j] - z * se[:, j], point[:, j] + z * se[:, j], gap[j], gap[j] - z * gap_se[j],
            gap[j] + z * gap_se[j],
        )
        for j, name in enumerate(OUTCOMES)
    }  # fmt: skip


def run(sets: int, out: Path) -> None:
    done = {(line["cell"], line["seed"]) for line in _read(out)} if out.exists() else set()
    for seed in range(sets):
        for r2 in CELLS:
            if (r2, seed) in done:
                continue
            x, y = generated(r2, seed)
            began = time.process_time()
            found = ours(x, y, r2, seed)
            spent = time.process_time() - began
            theirs = stepmix(x, y, r2, seed)
            for name in OUTCOMES:
                found[name]["StepMix BCH"] = theirs[name]
            line = {"cell": r2, "seed": seed, "cpu": round(spent, 2), **found}
            with out.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(line) + "\n")
            print(r2, seed, found["verdict"], round(found["r2"], 3), round(spent, 1), flush=True)


def _read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("run")
    one.add_argument("--sets", type=int, default=100)
    one.add_argument("--out", type=Path, default=Path("outcomes.jsonl"))
    two = commands.add_parser("report")
    two.add_argument("results", type=Path)
    commands.add_parser("calibrate")
    asked = parser.parse_args()
    if asked.command == "run":
        run(asked.sets, asked.out)
    elif asked.command == "report":
        from outcomes_report import write_report

        write_report(_read(asked.results))
    else:
        from scipy.optimize import brentq

        for r2 in CELLS:
            print(r2, round(brentq(lambda s, r2=r2: true_entropy_r2(s) - r2, 0.2, 4.0, xtol=1e-4), 4))


if __name__ == "__main__":
    main()
