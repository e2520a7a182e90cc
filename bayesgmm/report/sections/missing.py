"""What is missing: which rows lack what, and whether that goes with the cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...clusters.missingness import missingness
from ...mixture import patterns
from ..numbers import count, probability, probability_interval
from ..tables import Cell, Column, TableView

if TYPE_CHECKING:
    from ..findings import Findings

__all__ = ["by_cluster", "by_pattern", "sentence"]

# Patterns and columns that a table shows.
_MOST = 20
# Posterior probability that clusters differ in what they lack, from which it is said.
_DIFFERS = 0.95


def sentence(findings: Findings) -> str:
    """How many rows lack something, and what is done about it."""
    absent = np.isnan(findings.table.values)
    n = int(absent.any(1).sum())
    lack = f"{count(n, 'row')} of {len(absent)} {'lacks' if n == 1 else 'lack'} at least one value"
    return (
        f"{lack} ({absent.sum()} of {absent.size} cells). They count with the density of what they have, and nothing is filled "
        "in: EM, posterior, evidence and memberships are those of the values there are. That is right where what is missing "
        "does not depend on its own value, given the rest."
    )


def by_pattern(findings: Findings) -> TableView:
    """How many rows lack which columns."""
    table = findings.table
    seen, which = patterns(table.values)
    size = np.bincount(which)
    order = np.argsort(-size, kind="stable")
    rows = []
    for g in order[:_MOST]:
        lacking = [name for name, there in zip(table.columns, seen[g], strict=True) if not there]
        shown = ", ".join(lacking[:8]) + (f" and {len(lacking) - 8} more" if len(lacking) > 8 else "")
        rows.append((shown or "nothing", str(size[g])))
    rest = len(order) - len(rows)
    return TableView.of(
        "patterns-table",
        "Rows by what they lack.",
        (Column.text("Missing"), Column("Rows")),
        rows,
        note=f"{rest} more patterns, {count(int(size[order[_MOST:]].sum()), 'row')}, are not shown."
        if rest > 0
        else "",
    )


def by_cluster(findings: Findings) -> TableView | None:
    """The share of each cluster that lacks each column; None with one cluster."""
    k = findings.memberships.sizes["cluster"]
    if k == 1:
        return None
    found = missingness(findings.posterior)
    rows, told = [], []
    for name, own in found.groupby(level="feature", sort=False):
        p = float(own["p_differs"].iloc[0])
        if p >= _DIFFERS:
            told.append(str(name))
        shares = [Cell(probability(r.share), probability_interval(r.lb, r.ub)) for r in own.itertuples()]
        rows.append((str(name), str(int(own["rows"].iloc[0])), *shares, probability(p)))
    said = (
        f"What is missing goes with the cluster for {', '.join(told[:8])}: that a row lacks a value says something about where "
        "it belongs, which this model does not use."
        if told
        else "Nothing speaks for clusters that lack different things."
    )
    return TableView.of(
        "missingness-table",
        f"Share of each cluster's rows that lack a column, with {100 * found.attrs['ci_prob']:g}% equal-tailed intervals, and "
        "the posterior probability that clusters differ in it (one half before the data).",
        (Column.text("Column"), Column("Rows"), *(Column(f"Cluster {c}") for c in range(k)), Column("Differ")),
        rows[:_MOST],
        note=said + (f" {len(rows) - _MOST} more columns are not shown." if len(rows) > _MOST else ""),
    )
