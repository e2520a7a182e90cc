"""The checks of single arguments, one place for all public functions.

Each returns the value in the type that the library works with, or raises an `InputError` that names the argument, what was
given, and what to give.
"""

from __future__ import annotations

import math
import operator
import reprlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from bayesgmm.data.errors import InputError

__all__ = ["check_choice", "check_number", "check_seed", "check_switch", "check_whole"]

_brief = reprlib.Repr(maxstring=60, maxother=60, maxlist=4, maxtuple=4, maxarray=4)


def check_whole(name: str, value: Any, least: int = 1, most: int | None = None) -> int:
    """A whole number within bounds; numbers with a point and truth values are none."""
    wanted = f"a whole number, at least {least}" if most is None else f"a whole number from {least} to {most:,}"
    try:
        if isinstance(value, bool | np.bool_) or np.ndim(value) > 0:
            raise TypeError
        whole = operator.index(value)
    except (TypeError, ValueError):
        raise _refused(name, value, wanted) from None
    if whole < least or (most is not None and whole > most):
        raise _refused(name, value, wanted)
    return whole


def check_number(
    name: str,
    value: Any,
    above: float = -math.inf,
    below: float = math.inf,
    *,
    least: float | None = None,
    most: float | None = None,
) -> float:
    """A finite number in an open interval, or one closed at ``least`` or ``most``."""
    bounds = [
        f"at least {least:g}" if least is not None else f"above {above:g}" if above > -math.inf else "",
        f"at most {most:g}" if most is not None else f"below {below:g}" if below < math.inf else "",
    ]
    wanted = " ".join(["a number", " and ".join(bound for bound in bounds if bound)]).strip()
    if isinstance(value, bool | np.bool_ | str | bytes) or value is None or np.ndim(value) > 0:
        raise _refused(name, value, wanted)
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise _refused(name, value, wanted) from None
    low = number >= least if least is not None else number > above
    high = number <= most if most is not None else number < below
    if not (math.isfinite(number) and low and high):
        raise _refused(name, value, wanted)
    return number


def check_choice(name: str, value: Any, choices: Sequence[str]) -> str:
    """One of a few words."""
    if not isinstance(value, str) or value not in choices:
        raise _refused(name, value, "one of " + ", ".join(repr(choice) for choice in choices))
    return value


def check_switch(name: str, value: Any) -> bool:
    """True or False."""
    if not isinstance(value, bool | np.bool_):
        raise _refused(name, value, "True or False")
    return bool(value)


def check_seed(name: str, value: Any) -> int | None:
    """A seed: a whole number from 0 to 2^32 - 1, or None for one that the system chooses."""
    return None if value is None else check_whole(name, value, 0, 2**32 - 1)


def _refused(name: str, value: Any, wanted: str) -> InputError:
    shown = " ".join(_brief.repr(value.item() if isinstance(value, np.generic) else value).split())
    return InputError(f"{name}={shown} cannot be used; give {wanted}")
