"""The shape of the house, counted: what may not rise again. The picture is in docs/architecture.md."""

from __future__ import annotations

import ast
import re
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import xarray as xr

import bayesgmm as bg
from bayesgmm.data import Table
from bayesgmm.mixture import Rows
from bayesgmm.posterior import Target
from bayesgmm.sampling import Posterior

PACKAGE = Path(bg.__file__).parent


def modules() -> dict[str, Path]:
    """Dotted name of every module of the package."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = ["bayesgmm", *path.relative_to(PACKAGE).with_suffix("").parts]
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imported(name: str) -> Iterator[str]:
    """Modules of the package that a module imports when it runs, wherever in it the import stands."""
    path = MODULES[name]
    tree = ast.parse(path.read_text("utf-8"))
    only_typed = {
        id(node)
        for test in ast.walk(tree)
        if isinstance(test, ast.If) and "TYPE_CHECKING" in ast.unparse(test.test)
        for node in ast.walk(test)
    }
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or id(node) in only_typed:
            continue
        base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
        source = ".".join([*base, *([node.module] if node.module else [])])
        for alias in node.names:
            target = f"{source}.{alias.name}"
            if target in MODULES or source in MODULES:
                yield target if target in MODULES else source


def test_nothing_outside_asks_what_kind_of_structure_it_is():
    """Neither by name, class or trait: a structure is asked for what it does."""
    asks = re.compile(
        r"isinstance\([^)]*\b(Full|Tied|Diag|Spherical|EEI)\b|structure\.name\s*(==|!=|\bin\b)|\bcovariance_type\s*(==|!=)"
        r"|structure\.(free|bounded|common_scale|letters)\b|(==|!=)\s*\"(full|tied|diag|spherical|EEI)\""
    )
    found = [
        f"{path.relative_to(PACKAGE)}:{number}: {line.strip()}"
        for path in PACKAGE.rglob("*.py")
        if "structure" not in path.relative_to(PACKAGE).parts
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if asks.search(line)
    ]
    assert found == []


def test_other_folders_are_met_at_their_face():
    """A module imports another folder, not a module in it; fewer than 25 do otherwise (heavy or rarely wanted ones)."""
    past = {
        name
        for name in MODULES
        for target in imported(name)
        if name.count(".") > 1 and target.count(".") > 1 and target.split(".")[1] != name.split(".")[1]
    }
    assert len(past) < 25, sorted(past)


def test_no_circles():
    """Depth first over the imports of all modules, faces left out: a face only hands on what its folder has."""
    graph = {
        name: {t for t in imported(name) if t != name and MODULES[t].name != "__init__.py"}
        for name, path in MODULES.items()
        if path.name != "__init__.py"
    }
    state: dict[str, int] = {}

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert state.get(name) != 1, trail
        if name in state:
            return
        state[name] = 1
        for target in sorted(graph[name]):
            visit(target, (*trail, target))
        state[name] = 2

    for name in graph:
        visit(name, (name,))


def bodies() -> list[tuple[int, str]]:
    """Lines of every function's body without its docstring."""
    found = []
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[1:] if ast.get_docstring(node) is not None else node.body
                if body:
                    lines = (body[-1].end_lineno or 0) - body[0].lineno + 1
                    found.append((lines, f"{path.relative_to(PACKAGE)}:{node.name}"))
    return sorted(found)


def test_functions_are_short():
    """The longest has 60 lines at most, nine in ten 18."""
    lengths = bodies()
    assert lengths[-1][0] <= 60, lengths[-3:]
    assert lengths[int(0.9 * len(lengths))][0] <= 18


def files_met(call: Callable[[], Any], kinds: tuple[type, ...]) -> tuple[Any, set[str]]:
    """What a call returns, and the files with a function that is given one of ``kinds`` on the way."""
    met: set[str] = set()

    def profile(frame: Any, event: str, _: Any) -> None:
        code = frame.f_code
        if event != "call" or not code.co_filename.startswith(str(PACKAGE)):
            return
        for name in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]:
            value = frame.f_locals.get(name)
            held = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else [value]
            if any(isinstance(item, kinds) for item in held):
                met.add(Path(code.co_filename).relative_to(PACKAGE).as_posix())
                return

    sys.setprofile(profile)
    threading.setprofile(profile)
    try:
        result = call()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return result, met


@pytest.fixture(scope="module")
def journeys() -> dict[str, set[str]]:
    """Files that one must open to follow a table, by call."""
    df = bg.load_dataset("faithful")
    options = {"random_seed": 0, "draws": 100, "progressbar": False}
    kinds = (Table, Target, Posterior, xr.DataTree, pd.DataFrame)
    _, fit = files_met(lambda: bg.fit_mixture(df, 2, random_state=0), (Table, Rows, pd.DataFrame))
    post, sample = files_met(lambda: bg.sample_posterior(df, 2, **options), kinds)
    other = bg.sample_posterior(df, 1, **options)
    _, compared = files_met(
        lambda: bg.compare({"2 full": post, "1 full": other}, progressbar=False),
        (Table, Target, Posterior, xr.DataTree),
    )
    return {"fit_mixture": fit, "sample_posterior": sample, "compare": compared}


@pytest.mark.parametrize(("name", "most"), [("fit_mixture", 12), ("sample_posterior", 12), ("compare", 12)])
def test_a_table_can_be_followed(journeys, name: str, most: int) -> None:
    assert len(journeys[name]) <= most, sorted(journeys[name])


def test_the_page_lists_the_files_on_the_way(journeys):
    page = (Path(__file__).parents[1] / "docs" / "architecture.md").read_text("utf-8")
    for name, files in journeys.items():
        section = page.split(f"`{name}`", 1)[1].split("\n\n", 1)[0]
        missing = {file for file in files if f"`{file}`" not in section}
        assert not missing, (name, missing)


def test_rows_points_and_draws_are_cut_into_blocks_in_one_place():
    cuts = re.compile(r"slice\(\w+, (min\()?\w+ \+ \w+.*for \w+ in range\(0, ")
    found = [
        path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py") if cuts.search(path.read_text("utf-8"))
    ]
    assert found == ["mixture/parallel.py"]
