"""How sure the number of components is, in words: over what, with what error, and what could still lie elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..mixture import ModelKey
from ..selection import LEFT_OUT, at_the_edge
from .numbers import count, probability, spelled

if TYPE_CHECKING:
    from .findings import Findings

__all__ = ["headline", "how_sure", "listed", "model_words", "untrusted_leader"]

_SURE = 0.95
_LIKELY = 0.8
# Probability of the largest K from which on it is said that more were not looked at.
_NOTICED = 0.05


def model_words(n_components: int, covariance_type: str) -> str:
    """A model's name: "two components with full covariance"."""
    return f"{count(n_components, 'component')} with {covariance_type} covariance"


def listed(names: list[str]) -> str:
    """Names as a sentence has them."""
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def headline(findings: Findings, sound: bool) -> str:
    """The first sentence of the report, and over what it holds."""
    k, name = ModelKey.parse(findings.headline)
    text = model_words(k, name)
    if not sound:
        return (
            f"No conclusion yet. The model that looks best has {text}, but its posterior sample is "
            f"“{findings.diagnosis.verdict}”."
        )
    leader = untrusted_leader(findings)
    if leader is not None:
        return (
            f"Not settled. {_capital(text)} {'are' if k > 1 else 'is'} best supported among the models whose samples can be "
            f"trusted; {model_words(*ModelKey.parse(leader))} may be better, but the sample of that model is "
            f"“{findings.diagnoses[leader].verdict}”."
        )
    return f"{_claim(findings, k, name)} {_over_what(findings, k)}".strip()


def _claim(findings: Findings, k: int, name: str) -> str:
    text, (low, low_structure) = _capital(model_words(k, name)), _at_least(findings)
    if _on_the_edge(findings):
        return f"{text} {'are' if k > 1 else 'is'} favoured, not settled: {spelled(k)} is the largest number compared."
    if low > _SURE and not low_structure > _SURE and findings.rivals:
        return (
            f"{_capital(count(k, 'component'))} {'describe' if k > 1 else 'describes'} these data best; {name} covariance is "
            "favoured, not settled."
        )
    if low > _SURE or not findings.rivals:
        return f"{text} {'describe' if k > 1 else 'describes'} these data best."
    return f"{text} {'are' if k > 1 else 'is'} favoured, not settled."


def _at_least(findings: Findings) -> tuple[float, float]:
    """What p(K | y), under any prior tried, and p(structure | K, y) of the headline are at least."""
    row = findings.comparison.loc[findings.headline]
    rest = 1.0 - (findings.comparison.attrs.get("left_out") or 0.0)
    k, structure = (float(row[name]) * rest - 2 * float(row[f"{name}_se"]) for name in ("p_k", "p_structure"))
    lowest = findings.sensitivity.lowest
    return k if np.isnan(lowest) else min(k, lowest * rest), structure


def _on_the_edge(findings: Findings) -> bool:
    counts = findings.comparison["n_components"]
    return at_the_edge(findings.comparison) and ModelKey.parse(findings.headline)[0] == int(counts.max())


def _beyond(findings: Findings) -> str:
    """That the largest number compared is probable itself, so that larger ones may be."""
    known = findings.comparison[findings.comparison["p_model"].notna()]
    if len(set(known["n_components"])) < 2:
        return ""
    last = int(findings.comparison["n_components"].max())
    p = float(known.loc[known["n_components"] == last, "p_model"].sum())
    if _on_the_edge(findings):
        return "More components were not looked at: ask for a larger range before you quote this number."
    if p > _NOTICED:
        return f"K = {last}, the largest compared, still has {probability(p)}; more were not looked at."
    return ""


def _over_what(findings: Findings, k: int) -> str:
    """The probability, and what it is a probability over."""
    table = findings.comparison
    p = float(table.loc[findings.headline, "p_k"])
    if not np.isfinite(p):
        return ""
    return f"p(K = {k}) is {probability(p)} over {_range(findings)}{_left_out(findings)}."


