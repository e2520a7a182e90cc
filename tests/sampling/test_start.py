"""What a first analysis compiles, in a fresh process with empty caches: counted. ``tests/benchmarks/start.py`` times it.

Compilation is what a new user waits for. Each function costs its place here, and a second set of argument types costs it
again: read-only, Fortran-ordered or literal arguments do that without a word.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "start_stages.py"


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Functions compiled in each stage, numba's own among them."""
    caches = {"NUMBA_CACHE_DIR": str(tmp_path_factory.mktemp("numba"))}
    done = subprocess.run(
        [sys.executable, str(SCRIPT)], env={**os.environ, **caches}, capture_output=True, text=True, check=True
    )
    stages = json.loads(done.stdout.splitlines()[-1])
    return {name: [function for function, _ in stage["functions"]] for name, stage in stages.items()}


def ours(functions: list[str]) -> list[str]:
    return [name for name in functions if name.startswith("bayesgmm.")]


def test_no_function_is_compiled_for_two_sets_of_argument_types(compiled: dict[str, list[str]]) -> None:
    times = Counter(name for functions in compiled.values() for name in ours(functions))
    assert times  # the caches were empty
    assert [name for name, n in times.items() if n > 1] == []


def test_first_fit_compiles_the_e_step_alone(compiled: dict[str, list[str]]) -> None:
    names = {"exp", "_sum_of_logs", "softmax_block", "_fill_phi", "expect_into"}
    assert {name.removeprefix("bayesgmm.mixture.kernel.") for name in ours(compiled["first EM fit"])} == names


@pytest.mark.parametrize(
    ("stage", "own", "all_functions"), [("first EM fit", 5, 6), ("first posterior", 12, 29), ("first compare", 1, 3)]
)
def test_number_of_functions(compiled: dict[str, list[str]], stage: str, own: int, all_functions: int) -> None:
    assert len(ours(compiled[stage])) <= own
    assert len(compiled[stage]) <= all_functions


def test_a_second_posterior_compiles_nothing(compiled: dict[str, list[str]]) -> None:
    assert compiled["second posterior"] == []
