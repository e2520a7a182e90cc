"""Contrasts in words: what a reader who had only the point answer would have got wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["contrast_in_words", "named_rows", "plural"]

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
    parameters: pd.DataFrame,
    memberships: pd.DataFrame,
    prediction: pd.DataFrame,
    verdict: str,
    ci_prob: float,
    certain: float,
    covariance_type: str,
    n_components: int,
) -> str:
    """The summary of `Contrast`, from its tables."""
    # Weight zero is a row left out.
    memberships = memberships[memberships["sample_weight"] > 0]
    title = f"EM against the posterior: {covariance_type}, {plural(n_components, 'component')}, "
    title += plural(memberships["sample_weight"].sum(), "row")
    lines = [title]
    if verdict not in SOUND:
        lines.append(
            f"The posterior's verdict is '{verdict}': what follows is not to be taken as fact; see bayesgmm.diagnose."
        )
    lines += [
        _parameters(parameters, ci_prob),
        _memberships(memberships, ci_prob, certain),
        _prediction(prediction),
        _verdict_on_em(parameters, memberships, prediction, certain),
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


def _memberships(table: pd.DataFrame, ci_prob: float, certain: float) -> str:
    widest = table["total_variation"].idxmax()
    row, weight = table.loc[widest], table["sample_weight"]
    n, sure = weight.sum(), weight[table["em_probability"] >= certain].sum()
    doubted, flips = table[table["em_certain_posterior_not"]], table[table["flips"]]
    wrong = {
        "EM": weight @ (1 - table["em_probability"]),
        "posterior": weight @ (1 - table["posterior_modal_probability"]),
    }
    told = (
        f"Memberships: the two differ most for row {widest} (cluster {int(row['em_assignment'])}: EM "
        f"{row['em_probability']:.3f}, posterior {row['posterior_probability']:.3f} "
        f"[{row['lb']:.3f}, {row['ub']:.3f}]; total variation {row['total_variation']:.3f}, on average "
        f"{weight @ table['total_variation'] / n:.4f}). "
    )
    told += (
        f"{plural(flips['sample_weight'].sum(), 'row')} would change cluster ({named_rows(flips.index.tolist())}). "
        if len(flips)
        else "No row changes cluster. "
    )
    told += f"EM calls {counted(sure)} of {plural(n, 'row')} certain (probability at least {certain:g}); "
    told += (
        f"for {counted(doubted['sample_weight'].sum())} of them the posterior's {100 * ci_prob:g}% interval reaches below that "
        f"({named_rows(doubted['lb'].sort_values().index.tolist())})."
        if len(doubted)
        else "the posterior agrees on all of them."
    )
    return (
        f"{told} If each row goes to its most probable cluster, EM expects {wrong['EM']:.2f} rows in the wrong one, "
        f"the posterior {wrong['posterior']:.2f}."
    )


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


def _verdict_on_em(
    parameters: pd.DataFrame, memberships: pd.DataFrame, prediction: pd.DataFrame, certain: float
) -> str:
    """One sentence on what EM alone would have got wrong."""
    wrong = []
    weight = memberships["sample_weight"]
    doubted, flips = weight[memberships["em_certain_posterior_not"]].sum(), weight[memberships["flips"]].sum()
    outside = int((~parameters["inside"]).sum())
    if doubted:
        wrong.append(f"taken {plural(doubted, 'row')} for certain that the data leave open")
    if flips:
        wrong.append(f"put {plural(flips, 'row')} in another cluster")
    if outside:
        wrong.append(f"reported {plural(outside, 'parameter')} at values that the posterior finds unlikely")
    unseen = prediction[prediction.index != "in sample"]
    if len(unseen) and (unseen["difference"] > 2 * unseen["se"]).any():
        wrong.append("predicted new rows worse")
    if not wrong:
        return "A reader who had only EM would have got nothing of this wrong, but would not have known it."
    listed = wrong[0] if len(wrong) == 1 else ", ".join(wrong[:-1]) + " and " + wrong[-1]
    return f"A reader who had only EM would have {listed}."
