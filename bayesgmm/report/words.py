"""The answer in words: how many components, how sure, which rows are open, what EM alone would have said, what next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..clusters import OPEN_BELOW, open_rows
from ..data import CI_PROB
from .certainty import headline, how_sure, model_words, untrusted_leader
from .numbers import count, spelled

if TYPE_CHECKING:
    from .findings import Findings

__all__ = ["Answer", "answer", "interval_words", "model_words"]

_NAMED = 12
_UNSOUND = ("This cannot be said from the sample as it is.",)


@dataclass(frozen=True)
class Answer:
    """What the report opens with.

    Attributes
    ----------
    sound : bool
        Whether the headline model's verdict allows it to be told as fact.
    headline : str
    sure : tuple of str
        How sure the number of components is.
    rows : str
        About the open rows.
    open_labels : tuple of str
        Their names, the most uncertain first, at most twelve.
    n_open : int
    em_alone : tuple of str
    next_steps : tuple of str
    """

    sound: bool
    headline: str
    sure: tuple[str, ...]
    rows: str
    open_labels: tuple[str, ...]
    n_open: int
    em_alone: tuple[str, ...]
    next_steps: tuple[str, ...]


def interval_words(attrs: Any) -> str:
    """Mass and kind of the intervals that a result carries: "89% equal-tailed intervals"."""
    return f"{100 * float(attrs.get('ci_prob', CI_PROB)):g}% {attrs.get('interval', 'equal-tailed')} intervals"


def answer(findings: Findings) -> Answer:
    """Draw it from the findings."""
    sound = bool(findings.diagnosis.ok)
    labels = findings.memberships["obs_id"].values
    which = open_rows(findings.memberships)
    return Answer(
        sound,
        headline(findings, sound),
        how_sure(findings) if sound else _UNSOUND,
        _rows(findings, len(which), sound),
        tuple(str(v) for v in labels[which[:_NAMED]]) if sound else (),
        len(which),
        _em_alone(findings) if sound else _UNSOUND,
        _next_steps(findings, len(which), sound),
    )


def _rows(findings: Findings, n_open: int, sound: bool) -> str:
    n = findings.memberships.sizes["obs_id"]
    if findings.memberships.sizes["cluster"] == 1:
        return "With one component there is no membership to be unsure of."
    if not sound:
        return _UNSOUND[0]
    if n_open == 0:
        return f"Every one of the {n} rows belongs to its cluster with probability {OPEN_BELOW:g} or more."
    verb = "is" if n_open == 1 else "are"
    return (
        f"Of {n} rows, {spelled(n_open)} {verb} open: no cluster has probability {OPEN_BELOW:g} or more."
        if n_open > 1
        else f"Of {n} rows, one is open: no cluster has probability {OPEN_BELOW:g} or more."
    )


def _em_alone(findings: Findings) -> tuple[str, ...]:
    sentences = []
    best = findings.grid.best_cell("bic")
    own = findings.grid.cell(findings.headline)
    if best != own:
        sentences.append(f"By BIC alone, EM would have reported {model_words(*best)}, not {model_words(*own)}.")
    # The contrast's last sentence says it; those before it have their own section.
    told = [line for line in str(findings.contrast.summary).splitlines() if line.strip()]
    if told:
        sentences.append(told[-1])
    return tuple(sentences)


def _next_steps(findings: Findings, n_open: int, sound: bool) -> tuple[str, ...]:
    steps = []
    if not sound:
        mended = [f"First mend the sample: {findings.diagnosis.remedy}."]
        usable = [key for key, d in findings.diagnoses.items() if d.ok]
        if usable:
            mended.append(f"Meanwhile the samples of {', '.join(usable)} can be used.")
        return tuple(mended)
    leader = untrusted_leader(findings)
    if leader is not None:
        steps.append(f"Settle the number of components first. {leader}: {findings.diagnoses[leader].remedy}.")
    if findings.rivals:
        steps.append("Repeat what you conclude under the models not ruled out, and report where it changes.")
    if n_open:
        steps.append(
            f"Carry the probabilities of the {'row' if n_open == 1 else f'{n_open} rows'} left open forward "
            "(memberships.csv has all) instead of one label for each."
        )
    if findings.groups.n_groups < findings.memberships.sizes["cluster"]:
        steps.append(
            "Speak of groups, not of components: some components draw one group together, and rows open between these are open "
            "between nothing that one would name."
        )
    high_k = _high_k(findings)
    if high_k:
        steps.append(
            f"Look at {count(high_k, 'row')} on which the leave-one-out estimate of the headline model leans too "
            "heavily "
            "(Pareto k above 0.7): outliers, or a component that stands on few rows."
        )
    missed = _missed(findings)
    if missed:
        steps.append(
            f"Look at the predictive checks: the model does not reproduce {', '.join(missed[:3])}"
            f"{' and more' if len(missed) > 3 else ''}. Groups that are not Gaussian need other components."
        )
    outside = int((~findings.contrast.parameters["inside"].astype(bool)).sum())
    if outside:
        steps.append("Quote the posterior's means and intervals, not EM's point estimates, where the two part.")
    if not steps:
        steps.append(
            "Use the posterior's intervals when you quote a weight, a mean or a spread; nothing else is called for."
        )
    return tuple(steps)


def _missed(findings: Findings) -> list[str]:
    """Statistics of the data outside the intervals of the replicates, beyond what chance would put there."""
    table = findings.checks
    out = table[(table["observed"] < table["lb"]) | (table["observed"] > table["ub"])]
    # A small distance between densities is no fault.
    out = out[~((out.index.get_level_values(1) == "density") & (out["observed"] < out["lb"]))]
    allowed = 0.1 * len(table)
    return [f"the {statistic} of {feature}" for feature, statistic in out.index] if len(out) > allowed else []


def _high_k(findings: Findings) -> int:
    table = findings.comparison
    if "n_high_k" not in table or findings.headline not in table.index:
        return 0
    value = table.loc[findings.headline, "n_high_k"]
    return 0 if value is None or np.isnan(value) else int(value)
