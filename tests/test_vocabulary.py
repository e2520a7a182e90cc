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


def test_defaults_of_the_stopping_rule_stand_once():
    """``tol`` and ``max_iter`` of EM: a name wherever they are a default."""
    found = []
    for name, text in SOURCES.items():
        if not name.startswith(("em/", "cli/", "analysis")):
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                arguments = [*node.args.posonlyargs, *node.args.args][::-1]
                given = [*zip(arguments, node.args.defaults[::-1], strict=False)]
                given += zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
                found += [
                    f"{name}:{node.name}"
                    for argument, default in given
                    if argument.arg in ("tol", "max_iter")
                    and isinstance(default, ast.Constant)
                    and default.value is not None
                ]
    assert found == []


def test_rules_of_weights_and_components_are_told_once():
    for said in ("give one weight for each", "weights must be finite and not negative", "rows (of positive weight)"):
        assert [name for name, text in SOURCES.items() if said in text] == ["data/checks.py"], said


def test_the_numbers_of_a_prior_are_read_by_its_terms_alone():
    """Priors were decoded by places in a vector in two more modules."""
    reads = re.compile(r"\bnumbers\[(\d|at|start|place)")
    found = [
        name
        for name, text in SOURCES.items()
        if reads.search(text) and name.startswith(("posterior", "sampling", "selection"))
    ]
    assert all(name.startswith("posterior/terms/") or name == "posterior/density.py" for name in found), found


def test_nothing_is_defined_that_nobody_names():
    """Functions, classes and methods: each is named somewhere besides its definition and ``__all__``, or is public."""
    texts = {name: re.sub(r"__all__ = \[.*?\]", "", text, flags=re.DOTALL) for name, text in SOURCES.items()}
    templates = [path.read_text("utf-8") for path in ROOT.rglob("*.j2")]
    words = re.findall(r"\w+", "\n".join([*texts.values(), *templates]))
    count: dict[str, int] = {}
    for word in words:
        count[word] = count.get(word, 0) + 1
    dead = []
    for name, text in texts.items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ClassDef) and (
                node.name in bayesgmm.__all__ or "def _repr_html_" in (ast.get_source_segment(text, node) or "")
            ):
                # Public, or a result: its methods are for users.
                count.update({own.name: 2 for own in node.body if isinstance(own, ast.FunctionDef)})
        for node in ast.walk(ast.parse(text)):
            defined = isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.decorator_list
            if defined and count[node.name] == 1 and node.name not in bayesgmm.__all__ and node.name[:2] != "__":
                dead.append(f"{name}:{node.name}")
    # What nutpie calls.
    assert sorted(dead) == ["sampling/samplers/whitened.py:_make_sampler"]


def test_paths_in_messages_are_public():
    """What a message or a docstring tells people to call, they can."""
    told = re.compile(r"bayesgmm\.([a-z_]+)\(")
    assert {name for text in SOURCES.values() for name in told.findall(text) if not hasattr(bayesgmm, name)} == set()
