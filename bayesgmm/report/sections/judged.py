"""The tables of what was judged: EM and k-means against the posterior, diagnostics, checks, provenance."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ...contrast import MATTERS
from ...data import CI_PROB
from ...sampling import Posterior
from ..numbers import decimals, fixed, interval, p_value, probability, probability_interval, significant
from ..tables import Cell, Column, TableView
from ..words import interval_words
from .found import estimate, places_of

if TYPE_CHECKING:
    from ..findings import Findings

__all__ = [
    "answers",
    "checks",
    "contrast_rows",
    "diagnoses",
    "kmeans_centres",
    "kmeans_rows",
    "label_free_table",
    "parameters",
    "prediction",
    "provenance_items",
]

_MOST_PARAMETERS = 300


def parameters(findings: Findings) -> TableView:
    """EM's estimates against the posterior, parameter by parameter."""
    contrast = findings.contrast
    table = contrast.parameters
    note = ""
    if len(table) > _MOST_PARAMETERS:
        keep = table["z"].abs().nlargest(_MOST_PARAMETERS).index
        note = f"The {_MOST_PARAMETERS} of {len(table)} parameters in which EM lies furthest off."
        table = table.loc[[name for name in table.index if name in set(keep)]]
    rows, marked = [], set()
    for i, (name, row) in enumerate(table.iterrows()):
        places = decimals(float(row["sd"]))
        if not row["inside"]:
            marked.add(i)
        rows.append(
            (
                str(name),
                Cell(fixed(row["em"], places), f"SE {fixed(row['em_se'], places)}", sort=float(row["em"])),
                Cell(fixed(row["mean"], places), interval(row["lb"], row["ub"], places), sort=float(row["mean"])),
                fixed(row["sd"], places),
                fixed(row["z"], 2),
                "inside" if row["inside"] else "outside",
            )
        )  # fmt: skip
    return TableView.of(
        "parameters-table",
        f"EM's estimate with its asymptotic standard error (SE), posterior mean with its {100 * contrast.ci_prob:g}% "
        "equal-tailed interval, and (EM - mean) / sd. Estimates outside the interval are marked.",
        (Column.text("Parameter"), Column("EM"), Column("Posterior"), Column("Posterior sd"),
         Column("(EM - mean) / sd"), Column.text("EM in interval")),
        rows,
        marked=frozenset(marked),
        note=note,
    )  # fmt: skip


_ADDED = {
    "rows open": "Added by the posterior: rows left open",
    "rows settled": "rows settled",
    "rows moved": "rows in another cluster",
    "row intervals": "rows with another interval",
    "parameters": "parameters",
    "prediction": "better predictions of unseen rows",
}


_ANSWERS = (
    ("open rows", "Open rows", 0),
    ("expected misallocations", "Rows expected in the wrong cluster", 2),
    ("interval width", "Mean width of a row's interval", 3),
)


def answers(findings: Findings) -> TableView:
    """EM's point, EM with its intervals and the posterior, side by side; and what the posterior adds to each."""
    contrast = findings.contrast
    rows: list[tuple[Any, ...]] = [
        (told, *(fixed(value, places) for value in contrast.answers.loc[name])) for name, told, places in _ANSWERS
    ]
    rows += [(told, *(fixed(value, 0) for value in contrast.added.loc[claim]), "") for claim, told in _ADDED.items()]
    return TableView.of(
        "answers-table",
        "EM as people use it, EM with its standard errors and delta-method intervals, and the posterior. Open: no cluster "
        f"has probability {contrast.open_below:g}, by whichever answer. In the wrong cluster: if each row goes to its most "
        "probable one. What the posterior adds is counted where probabilities, or ends of intervals, differ by more than "
        f"{MATTERS:g}, and parameters' ends by more than half a posterior sd.",
        (Column.text("Quantity"), Column("EM"), Column("EM with intervals"), Column("Posterior")),
        rows,
    )  # fmt: skip


_CONTRAST_COLUMNS = (
    Column.text("Row"), Column("EM's cluster"), Column("EM"), Column("EM with intervals"), Column("Posterior"),
    Column("Total variation"), Column.text("Changes cluster"), Column.text("Open by"),
)  # fmt: skip


