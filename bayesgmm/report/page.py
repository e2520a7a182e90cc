"""The report: one page that stands alone, rendered from the findings."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from ..mixture import ModelKey
from .figures import figures
from .sections import found, groups, judged, missing, sensitivity
from .words import answer, interval_words, model_words

if TYPE_CHECKING:
    from jinja2 import Environment

    from .findings import Findings

__all__ = ["render_report"]

# What each verdict looks like; the word is always there as well.
_TONES = {
    "converged": "good",
    "label switching": "good",
    "multimodal": "bad",
    "not converged": "bad",
    "degenerate": "bad",
}
_MARKS = {"good": "✓", "bad": "✕", "plain": "•"}


def render_report(findings: Findings) -> str:
    """Render the report.

    Parameters
    ----------
    findings : Findings

    Returns
    -------
    str
        A complete HTML page that refers to nothing outside itself. Names and values from the data are escaped wherever
        they stand, and the page's own policy lets no other script run and no request leave.
    """
    script = _part("report.js")
    provenance = findings.provenance
    page = _environment().get_template("report.html.j2")
    return page.render(
        f=findings,
        answer=answer(findings),
        missing=None if findings.table.is_complete else missing.sentence(findings),
        open_groups=groups.open_sentence(findings),
        set_apart=groups.set_apart(findings),
        model=model_words(*ModelKey.parse(findings.headline)),
        bic_model=model_words(*findings.grid.best_cell("bic")),
        figures=figures(findings),
        tables=_tables(findings),
        intervals=interval_words(findings.memberships.attrs),
        notes=[str(note) for note in findings.comparison.attrs.get("notes", ())],
        contrast_lines=_lines(findings.contrast.summary),
        kmeans_lines=_lines(findings.kmeans.summary),
        command=_command(provenance),
        provenance=list(judged.provenance_items(provenance)),
        style=Markup(_part("report.css")),
        script=Markup(script),
        # The policy names this one script by its hash: text from the data cannot become another.
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def _tables(findings: Findings) -> dict[str, Any]:
    several = findings.memberships.sizes["cluster"] > 1
    return {
        "groups": groups.number(findings),
        "profiles": groups.profiles(findings),
        "patterns": None if findings.table.is_complete else missing.by_pattern(findings),
        "missingness": None if findings.table.is_complete else missing.by_cluster(findings),
        "criteria": found.criteria(findings),
        "comparison": found.comparison(findings),
        "sensitivity": sensitivity.priors(findings),
        "components": found.components(findings),
        "rows": found.row_table(findings) if several else None,
        "consensus": found.consensus_bounds(findings) if several else None,
        "parameters": judged.parameters(findings),
        "answers": judged.answers(findings) if several else None,
        "contrast_rows": judged.contrast_rows(findings) if several else None,
        "prediction": judged.prediction(findings),
        "kmeans": judged.kmeans_centres(findings),
        "kmeans_rows": judged.kmeans_rows(findings) if several else None,
        "diagnoses": judged.diagnoses(findings),
        "label_free": judged.label_free_table(findings),
        "checks": judged.checks(findings),
    }


def _lines(summary: str) -> list[str]:
    """A summary's sentences without its title."""
    return [line.strip() for line in str(summary).splitlines()[1:] if line.strip()]


def _command(provenance: dict[str, Any]) -> str:
    settings = provenance.get("settings")
    inner = settings.get("command") if isinstance(settings, dict) else None
    return str(provenance.get("command") or inner or "")


def _tone(verdict: str) -> str:
    return _TONES.get(verdict, "plain")


@cache
def _part(name: str) -> str:
    return files(__package__).joinpath("templates", name).read_text("utf-8")


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        loader=FunctionLoader(_part), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["tone"] = _tone
    environment.filters["sentence"] = lambda text: f"{text[:1].upper()}{text[1:].rstrip('.')}."
    environment.filters["mark"] = lambda verdict: _MARKS[_tone(verdict)]
    return environment
