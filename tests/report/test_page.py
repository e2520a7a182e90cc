"""The page: complete, closed in itself, readable by machines, and deaf to names that are code."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from bayesgmm.checks.verdict import VERDICTS
from bayesgmm.report.files import member_rows
from bayesgmm.report.numbers import probability
from bayesgmm.report.page import render_report
from bayesgmm.report.sections import groups
from bayesgmm.report.words import answer

SECTIONS = (
    "answer", "criteria", "comparison", "components", "memberships", "contrast", "kmeans", "diagnostics", "checks",
    "provenance",
)  # fmt: skip
VOID = {"meta", "link", "input", "br", "img", "hr"}


class Outline(HTMLParser):
    """Checks that tags balance, and notes what the tests ask about."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.ids: list[str] = []
        self.headings: list[int] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.children: list[tuple[str, list[str]]] = []
        self.tables = self.captions = self.scripts = 0
        self.text: list[str] = []
        self.feed(page)
        self.close()
        assert not self.open, f"left open: {self.open}"

    def handle_starttag(self, tag, attrs):
        parent = self.open[-1] if self.open else ""
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.ids += [value for name, value in attrs if name == "id"]
        self.tables += tag == "table"
        self.captions += tag == "caption" and parent == "table"
        self.scripts += tag == "script"
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag == "svg":
            self.children.append((tag, []))
        elif parent == "svg" and self.children:
            self.children[-1][1].append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.text.append(data)


@pytest.fixture(scope="module")
def outline(page):
    return Outline(page)


def test_tags_balance_and_ids_are_unique(outline):
    assert len(outline.ids) == len(set(outline.ids))


def test_references_to_ids_lead_somewhere(page, outline):
    ids = set(outline.ids)
    for _, name, value in outline.attributes:
        if name in ("aria-labelledby", "for"):
            assert set(value.split()) <= ids
        if name == "href" and value.startswith("#"):
            assert value[1:] in ids
    assert set(re.findall(r"url\(#([^)]*)\)", page)) <= ids


def test_every_section_is_there_in_order(outline):
    assert [i for i in outline.ids if i in SECTIONS] == list(SECTIONS)


def test_headings_descend_one_level_at_a_time(outline):
    assert outline.headings[0] == 1
    assert outline.headings.count(1) == 1
    assert all(b - a <= 1 for a, b in zip(outline.headings, outline.headings[1:], strict=False))


def test_figures_and_tables_say_what_they_are(outline):
    assert len(outline.children) >= 8
    for _, inside in outline.children:
        assert inside[:2] == ["title", "desc"]
    assert outline.tables == outline.captions >= 10
    assert not any(tag == "img" for tag, _, _ in outline.attributes)
    assert all(value in ("col", "row") for tag, name, value in outline.attributes if tag == "th" and name == "scope")


def test_nothing_is_fetched(page, outline):
    assert "http://" not in page
    assert "https://" not in page
    assert "@import" not in page
    for tag, name, value in outline.attributes:
        if name in ("src", "href", "xlink:href", "srcset", "action", "data", "poster"):
            assert value.startswith(("#", "data:")), (tag, name, value)
    assert not re.search(r"url\((?!#)", page)
    assert "default-src 'none'" in page


def test_the_numbers_that_readers_look_for(page, outline):
    text = " ".join(" ".join(outline.text).split())
    assert "-1130.2640" in text
    assert "converged" in text
    assert "Two components with full covariance" in text
    assert "89% equal-tailed interval" in text
    assert "bayesgmm report faithful -k 1:2" in text


def test_the_uncertain_row_is_named_in_the_answer(page, findings):
    section = page[page.index('id="answer"') : page.index('id="criteria"')]
    top = findings.memberships["probability"].max("cluster")
    for label in findings.memberships["obs_id"].values[np.flatnonzero(top.values < 0.9)]:
        assert f"<li>{label}</li>" in section


def test_every_row_has_its_probability_and_interval(page, findings):
    body = page[page.index('id="row-table"') :]
    body = body[body.index("<tbody>") : body.index("</tbody>")]
    assert body.count("<tr>") == findings.table.n_obs
    assert body.count('<td class="n" data-sort=') == findings.table.n_obs * 4


def test_many_rows_are_cut_to_the_most_uncertain_with_a_note(findings, monkeypatch):
    from bayesgmm.report.sections import found

    monkeypatch.setattr(found, "MOST_ROWS", 200)
    monkeypatch.setattr(found, "SHOWN_ROWS", 50)
    table = found.row_table(findings)
    assert len(table.rows) == 50
    assert "50 most uncertain of 272" in table.note
    assert "memberships.csv" in table.note


def test_hostile_names_stay_text(hostile_page, hostile_data):
    script, awkward = hostile_data.columns
    outline = Outline(hostile_page)
    assert outline.scripts == 1
    assert script not in hostile_page
    assert "onmouseover" not in {name for _, name, _ in outline.attributes}
    text = "".join(outline.text)
    assert script in text
    assert awkward in text
    assert "<b onmouseover=alert(" in text
    # In figures too.
    svg = "".join(re.findall(r"<svg.*?</svg>", hostile_page, flags=re.DOTALL))
    assert "&lt;script&gt;alert(1)" in svg


