"""A million rows: peak memory and time of `compare` and `memberships`; writes ``reports/benchmarks/large.md``.

    python tests/benchmarks/large.py [--quick]

Each part runs in a process of its own. The peak is that of the whole process, libraries and data included (Linux). The
posteriors are Laplace approximations with importance resampling (``method="laplace"``), which at a million rows are exact for
all purposes and keep the sampling short; what is measured comes after it.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from harness import REPORTS, gaussian_data, in_fresh_process, number, provenance, table

import bayesgmm as bg

PARTS = ("compare", "memberships")
LIMIT_GB = 2.0


def rows_of(quick: bool) -> int:
    return 50_000 if quick else 1_000_000


def peak_gb() -> float:
    """Peak resident memory of this process so far."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 2**20


def sampled(values: np.ndarray, k: int) -> Any:
    return bg.sample_posterior(
        values, k, draws=250, chains=4, method="laplace", random_seed=0, log_likelihood=False, progressbar=False
    )


def compare_part(n: int) -> dict[str, Any]:
    """Two models of one table of two columns, PSIS-LOO of all rows and bridge sampling included."""
    values, _ = gaussian_data(n, 2, 3, 0)
    posts = {f"{k} full": sampled(values, k) for k in (2, 3)}
    begun = time.perf_counter()
    result = bg.compare(posts, progressbar=False)
    seconds = time.perf_counter() - begun
    columns = ["elpd", "elpd_diff", "elpd_diff_se", "log_evidence", "p_k"]
    return {
        "what": f"compare: {n:,} x 2, K = 2 and 3, 1,000 draws each", "seconds": seconds, "peak": peak_gb(),
        "answer": "; ".join(
            f"{name}: " + ", ".join(f"{c} {result.loc[name, c]:.6g}" for c in columns) for name in result.index
        ),
    }  # fmt: skip


def memberships_part(n: int) -> dict[str, Any]:
    """Memberships of all rows under a posterior of five components."""
    values, labels = gaussian_data(n, 2, 5, 0)
    post = sampled(values, 5)
    begun = time.perf_counter()
    members = bg.memberships(post, progressbar=False)
    seconds = time.perf_counter() - begun
    sums = float(np.abs(members["probability"].sum("cluster") - 1).max())
    gap = float(np.abs(members["entropy"] - members["entropy_allocation"] - members["entropy_parameter"]).max())
    assigned = members["assignment"].values
    agree = sum(np.bincount(assigned[labels == j]).max() for j in range(5)) / n
    return {
        "what": f"memberships: {n:,} x 2, K = 5, 1,000 draws", "seconds": seconds, "peak": peak_gb(),
        "answer": f"probabilities sum to 1 within {sums:.1e}; entropy splits within {gap:.1e}; "
        f"{agree:.1%} of rows in the cluster of most of their group",
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="50,000 rows, to try the script")
    parser.add_argument("--worker", choices=PARTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    n = rows_of(options.quick)
    if options.worker:
        print(json.dumps({"compare": compare_part, "memberships": memberships_part}[options.worker](n)))
        return
    begun = time.perf_counter()
    flags = ["--quick"] if options.quick else []
    rows = [in_fresh_process([__file__, "--worker", part, *flags], 3600) for part in PARTS]
    body = table(
        ["what", "seconds", "peak of the process, GB", f"goal: < {LIMIT_GB:g} GB", "answer"],
        [
            [
                r["what"],
                number(r["seconds"]),
                f"{r['peak']:.2f}",
                "met" if r["peak"] < LIMIT_GB else "MISSED",
                r["answer"],
            ]
            for r in rows
        ],
    )
    text = "\n\n".join(
        [
            "# A million rows: memory",
            provenance("python tests/benchmarks/large.py", ["numpy", "arviz"], time.perf_counter() - begun),
            "Sampling (Laplace approximation) is not in the seconds, but its memory is in the peak.",
            body,
        ]
    )
    print(text)
    if not options.quick:
        (REPORTS / "large.md").write_text(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
