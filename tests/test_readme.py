"""The README's examples run as written."""

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
