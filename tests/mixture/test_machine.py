"""Calls by address, bare matrix products and powers of two, against NumPy and across processes."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numba import njit

from bayesgmm.mixture.machine import multiply_add, power_of_two

CALLEE = """
import math
from numba import float64, int64, njit
from bayesgmm.mixture.machine import apart

@apart(float64(float64[::1], {kind}))
@njit(cache=True)
def add_logs(x, {name}):
    if {name} < 0:
        raise ValueError("negative")
    total = 0.0
    for i in range(x.size):
        total += math.log(x[i])
    return total * {name}
"""
CALLER = """
from numba import njit
from callee import add_logs

@njit(cache=True)
def twice(x, times, really):
    return 2.0 * add_logs(x, times) if really else 0.0
"""
# What was compiled, in order, and what the call gave.
MAIN = """
import sys
import numpy as np
from numba.core import event

class Names(event.Listener):
    def on_start(self, event):
        names.append(event.data["dispatcher"].py_func.__name__)
    def on_end(self, event):
        pass

names = []
event.register("numba:compile", Names())
from caller import twice
x = np.array([1.0, 2.0, 4.0])
twice(x, 3, False)
before = ",".join(names)
try:
    value = twice(x, int(sys.argv[1]), True)
except Exception as error:
    value = f"{type(error).__name__}: {error}"
print(before, ",".join(names), value, sep="|")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "callee.py").write_text(CALLEE.format(name="times", kind="int64"))
    (tmp_path / "caller.py").write_text(CALLER)
    (tmp_path / "main.py").write_text(MAIN)
    return tmp_path


def run(folder: Path, times: int = 3) -> list[str]:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(folder / "cache")}
    done = subprocess.run(
        [sys.executable, "main.py", str(times)], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip().split("|")


def test_callee_is_compiled_at_its_first_call_and_found_again_by_another_process(folder: Path) -> None:
    """log 1 + log 2 + log 4 = 3 log 2; times 3, twice. The second process compiles nothing."""
    before, after, value = run(folder)
    assert (before, after) == ("twice", "twice,add_logs")
    assert float(value) == pytest.approx(18 * np.log(2), rel=1e-14)
    assert run(folder) == ["", "", value]


def test_an_error_in_the_callee_reaches_the_caller(folder: Path) -> None:
    assert run(folder, -1)[2] == "ValueError: negative"


def test_code_on_disk_for_another_signature_refuses_and_says_why(folder: Path) -> None:
    """The caller's file is as it was, so that numba loads it; what it calls now takes a float."""
    run(folder)
    (folder / "callee.py").write_text(CALLEE.format(name="factor", kind="float64"))
    _, _, value = run(folder)
    assert value.startswith("RuntimeError: compiled code on disk is older than the package")


@njit
def _product(a, b, transposed, c, m, n, k, beta):  # type: ignore[no-untyped-def]
    multiply_add(a, b, transposed, c, m, n, k, beta)


@pytest.mark.parametrize("beta", [0.0, 1.0])
@pytest.mark.parametrize("transposed", [False, True])
def test_product_uses_the_leading_part_of_larger_arrays(transposed: bool, beta: float) -> None:
    rng = np.random.default_rng(0)
    a, b, c = rng.normal(size=(2, 3, 7)), rng.normal(size=(9, 8)), rng.normal(size=(6, 9))
    m, n, k = 6, 4, 5
    left, right = a.reshape(6, 7)[:, :k], b[:n, :k].T if transposed else b[:k, :n]
    expected = c.copy()
    expected[:m, :n] = left @ right + beta * c[:m, :n]
    _product(a, b, transposed, c, m, n, k, beta)
    np.testing.assert_allclose(c, expected, rtol=1e-13, atol=1e-13)


def test_power_of_two() -> None:
    @njit
    def power(t: float) -> float:
        return power_of_two(t)

    k = np.arange(-1000, 1001)
    assert [power(1.5 * 2.0**52 + i) for i in k] == np.ldexp(1.0, k).tolist()