def _range(findings: Findings) -> str:
    ks = sorted({int(k) for k in findings.comparison["n_components"]})
    if len(ks) > 2 and ks == list(range(ks[0], ks[-1] + 1)):
        return f"K = {ks[0]} to {ks[-1]}"
    return f"K = {listed([str(k) for k in ks])}"


def _left_out(findings: Findings) -> str:
    attrs = findings.comparison.attrs
    rest, withheld = attrs.get("left_out"), list(attrs.get("withheld", ()))
    parts = []
    if withheld:
        parts.append(f"without {listed(withheld)}, whose evidence is not settled")
    if rest is not None and rest < LEFT_OUT:
        parts.append("what else was fitted holds less than 1%")
    elif rest is not None:
        most = ", ".join(key for key, share in attrs["left_out_models"][:3] if share > LEFT_OUT / 3)
        parts.append(
            f"up to {rest:.0%} could lie with models that were {'not sampled' if not withheld else 'left out'} ({most})"
        )
    return "".join(f"; {part}" for part in parts)


def untrusted_leader(findings: Findings) -> str | None:
    """A model of larger computed probability whose sample cannot be trusted."""
    p = findings.comparison["p_model"]
    if not p.notna().any():
        return None
    leader = str(p.idxmax())
    diagnosis = findings.diagnoses.get(leader)
    return None if leader == findings.headline or diagnosis is None or diagnosis.ok else leader


def how_sure(findings: Findings) -> tuple[str, ...]:
    """Sentences on the number of components, on the structure, and on what is not ruled out."""
    sentences = [*_probabilities(findings)]
    leader = untrusted_leader(findings)
    if leader:
        sentences.append(
            f"{_capital(model_words(*ModelKey.parse(leader)))} would have "
            f"{probability(findings.comparison.loc[leader, 'p_model'])}, a number that its sample does not support."
        )
    if depends := findings.sensitivity.sentence:
        sentences.append(depends)
    if beyond := _beyond(findings):
        sentences.append(beyond)
    said = str(findings.comparison.attrs.get("sentence", "")).strip()
    if said:
        sentences.append(said)
    if findings.rivals:
        sentences.append(f"Not ruled out: {listed(_by_count(findings.rivals))}.")
    elif not _at_least(findings)[0] <= _SURE:
        sentences.append("No other sampled model comes close.")
    return tuple(sentences)


def _by_count(keys: tuple[str, ...]) -> list[str]:
    """Models in words, those of one number of components together."""
    structures: dict[int, list[str]] = {}
    for k, name in sorted(map(ModelKey.parse, keys), key=lambda cell: cell[0]):
        structures.setdefault(k, []).append(name)
    return [model_words(k, listed(names).replace(" and ", " or ")) for k, names in structures.items()]


def _probabilities(findings: Findings) -> list[str]:
    table = findings.comparison
    row = table.loc[findings.headline]
    if not np.isfinite(row["p_k"]):
        return []
    k, name = ModelKey.parse(findings.headline)
    low = _at_least(findings)[0]
    grade = "near certain" if low > _SURE else "likely" if low > _LIKELY else "open"
    told = (
        f"{_capital(count(k, 'component'))} {'have' if k > 1 else 'has'} posterior probability {_with_error(row, 'p_k')} over "
        f"{_range(findings)} (prior: {table.attrs.get('prior', 'uniform on K')})"
    )
    told = told if untrusted_leader(findings) else f"{told}: {grade}"
    sentences = [f"{told}{_left_out(findings)}."]
    if (table["n_components"] == k).sum() > 1:
        sentences.append(f"With {count(k, 'component')}, {name} covariance has {_with_error(row, 'p_structure')}.")
    return sentences


def _with_error(row: object, name: str) -> str:
    """A probability, and its Monte Carlo error where it shows."""
    p, se = float(row[name]), float(row[f"{name}_se"])  # type: ignore[index]
    return f"{probability(p)} ± {se:.2f}" if se >= 0.005 else probability(p)
