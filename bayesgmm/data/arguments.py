"""The checks of single arguments, one place for all public functions.

A name means the same in every function: rules belong to names (`RULES`), and public functions are decorated with `checked`.
Each check returns the value in the type that the library works with, or raises an `InputError` that names the argument, what
was given, and what to give.
"""

from __future__ import annotations

import functools
import inspect
import math
import operator
import os
import reprlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from bayesgmm.data.errors import InputError

__all__ = [
    "RULES", "check_arguments", "check_choice", "check_counts", "check_number", "check_seed", "check_switch", "check_whole",
    "checked", "checked_with",
]  # fmt: skip

Check = Callable[[str, Any], Any]

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
    return InputError(f"{name}={shown}: give {wanted}")


def check_text(name: str, value: Any) -> str:
    """A text."""
    if not isinstance(value, str):
        raise _refused(name, value, "a text")
    return value


def check_state(name: str, value: Any) -> Any:
    """A seed, or a generator of NumPy's, old or new."""
    if isinstance(value, np.random.Generator | np.random.RandomState):
        return value
    return check_seed(name, value)


def check_structure(name: str, value: Any) -> Any:
    """A name of a covariance structure, or the structure; which names there are is known where structures are."""
    if not isinstance(value, str) and not hasattr(value, "n_parameters"):
        raise _refused(name, value, "a covariance structure such as 'full'")
    return value


def check_structures(name: str, value: Any) -> Any:
    """Several of these; one name, or "all", stands for itself."""
    if isinstance(value, str):
        return value
    for one in _listed(name, value, "covariance structures such as ['full', 'diag']"):
        check_structure(name, one)
    return value


def check_counts(name: str, value: Any) -> Any:
    """Numbers of components."""
    for one in _listed(name, value, "whole numbers, at least 1, such as range(1, 7)"):
        check_whole(name, one)
    return value


def check_cells(name: str, value: Any) -> Any:
    """Models of a grid: a word, or pairs of a number of components and a structure."""
    wanted = "'bic', 'all', or a list such as [(2, 'full')]"
    pairs = [] if isinstance(value, str) else _listed(name, value, wanted)
    if not isinstance(value, str | Iterator) and not pairs:
        raise _refused(name, value, wanted)
    for one in pairs:
        if not isinstance(one, Sequence) or isinstance(one, str) or len(one) != 2:
            raise _refused(name, value, wanted)
        check_whole(f"a number of components in {name}", one[0])
        check_text(f"a structure in {name}", one[1])
    return value


def check_posterior(name: str, value: Any) -> Any:
    """What `sample_posterior` returns; which groups it must have is checked where it is read."""
    read_already = hasattr(value, "draws") and hasattr(value, "obs_id")
    if not read_already and not (hasattr(value, "children") and hasattr(value, "attrs")):
        raise InputError(f"{name} is a {type(value).__name__}; give what sample_posterior returned")
    return value


def check_posteriors(name: str, value: Any) -> Any:
    """A mapping of names to posteriors."""
    if not isinstance(value, Mapping) or not value:
        raise _refused(name, value, "a mapping of names to posteriors, such as {'2 full': post}")
    for key, post in value.items():
        check_posterior(f"{name}[{key!r}]", post)
    return value


def check_dataset(name: str, value: Any) -> Any:
    """What `memberships` returns."""
    if not (hasattr(value, "data_vars") and hasattr(value, "sizes")) or "probability" not in value:
        raise InputError(f"{name} is a {type(value).__name__} without memberships; give what memberships returned")
    return value


def check_grid(name: str, value: Any) -> Any:
    """What `fit_grid` returns."""
    if not (hasattr(value, "fits") and hasattr(value, "cell")):
        raise InputError(f"{name} is a {type(value).__name__}; give what fit_grid returned")
    return value


def check_comparison(name: str, value: Any) -> Any:
    """What `compare` returns."""
    if not hasattr(value, "columns") or "p_model" not in value:
        raise InputError(f"{name} is a {type(value).__name__}; give what compare returned")
    return value


def check_fit(name: str, value: Any) -> Any:
    """What `fit_mixture` returns."""
    if not (hasattr(value, "mixture") and hasattr(value, "optima")):
        raise InputError(f"{name} is a {type(value).__name__}; give what fit_mixture returned")
    return value