def contrast_rows(findings: Findings, most: int = 20) -> TableView:
    """The rows on which EM and the posterior differ most."""
    contrast = findings.contrast
    table = contrast.memberships.sort_values("total_variation", ascending=False, kind="stable").head(most)
    answers = {"em": "EM", "delta": "EM with intervals", "posterior": "posterior"}
    rows = [
        (
            str(label), str(int(row["em_assignment"])), probability(row["em_probability"]),
            Cell(probability(row["delta_probability"]), probability_interval(row["delta_lb"], row["delta_ub"])),
            Cell(probability(row["posterior_probability"]), probability_interval(row["lb"], row["ub"])),
            fixed(row["total_variation"], 3), "yes" if row["flips"] else "no",
            ", ".join(name for answer, name in answers.items() if row[f"{answer}_open"]) or "none",
        )
        for label, row in table.iterrows()
    ]  # fmt: skip
    return TableView.of(
        "contrast-rows-table",
        f"The {len(rows)} rows on which EM and the posterior differ most, by total variation of their probabilities: the "
        "probability of EM's cluster at its estimate, over the uncertainty of its estimate (delta method), and over the "
        f"posterior, with {100 * contrast.ci_prob:g}% equal-tailed intervals; and whose answer leaves the row open.",
        _CONTRAST_COLUMNS,
        rows,
    )  # fmt: skip


def prediction(findings: Findings) -> TableView:
    """Log scores of EM's plug-in density and of the posterior predictive one."""
    rows = [
        (
            str(name), fixed(row["n_rows"], 0), fixed(row["em"], 2), fixed(row["posterior"], 2),
            Cell(fixed(row["difference"], 2), f"SE {fixed(row['se'], 2)}"),
        )
        for name, row in findings.contrast.prediction.iterrows()
    ]  # fmt: skip
    return TableView.of(
        "prediction-table",
        "Log score, summed over rows: the density at EM's estimate against the posterior predictive density. In sample "
        "both "
        "are optimistic, EM the more.",
        (Column.text("Rows"), Column("Number"), Column("EM plug-in"), Column("Posterior predictive"),
         Column("Difference")),
        rows,
    )  # fmt: skip


_CENTRE_COLUMNS = (
    Column.text("Column"), Column("Cluster"), Column("Centre, k-means"), Column("Mean, EM"), Column("Mean, posterior"),
    Column("Radius, k-means"), Column("SD, EM"), Column("SD, posterior"),
)  # fmt: skip


def kmeans_centres(findings: Findings) -> TableView:
    """k-means' centres and spheres beside the components of EM and of the posterior."""
    kmeans, view = findings.kmeans, Posterior.read(findings.posterior)
    draws, em = view.draws, view.em
    sd, em_sd = (np.sqrt(np.diagonal(m.dense_covariances, axis1=-2, axis2=-1)) for m in (draws, em))
    rows = []
    for j, name in enumerate(view.columns):
        places, sd_places = places_of(draws.means[:, :, j]), places_of(sd[:, :, j])
        for k in range(view.n_components):
            radius = kmeans.spheres[f"radius[{name}]"].iloc[k]
            rows.append(
                (
                    name, str(k), fixed(kmeans.centres[name].iloc[k], places), fixed(em.means[k, j], places),
                    estimate(draws.means[:, k, j], places), fixed(radius, sd_places), fixed(em_sd[k, j], sd_places),
                    estimate(sd[:, k, j], sd_places),
                )
            )  # fmt: skip
    return TableView.of(
        "kmeans-table",
        "Where the three put the groups, and how wide they make them, in the units of the data. k-means has one radius "
        f"per cluster for all standardised columns. Posterior mean with its {100 * CI_PROB:g}% equal-tailed interval.",
        _CENTRE_COLUMNS,
        rows,
    )  # fmt: skip


_FORCED_COLUMNS = (
    Column.text("Row"), Column("k-means' cluster"), Column("Its probability"), Column("Most probable cluster"),
    Column("Its probability"),
)  # fmt: skip


