"""Wrong calls of every public function: each ends in one line that names the argument, and nothing else happens.

What is wrong for a parameter follows from its name; which parameters a function has, from its signature. So a new public
function, or a new parameter of a known name, is tried without a line here.
"""

import inspect
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bayesgmm as bg
from bayesgmm.data import InputError
from bayesgmm.data.arguments import RULES

NAN, INF = float("nan"), float("inf")
WHOLE = (True, "12", 2.5, [2], (2, 3), NAN, INF, None, -3, 0, b"3", 1j, {}, object(), np.array([2, 3]), np.float64(3.0))
NUMBER = (True, "0.5", [0.5], NAN, INF, None, -1.0, {}, 1j, np.array([0.1, 0.2]))
SHARE = (*NUMBER, 0, 1, 1.5)
TEXT = (5, None, ["full"], True, 2.5, NAN, "nonsense", "", b"full", {})
SWITCH = (None, "yes", 2, 1, 0.0, [True], NAN)
SEED = (-1, 2.5, "1", True, [1], 2**40, NAN, {})
THING = (None, 5, "post", [], {}, pd.DataFrame({"a": [1.0, 2.0]}), True, NAN, object())
COUNTS = (3, "1:6", None, [], [0], [2.5], [True], ["2"], [None], [NAN], 2.5, {2: 1}, [[1, 2]])
STRUCTURE = tuple(value for value in TEXT)
STRUCTURES = (5, None, [], [5], "nonsense", [None], [["full"]], ["oval"], {}, 2.5, True)
DATA = (
    None,
    5,
    "faithful",
    [],
    {},
    object(),
    [["a", "b"], ["c", "d"]],
    np.zeros((3, 2, 2)),
    [[1.0, 2.0]],
    [[1.0], [NAN]],
    True,
)
WEIGHTS = ("abc", [1.0], -1.0, [NAN] * 60, ["a"] * 60, np.zeros(60), {}, object())

KINDS = {
    **dict.fromkeys(
        ("n_components", "n_boot", "draws", "tune", "chains", "cores", "repeats", "particles", "max_rows", "max_clusters",
         "max_draws", "folds", "n_replicates", "max_components", "thin", "n", "max_features", "n_init"),
        WHOLE,
    ),
    "max_iter": WHOLE,
    "n_starts": tuple(value for value in WHOLE if not (isinstance(value, int) and value == 0 and value is not True)),
    "n_jobs": tuple(value for value in WHOLE if not (isinstance(value, int) and value == 0)),
    **dict.fromkeys(("tol", "ridge", "concentration", "min_rows", "min_evidence"), NUMBER),
    **dict.fromkeys(("target_accept", "ci_prob", "open_below", "certain", "mass"), SHARE),
    **dict.fromkeys(("by", "method", "sampler", "loss", "missing", "init", "backend"), TEXT),
    **dict.fromkeys(("progressbar", "refit", "evidence", "predictive", "fresh", "sparse", "moves", "log_likelihood"), SWITCH),
    **dict.fromkeys(("random_seed", "random_state"), SEED),
    **dict.fromkeys(("covariance_type", "structure"), STRUCTURE),
    "covariance_types": STRUCTURES,
    "post": THING,
    "posts": (*THING, {"a": None}, {"a": 5}),
    **dict.fromkeys(("grid", "comparison", "em", "errors", "memberships", "ds"), THING),
    "priors": ("wide", 5, {}, [], True),
    "data": DATA,
    "new_data": ("rows", 5, object(), [["a", "b"]], np.zeros((3, 5)), {}),
    "sample_weight": WEIGHTS,
    "gm": (5, "gm", [], object(), True),
    **dict.fromkeys(("folder", "path"), (None, 5, "", [], True)),
    "model": (None, 5, "fit", [], {}, object(), bg.GaussianMixture(2)),
    "columns": ([], ["nowhere"], "nowhere", ["x0", "x0"]),
    "posterior": ("best", [], [(9, "full")], 5, None, [3]),
}  # fmt: skip

RNG = np.random.default_rng(0)
ROWS = np.r_[RNG.normal(-3, 1, (30, 2)), RNG.normal(3, 1, (30, 2))]
FEW = {"draws": 20, "tune": 20, "chains": 1, "n_boot": 2, "progressbar": False, "n_components": 2, "max_components": 3}


