"""Log evidence and p(K | data) against published values: ``python -m tests.benchmarks.evidence``.

Writes ``reports/evidence.md``. Reads `tests/reference/golden.json` and the data beside the design notes (``BAYESGMM_DATA``
names another folder). Three routes: bridge sampling on NUTS draws, tempered sequential Monte Carlo from the prior, and for
p(K | data) the telescoping sampler, in which K is one more unknown and which shares no code with the others.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import numpy as np
import pandas as pd

from bayesgmm.posterior.priors import Priors
from bayesgmm.posterior.problem import Problem
from bayesgmm.posterior.sampling import sample_posterior
from bayesgmm.uncertainty.comparison import model_probabilities
from bayesgmm.uncertainty.evidence import log_evidence, smc_summary
from bayesgmm.uncertainty.smc import smc_log_evidence
from bayesgmm.uncertainty.sparse import filled_components
from bayesgmm.uncertainty.target import Target

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("BAYESGMM_DATA", ROOT.parent / "shared" / "data")) / "classic"
REPORT = ROOT / "reports" / "evidence.md"
TOLERANCE = 0.5
TOLERANCE_P = 0.04
LARGEST = 14


def read(name: str) -> pd.DataFrame:
    frame = pd.read_csv(DATA / f"{name}.csv")
    return frame / 1000 if name == "galaxies" else frame


def target_of(y: pd.DataFrame, k: int) -> Target:
    problem = Problem.of(y, k, "full", Priors.richardson_green(y))
    values = problem.scaling.standardise(y.to_numpy())
    return Target(values, problem.density(), problem.own_priors, len(y) * problem.scaling.log_jacobian)


def evidence_table(published: dict[str, dict[str, float]]) -> list[str]:
    lines = []
    for name, values in published.items():
        y = read(name)
        for k, value in values.items():
            post = sample_posterior(
                y, int(k), "full", Priors.richardson_green(y), draws=2000, random_seed=1, progressbar=False
            )
            bridge, smc = log_evidence(post), log_evidence(post, method="smc", particles=800, repeats=4)
            within = [abs(found.value - value) <= TOLERANCE for found in (bridge, smc)]
            lines.append(
                f"| {name} | {k} | {value:.2f} | {bridge.value:.2f} ± {bridge.se:.2f} | {smc.value:.2f} ± {smc.se:.2f} "
                f"| {'yes' if within[0] else '**no**'} | {'yes' if within[1] else '**no**'} |"
            )
            print(lines[-1], flush=True)
    return lines


def probability_table(published: dict[str, float]) -> list[str]:
    y = read("galaxies")
    values = []
    for k in range(1, LARGEST + 1):
        target = target_of(y, k)
        found, _ = smc_log_evidence(target, particles=500, repeats=2, sweeps=4)
        values.append(smc_summary(found + target.log_jacobian).value)
        print(f"K={k}: {values[-1]:.2f}", flush=True)
    # The published prior is uniform on 1..30; beyond 14 components published probabilities are below 0.003.
    by_smc = model_probabilities(np.array(values))
    sampler = filled_components(
        y, "full", Priors.richardson_green(y), sparse=False, max_components=30, draws=10_000, tune=5000
    )
    lines = []
    for k, value in published.items():
        pair = by_smc[int(k) - 1], float(sampler.table["p_k"][int(k)])
        within = ["yes" if abs(p - value) <= TOLERANCE_P else "**no**" for p in pair]
        lines.append(f"| {k} | {value:.3f} | {pair[0]:.3f} | {pair[1]:.3f} | {within[0]} | {within[1]} |")
        print(lines[-1], flush=True)
    return lines


def ratio_table() -> list[str]:
    """p(K | data) by the telescoping sampler, which no evidence enters, as log ratios to K=3."""
    lines = []
    for name in ("acidity", "enzyme"):
        y = read(name)
        sampler = filled_components(
            y, "full", Priors.richardson_green(y), sparse=False, max_components=30, draws=10_000, tune=5000
        )
        p = sampler.table["p_k"]
        ratios = " | ".join(f"{np.log(p[k] / p[3]):.2f}" for k in (2, 4, 5, 6))
        lines.append(f"| {name} | {ratios} | {sampler.r_hat:.3f} | {sampler.ess:.0f} |")
        print(lines[-1], flush=True)
    return lines


def main() -> None:
    begun = time.perf_counter()
    golden = json.loads((ROOT / "tests" / "reference" / "golden.json").read_text())
    probabilities = probability_table(golden["posterior_of_k"]["galaxies"])
    ratios = ratio_table()
    evidences = evidence_table(golden["log_evidence"]["values"])
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(
        "\n".join(
            [
                "# Log evidence and p(K | data) against published values",
                "",
                f"`python -m tests.benchmarks.evidence`, seeds fixed, {time.perf_counter() - begun:.0f} s. "
                "Priors of Richardson & Green (1997).",
                "",
                f"## Log evidence (tolerance {TOLERANCE})",
                "",
                "| data | K | published | bridge | tempered SMC | bridge within | SMC within |",
                "|---|---|---|---|---|---|---|",
                *evidences,
                "",
                f"## p(K given y), galaxies (tolerance {TOLERANCE_P})",
                "",
                "| K | published | from SMC evidences | telescoping sampler | SMC within | sampler within |",
                "|---|---|---|---|---|---|",
                *probabilities,
                "",
                "## A third route for acidity and enzyme",
                "",
                "log p(K | y) / p(3 | y) by the telescoping sampler, uniform prior on K: to be set beside differences of log "
                "evidences.",
                "",
                "| data | K=2 | K=4 | K=5 | K=6 | R-hat | ESS |",
                "|---|---|---|---|---|---|---|",
                *ratios,
                "",
            ]
        )
    )
    print(REPORT)


if __name__ == "__main__":
    main()