def kmeans_rows(findings: Findings, most: int = 20) -> TableView | None:
    """Rows that k-means puts into one cluster and the posterior leaves open; None where there are none."""
    forced = findings.kmeans.forced
    if not len(forced):
        return None
    rows = [
        (
            str(label), str(int(row["kmeans"])),
            Cell(probability(row["probability"]), probability_interval(row['lb'], row['ub'])),
            str(int(row["assignment"])), probability(row["assignment_probability"]),
        )
        for label, row in forced.head(most).iterrows()
    ]  # fmt: skip
    more = "" if len(forced) <= most else f" The {most} most open of {len(forced)}."
    return TableView.of(
        "kmeans-rows-table",
        f"Rows that k-means puts into one cluster and the posterior leaves open.{more} Posterior probabilities, with "
        f"{100 * findings.kmeans.ci_prob:g}% equal-tailed intervals.",
        _FORCED_COLUMNS,
        rows,
    )  # fmt: skip


_VERDICT_COLUMNS = (
    Column.text("Model"), Column.text("Verdict"), Column("Worst R-hat"), Column("Least bulk ESS"),
    Column("Least tail ESS"), Column.text("Evidence and remedy"),
)  # fmt: skip


def diagnoses(findings: Findings) -> TableView:
    """The verdict on every sampled model."""
    rows = []
    marked = frozenset(i for i, key in enumerate(findings.diagnoses) if key == findings.headline)
    for key, d in findings.diagnoses.items():
        remedy = "" if d.verdict == "converged" else f"Remedy: {d.remedy}."
        rows.append(
            (
                str(key), Cell(d.verdict, badge=True), fixed(d.table["r_hat"].max(), 3),
                fixed(d.table["ess_bulk"].min(), 0), fixed(d.table["ess_tail"].min(), 0), Cell(d.evidence, remedy),
            )
        )  # fmt: skip
    return TableView.of(
        "diagnoses-table",
        "Verdict on each sampled model, judged on quantities that no exchange of labels changes. Wanted: R-hat below "
        "1.01, effective sample sizes (ESS) above 400. The headline model is marked.",
        _VERDICT_COLUMNS,
        rows,
        marked=marked,
    )  # fmt: skip


_QUANTITY_COLUMNS = (Column.text("Quantity"), *map(Column, ("Mean", "sd", "R-hat", "Bulk ESS", "Tail ESS")))


def label_free_table(findings: Findings) -> TableView:
    """The quantities behind the headline model's verdict."""
    rows = [
        (
            str(name), significant(row["mean"], 4), significant(row["sd"], 2), fixed(row["r_hat"], 3),
            fixed(row["ess_bulk"], 0), fixed(row["ess_tail"], 0),
        )
        for name, row in findings.diagnosis.table.iterrows()
    ]  # fmt: skip
    return TableView.of(
        "label-free-table",
        f"Label-free quantities of the headline model, {findings.headline}: posterior mean and sd, rank-normalised "
        "R-hat, bulk and tail effective sample size.",
        _QUANTITY_COLUMNS,
        rows,
    )


def checks(findings: Findings) -> TableView:
    """Posterior predictive checks."""
    table = findings.checks
    rows, marked = [], set()
    for i, ((feature, statistic), row) in enumerate(table.iterrows()):
        if not row["lb"] <= row["observed"] <= row["ub"]:
            marked.add(i)
        observed = Cell(significant(row["observed"]), sort=float(row["observed"]))
        replicated = Cell(significant(row["replicated"]), f"{significant(row['lb'])} to {significant(row['ub'])}")
        rows.append((str(feature), str(statistic), observed, replicated, p_value(row["p_value"])))
    return TableView.of(
        "checks-table",
        "Posterior predictive checks of the headline model: statistics of each column, and their mean and "
        f"{interval_words(table.attrs)} over {table.attrs.get('n_replicates', 'the')} replicated data sets; p is the share "
        "of replicates with at least the observed value. Statistics outside the interval are marked. For the density "
        "(distance between histograms) only a small p speaks against the model.",
        (Column.text("Column"), Column.text("Statistic"), Column("Observed"), Column("Replicated"), Column("p")),
        rows,
        marked=frozenset(marked),
    )


def provenance_items(provenance: dict[str, Any]) -> Iterator[tuple[str, str | tuple[tuple[str, str], ...]]]:
    """Name and value, or name and pairs, in the order given; the command, which the page sets apart, left out."""
    for name, value in provenance.items():
        label = str(name).replace("_", " ")
        if isinstance(value, dict):
            yield label, tuple((str(k).replace("_", " "), _flat(v)) for k, v in value.items() if k != "command")
        elif name != "command":
            yield label, _flat(value)


def _flat(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {_flat(v)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_flat, value))
    return "none" if value is None else str(value)
