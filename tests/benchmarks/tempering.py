"""Tempering on well-known data: ``python tests/benchmarks/tempering.py [--write]``.

Writes ``reports/benchmarks/tempering.md``. Each case is kept in ``results/tempering.json`` as soon as it
is done; cases kept already are not run again. Galaxies K=2..7, acidity and enzyme K=3..5, under the default priors and those of
Richardson & Green (1997), and galaxies K=1..12 under the latter for p(K). Log evidences are compared with published ones and
with tempered sequential Monte Carlo and bridge sampling (``results/evidence.json``), p(K) with telescope's, ratios
with those of Richardson and Green's own program (`tests/reference/nmix.json`).
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from harness import table

from bayesgmm.checks.verdict import diagnose
from bayesgmm.posterior.priors import Priors
from bayesgmm.sampling.sample import sample_posterior
from bayesgmm.selection.evidence import log_evidence

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("BAYESGMM_DATA", ROOT.parent / "shared" / "data")) / "classic"
REPORT = ROOT / "reports" / "benchmarks" / "tempering.md"
RESULTS = ROOT / "reports" / "benchmarks" / "results" / "tempering.json"
EVIDENCE = ROOT / "reports" / "benchmarks" / "results" / "evidence.json"
NMIX = json.loads((ROOT / "tests" / "reference" / "nmix.json").read_text())
GOLDEN = json.loads((ROOT / "tests" / "reference" / "golden.json").read_text())
# telescope (R), galaxies under Richardson & Green's priors: p(K = 3..12).
TELESCOPE = dict(zip(range(3, 13), (0.05, 0.15, 0.21, 0.20, 0.16, 0.11, 0.06, 0.03, 0.02, 0.01), strict=True))
CASES = [
    *((name, k, priors) for priors in ("default", "R&G") for name, ks in
      (("galaxies", range(2, 8)), ("acidity", range(3, 6)), ("enzyme", range(3, 6))) for k in ks),
    *(("galaxies", k, "R&G") for k in (1, 8, 9, 10, 11, 12)),
]  # fmt: skip
SEED = 1


def read(name: str) -> pd.DataFrame:
    frame = pd.read_csv(DATA / f"{name}.csv")
    return frame / 1000 if name == "galaxies" else frame


def run(name: str, k: int, priors: str) -> dict[str, Any]:
    y = read(name)
    begun, wall = time.process_time(), time.perf_counter()
    post = sample_posterior(
        y, k, "full", Priors.richardson_green(y) if priors == "R&G" else None, sampler="tempering", random_seed=SEED,
        progressbar=False,
    )  # fmt: skip
    cpu, wall = time.process_time() - begun, time.perf_counter() - wall
    found = diagnose(post).table
    evidence = log_evidence(post, method="tempering")
    return {
        "r_hat": float(found["r_hat"].max()),
        "ess": float(found[["ess_bulk", "ess_tail"]].min(axis=None)),
        "log_evidence": evidence.value,
        "se": evidence.se,
        "barrier": float(post.attrs["barrier"]),
        "temperatures": int(post.attrs["n_temperatures"]),
        "scans": int(post.attrs["scans"]),
        "restarts": np.asarray(post.attrs["restarts"]).tolist(),
        "settled": int(post.attrs["settled"]),
        "cpu": cpu,
        "wall": wall,
    }


def done(found: dict[str, Any]) -> list[tuple[str, int, str]]:
    """The cases that have been run."""
    return [case for case in CASES if " ".join(map(str, case)) in found]


def cases_table(found: dict[str, Any]) -> str:
    rows = []
    for name, k, priors in done(found):
        r = found[f"{name} {k} {priors}"]
        passed = r["r_hat"] < 1.01 and r["ess"] > 400
        rows.append([
            name, str(k), priors, f"{r['r_hat']:.4f}", f"{r['ess']:.0f}", "yes" if passed else "**no**",
            f"{r['cpu']:.1f}", f"{r['barrier']:.1f}", str(r["temperatures"]), str(r["scans"]), str(sum(r["restarts"])),
            f"{r['log_evidence']:.2f} ± {r['se']:.2f}",
        ])  # fmt: skip
    head = ["data", "K", "priors", "worst R-hat", "least ESS", "passed", "CPU s", "barrier", "temperatures", "scans"]
    return table([*head, "restarts", "log evidence"], rows)


def evidence_table(found: dict[str, Any]) -> str:
    other = json.loads(EVIDENCE.read_text())["evidence"]["result"]
    rows = []
    for name, values in GOLDEN["log_evidence"]["values"].items():
        for k, published in values.items():
            r = found.get(f"{name} {k} R&G")
            if r is None:
                continue
            pair = [other[name][k][m] for m in ("bridge", "smc")]
            gaps = [abs(r["log_evidence"] - v) / np.hypot(r["se"], se) for v, se in pair]
            said = [f"{v:.2f} ± {se:.2f}" for v, se in pair]
            ours = f"{r['log_evidence']:.2f} ± {r['se']:.2f}"
            # A bridge whose repeats are more than a nat apart is no estimate.
            apart = [f"{gap:.1f}" if se <= 1 else "" for gap, (_, se) in zip(gaps, pair, strict=True)]
            rows.append([name, k, ours, *said, f"{published:.2f}", *apart])
    head = ["data", "K", "tempering", "bridge", "SMC", "published", "standard errors from bridge", "from SMC"]
    return table(head, rows)


def ratio_table(found: dict[str, Any]) -> str:
    rows = []
    for name in ("galaxies", "acidity", "enzyme"):
        p, se = NMIX["p_k"][name], NMIX["se"][name]
        base = found[f"{name} 4 R&G"]
        for k in ("3", "5"):
            r = found[f"{name} {k} R&G"]
            ours, error = r["log_evidence"] - base["log_evidence"], float(np.hypot(r["se"], base["se"]))
            theirs, their_error = np.log(p[k] / p["4"]), float(np.hypot(se[k] / p[k], se["4"] / p["4"]))
            gap = abs(ours - theirs) / np.hypot(error, their_error)
            rows.append([name, k, f"{ours:.3f} ± {error:.3f}", f"{theirs:.3f} ± {their_error:.3f}", f"{gap:.1f}"])
    return table(["data", "K", "log p(K) / p(4), tempering", "Nmix", "combined standard errors apart"], rows)


def probability_table(found: dict[str, Any]) -> str:
    ks = [k for k in TELESCOPE if f"galaxies {k} R&G" in found]
    values = np.array([found[f"galaxies {k} R&G"]["log_evidence"] for k in ks])
    ours = np.exp(values - values.max())
    telescope = np.array([TELESCOPE[k] for k in ks])
    nmix = np.array([NMIX["p_k"]["galaxies"][str(k)] for k in ks])
    ours, telescope, nmix = (p / p.sum() for p in (ours, telescope, nmix))
    rows = [
        [str(k), f"{a:.3f}", f"{b:.3f}", f"{c:.3f}", f"{a - b:+.3f}"]
        for k, a, b, c in zip(ks, ours, telescope, nmix, strict=True)
    ]
    return table(["K", "tempering", "telescope", "Nmix", "tempering less telescope"], rows)


def write(found: dict[str, Any]) -> None:
    results = [found[" ".join(map(str, case))] for case in done(found)]
    passed = sum(r["r_hat"] < 1.01 and r["ess"] > 400 for r in results)
    text = [
        "# Tempering on well-known data", "",
        f"`python tests/benchmarks/tempering.py`, seed {SEED}, four runs each, draws 1,000. Times are CPU seconds of all four "
        "runs on a shared machine with two cores, EM, compilation where it happened and the tree included.", "",
        f"**{passed} of the {len(results)} cases that were run** (of {len(CASES)}) have R-hat below 1.01 and "
        "effective sample sizes above 400 on every label-free quantity.",
        "", cases_table(found), "", "## Log evidence under Richardson & Green's priors", "", evidence_table(found), "",
        "## Ratios against Richardson & Green's own program", "", ratio_table(found), "",
        "## p(K given y), galaxies, Richardson & Green's priors, among the K that were run from 3 on", "",
        probability_table(found), "",
    ]  # fmt: skip
    REPORT.write_text("\n".join(text))
    print(REPORT.relative_to(ROOT))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="only write the report from what is kept")
    options = parser.parse_args()
    found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if not options.write:
        for case in CASES:
            key = " ".join(map(str, case))
            if key not in found:
                found[key] = run(*case)
                RESULTS.write_text(json.dumps(found, indent=1))
                print(key, found[key], flush=True)
    write(found)


if __name__ == "__main__":
    main()
