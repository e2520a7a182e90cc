"""One word for one thing, and one place for one default."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import bayesgmm

ROOT = Path(bayesgmm.__file__).parent
SOURCES = {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in sorted(ROOT.rglob("*.py"))}


def test_the_mass_of_intervals_stands_once():
    found = [name for name, text in SOURCES.items() for _ in re.finditer(r"(?<![\d.])0\.89\b", text)]
    assert found == ["data/intervals.py"]


def test_ends_of_intervals_are_lb_and_ub():
    """No column, key or variable of another name: as text in quotes, or assigned to."""
    wrong = re.compile(r"""["'](lower|upper|mass)["']\s*[],:)]|\b(lower|upper) = .*quantile|lower, upper =""")
    # The rules of arguments know `mass`, the older name that predictive_checks still takes.
    assert [name for name, text in SOURCES.items() if wrong.search(text)] == ["data/arguments.py"]


def imports_of(name: str, text: str) -> set[str]:
    """Modules of the package that a module names, wherever: at the top, for types only, or inside a function."""
    here = ["bayesgmm", *name.removesuffix(".py").split("/")]
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").startswith("bayesgmm")):
            base = here[: len(here) - node.level] if node.level else []
            module = "/".join([*base, *(node.module or "").split(".")]).removeprefix("bayesgmm/").strip("/")
            for path in [f"{module}.py", *(f"{module}/{alias.name}.py".lstrip("/") for alias in node.names)]:
                if path in SOURCES:
                    found.add(path)
    return found


def test_no_two_modules_of_a_contrast_import_each_other():
    graph = {name: imports_of(name, text) for name, text in SOURCES.items()}
    reached: dict[str, set[str]] = {}
    for name in graph:
        seen: set[str] = set()
        todo = list(graph[name])
        while todo:
            other = todo.pop()
            if other not in seen:
                seen.add(other)
                todo += graph[other]
        reached[name] = seen
    assert [name for name in graph if name.startswith("contrast/") and name in reached[name]] == []


def test_the_weights_of_rows_have_one_name():
    """scikit-learn's: ``sample_weight``."""
    wrong = re.compile(r"\b(row|case)_weights?\b")
    assert [name for name, text in SOURCES.items() if wrong.search(text)] == []


def test_correlations_and_their_prior_are_written_once_for_each_language():
    """NumPy, numba, PyTensor; the exponents of LKJ's Beta distributions once for all. The telescoping sampler had its own."""
    maps = [name for name, text in SOURCES.items() if re.search(r"\.(tanh|cosh)\(0\.5|\.tanh\(half\)", text)]
    assert maps == ["mixture/correlation.py", "mixture/structure/maps.py", "posterior/terms/correlations.py"]
    assert [name for name, text in SOURCES.items() if re.search(r"n_features - 2 - ", text)] == [
        "mixture/correlation.py"
    ]
