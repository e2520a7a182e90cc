"""What the criteria of a comparison choose, and why they may differ, in one or two plain sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["sentence"]


def sentence(table: pd.DataFrame) -> str:
    """One or two plain sentences: which model each criterion chooses, and why they may differ."""
    chosen = {name: str(table[column].idxmin()) for name, column in (("BIC", "bic"), ("AIC", "aic"), ("ICL", "icl"))}
    chosen["ELPD"] = str(table["elpd"].idxmax())
    has_evidence = bool(table["p_model"].notna().any())
    if has_evidence:
        chosen["the evidence"] = str(table["p_model"].idxmax())
    groups: dict[str, list[str]] = {}
    for criterion, model in chosen.items():
        groups.setdefault(model, []).append(criterion)
    parts = [
        f"{_listed(criteria)} {'choose' if len(criteria) > 1 else 'chooses'} {model}"
        for model, criteria in groups.items()
    ]
    if len(groups) == 1:
        text = f"All criteria choose {next(iter(groups))}."
    else:
        text = "; ".join(parts) + "."
        text = text[0].upper() + text[1:] + " " + _why(groups, has_evidence)
    return text + _rivals(table, has_evidence)


def _why(groups: dict[str, list[str]], has_evidence: bool) -> str:
    together = {c: model for model, criteria in groups.items() for c in criteria}
    reasons = []
    measured = "BIC and the evidence measure" if has_evidence else "BIC measures"
    if together["ELPD"] != together["BIC"] or (has_evidence and together["the evidence"] != together["ELPD"]):
        reasons.append(
            f"ELPD measures prediction of new rows, {measured} the whole model and charge for every parameter"
        )
    if together["ICL"] != together["BIC"]:
        reasons.append("ICL wants clusters that do not overlap")
    if together["AIC"] != together["BIC"] and not reasons:
        reasons.append("AIC charges less for a parameter than BIC")
    if has_evidence and together["the evidence"] != together["BIC"] and not reasons:
        reasons.append("BIC approximates the evidence for large data and knows no prior")
    return (_capital("; ".join(reasons)) + ".") if reasons else ""


def _rivals(table: pd.DataFrame, has_evidence: bool) -> str:
    """How settled the choice is."""
    rest = table.iloc[1:]
    close = [str(i) for i in rest.index[rest["elpd_diff"] > -2 * rest["elpd_diff_se"]]]
    text = ""
    if close:
        text = f" In prediction {_listed(close)} cannot be told from {table.index[0]} (within two standard errors)."
    if has_evidence and table["p_model"].max() < 0.9:
        text += f" No model has more than {table['p_model'].max():.0%} of the posterior probability."
    bad = [str(i) for i in table.index[~table["verdict"].isin(["converged", "label switching"])]]
    if bad:
        text += f" Not to be trusted as sampled: {_listed(bad)}."
    return text


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
