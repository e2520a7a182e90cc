"""What happens to work when things go wrong: ``python -m tests.benchmarks.reliability [--size 1.0] [--only NAMES]``.

Writes ``reports/reliability.md``. Generators and rules, frozen before the first run:

- *kills*: a report is killed (SIGKILL) at a moment drawn uniformly over the time that a whole one takes, then run again to its
  end. Right: the second run ends with 0 and its tables are those of the run that nobody killed, byte for byte. 200 at size 1.
- *kills while replacing*: the same over a finished report of other data, killed at a moment drawn uniformly over the last
  fifth. Right: what lies in the folder after the kill is one whole report, the old or the new one. 50 at size 1.
- *full disk*: RLIMIT_FSIZE set to a size drawn log-uniformly from 1 byte to 4 MB, over a finished report. Right: exit code 2 or
  0, at most one line on stderr, no traceback, and a whole report in the folder. 60 at size 1.
- *fuzzed EM fits*: tables of 3 to 60 rows and 1 to 4 columns drawn from seven families (normal, Cauchy, log-normal, whole
  numbers, rows repeated, an outlier of 1e6, two far groups), K from 1 to 5, any structure. Right: an `InputError`,
  or finite parameters and a log likelihood that is the sum of `score_samples` to 1e-8 relative, within 30 s. 50,000 at size 1.
- *fuzzed posteriors*: the same tables, 50 draws of two chains. Right: an `InputError`, or finite draws. 500 at size 1.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

import bayesgmm as bg

REPORT = Path(__file__).resolve().parents[2] / "reports" / "reliability.md"
# What earlier runs found of each part, so that parts can be run one at a time.
RESULTS = REPORT.parent / "benchmarks" / "results" / "reliability.json"
FULL = {"kills": 200, "kills while replacing": 50, "full disk": 60, "fuzzed EM fits": 50_000, "fuzzed posteriors": 500}
OPTIONS = ["-k", "1:2", "--covariance", "diag", "--draws", "100", "--chains", "2", "--quiet"]
STRUCTURES = ("full", "tied", "diag", "spherical", "EEI")
PROGRAM = [sys.executable, "-c", "from bayesgmm.cli import main; main()"]


def rows(seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(np.r_[rng.normal(-3, 1, (30, 2)), rng.normal(3, 1, (30, 2))], columns=["a", "b"])


def run(data: Path, folder: Path, seconds: float | None = None, limit: int | None = None) -> tuple[int | None, str]:
    """A report in a process of its own, killed after ``seconds``; the exit code (None where it was killed) and stderr."""
    restrict = None if limit is None else lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            [*PROGRAM, "report", str(data), "-o", str(folder), *OPTIONS], stdout=subprocess.DEVNULL, stderr=said,
            preexec_fn=restrict, start_new_session=True,
        )  # fmt: skip
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return None, ""
        said.seek(0)
        return process.returncode, said.read()


def tables(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.csv"))}


def is_whole(folder: Path) -> bool:
    """Whether the folder holds one report, as its reader sees it."""
    try:
        found = bg.load_analysis(folder)
    except bg.InputError:
        return False
    return (folder / "report.html").exists() and len(found.comparison) == 2


class Setting:
    """Two data sets and what undisturbed reports of them are."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.data = [place / "one.csv", place / "two.csv"]
        for seed, path in enumerate(self.data):
            rows(seed).to_csv(path, index=False)
        begun = time.monotonic()
        run(self.data[0], place / "first")
        self.seconds = time.monotonic() - begun
        begun = time.monotonic()
        run(self.data[0], place / "whole")
        self.seconds = min(self.seconds, time.monotonic() - begun)
        run(self.data[1], place / "other")
        self.whole = tables(place / "whole")

    def copy_of_other(self, folder: Path) -> None:
        import shutil

        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.place / "other", folder)


def kills(setting: Setting, i: int, rng: np.random.Generator) -> str:
    folder = setting.place / f"kill-{i}"
    code, _ = run(setting.data[0], folder, rng.uniform(0, setting.seconds))
    again, said = run(setting.data[0], folder)
    if again != 0:
        return f"wrong: ended with {again} after a kill ({said[-80:]!r})"
    if tables(folder) != setting.whole:
        return "wrong: other numbers"
    return "equal, resumed" if code is None else "equal, done before the kill"


def kills_while_replacing(setting: Setting, i: int, rng: np.random.Generator) -> str:
    folder = setting.place / "replace"
    setting.copy_of_other(folder)
    code, _ = run(setting.data[0], folder, setting.seconds * rng.uniform(0.8, 1.05))
    if not is_whole(folder):
        return "wrong: neither the old nor the new report"
    new = tables(folder) == setting.whole
    return f"{'new' if new else 'old'} report whole{'' if code is None else ', done before the kill'}"


def full_disk(setting: Setting, i: int, rng: np.random.Generator) -> str:
    folder = setting.place / "full"
    setting.copy_of_other(folder)
    code, said = run(setting.data[0], folder, 300, limit=int(np.exp(rng.uniform(0, np.log(4e6)))))
    if code not in (0, 2) or said.count("\n") > 1 or "Traceback" in said:
        return f"wrong: ended with {code} ({said[-120:]!r})"
    if not is_whole(folder):
        return "wrong: no whole report"
    return "one line, old report whole" if code == 2 else "done"


