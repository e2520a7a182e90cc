"""How often the report doubts that components are groups: data of one skewed or heavy-tailed group, and Gaussian controls.

    uv run python tests/benchmarks/gate_study.py [--sets 20]

Each set has N = 300 rows in D = 1, 2, 3 columns, seed = set number. One group: columns independent gamma(3),
log-normal(0, 0.6), or Student's t with 4 degrees of freedom. Controls: one Gaussian; two Gaussians with means 4 apart in the
first column and weights 0.5. BIC's model over K = 1 to 4 and the default structures stands in for the headline, as the gate
looks at EM alone. The gate was tried on sets 1000 to 1002; those that count begin at 0.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

import bayesgmm as bg
from bayesgmm.data import as_table
from bayesgmm.mixture import ModelKey
from bayesgmm.selection.gate import doubts

N, FEATURES = 300, (1, 2, 3)
OUT = Path(__file__).parents[2] / "reports" / "gate.json"


def rows(kind: str, d: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng([seed, d, *kind.encode()])
    if kind == "gamma(3)":
        return rng.gamma(3.0, size=(N, d))
    if kind == "log-normal":
        return np.exp(0.6 * rng.standard_normal((N, d)))
    if kind == "t4":
        return rng.standard_t(4, size=(N, d))
    x = rng.standard_normal((N, d))
    if kind == "two Gaussians":
        x[:, 0] += 4.0 * (rng.uniform(size=N) < 0.5)
    return x


KINDS = ("gamma(3)", "log-normal", "t4", "one Gaussian", "two Gaussians")


def one(kind: str, d: int, seed: int) -> dict[str, object]:
    table = as_table(rows(kind, d, seed))
    grid = bg.fit_grid(table, range(1, 5), random_state=seed, progressbar=False)
    key = str(ModelKey(*grid.best_cell("bic")))
    found = doubts(table, grid, key, seed)
    return {
        "bic": key, "icl": found.icl_components, "misfit": found.misfit, "banner": found.banner,
        "transforms": {c: str(t) for c, t in found.transforms.items()},
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=int, default=20)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--output", type=Path, default=OUT)
    asked = parser.parse_args()
    found = {}
    for kind in KINDS:
        for d in FEATURES:
            sets = [one(kind, d, seed) for seed in range(asked.first, asked.first + asked.sets)]
            found[f"{kind}, D={d}"] = sets
            shown = sum(bool(s["banner"]) for s in sets)
            print(f"{kind}, D={d}: banner in {shown} of {len(sets)}", flush=True)
    asked.output.write_text(json.dumps({"sets": asked.sets, "first": asked.first, "found": found}, indent=1))


if __name__ == "__main__":
    main()