@pytest.fixture(scope="module")
def given() -> dict:
    """A right value for each parameter that has no default."""
    post = bg.sample_posterior(ROWS, 2, "diag", draws=20, tune=20, chains=2, random_seed=0, progressbar=False)
    fit = bg.fit_mixture(ROWS, 2, "diag")
    members = bg.memberships(post)
    return {
        "data": ROWS, "post": post, "posts": {"2 diag": post}, "gm": fit, "mixture": fit.mixture, "values": ROWS, "ds": members,
        "comparison": pd.DataFrame({"p_model": [1.0], "weight": [1.0]}, index=["2 diag"]),
        "memberships": members, "grid": bg.fit_grid(ROWS, [1, 2], ["diag"], progressbar=False), "n_components": 2,
        "coclustering": bg.coclustering(post), "errors": fit.standard_errors(ROWS),
        "contrast": bg.em_vs_posterior(fit, post), "folder": "nowhere", "model": fit, "path": "nowhere.json", "new_data": ROWS,
        "y": np.arange(float(len(ROWS))),
        "name": "iris",
    }  # fmt: skip


FUNCTIONS = {name: getattr(bg, name) for name in bg.__all__ if inspect.isfunction(getattr(bg, name))}
SPECIAL = {
    ("fit_grid", "n_components"): COUNTS,
    ("analyze", "n_components"): COUNTS,
    ("kmeans_contrast", "post"): DATA,
    ("standard_errors", "columns"): (),  # names for what is printed
    # Its sweeps do not adapt: none may come before the first that is kept.
    ("filled_components", "tune"): tuple(v for v in WHOLE if not (isinstance(v, int) and v == 0)),
}


def wrong_values(function: str, parameter: inspect.Parameter) -> tuple:
    values = SPECIAL.get((function, parameter.name), KINDS.get(parameter.name, ()))
    allowed_none = parameter.default is None
    return tuple(value for value in values if not (value is None and allowed_none) and value is not parameter.default)


CALLS = [
    (name, parameter.name, position)
    for name, function in FUNCTIONS.items()
    for parameter in inspect.signature(function).parameters.values()
    for position in range(len(wrong_values(name, parameter)))
]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_wrong_calls_are_one_line(name, given) -> None:
    signature = inspect.signature(FUNCTIONS[name])
    accepted = []
    for _, parameter, position in (call for call in CALLS if call[0] == name):
        value = wrong_values(name, signature.parameters[parameter])[position]
        values = {
            p: given[p] for p in signature.parameters if p in given and signature.parameters[p].default is p_empty
        }
        values |= {p: FEW[p] for p in FEW if p in signature.parameters and (name, p) not in SPECIAL}
        if name in ("fit_grid", "analyze"):
            values |= {"n_components": [1, 2], "covariance_types": ["diag"]}
        if name == "kmeans_contrast" and parameter != "n_components":
            values["post"] = ROWS
        values[parameter] = value
        try:
            FUNCTIONS[name](**values)
        except InputError as error:
            if "\n" in str(error) or not str(error):
                accepted.append((parameter, value, "more than a line", str(error)))
        except Exception as error:
            accepted.append((parameter, value, type(error).__name__, str(error)[:80]))
        else:
            accepted.append((parameter, value, "accepted"))
    assert not accepted


p_empty = inspect.Parameter.empty


def test_there_are_enough_wrong_calls() -> None:
    assert len(CALLS) > 600
    assert {parameter for _, parameter, _ in CALLS} >= set(KINDS) - {"thin", "columns", "folder"}


def test_every_rule_is_tried() -> None:
    """A rule without a wrong value in ``KINDS`` would be a check that nothing checks."""
    of_estimator = {"reg_covar", "warm_start", "init_params", "thin", "command"}
    assert set(RULES) - set(KINDS) <= of_estimator


@pytest.mark.parametrize("path", ["", 5, None, "a\0b", Path("no/such")])
def test_wrong_folders(path) -> None:
    with pytest.raises(InputError):
        bg.load_analysis(path)


@pytest.mark.parametrize(
    ("parameter", "values"),
    [
        ("n_components", WHOLE), ("covariance_type", TEXT), ("tol", NUMBER), ("reg_covar", NUMBER), ("warm_start", SWITCH),
    ],
)  # fmt: skip
def test_wrong_parameters_of_the_estimator(parameter, values) -> None:
    for value in values:
        with pytest.raises(InputError):
            bg.GaussianMixture(**{parameter: value}).fit(ROWS)
