"""What the pages tell a reader to type does what they say.

Every ``console`` and ``python`` block of docs/ runs, page by page and in order; the README's run in tests/test_readme.py
and the gallery's while the site is built. Commands run in bash, in one folder, in which lies the file that the pages
suppose. They run as written, but for this: ``uv run`` is left out, what takes long is asked for less (`SHORTER`), what
would change the machine is not run (`NOT_RUN`), and a command that stands on several pages runs once.
"""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {path.stem: path.read_text(encoding="utf-8") for path in sorted(DOCS.glob("*.md"))}

NOT_RUN = ("pip install uv",)
_FEW = "--draws 200 --chains 2"
SHORTER = {
    "report faithful -k 1:4": f"report faithful -k 1:2 --covariance tied {_FEW}",
    "-k 2:5 --covariance full,diag": f"-k 2 --covariance diag {_FEW}",
    "--config pyproject.toml": f"--config pyproject.toml -k 2 --covariance diag {_FEW}",
    "sample faithful -k 2": f"sample faithful -k 2 {_FEW}",
    "range(1, 4), covariance_types": "range(1, 3), draws=200, chains=2, covariance_types",
}
CONSOLE = re.compile(r"(?:<!-- test: exit (\d+) -->\n)?```(?:console|bash|sh)\n(.*?)```", flags=re.S)
TOML = re.compile(r"```toml\n(.*?)```", flags=re.S)
PYTHON = re.compile(r"```python\n(.*?)```", flags=re.S)


def commands() -> dict[str, int]:
    """Every command of the pages, with the exit code that it should end with."""
    found: dict[str, int] = {}
    for text in PAGES.values():
        for code, block in CONSOLE.findall(text):
            for line in block.splitlines():
                if line.startswith("$ "):
                    found[line.removeprefix("$ ").removeprefix("uv run ")] = int(code or 0)
    return found


def shorter(example: str) -> str:
    """The example, asked for less."""
    for long, short in SHORTER.items():
        example = example.replace(long, short)
    return example


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the commands run: with a home of its own, and the CSV and TOML files that the pages speak of."""
    folder = tmp_path_factory.mktemp("commands")
    (folder / "home").mkdir()
    (folder / "bin").mkdir()
    python = shlex.quote(sys.executable)
    programs = {"python": "", "bayesgmm": " -c 'from bayesgmm.cli import main; main()'"}
    for name, arguments in programs.items():
        (folder / "bin" / name).write_text(f'#!/bin/sh\nexec {python}{arguments} "$@"\n')
        (folder / "bin" / name).chmod(0o755)
    rng = np.random.default_rng(0)
    tall = np.repeat([165.0, 180.0], 60)
    people = {
        "height": tall + rng.normal(0, 5, 120),
        "weight": 0.9 * tall - 90 + rng.normal(0, 6, 120),
        "steps": 60.0 * tall + rng.normal(0, 900, 120),
        "smokes": np.where(rng.uniform(size=120) < 0.3, "yes", "no"),
        "name": "someone",
    }
    pd.DataFrame(people).to_csv(folder / "measurements.csv", index=False)
    (settings,) = TOML.findall(PAGES["command-line"])
    (folder / "pyproject.toml").write_text(settings)
    return folder


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="the commands are written for a POSIX shell")
def test_the_commands_run_and_write_what_the_pages_say(folder: Path) -> None:
    """In the order of the pages and in one process: later commands read what earlier ones have written."""
    for command in commands():
        if command not in NOT_RUN:
            run(command, folder)
    for report in ("faithful", "people"):
        names = {path.name for path in (folder / "reports" / report).iterdir()}
        assert {"report.html", "criteria.csv", "comparison.csv", "memberships.csv", "analysis.json"} <= names
    assert (folder / "faithful-2.nc").stat().st_size > 10_000


def run(command: str, folder: Path) -> None:
    path = os.pathsep.join([str(folder / "bin"), os.environ["PATH"]])
    # A home of its own, but not a cache of fonts of its own.
    own = {"PATH": path, "HOME": str(folder / "home"), "SHELL": "/bin/bash", "MPLCONFIGDIR": matplotlib.get_configdir()}
    environment = {**os.environ, **own}
    # With something left to do bash stays, as it does for a reader: `--install-completion` looks for it among its parents.
    done = subprocess.run(
        ["bash", "-c", shorter(command) + "\nexit $?"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == commands()[command], f"{command}\n{done.stderr[-2000:]}"
    assert "Traceback" not in done.stderr


def test_the_shorter_forms_are_used() -> None:
    for long in SHORTER:
        assert any(long in text for text in PAGES.values()), long
    assert set(NOT_RUN) <= set(commands())


def test_every_command_of_the_program_has_an_example() -> None:
    from bayesgmm.cli import app

    written = [command.split()[1] for command in commands() if command.startswith("bayesgmm ")]
    for registered in app.registered_commands:
        name = registered.name or registered.callback.__name__
        assert name in written
        assert f"## {name}\n" in PAGES["command-line"]


def test_every_option_is_in_the_table() -> None:
    import typer

    from bayesgmm.cli import app

    for command in typer.main.get_command(app).commands.values():
        for parameter in command.params:
            for option in parameter.opts:
                if option.startswith("-") and option not in ("-h", "--help"):
                    assert f"`{option}`" in PAGES["command-line"], f"{command.name} {option}"


@pytest.mark.slow
@pytest.mark.parametrize("page", [name for name, text in PAGES.items() if PYTHON.search(text)])
def test_python_blocks_run_in_order(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict = {}
    for i, block in enumerate(PYTHON.findall(PAGES[page])):
        exec(compile(shorter(block), f"docs/{page}.md, Python block {i + 1}", "exec"), namespace)
