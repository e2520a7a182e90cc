"""The tables of the groups: how many there are, and what each looks like."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...clusters import OPEN_BELOW, count, is_open, spelled
from ..numbers import decimals, fixed, interval, probability, probability_interval
from ..tables import Cell, Column, TableView

if TYPE_CHECKING:
    from ..findings import Findings

__all__ = ["number", "open_sentence", "profiles", "set_apart"]

Array = NDArray[np.float64]
_MOST_COLUMNS = 12
# Columns that are named as setting a group apart, and open rows that are named.
_MOST_NAMED, _MOST_OPEN = 3, 12


def number(findings: Findings) -> TableView:
    """Probability of each number of groups: under each model that counts, and averaged."""
    own, average = findings.groups, findings.average
    if average is None:
        rows = [_numbers_row(findings.headline, "", own.number.values, own.number["mcse"].values)]
        size = own.number.sizes["n_groups"]
    else:
        number = average.number_of_clusters
        size = number.sizes["n_groups"]
        rows = [_numbers_row("all", "averaged", number.values, number["mcse"].values)]
        used = average.number_by_model.dropna().loc[lambda table: average.weights[table.index] > 0]
        for name in average.weights[used.index].sort_values(ascending=False).index:
            rows.append(
                _numbers_row(str(name), f"weight {probability(average.weights[name])}", used.loc[name].to_numpy())
            )
    shown = [n for n in range(size) if any(row[1 + n].text != fixed(0.0) for row in rows if len(row) > 1 + n)]
    return TableView.of(
        "groups-table",
        "Posterior probability of the number of groups, averaged over the models by their probabilities, and under each, with "
        "Monte Carlo standard errors (SE). A group is a mode of the density, and the rows that climb to it; a bump that holds "
        "one row at most is none, nor one of little evidence.",
        (Column.text("Model"), *(Column(count(n + 1, "group")) for n in shown)),
        [(row[0], *(row[1 + n] if len(row) > 1 + n else Cell(fixed(0.0)) for n in shown)) for row in rows],
        marked=frozenset({0}),
    )


def _numbers_row(name: str, detail: str, p: Array, se: Array | None = None) -> tuple[Cell, ...]:
    errors = (
        [""] * len(p) if se is None else [f"SE {fixed(e, 3)}" if 0 < v < 1 else "" for v, e in zip(p, se, strict=True)]
    )
    return Cell(name, detail), *(Cell(probability(value), error) for value, error in zip(p, errors, strict=True))


def profiles(findings: Findings) -> TableView:
    """Size, centre and spread of each group."""
    found = findings.groups
    profile, assigned = found.profile, found.memberships["assignment"].values
    names = findings.group_names
    features = profile["feature"].values[:_MOST_COLUMNS].tolist()
    rows = []
    for g in profile["group"].values.tolist():
        of = profile.sel(group=g)
        weight = Cell(
            probability(of["weight"].item()), probability_interval(of["weight_lb"].item(), of["weight_ub"].item())
        )
        parts = [str(k) for k, p in enumerate(found.components.sel(group=g).values) if p >= 0.5]
        cells = []
        for name in features:
            at = of.sel(feature=name)
            places = decimals(float(at["mean_ub"] - at["mean_lb"]) / 4)
            said = interval(at["mean_lb"].item(), at["mean_ub"].item(), places)
            cells.append(Cell(f"{fixed(at['mean'].item(), places)} (SD {fixed(at['sd'].item(), places)})", said))
        rows.append((names[g], str(int((assigned == g).sum())), weight, "+".join(parts) or "none", *cells))
    dropped = profile.sizes["feature"] - len(features)
    return TableView.of(
        "group-profiles-table",
        f"Each group: rows by most probable group, weight, the components that draw it, and mean and standard deviation "
        f"(SD) of each column, in the units of the data, with {100 * profile.attrs['ci_prob']:g}% equal-tailed intervals.",
        (
            Column("Group"),
            Column("Rows"),
            Column("Weight"),
            Column.text("Components"),
            *(Column(str(f)) for f in features),
        ),
        rows,
        note=f"The first {len(features)} columns; {dropped} more are not shown." if dropped else "",
    )


def set_apart(findings: Findings) -> list[str]:
    """For each group the columns in which it stands farthest from all other rows, surely: where the interval leaves out 0."""
    profile = findings.groups.profile
    if "apart" not in profile:
        return []
    sentences = []
    for g, name in enumerate(findings.group_names):
        of = profile.isel(group=g)
        lb, ub, mean = (of[f"apart{end}"].values for end in ("_lb", "_ub", ""))
        sure = np.flatnonzero((lb > 0) | (ub < 0))
        order = sure[np.argsort(-np.abs(mean[sure]), kind="stable")][:_MOST_NAMED]
        told = [
            f"{of['feature'].values[j]} {'higher' if mean[j] > 0 else 'lower'} by {fixed(abs(mean[j]))} SD "
            f"({interval(*sorted((abs(lb[j]), abs(ub[j]))))})"
            for j in order
        ]
        said = "; ".join(told) if told else "no column in which its mean surely differs from that of the other rows"
        sentences.append(f"Group {name}: {said}.")
    return sentences


def open_sentence(findings: Findings) -> str:
    """How many rows are open between groups."""
    p = findings.groups.memberships["probability"].transpose("obs_id", "group").values
    n_open = int(np.count_nonzero(is_open(p)))
    if p.shape[1] == 1:
        return "With one group there is no row to be unsure of."
    verb = "is" if n_open == 1 else "are"
    said = f"Between groups, {spelled(n_open)} of {count(len(p), 'row')} {verb} open: no group has probability {OPEN_BELOW:g}"
    order = np.argsort(p.max(1), kind="stable")[: min(n_open, _MOST_OPEN)]
    names = ", ".join(str(findings.groups.memberships["obs_id"].values[i]) for i in order)
    if not n_open:
        return f"{said}."
    return f"{said} ({names}{f' and {n_open - len(order)} more' if n_open > len(order) else ''})."