def test_a_bad_verdict_is_told_first_and_marks_what_rests_on_it(findings):
    bad = replace(
        findings.diagnosis, verdict="not converged", remedy=VERDICTS["not converged"], evidence="worst R-hat 1.4"
    )
    unsound = replace(findings, diagnoses={**findings.diagnoses, findings.headline: bad})
    said = answer(unsound)
    assert not said.sound
    assert said.headline.startswith("No conclusion yet")
    assert said.open_labels == ()
    assert said.em_alone == said.sure
    assert VERDICTS["not converged"] in said.next_steps[0]
    page = render_report(unsound)
    assert page.count('class="warning"') == 9
    assert "describe these data best" not in page
    assert "-1130.2640" in page


def test_a_more_probable_model_with_a_bad_sample_is_not_hidden(findings):
    bad = replace(findings.diagnoses["1 full"], verdict="multimodal")
    comparison = findings.comparison.copy()
    comparison.loc["1 full", "p_model"], comparison.loc["2 full", "p_model"] = 0.9, 0.1
    said = answer(replace(findings, comparison=comparison, diagnoses={**findings.diagnoses, "1 full": bad}))
    assert said.headline.startswith("Not settled.")
    assert "“multimodal”" in said.headline
    assert "Settle the number of components first" in said.next_steps[0]
    assert any("One component with full covariance would have 0.90" in s for s in said.sure)


def test_rivals_unsettle_the_answer(findings):
    comparison = findings.comparison.copy()
    comparison["p_k"] = 0.5
    said = answer(replace(findings, comparison=comparison, rivals=("1 full",)))
    assert "favoured, not settled" in said.headline
    assert any(s.startswith("Not ruled out: one component") for s in said.sure)
    assert any("models not ruled out" in s for s in said.next_steps)


def test_one_component_has_no_memberships_to_show(findings):
    from bayesgmm.clusters.consensus import consensus
    from bayesgmm.clusters.memberships import memberships
    from bayesgmm.contrast.em import em_vs_posterior
    from bayesgmm.contrast.kmeans import kmeans_contrast

    post = findings.posteriors["1 full"]
    page = render_report(
        replace(
            findings, headline="1 full", memberships=memberships(post), consensus=consensus(post),
            contrast=em_vs_posterior(None, post), kmeans=kmeans_contrast(post),
        )
    )  # fmt: skip
    outline = Outline(page)
    assert [i for i in outline.ids if i in SECTIONS] == list(SECTIONS)
    assert "no membership to be unsure of" in page
    assert "row-table" not in outline.ids


def test_size(page):
    assert len(page.encode()) < 800_000


def test_the_same_findings_make_the_same_page(findings, page):
    assert render_report(findings) == page


@pytest.mark.slow
def test_ten_thousand_rows_stay_under_three_megabytes(make):
    rng = np.random.default_rng(0)
    centres = 3 * rng.standard_normal((4, 5))
    values = centres[rng.integers(4, size=10_000)] + rng.standard_normal((10_000, 5))
    data = pd.DataFrame(values, columns=list("abcde"))
    page = render_report(make(data, "many", (4,), "4 full", draws=60))
    assert len(page.encode()) < 3_000_000
    assert "500 most uncertain of 10000 rows" in page


def test_the_page_leads_with_groups(findings):
    page = render_report(findings)
    assert f'<p class="lead">{findings.group_headline}. ' in page
    assert page.index('id="groups"') < page.index('id="criteria"')
    assert findings.groups.memberships.sizes["obs_id"] == findings.memberships.sizes["obs_id"]


def test_the_number_of_groups_is_averaged_over_the_models(findings):
    """By p(M | y): the row that leads is the weighted mean of the models' rows."""
    found = findings.average
    p = found.number_by_model.dropna()
    weights = found.weights[p.index]
    np.testing.assert_allclose(found.number_of_clusters.values, (weights / weights.sum()) @ p.to_numpy())
    table = groups.number(findings)
    assert table.rows[0][0].text == "all"
    assert {row[0].text for row in table.rows[1:]} <= set(findings.posteriors)
    number = f"{probability(float(found.number_of_clusters.max()))}"
    assert f"(probability {number})" in findings.group_headline


def test_groups_have_the_user_s_names_wherever_they_are_spoken_of(findings):
    """On the page, escaped; in the sentences of what sets them apart; in memberships.csv, and beyond the names numbers."""
    n = findings.groups.components.sizes["group"]
    named = replace(findings, names=("<long>",))
    assert named.group_names == ["<long>", *(str(g) for g in range(1, n))]
    assert [row[0].text for row in groups.profiles(named).rows] == named.group_names
    page = render_report(named)
    assert "&lt;long&gt;" in page
    assert "<long>" not in page
    table = member_rows(named)
    assert set(table["group"]) <= set(named.group_names)
    assert f"group_probability[{named.group_names[0]}]" in table
    if n > 1:
        assert groups.set_apart(named)[0].startswith("Group <long>: ")


def test_structures_are_told_in_words():
    """One phrase for each structure among the models, none twice."""
    from bayesgmm.report.sections.found import _in_words

    assert _in_words(["full", "VEE", "full"]) == (
        "full: each component its own matrix; VEE: same shape and orientation, each component its own size"
    )
