"""What other priors would have said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..numbers import fixed, probability
from ..tables import Cell, Column, TableView

if TYPE_CHECKING:
    import pandas as pd

    from ..findings import Findings

__all__ = ["priors", "sensitivity_frame"]

_HOW = {
    "importance": "draws reweighted",
    "transport": "draws moved",
    "annealed": "draws annealed",
    "sampled": "sampled anew",
    "refused": "not reached",
}
# Probabilities under every prior below which a K has no column.
_SHOWN = 0.005


def priors(findings: Findings) -> TableView:
    """One line for each prior: probabilities of K, and how far parameters and memberships move."""
    found = findings.sensitivity
    ks = [k for k in found.p_k.columns if found.p_k[k].max() >= _SHOWN]
    given = findings.provenance.get("priors", {}).get("weight_concentration")
    own = found.methods[findings.headline]
    rows: list[tuple[Any, ...]] = []
    for told, shift in found.shifts.iterrows():
        as_given = not rows
        rows.append(
            (
                Cell(str(told), f"weights ~ Dirichlet({given:g})" if as_given and given is not None else ""),
                *(probability(found.p_k.loc[told, k]) for k in ks),
                *(("", "", "", "") if as_given else (
                    fixed(shift["parameters"], 2),
                    fixed(shift["rows_moved"], 0),
                    fixed(shift["membership"], 2),
                    _HOW[own[told]],
                )),
            )
        )  # fmt: skip
    return TableView.of(
        "sensitivity-table",
        f"Other priors. {found.sentence} Then, for the headline model: the largest change of a weight or mean, in posterior "
        "sds; rows with another most probable cluster; the largest change of a row's probability. From the draws at hand.",
        (
            Column.text("Prior"), *(Column(f"p(K = {k})") for k in ks), Column("Change, sd"), Column("Rows moved"),
            Column("Change of a probability"), Column.text("How"),
        ),
        rows,
        note=_unreached(found.methods),
        marked=frozenset([0]),
    )  # fmt: skip


def _unreached(methods: pd.DataFrame) -> str:
    models = [str(name) for name in methods.columns if (methods[name] == "refused").any()]
    if not models:
        return ""
    return f"Not reached by the draws of {', '.join(models)}: prior_sensitivity in Python samples these anew."


def sensitivity_frame(findings: Findings) -> pd.DataFrame:
    """The same as a table for a file: one row per prior."""
    found = findings.sensitivity
    named = found.p_k.rename(columns=lambda k: f"p_k[{k}]")
    worst = found.pareto_k.replace(-np.inf, np.nan).max(axis=1).rename("pareto_k")
    return named.join(found.shifts).join(found.methods[findings.headline].rename("method")).join(worst)