def check_errors(name: str, value: Any) -> Any:
    """What `standard_errors` returns."""
    if not hasattr(value, "estimate") or not hasattr(value, "method"):
        raise InputError(f"{name} is a {type(value).__name__}; give what standard_errors returned")
    return value


def check_path(name: str, value: Any) -> Any:
    """A path, as text or `pathlib.Path`."""
    if not isinstance(value, str | os.PathLike) or not str(value).strip():
        raise _refused(name, value, "a path")
    return value


def _auto_or(check: Check) -> Check:
    return lambda name, value: value if isinstance(value, str) and value == "auto" else check(name, value)


def _listed(name: str, value: Any, wanted: str) -> list[Any]:
    if isinstance(value, Iterator):  # looking would use it up
        return []
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise _refused(name, value, wanted)
    return list(value)


def _at_least(least: int) -> Check:
    return lambda name, value: check_whole(name, value, least)


def _share(name: str, value: Any) -> float:
    return check_number(name, value, 0, 1)


_SWITCHES = (
    "progressbar",
    "refit",
    "evidence",
    "predictive",
    "fresh",
    "sparse",
    "moves",
    "warm_start",
    "log_likelihood",
)
_TEXTS = ("by", "init", "method", "sampler", "loss", "command", "missing", "init_params")
_SIZES = (
    "max_iter", "n_boot", "chains", "cores", "thin", "repeats", "particles", "max_clusters", "max_draws", "max_components", "n",
    "max_features", "n_init", "n_replicates",
)  # fmt: skip
# What each name means in every public function that has a parameter of that name.
RULES: dict[str, Check] = {
    "n_components": check_whole,
    "covariance_type": check_structure,
    "structure": check_structure,
    "covariance_types": check_structures,
    "random_state": check_state,
    "random_seed": check_seed,
    "n_starts": _auto_or(_at_least(0)),
    "tol": lambda name, value: check_number(name, value, least=0),
    "ridge": lambda name, value: check_number(name, value, least=0),
    "reg_covar": lambda name, value: check_number(name, value, least=0),
    "min_rows": lambda name, value: check_number(name, value, least=0),
    "min_evidence": lambda name, value: check_number(name, value, least=0),
    "target_accept": _share,
    "ci_prob": _share,
    "open_below": _share,
    "certain": _share,
    "mass": _share,
    "concentration": lambda name, value: check_number(name, value, 0),
    "post": check_posterior,
    "posts": check_posteriors,
    "posterior": check_cells,
    "memberships": check_dataset,
    "ds": check_dataset,
    "grid": check_grid,
    "comparison": check_comparison,
    "em": check_fit,
    "errors": check_errors,
    "folder": check_path,
    "path": check_path,
    "backend": lambda name, value: check_choice(name, value, ("matplotlib", "none")),
    "draws": _at_least(4),
    "tune": _at_least(20),
    "n_jobs": _at_least(-1),
    **dict.fromkeys(_SWITCHES, check_switch),
    **dict.fromkeys(_TEXTS, check_text),
    **dict.fromkeys(_SIZES, check_whole),
    "folds": _auto_or(_at_least(2)),
    "max_rows": _at_least(2),
}


def check_arguments(values: Mapping[str, Any], rules: Mapping[str, Check] = RULES) -> None:
    """Check values by their names; names without a rule are left to whoever uses them.

    Raises
    ------
    InputError
        Naming the first that cannot be used.
    """
    for name, value in values.items():
        if name in rules:
            rules[name](name, value)


def checked[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a public function: its arguments are checked by their names before it does anything.

    What is the default passes, so that None is fine where it is the default and nowhere else.
    """
    return _door(function, RULES)


def checked_with[**P, R](**special: Check) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """As `checked`, with rules of this function alone."""
    return lambda function: _door(function, {**RULES, **special})


def _door[**P, R](function: Callable[P, R], rules: Mapping[str, Check]) -> Callable[P, R]:
    signature = inspect.signature(function)
    own = {name: rule for name, rule in rules.items() if name in signature.parameters}
    defaults = {name: signature.parameters[name].default for name in own}

    @functools.wraps(function)
    def door(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            given = signature.bind(*args, **kwargs).arguments
        except TypeError:
            return function(*args, **kwargs)  # which says what is wrong as Python does
        for name, rule in own.items():
            if name in given and given[name] is not defaults[name]:
                rule(name, given[name])
        return function(*args, **kwargs)

    return door
