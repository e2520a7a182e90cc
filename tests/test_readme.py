"""The README's examples run as written."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", README, flags=re.S)
CONSOLE = [line for block in re.findall(r"```console\n(.*?)```", README, flags=re.S) for line in block.splitlines()]


def test_python_examples_run_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    assert PYTHON
    namespace: dict = {}
    for i, block in enumerate(PYTHON):
        exec(compile(block, f"README.md, Python example {i + 1}", "exec"), namespace)
    printed = capsys.readouterr().out
    assert "converged" in printed
    assert namespace["gm"].lower_bound_ * 272 == pytest.approx(-1130.2640, abs=1e-3)


def test_main_job_runs_as_written(tmp_path: Path) -> None:
    (line,) = [line for line in CONSOLE if "report faithful" in line]
    command = shlex.split(line.split("uv run ", 1)[1].replace("reports/faithful", str(tmp_path / "out")))
    assert command[0] == "bayesgmm"
    done = subprocess.run(
        [sys.executable, "-c", "from bayesgmm.cli import main; main()", *command[1:]],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    names = {p.name for p in (tmp_path / "out").iterdir()}
    assert {"report.html", "criteria.csv", "comparison.csv", "memberships.csv", "analysis.json"} <= names
    assert any(n.startswith("posterior-") and n.endswith(".nc") for n in names)


def test_the_other_command_is_this_test_suite() -> None:
    assert "uv run pytest" in CONSOLE


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)]+)\)", README):
        assert (ROOT / target).exists(), target


def test_what_that_shows_is_what_the_notebook_shows() -> None:
    """Every figure of the section stands in the stored outputs of the notebook that it names."""
    section = README.split("## What that shows")[1].split("\n## ")[0]
    cells = json.loads((ROOT / "notebooks" / "kmeans-em-posterior.ipynb").read_text(encoding="utf-8"))["cells"]
    outputs = [o["data"] for cell in cells for o in cell.get("outputs", []) if "data" in o]
    told = "".join("".join(o.get("text/markdown", o.get("text/plain", ""))) for o in outputs)
    rows = re.findall(r"\| (\d+)% \| \d+% \| (\d+%) \| (\[\d+, \d+\]) \| (\d+% \[\d+, \d+\]) \|", section)
    assert [row[0] for row in rows] == ["90", "50", "20"]
    for _, em, interval, posterior in rows:
        assert f"{em} {interval}" in told
        assert posterior in told
    forced, seen, with_intervals = re.search(
        r"forces (\d+) .*? sees (\d+) open ones, with its intervals (\d+)", section, re.S
    ).groups()
    assert f"{forced} of 150 flowers" in told
    table = next(o for o in outputs if "flowers given a probability" in "".join(o.get("text/html", "")))
    numbers = [float(v) for v in re.findall(r"<td>([\d.]+)</td>", "".join(table["text/html"]))]
    # k-means has no expectation: rows of two, three, three and three numbers.
    em, delta, posterior = numbers[2:5], numbers[5:8], numbers[8:11]
    assert [em[1], delta[1], posterior[1]] == [float(seen), float(with_intervals), float(forced)]
    expected = re.search(r"expects ([\d.]+) and ([\d.]+) flowers .*? expects ([\d.]+)\.", section, re.S).groups()
    assert [f"{v[2]:.1f}" for v in (em, delta, posterior)] == list(expected)
    assert re.search(r"row 243: (0\.\d+ \[[^]]+\])", section).group(1) in told


def test_coverage_of_the_intervals_is_that_of_the_report() -> None:
    """README and docs/statistics.md round what the last two lines of reports/contrast.md say."""
    lines = (ROOT / "reports" / "contrast.md").read_text(encoding="utf-8").splitlines()
    few, many = ([cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("| **N"))
    cover = [f"{float(row[at].split(' ')[0]):.0f}" for row in (few, many) for at in (3, 4)]
    said = re.search(r"hold (\d+)% of\s+the true ones, the posterior's (\d+)%; with many (\d+) and (\d+)%", README)
    assert list(said.groups()) == cover
    page = (ROOT / "docs" / "statistics.md").read_text(encoding="utf-8")
    assert (
        f"held {cover[0]}% and {cover[1]}% of the true responsibilities; with\nmore rows, {cover[2]}% and {cover[3]}%"
        in page
    )
    for answer in few[8:]:
        assert f"{answer.split(' / ')[0]}%" in page
    assert f"[{sum(int(row[1]) for row in (few, many))} data sets]" in README
