"""`bayesgmm doctor`: what an installation has, and whether it can work."""

from __future__ import annotations

import os
import platform
import tempfile
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .options import AsJson
from .show import emit_json

__all__ = ["doctor"]

_EXTRAS = {"excel": "fastexcel", "duckdb": "duckdb", "onnx": "skl2onnx"}


def doctor(as_json: AsJson = False) -> None:
    """Versions, cores, memory, caches and extras of this installation, and what is wrong with them."""
    found = _examined()
    if as_json:
        emit_json(found)
        return
    for name, value in found.items():
        if isinstance(value, dict):
            print(f"{name}:")
            for key, one in value.items():
                print(f"  {key:<16} {one}")
        elif name != "problems":
            print(f"{name + ':':<18} {value}")
    for problem in found["problems"]:
        print(f"problem: {problem}")
    print("no problem found" if not found["problems"] else f"{len(found['problems'])} found")


def _examined() -> dict[str, Any]:
    from ..data import available_memory, size

    problems = []
    versions = {}
    for wanted, name, met in _needed():
        versions[name] = "missing" if met is None else f"{version(name)}" + ("" if met else f" (needs {wanted})")
        if not met:
            problems.append(f"{name} is {'missing' if met is None else version(name)}: pip install '{wanted}'")
    caches = {"compiled code": _numba_cache()}
    caches |= {name: place for name, place in {"PyTensor": _pytensor_cache()}.items() if place is not None}
    for name, place in caches.items():
        if not _is_writable(place):
            problems.append(
                f"the cache of {name} cannot be written to ({place}): it is made anew each time; set NUMBA_CACHE_DIR"
            )
    free = available_memory()
    return {
        "bayesgmm": version("bayesgmm"),
        "python": platform.python_version(),
        "system": platform.platform(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "free memory": "unknown" if free is None else size(free),
        "versions": versions,
        "extras": {name: "yes" if find_spec(module) else "no" for name, module in _EXTRAS.items()},
        "caches": {name: str(place) for name, place in caches.items()},
        "problems": problems,
    }


def _needed() -> list[tuple[str, str, bool | None]]:
    """What the package requires: the requirement, its name, and whether it is met (None: not installed)."""
    import re

    needed: list[tuple[str, str, bool | None]] = []
    for line in requires("bayesgmm") or ():
        if ";" in line:  # of an extra
            continue
        name = re.split(r"[\[<>=!~ ]", line, maxsplit=1)[0]
        bounds = re.findall(r"(>=|<)\s*([\d.]+)", line)
        try:
            own = _numbers(version(name))
        except PackageNotFoundError:
            needed.append((line, name, None))
            continue
        met = all(own >= _numbers(bound) if mark == ">=" else own < _numbers(bound) for mark, bound in bounds)
        needed.append((line, name, met))
    return needed


def _numbers(text: str) -> tuple[int, ...]:
    """The leading numbers of a version, as many as three."""
    parts = []
    for part in text.split(".")[:3]:
        digits = "".join(c for c in part if c.isdigit())
        if not digits:
            break
        parts.append(int(digits))
    return tuple(parts + [0] * (3 - len(parts)))


def _numba_cache() -> Path:
    given = os.environ.get("NUMBA_CACHE_DIR")
    return Path(given) if given else Path(__file__).parents[1] / "mixture" / "__pycache__"


def _pytensor_cache() -> Path | None:
    return Path.home() / ".pytensor" if find_spec("pytensor") else None


def _is_writable(place: Path) -> bool:
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        with tempfile.TemporaryFile(dir=place):
            return True
    except OSError:
        return False
