"""What differs between groups: outside variables by group, with the error of the memberships carried."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..data import CI_PROB, InputError, checked, equal_tailed
from ..mixture import draw_responsibilities, responsibilities
from ..sampling import Posterior
from .clusters import group_draws
from .external import Variable, covariates_of, variables_of
from .names import group_names
from .outcome_draws import Categories, Family, Number, Regression, draw_parameters
from .quality import Quality, quality_of
from .rows import ScoredRows, training_rows
from .three_step import bch, classification_errors, hard, three_step_ml
from .words import count, probability

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["Outcomes", "outcomes"]

Array = NDArray[np.float64]
_MAX_DRAWS = 1000
# Doubles in the responsibilities of all draws: with many rows fewer draws are taken, but never fewer than these.
_ROOM, _LEAST_DRAWS = 2**26, 100
# Beyond so many standard errors between the draws and BCH the distribution assumed within groups is in doubt.
_APART = 2.0


@dataclass(frozen=True, eq=False, repr=False)
class Outcomes:
    """Outside variables by group.

    Attributes
    ----------
    estimates : DataFrame
        Index ``outcome``, ``quantity``, ``group``; columns ``mean``, ``sd``, ``lb``, ``ub`` over draws. Quantities of a number
        are ``mean`` and ``sd``, with covariates ``constant``, their names and ``residual sd``; of a category its levels.
    differences : DataFrame
        Index ``outcome``, ``quantity``, ``group``, ``minus``: of two groups the first less the second: ``difference``, ``sd``,
        ``lb``, ``ub``, and ``p_greater``, the probability that the first is greater.
    checks : DataFrame
        Index as ``estimates``, without standard deviations: ``draws`` beside ``hard``, ``bch`` and ``ml`` (hard labels, and the
        three-step corrections at EM's estimate), each with its ``_se``; ``apart`` where draws and BCH differ by more than two
        standard errors.
    draws : Dataset
        One variable for each outcome over ``draw x group x quantity``.
    quality : Quality
        Entropy R2, average posterior probabilities, SABIC.
    n_rows : Series
        Rows with a value, by outcome.
    """

    estimates: pd.DataFrame
    differences: pd.DataFrame
    checks: pd.DataFrame
    draws: xr.Dataset
    quality: Quality
    n_rows: pd.Series

    @property
    def ci_prob(self) -> float:
        """Mass of the intervals."""
        return float(self.draws.attrs["ci_prob"])

    def summary(self) -> str:
        """In words and figures."""
        lines: list[str] = []
        apart = dict(iter(self.differences.groupby(level=["outcome", "quantity"], sort=False)))
        for (outcome, quantity), part in self.estimates.groupby(level=["outcome", "quantity"], sort=False):
            lines += ["", f"{outcome}: {quantity}"]
            lines += [
                f"  {group!s:<16} {row['mean']:10.4g}  [{row['lb']:.4g}, {row['ub']:.4g}]"
                for (_, _, group), row in part.iterrows()
            ]
            lines += [
                f"  {f'{a} - {b}':<16} {row['difference']:10.4g}  [{row['lb']:.4g}, {row['ub']:.4g}]  "
                f"p(> 0) {probability(row['p_greater'])}"
                for (_, _, a, b), row in (apart[outcome, quantity].iterrows() if (outcome, quantity) in apart else ())
            ]
        n_apart = int(self.checks["apart"].sum())
        lines += ["", self.quality.summary()]
        lines.append(f"intervals equal-tailed, {100 * self.ci_prob:g}%, over {count(self.draws.sizes['draw'], 'draw')}")
        if n_apart:
            lines.append(
                f"BCH differs from {count(n_apart, 'estimate')} by more than {_APART:g} standard errors: the variable "
                "depends on the columns beyond the groups, or residuals are not normal; see .checks"
            )
        return "\n".join(lines).strip()

    def __repr__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        from html import escape

        return f"<pre>{escape(self.summary())}</pre>"


@checked
def outcomes(
    post: xr.DataTree,
    y: Any,
    *,
    by: str = "group",
    covariates: Any = None,
    categorical: Sequence[str] = (),
    names: Sequence[str] | None = None,
    ci_prob: float = CI_PROB,
    min_rows: float = 1.0,
    max_draws: int = _MAX_DRAWS,
    random_seed: int = 0,
    progressbar: bool = False,
) -> Outcomes:
    """What outside variables are like in each group, and what differs, with the error of the memberships carried.

    Memberships are drawn, not fixed: for each posterior draw of the mixture, each row's group and the outcome's parameters
    are drawn given the columns *and* the outcome, while the mixture itself keeps the posterior that its own columns give it
    (two-step, or cut, inference). Hard labels pull groups together and give intervals that are too short; BCH and three-step
    maximum likelihood stand beside the draws as the check.

    Parameters
    ----------
    post : DataTree
        From `sample_posterior`.
    y : Series, frame, dict or array, (N,) or (N, Q)
        Outside variables, no columns of the mixture. pandas objects are matched by their row labels where these hold all of the
        posterior's, all others by position. Missing values are left out, variable by variable.
    by : {"group", "component"}
        Groups as in `clusters`, or the mixture's components, which latent-profile programs call classes.
    covariates : as ``y``, optional
        A linear regression on these in each group, in place of a mean; for numbers only.
    categorical : sequence of str
        Numeric columns that are categories. Texts, booleans and columns of zeros and ones are.
    names : sequence of str, optional
        What the groups are called, in their order.
    ci_prob : float
        Mass of the equal-tailed intervals.
    min_rows, max_draws, random_seed, progressbar
        As in `clusters`.

    Returns
    -------
    Outcomes

    Raises
    ------
    InputError
        ``y`` or ``covariates`` do not match the rows or are not fit for use, or an argument is not.

    Notes
    -----
    Bakk, Z. & Kuha, J. (2018). Two-step estimation of models between latent classes and external variables. Psychometrika
    83, 871-892. Plummer, M. (2015). Cuts in Bayesian graphical models. Statistics and Computing 25, 37-43. No distribution of a
    number within groups is assumed: what it says of a row's group goes by the sixth of all values that it lies in. A
    regression takes its residuals as normal. Categories have Jeffreys' prior.
    """
    view = Posterior.read(post)
    variables = variables_of(y, view.obs_id, categorical)
    inner, inner_names = (None, ()) if covariates is None else covariates_of(covariates, view.obs_id)
    if inner is not None and (text := next((v for v in variables if v.levels is not None), None)) is not None:
        raise InputError(f"covariates are for numbers, and {text.name!r} is a category; leave one of them out")
    setting = _setting(view, by, names, min_rows, max_draws, random_seed, progressbar)
    seeds = np.random.SeedSequence(random_seed).generate_state(len(variables))
    found = [
        _of_variable(setting, variable, inner, inner_names, int(seed), ci_prob)
        for variable, seed in zip(variables, seeds, strict=True)
    ]
    return _collected(setting, variables, found, ci_prob)


@dataclass(frozen=True)
class _Setting:
    """The groups that outcomes are asked of, and how probable they are."""

    view: Posterior
    rows: ScoredRows
    union: Array
    shares: Array
    em_union: Array
    em_shares: Array
    labels: list[str]


@dataclass(frozen=True)
class _Found:
    quantities: tuple[str, ...]
    draws: Array
    table: pd.DataFrame
    differences: pd.DataFrame
    checks: pd.DataFrame


def _setting(
    view: Posterior, by: str, names: Sequence[str] | None, min_rows: float, max_draws: int, seed: int, progressbar: bool
) -> _Setting:
    """Responsibilities of the groups under every thinned draw (S, G, N), and at EM's estimate (N, G)."""
    max_draws = min(max_draws, max(_LEAST_DRAWS, _ROOM // (len(view.values) * view.n_components)))
    if by == "group":
        found = group_draws(view, min_rows=min_rows, max_draws=max_draws, random_seed=seed, progressbar=progressbar)
        rows, union = found.rows, found.grouping.union
        # At EM's estimate a component is of the group that it most probably is of.
        em_union = np.eye(union.shape[1])[:, union.mean(0).argmax(0)]
    elif by == "component":
        rows = training_rows(view)
        step = -(-rows.n_draws // max_draws)
        rows = replace(rows, draws=rows.draws[np.arange(step - 1, rows.n_draws, step)])
        em_union = np.eye(view.n_components)
        union = np.broadcast_to(em_union, (rows.n_draws, *em_union.shape))
    else:
        raise InputError(f"by={by!r} is unknown: choose 'group' or 'component'")
    shares = np.empty((rows.n_draws, union.shape[1], len(rows.values)))
    for block in draw_responsibilities(rows.draws, rows.values):
        shares[:, :, block.rows] = np.matmul(union, block.responsibilities)
    em_shares = responsibilities(rows.em, rows.values)[0] @ em_union.T
    return _Setting(view, rows, union, shares, em_union, em_shares, group_names(names, union.shape[1], f"{by}s"))


def _of_variable(
    setting: _Setting, variable: Variable, inner: Array | None, inner_names: tuple[str, ...], seed: int, ci_prob: float
) -> _Found:
    """Draws of one outcome, and the three-step answers on the same rows."""
    used = variable.observed if inner is None else variable.observed & np.isfinite(inner).all(1)
    y, weight = variable.values[used], setting.view.sample_weight[used]
    constant = np.ones((int(used.sum()), 1))
    design = constant if inner is None else np.column_stack([constant, inner[used]])
    if np.linalg.matrix_rank(design) < design.shape[1] or len(y) <= design.shape[1]:
        raise InputError(
            f"{variable.name!r}: {count(len(y), 'row')} cannot tell {count(design.shape[1], 'coefficient')} apart; leave out a "
            "covariate that is constant or follows from others"
        )
    family: Family
    if variable.levels is None:
        family = Number(y, weight) if inner is None else Regression(design, y, weight)
        quantities = ("mean", "sd") if inner is None else ("constant", *inner_names, "residual sd")
    else:
        family, quantities = Categories(y.astype(int), len(variable.levels), weight), variable.levels
    draws = draw_parameters(setting.shares[:, :, used], family, seed)[..., : len(quantities)]
    compared = quantities if variable.levels is not None else quantities[:-1]
    targets = [y] if variable.levels is None else [(y == level).astype(float) for level in range(len(variable.levels))]
    return _Found(
        quantities,
        draws,
        _estimates(draws, quantities, setting.labels, ci_prob),
        _differences(draws[..., : len(compared)], compared, setting.labels, ci_prob),
        _checks(setting, used, design, targets, weight, draws[..., : len(compared)], compared),
    )


def _estimates(draws: Array, quantities: tuple[str, ...], labels: list[str], ci_prob: float) -> pd.DataFrame:
    rows = [
        (name, label, *_summary(draws[:, g, q], ci_prob))
        for q, name in enumerate(quantities)
        for g, label in enumerate(labels)
    ]
    return _frame(rows, ["quantity", "group"], ["mean", "sd", "lb", "ub"])


def _summary(values: Array, ci_prob: float) -> tuple[float, float, float, float]:
    """Mean, standard deviation and interval over the draws that have the group."""
    there = values[np.isfinite(values)]
    if not there.size:
        return (np.nan,) * 4
    lb, ub = equal_tailed(there, ci_prob)
    return float(there.mean()), float(there.std()), float(lb), float(ub)


def _differences(draws: Array, quantities: tuple[str, ...], labels: list[str], ci_prob: float) -> pd.DataFrame:
    rows = []
    for q, name in enumerate(quantities):
        for g, first in enumerate(labels):
            for h in range(g + 1, len(labels)):
                apart = draws[:, g, q] - draws[:, h, q]
                both = apart[np.isfinite(apart)]
                greater = float((both > 0).mean()) if both.size else np.nan
                rows.append((name, first, labels[h], *_summary(apart, ci_prob), greater))
    return _frame(rows, ["quantity", "group", "minus"], ["difference", "sd", "lb", "ub", "p_greater"])


def _checks(
    setting: _Setting,
    used: NDArray[np.bool_],
    design: Array,
    targets: list[Array],
    weight: Array,
    draws: Array,
    quantities: tuple[str, ...],
) -> pd.DataFrame:
    """Hard labels, BCH and three-step maximum likelihood; one target, or the indicator of each level."""
    errors = classification_errors(setting.em_shares, setting.view.sample_weight)
    labels, n_groups = setting.em_shares.argmax(1)[used], len(setting.labels)
    by_name: dict[str, NDArray[Any]] = {"draws": np.nanmean(draws, 0).T, "draws_se": np.nanstd(draws, 0).T}
    answers = {
        "hard": [hard(labels, n_groups, design, y, weight) for y in targets],
        "bch": [bch(labels, errors, design, y, weight) for y in targets],
        "ml": [three_step_ml(labels, errors, design, y, weight, indicator=len(targets) > 1) for y in targets],
    }
    for name, parts in answers.items():
        for end, which in (("", 0), ("_se", 1)):
            by_name[f"{name}{end}"] = np.concatenate([part[which] for part in parts], axis=1).T
    gap = np.abs(by_name["draws"] - by_name["bch"])
    by_name["apart"] = gap > _APART * by_name["bch_se"]
    rows = [
        (name, label, *(value[q, g] for value in by_name.values()))
        for q, name in enumerate(quantities)
        for g, label in enumerate(setting.labels)
    ]
    return _frame(rows, ["quantity", "group"], list(by_name))


def _frame(rows: list[Any], index: list[str], columns: list[str]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(rows, columns=[*index, *columns]).set_index(index)


def _collected(setting: _Setting, variables: list[Variable], found: list[_Found], ci_prob: float) -> Outcomes:
    import pandas as pd
    import xarray as xr

    names = [variable.name for variable in variables]

    def together(which: str) -> pd.DataFrame:
        return pd.concat([getattr(part, which) for part in found], keys=names, names=["outcome"])

    draws = {
        part.name: xr.DataArray(
            one.draws,
            {"group": setting.labels, f"quantity of {part.name}": list(one.quantities)},
            ("draw", "group", f"quantity of {part.name}"),
        )
        for part, one in zip(variables, found, strict=True)
    }
    return Outcomes(
        together("table"),
        together("differences"),
        together("checks"),
        xr.Dataset(draws, attrs={"ci_prob": ci_prob, "interval": "equal-tailed"}),
        quality_of(setting.view, setting.rows, setting.union, setting.em_union, setting.labels, ci_prob),
        pd.Series({variable.name: int(variable.observed.sum()) for variable in variables}, name="rows"),
    )