def fuzzed(rng: np.random.Generator) -> tuple[np.ndarray, int, str]:
    n, d = int(rng.integers(3, 61)), int(rng.integers(1, 5))
    family = int(rng.integers(7))
    x = rng.normal(size=(n, d))
    if family == 1:
        x = rng.standard_cauchy((n, d))
    elif family == 2:
        x = np.exp(3 * x)
    elif family == 3:
        x = rng.integers(4, size=(n, d)).astype(float)
    elif family == 4:
        x = x[rng.integers(max(n // 3, 1), size=n)]
    elif family == 5:
        x[0] = 1e6
    elif family == 6:
        x[: n // 2] += 50
    return x, int(rng.integers(1, 6)), STRUCTURES[int(rng.integers(len(STRUCTURES)))]


def fuzzed_fits(setting: Setting, i: int, rng: np.random.Generator) -> str:
    x, k, structure = fuzzed(rng)
    begun = time.monotonic()
    try:
        fit = bg.fit_mixture(x, k, structure, n_starts=4, random_state=i)
    except bg.InputError:
        return "InputError"
    except Exception as error:
        return f"wrong: {type(error).__name__}"
    seconds = time.monotonic() - begun
    m = fit.mixture
    if not all(np.isfinite(part).all() for part in (m.weights, m.means, m.covariances)) or not np.isfinite(
        fit.log_likelihood
    ):
        return "wrong: not finite"
    total = bg.GaussianMixture.from_fit(fit).score_samples(x).sum()
    if abs(total - fit.log_likelihood) > 1e-8 * max(abs(total), 1.0):
        return "wrong: log likelihood is not the sum of scores"
    return "wrong: over 30 s" if seconds > 30 else fit.outcome


def fuzzed_posteriors(setting: Setting, i: int, rng: np.random.Generator) -> str:
    x, k, structure = fuzzed(rng)
    begun = time.monotonic()
    try:
        post = bg.sample_posterior(x, k, structure, draws=50, tune=50, chains=2, random_seed=i, progressbar=False)
        verdict = bg.diagnose(post).verdict
    except bg.InputError:
        return "InputError"
    except Exception as error:
        return f"wrong: {type(error).__name__}"
    if not all(np.isfinite(post["posterior"][name].values).all() for name in ("weights", "means", "covariances")):
        return "wrong: not finite"
    return "wrong: over 30 s" if time.monotonic() - begun > 30 else verdict


PARTS: dict[str, Callable[[Setting, int, np.random.Generator], str]] = {
    "kills": kills,
    "kills while replacing": kills_while_replacing,
    "full disk": full_disk,
    "fuzzed EM fits": fuzzed_fits,
    "fuzzed posteriors": fuzzed_posteriors,
}


def page(found: dict[str, Counter[str]]) -> str:
    lines = [
        "# Reliability",
        "",
        "Made by `python -m tests.benchmarks.reliability`; generators and rules stand in its docstring and",
        "were frozen before the first run. The full numbers are 200, 50, 60, 50,000 and 500; the table has this run's.",
        "",
        "| part | tried | wrong | what came of them |",
        "|---|---:|---:|---|",
    ]
    for name in PARTS:
        counts = found.get(name, Counter({"not run": 0}))
        wrong = sum(n for what, n in counts.items() if what.startswith("wrong"))
        what = "; ".join(f"{n:,} {what}" for what, n in counts.most_common())
        lines.append(f"| {name} | {counts.total():,} of {FULL[name]:,} | {wrong} | {what} |")
    lines += [
        "",
        "Hostile files, wrong calls, spreadsheet cells, memory estimates and damaged models are tests",
        "(`tests/data/test_limits.py`, `tests/test_arguments.py`, `tests/test_bad_model.py`, `tests/kept/`);",
        "`.ci/pythons` tries lower bounds and versions of Python.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=float, default=1.0)
    parser.add_argument("--only", nargs="*", default=list(PARTS))
    parser.add_argument(
        "--seconds", type=float, default=np.inf, help="stop a part after so long; what was tried is said"
    )
    arguments = parser.parse_args()
    warnings.simplefilter("error")  # a library's warning is a failure
    found: dict[str, Counter[str]] = {}
    if RESULTS.exists():
        found = {name: Counter(counts) for name, counts in json.loads(RESULTS.read_text("utf-8")).items()}
    with tempfile.TemporaryDirectory() as place:
        setting = (
            Setting(Path(place)) if any(name in PARTS for name in list(FULL)[:3] if name in arguments.only) else None
        )
        for name in arguments.only:
            counts: Counter[str] = Counter()
            begun = time.monotonic()
            for i in range(max(1, round(FULL[name] * arguments.size))):
                if time.monotonic() - begun > arguments.seconds:
                    break
                counts[PARTS[name](setting, i, np.random.default_rng([i, len(name)]))] += 1  # type: ignore[arg-type]
            found[name] = counts
            print(json.dumps({name: counts}), flush=True)
            RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
            REPORT.write_text(page(found), encoding="utf-8")


if __name__ == "__main__":
    main()
