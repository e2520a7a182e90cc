"""mclust's fourteen structures against its own maxima: ``python -m tests.benchmarks.structures_golden``.

Writes ``reports/structures_golden.md``: for each of the 278 values of ``tests/reference/golden_structures.json`` the log
likelihood that EM reaches by default settings from three seeds. A value is reached where no seed ends more than 1e-3 below it
and none ends with a spurious component.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

import bayesgmm as bg

from .harness import REPOSITORY, number, provenance, table

REPORT = REPOSITORY / "reports" / "structures_golden.md"
GOLDEN = REPOSITORY / "tests" / "reference" / "golden_structures.json"
SHORT = 1e-3
# What the same optimum may differ by: mclust's relative tolerance, 1e-9.
SAME = 1e-3


@dataclass(frozen=True)
class Reached:
    """One golden value and what became of it."""

    golden: dict
    gains: tuple[float, ...]
    outcomes: tuple[str, ...]
    same_criteria: bool

    @property
    def is_short(self) -> bool:
        return min(self.gains) < -SHORT or set(self.outcomes) != {"converged"}


def values_of(name: str) -> np.ndarray:
    """Numeric columns (N, D) of a data set."""
    if name in bg.list_datasets()["name"].tolist():
        return bg.load_dataset(name).select_dtypes("number").dropna().to_numpy(float)
    folder = Path(os.environ.get("BAYESGMM_DATA", REPOSITORY.parent / "shared" / "data"))
    frame = pd.read_csv(folder / "classic" / f"{name}.csv").select_dtypes("number")
    return frame.drop(columns="year", errors="ignore").dropna().to_numpy(float)


def reach(golden: dict, x: np.ndarray, seeds: Sequence[int]) -> Reached:
    """Fit one model from every seed."""
    fits = [bg.fit_mixture(x, golden["n_components"], golden["model"], random_state=seed) for seed in seeds]
    gains = tuple(fit.log_likelihood - golden["log_likelihood"] for fit in fits)
    same = all(
        fit.n_parameters == golden["n_parameters"]
        and abs(fit.bic + 2 * gain - golden["bic_lower_is_better"]) < 2e-3
        and (abs(gain) > SAME or abs(fit.icl - golden["icl_lower_is_better"]) < 0.05)
        for fit, gain in zip(fits, gains, strict=True)
    )
    return Reached(golden, gains, tuple(fit.outcome for fit in fits), same)


def summary(found: Sequence[Reached]) -> str:
    """One row per structure."""
    rows = []
    for model in dict.fromkeys(r.golden["model"] for r in found):
        own = [r for r in found if r.golden["model"] == model]
        rows.append((
            model, len(own), sum(r.is_short for r in own), sum(max(r.gains) > SAME for r in own),
            number(max(max(r.gains) for r in own)), sum(min(r.gains) > SAME for r in own),
            sum(not r.same_criteria for r in own),
        ))  # fmt: skip
    header = (
        "model",
        "values",
        "short from some seed",
        "exceeded",
        "by at most",
        "exceeded from all seeds",
        "criteria differ",
    )
    return table(header, rows)


def exceeded(found: Sequence[Reached]) -> str:
    """The values of which mclust's start missed a better optimum."""
    rows = [
        (g["data"], g["model"], g["n_components"], g["log_likelihood"], *(f"{gain:+.3f}" for gain in r.gains))
        for r in found
        for g in [r.golden]
        if max(r.gains) > SAME
    ]
    return table(("data", "model", "K", "mclust", *(f"seed {i}" for i in range(len(found[0].gains)))), rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    seeds = range(parser.parse_args().seeds)
    begun = time.perf_counter()
    values = json.loads(GOLDEN.read_text("utf-8"))["values"]
    data = {name: values_of(name) for name in dict.fromkeys(v["data"] for v in values)}
    found = [reach(golden, data[golden["data"]], seeds) for golden in values]
    short = [r for r in found if r.is_short]
    text = [
        "# mclust's fourteen structures: what EM reaches", (__doc__ or "").split("\n\n", 1)[1].strip(),
        f"**{len(found) - len(short)} of {len(found)} values reached from all {len(seeds)} seeds.**",
        provenance("python -m tests.benchmarks.structures_golden", ("bayesgmm", "numpy"), time.perf_counter() - begun),
        "Criteria differ: parameters, BIC at the same log likelihood or, at the same optimum, ICL are not mclust's.",
        summary(found), "## Better optima than mclust's single start finds", exceeded(found),
    ]  # fmt: skip
    if short:
        rows = [
            (r.golden["data"], r.golden["model"], r.golden["n_components"], str(r.gains), str(r.outcomes))
            for r in short
        ]
        text += ["## Short", table(("data", "model", "K", "gains", "outcomes"), rows)]
    REPORT.write_text("\n\n".join(text) + "\n", "utf-8")


if __name__ == "__main__":
    main()
