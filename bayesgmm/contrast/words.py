"""Contrasts in words: what the posterior adds to EM as people use it, and to EM with its intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .claims import MATTERS, parameter_claims, prediction_claims, row_claims

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SOUND", "contrast_in_words", "counted", "named_rows", "plural"]

SOUND = ("converged", "label switching")


def counted(total: float) -> str:
    """A count of rows, which is not whole where case weights are not."""
    return f"{total:,.0f}" if abs(total - round(total)) < 1e-6 else f"{total:,.1f}"


def plural(count: float, noun: str) -> str:
    """A count with its noun."""
    return f"{counted(count)} {noun}" if count == 1 else f"{counted(count)} {noun}s"


def named_rows(labels: Sequence[Any], most: int = 5) -> str:
    """Some row labels, and how many more there are."""
    shown = ", ".join(str(label) for label in labels[:most])
    rest = f" and {len(labels) - most:,} more" if len(labels) > most else ""
    return f"row{'s' if len(labels) > 1 else ''} {shown}{rest}"


def contrast_in_words(
    covariance_type: str,
    n_components: int,
    *,
    parameters: pd.DataFrame,
    memberships: pd.DataFrame,
    answers: pd.DataFrame,
    added: pd.DataFrame,
    prediction: pd.DataFrame,
    verdict: str,
    good_enough: str,
    ci_prob: float,
    open_below: float,
) -> str:
    """The summary of `Contrast`, from its tables."""
    # Weight zero is a row left out.
    memberships = memberships[memberships["sample_weight"] > 0]
    n_rows = memberships["sample_weight"].sum()
    lines = [
        f"EM against the posterior: {covariance_type}, {plural(n_components, 'component')}, {plural(n_rows, 'row')}"
    ]
    if verdict not in SOUND:
        lines.append(
            f"The posterior's verdict is '{verdict}': what follows is not to be taken as fact; see bayesgmm.diagnose."
        )
    lines += [
        _parameters(parameters, ci_prob),
        _memberships(memberships, answers, open_below),
        _prediction(prediction),
        _conclusion(parameters, memberships, added, prediction, good_enough, ci_prob),
    ]
    return "\n".join(lines)


def _parameters(table: pd.DataFrame, ci_prob: float) -> str:
    out = table[~table["inside"]]
    mass = f"{100 * ci_prob:g}%"
    if len(out):
        first = out["z"].abs().idxmax()
        row = table.loc[first]
        told = (
            f"{len(out)} of {len(table)} EM estimates lie outside the posterior's {mass} interval, farthest {first}: "
            f"EM {row['em']:.4g}, posterior {row['mean']:.4g} [{row['lb']:.4g}, {row['ub']:.4g}]"
        )
    else:
        first = table["z"].abs().idxmax()
        told = (
            f"all {len(table)} EM estimates lie inside the posterior's {mass} intervals; farthest from the mean is "
            f"{first}, by {abs(table.loc[first, 'z']):.2f} sd"
        )
    varying = table[table["sd"] > 0]
    ratio = (varying["em_se"] / varying["sd"]).to_numpy()
    if not len(varying):
        return f"Parameters: {told}."
    if np.isnan(ratio).any():
        return f"Parameters: {told}. EM has no standard errors here: its information matrix is not positive definite."
    low = int((ratio < 1).sum())
    return (
        f"Parameters: {told}. EM's standard errors are {np.median(ratio):.2f} times the posterior's sd (median), "
        f"smaller for {low} of {ratio.size}."
    )


def _memberships(table: pd.DataFrame, answers: pd.DataFrame, open_below: float) -> str:
    if table["em_probability"].min() == 1 and table["posterior_probability"].min() == 1:
        return "Memberships: there is one component, and nothing to be unsure of."
    row, weight = table.loc[table["total_variation"].idxmax()], table["sample_weight"]
    flips = table[table["flips"]]
    moved = (
        f"{plural(flips['sample_weight'].sum(), 'row')} would change cluster ({named_rows(flips.index.tolist())})"
        if len(flips)
        else "no row changes cluster"
    )
    return (
        f"Memberships: open rows (no cluster has probability {open_below:g}): {_three(answers, 'open rows', counted)}. "
        "Rows expected in the wrong cluster if each goes to its most probable: "
        f"{_three(answers, 'expected misallocations', '{:,.2f}'.format)}. EM's point and the posterior differ most for row "
        f"{row.name} (cluster {int(row['em_assignment'])}: EM {row['em_probability']:.3f}, posterior "
        f"{row['posterior_probability']:.3f} [{row['lb']:.3f}, {row['ub']:.3f}]; total variation "
        f"{row['total_variation']:.3f}, on average {weight @ table['total_variation'] / weight.sum():.4f}); {moved}."
    )


def _three(answers: pd.DataFrame, quantity: str, told: Callable[[float], str]) -> str:
    names = {"em": "EM", "em_intervals": "EM with delta-method intervals", "posterior": "the posterior"}
    row = answers.loc[quantity]
    return ", ".join(f"{names[column]} {told(row[column])}" for column in names if np.isfinite(row[column]))


def _prediction(table: pd.DataFrame) -> str:
    parts = []
    for name, row in table.iterrows():
        better = "higher" if row["difference"] > 0 else "lower"
        parts.append(
            f"{name} ({plural(row['n_rows'], 'row')}) the log score of EM's point is {row['em']:.2f}, that of the "
            f"posterior predictive density {row['posterior']:.2f}: {abs(row['difference']):.2f} {better} "
            f"(se {row['se']:.2f})"
        )
    note = ""
    if len(table) == 1:
        note = ". In sample both look better than they are; holdout= or folds= compare them on unseen rows"
    return "Prediction: " + "; ".join(parts) + note + "."


def _conclusion(
    parameters: pd.DataFrame,
    memberships: pd.DataFrame,
    added: pd.DataFrame,
    prediction: pd.DataFrame,
    good_enough: str,
    ci_prob: float,
) -> str:
    """What a reader who had only EM would have got wrong: without its intervals, and with them."""
    if not good_enough:
        return "Nothing is concluded about EM while the posterior's sample cannot be trusted."
    weight = memberships["sample_weight"]
    if good_enough == "em":
        but = _but_for(added.loc["any row", "to em"], weight.sum())
        return (
            f"EM is good enough here: the posterior's {100 * ci_prob:g}% intervals reach no farther than {MATTERS:g} from "
            f"EM's probabilities{but}, and leave out none of its estimates."
        )
    said = _wrong(parameters, memberships, prediction, "em", ci_prob)
    first = f"A reader who had only EM's point answer would have {said}."
    if added["to em_intervals"].isna().any():
        return f"{first} EM has no intervals here: its information matrix is not positive definite."
    if good_enough == "em with intervals":
        but = _but_for(added.loc["any row", "to em_intervals"], weight.sum())
        return (
            f"{first} With its standard errors and delta-method intervals EM is good enough here: their ends are the "
            f"posterior's to within {MATTERS:g} for rows{but} and half a posterior sd for parameters."
        )
    still = _wrong(parameters, memberships, prediction, "delta", ci_prob)
    return f"{first} One who had its delta-method intervals too would have {still}."


def _intervals_end(count: float) -> str:
    return "an interval that ends" if count == 1 else "intervals that end"


def _but_for(count: float, total: float) -> str:
    return f" (but for {counted(count)} of {plural(total, 'row')})" if count else ""


def _wrong(
    parameters: pd.DataFrame, memberships: pd.DataFrame, prediction: pd.DataFrame, answer: str, ci_prob: float
) -> str:
    """The claims against an answer that are made, listed, the row claims with their rows."""
    claims, weight = row_claims(memberships, answer), memberships["sample_weight"]
    end = f"elsewhere than the posterior's, by more than {MATTERS:g}"
    phrases = {
        "rows open": "settled {} that the posterior leaves open",
        "rows settled": "left open {} that the posterior settles",
        "rows moved": "put {} in another cluster",
        "row intervals": "quoted for {} a probability that is not known to within " + f"{MATTERS:g}"
        if answer == "em"
        else "given {} {} " + end,
    }
    wrong = []
    for claim, phrase in phrases.items():
        chosen = claims[claim].to_numpy()
        if weight[chosen].sum():
            rows, named = plural(weight[chosen].sum(), "row"), named_rows(memberships.index[chosen].tolist(), 3)
            wrong.append(f"{phrase.format(rows, _intervals_end(weight[chosen].sum()))} ({named})")
    count = int(parameter_claims(parameters, answer).sum())
    if count:
        wrong.append(
            f"reported {plural(count, 'parameter')} outside the posterior's {100 * ci_prob:g}% interval"
            if answer == "em"
            else f"given {plural(count, 'parameter')} {_intervals_end(count)} elsewhere, by more than half a posterior sd"
        )
    better = prediction_claims(prediction)
    wrong += [
        f"predicted {name} rows worse, by {prediction.loc[name, 'difference']:.1f} in log score" for name in better
    ]
    return wrong[0] if len(wrong) == 1 else ", ".join(wrong[:-1]) + " and " + wrong[-1]
