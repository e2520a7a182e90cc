"""The tables of the groups: how many there are, and what each looks like."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...clusters import OPEN_BELOW, count, is_open, spelled
from ..numbers import decimals, fixed, interval, probability, probability_interval
from ..tables import Cell, Column, TableView

if TYPE_CHECKING:
    from ..findings import Findings

__all__ = ["number", "open_sentence", "profiles"]

_MOST_COLUMNS = 12


def number(findings: Findings) -> TableView:
    """Probability of each number of groups."""
    found = findings.groups
    p, se = found.number.values, found.number["mcse"].values
    rows = [
        (str(n), Cell(probability(p[i]), f"SE {fixed(se[i], 3)}"))
        for i, n in enumerate(found.number["n_groups"].values.tolist())
        if p[i] > 0
    ]
    return TableView.of(
        "groups-table",
        "Posterior probability of the number of groups, with its Monte Carlo standard error (SE). A group is a mode of the "
        "density, and the rows that climb to it; a bump that holds one row at most is none, nor one of little evidence.",
        (Column("Groups"), Column("Probability")),
        rows,
        marked=frozenset({[int(row[0]) for row in rows].index(found.n_groups)}),
    )


def profiles(findings: Findings) -> TableView:
    """Size, centre and spread of each group."""
    found = findings.groups
    profile, assigned = found.profile, found.memberships["assignment"].values
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
        rows.append((str(g), str(int((assigned == g).sum())), weight, "+".join(parts) or "none", *cells))
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


def open_sentence(findings: Findings) -> str:
    """How many rows are open between groups."""
    p = findings.groups.memberships["probability"].transpose("obs_id", "group").values
    n_open = int(np.count_nonzero(is_open(p)))
    if p.shape[1] == 1:
        return "With one group there is no row to be unsure of."
    verb = "is" if n_open == 1 else "are"
    return f"Between groups, {spelled(n_open)} of {count(len(p), 'row')} {verb} open: no group has probability {OPEN_BELOW:g}."
