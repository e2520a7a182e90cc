"""The tables of each section, from the findings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..posterior.convert import view_of
from .numbers import MISSING, decimals, fixed, interval, probability, probability_interval, significant
from .plots_model import MASS
from .plots_rows import OPEN_BELOW, by_uncertainty, open_rows
from .tables import Cell, Column, TableView
from .words import interval_words

if TYPE_CHECKING:
    import pandas as pd

    from ..mixture import Mixture
    from .findings import Findings

__all__ = [
    "comparison",
    "components",
    "consensus_bounds",
    "contrast_rows",
    "criteria",
    "diagnoses",
    "frame_table",
    "kmeans_centres",
    "kmeans_rows",
    "label_free_table",
    "parameters",
    "provenance_items",
    "row_table",
]

Array = NDArray[np.float64]

# Rows in the row table when there are more than it can hold.
MOST_ROWS = 2000
SHOWN_ROWS = 500
_MOST_CORRELATIONS = 150
_MOST_PARAMETERS = 300
_TEXT = {"numeric": False}


def criteria(findings: Findings) -> TableView:
    """EM over the grid."""
    table = findings.grid.table
    best = findings.grid.best_cell("bic")
    rows = []
    marked = set()
    for i, row in enumerate(table.itertuples(index=False)):
        if (row.n_components, row.covariance_type) == best:
            marked.add(i)
        rows.append(
            (
                Cell(f"{row.n_components}"),
                row.covariance_type,
                # Four decimals: the reference values that a reader may compare with have them.
                fixed(row.log_likelihood, 4),
                fixed(row.n_parameters, 0),
                *(fixed(getattr(row, name), 2) for name in ("bic", "aic", "icl")),
                f"{row.n_hits} of {row.n_starts}",
                row.outcome,
            )
        )
    return TableView.of(
        "criteria-table",
        "EM over the grid. Criteria have scikit-learn's sign: lower is better. The row of the lowest BIC is marked.",
        (
            Column("K"), Column("Covariance", **_TEXT), Column("Log likelihood"), Column("Parameters"), Column("BIC"),
            Column("AIC"), Column("ICL"), Column("Starts at this optimum"), Column("Outcome", **_TEXT),
        ),
        rows,
        marked=frozenset(marked),
    )  # fmt: skip


def comparison(findings: Findings) -> TableView:
    """The sampled models."""
    table = findings.comparison
    rows, marked = [], set()
    for i, (key, row) in enumerate(table.iterrows()):
        if key == findings.headline:
            marked.add(i)
        diagnosis = findings.diagnoses.get(str(key))
        rows.append(
            (
                str(key),
                Cell(diagnosis.verdict if diagnosis is not None else str(row["verdict"]), badge=True),
                Cell(fixed(row["elpd"], 1), f"SE {fixed(row['elpd_se'], 1)}"),
                Cell(fixed(-abs(row["elpd_diff"]), 1), f"SE {fixed(row['elpd_diff_se'], 1)}"),
                fixed(row["p_loo"], 1),
                Cell(fixed(row["n_high_k"], 0), f"{row['n_refitted']:.0f} refitted" if row["n_refitted"] else ""),
                probability(row["weight"]),
                Cell(fixed(row["log_evidence"], 2), f"SE {fixed(row['log_evidence_se'], 2)}"),
                probability(row["p_k"]),
                fixed(row["bic"], 1),
                fixed(row["icl"], 1),
            )
        )
    return TableView.of(
        "comparison-table",
        "The sampled models, best predictive density first. Elpd: expected log predictive density by PSIS-LOO, and its "
        "difference to the best, with standard errors (SE). Evidence by bridge sampling. The headline model is marked.",
        (
            Column("Model", **_TEXT), Column("Verdict", **_TEXT), Column("Elpd"), Column("Difference"),
            Column("p_loo", help="effective number of parameters"),
            Column("k > 0.7", help="rows with a Pareto k above 0.7"), Column("Stacking weight"),
            Column("Log evidence"), Column("p(K | data)"), Column("BIC"), Column("ICL"),
        ),
        rows,
        marked=frozenset(marked),
    )  # fmt: skip


def components(findings: Findings) -> list[TableView]:
    """Weights; means and standard deviations; correlations: EM beside the posterior, in the data's units."""
    view = view_of(findings.posterior)
    draws, em = view.draws, view.em
    said = f"Posterior mean and {100 * MASS:g}% equal-tailed interval"
    assigned = findings.memberships["assignment"].values
    weights = TableView.of(
        "weights-table",
        f"Weights. {said}; rows by most probable cluster.",
        (Column("Cluster"), Column("EM"), Column("Posterior"), Column("sd"), Column("Rows")),
        [
            (str(k), fixed(em.weights[k], 3), _estimate(draws.weights[:, k], 3), fixed(draws.weights[:, k].std(), 3),
             str(int((assigned == k).sum())))
            for k in range(view.n_components)
        ],
    )  # fmt: skip
    sd, em_sd = (np.sqrt(np.diagonal(m.dense_covariances, axis1=-2, axis2=-1)) for m in (draws, em))
    rows = []
    for j, name in enumerate(view.columns):
        mean_places, sd_places = _places(draws.means[:, :, j]), _places(sd[:, :, j])
        for k in range(view.n_components):
            rows.append(
                (
                    name, str(k), fixed(em.means[k, j], mean_places), _estimate(draws.means[:, k, j], mean_places),
                    fixed(em_sd[k, j], sd_places), _estimate(sd[:, k, j], sd_places),
                )
            )  # fmt: skip
    moments = TableView.of(
        "moments-table",
        f"Means and standard deviations (SD) of the components, in the units of the data. {said}.",
        (Column("Column", **_TEXT), Column("Cluster"), Column("Mean, EM"), Column("Mean, posterior"), Column("SD, EM"),
         Column("SD, posterior")),
        rows,
    )  # fmt: skip
    result = [weights, moments]
    if draws.structure.free(view.n_components, view.draws.n_features).correlated and view.draws.n_features > 1:
        result.append(_correlations(draws, em, view.columns, said))
    return result


def _places(values: Array) -> int | None:
    """Decimals for draws (S, K) of one quantity: those of the most precise cluster, so that the column lines up."""
    return decimals(float(values.std(axis=0).min()))


def _estimate(values: Array, places: int | None) -> Cell:
    lower, upper = np.quantile(values, [(1 - MASS) / 2, (1 + MASS) / 2])
    return Cell(fixed(values.mean(), places), interval(lower, upper, places), sort=float(values.mean()))


def _correlations(draws: Mixture, em: Mixture, columns: tuple[str, ...], said: str) -> TableView:
    shared = draws.structure.free(draws.n_components, draws.n_features).groups == 1
    clusters = [0] if shared else range(draws.n_components)
    found = []
    for k in clusters:
        r, em_r = (_correlation_matrices(m.dense_covariances[..., k, :, :]) for m in (draws, em))
        for i in range(draws.n_features):
            for j in range(i):
                found.append((abs(float(r[:, i, j].mean())), k, columns[j], columns[i], em_r[i, j], r[:, i, j]))
    note = ""
    if len(found) > _MOST_CORRELATIONS:
        note = f"The {_MOST_CORRELATIONS} strongest of {len(found)}; the posterior-*.nc files hold the draws of all."
        found = sorted(sorted(found, key=lambda f: -f[0])[:_MOST_CORRELATIONS], key=lambda f: (f[1], -f[0]))
    return TableView.of(
        "correlations-table",
        f"Correlations within the components. {said}.",
        (Column("Columns", **_TEXT), Column("Cluster"), Column("EM"), Column("Posterior")),
        [(f"{a} and {b}", "all" if shared else str(k), fixed(e, 2), _estimate(values, 2)) for _, k, a, b, e, values in found],
        note=note,
    )


def _correlation_matrices(covariances: Array) -> Array:
    sd = np.sqrt(np.diagonal(covariances, axis1=-2, axis2=-1))
    return covariances / (sd[..., :, None] * sd[..., None, :])


def row_table(findings: Findings) -> TableView:
    """Every row's probabilities, the most uncertain first."""
    members = findings.memberships
    n, clusters = members.sizes["obs_id"], members["cluster"].values
    chosen = by_uncertainty(members)
    note = "Printed: the 60 rows on top as sorted. memberships.csv has the same numbers in full."
    if n > MOST_ROWS:
        chosen = chosen[:SHOWN_ROWS]
        note = f"The {SHOWN_ROWS} most uncertain of {n} rows; memberships.csv has all."
    part = members.isel(obs_id=chosen)
    mean, lower, upper = (
        part[name].transpose("obs_id", "cluster").values
        for name in ("probability", "probability_lb", "probability_ub")
    )
    is_open = set(open_rows(members).tolist())
    entropy = part["entropy"].values
    share = part["entropy_parameter"].values
    labels, assignment = part["obs_id"].values, part["assignment"].values
    rows = [
        (
            str(labels[i]),
            Cell(str(assignment[i]), "open" if position in is_open else ""),
            *(Cell(probability(m), probability_interval(lo, hi), sort=round(float(m), 6))
              for m, lo, hi in zip(mean[i], lower[i], upper[i], strict=True)),
            Cell(fixed(entropy[i], 3), sort=round(float(entropy[i]), 6)),
            Cell(fixed(share[i], 3), sort=round(float(share[i]), 6)),
        )
        for i, position in enumerate(chosen.tolist())
    ]  # fmt: skip
    return TableView.of(
        "row-table",
        f"Posterior probability of each cluster for each row, with {interval_words(members.attrs)} of the responsibility. "
        f"Open: no cluster reaches {OPEN_BELOW:g}. Entropy in nats, and the part of it due to unknown parameters.",
        (
            Column("Row", **_TEXT), Column("Most probable"), *(Column(f"Cluster {c}") for c in clusters),
            Column("Entropy"), Column("Due to parameters"),
        ),
        rows,
        note=note,
        searchable=True,
    )  # fmt: skip


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
                Cell(fixed(row["em"], places), f"SE {fixed(row['em_se'], places)}" if np.isfinite(row["em_se"]) else "no SE",
                     sort=float(row["em"])),
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
        (Column("Parameter", **_TEXT), Column("EM"), Column("Posterior"), Column("Posterior sd"), Column("(EM - mean) / sd"),
         Column("EM in interval", **_TEXT)),
        rows,
        marked=frozenset(marked),
        note=note,
    )  # fmt: skip


def contrast_rows(findings: Findings, most: int = 20) -> TableView:
    """The rows on which EM and the posterior differ most."""
    contrast = findings.contrast
    table = contrast.memberships.sort_values("total_variation", ascending=False, kind="stable").head(most)
    rows = [
        (
            str(label), str(int(row["em_assignment"])), probability(row["em_probability"]),
            Cell(probability(row["posterior_probability"]), probability_interval(row['lb'], row['ub'])),
            fixed(row["total_variation"], 3), "yes" if row["flips"] else "no",
            "yes" if row["em_certain_posterior_not"] else "no",
        )
        for label, row in table.iterrows()
    ]  # fmt: skip
    return TableView.of(
        "contrast-rows-table",
        f"The {len(rows)} rows on which EM and the posterior differ most, by total variation of their probabilities; "
        f"{100 * contrast.ci_prob:g}% equal-tailed intervals. EM calls a row certain from {contrast.certain:g}.",
        (
            Column("Row", **_TEXT), Column("EM's cluster"), Column("Its probability, EM"), Column("posterior"),
            Column("Total variation"), Column("Changes cluster", **_TEXT),
            Column("EM certain, posterior not", **_TEXT),
        ),
        rows,
    )  # fmt: skip


def diagnoses(findings: Findings) -> TableView:
    """The verdict on every sampled model."""
    rows, marked = [], set()
    for i, (key, d) in enumerate(findings.diagnoses.items()):
        if key == findings.headline:
            marked.add(i)
        remedy = "" if d.verdict == "converged" else f"Remedy: {d.remedy}."
        rows.append(
            (
                str(key), Cell(d.verdict, badge=True), fixed(d.table["r_hat"].max(), 3), fixed(d.table["ess_bulk"].min(), 0),
                fixed(d.table["ess_tail"].min(), 0), Cell(d.evidence, remedy),
            )
        )  # fmt: skip
    return TableView.of(
        "diagnoses-table",
        "Verdict on each sampled model, judged on quantities that no exchange of labels changes. Wanted: R-hat below 1.01, "
        "effective sample sizes (ESS) above 400. The headline model is marked.",
        (Column("Model", **_TEXT), Column("Verdict", **_TEXT), Column("Worst R-hat"), Column("Least bulk ESS"),
         Column("Least tail ESS"), Column("Evidence and remedy", **_TEXT)),
        rows,
        marked=frozenset(marked),
    )  # fmt: skip


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
        f"Label-free quantities of the headline model, {findings.headline}: posterior mean and sd, rank-normalised R-hat, "
        "bulk and tail effective sample size.",
        (Column("Quantity", **_TEXT), Column("Mean"), Column("sd"), Column("R-hat"), Column("Bulk ESS"), Column("Tail ESS")),
        rows,
    )


def frame_table(name: str, caption: str, frame: pd.DataFrame, heads: dict[str, str] | None = None) -> TableView:
    """Any table of results, its index first where that has a name or labels."""
    if frame.index.name is not None or frame.index.dtype.kind not in "iu":
        frame = frame.rename_axis(frame.index.name or "").reset_index()
    heads = heads or {}
    columns = [
        Column(heads.get(str(c), str(c).replace("_", " ")), numeric=frame[c].dtype.kind in "iuf") for c in frame.columns
    ]
    return TableView.of(name, caption, columns, [[_any_cell(v) for v in row] for row in frame.itertuples(index=False)])


def _any_cell(value: Any) -> Cell:
    if isinstance(value, bool | np.bool_):
        return Cell("yes" if value else "no")
    if isinstance(value, int | np.integer):
        return Cell(str(value), sort=int(value))
    if isinstance(value, float | np.floating):
        return Cell(MISSING if np.isnan(value) else significant(value, 4), sort=float(value))
    return Cell(str(value))


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


def kmeans_centres(findings: Findings) -> TableView:
    """k-means' centres and spheres beside the components of EM and of the posterior."""
    kmeans, view = findings.kmeans, view_of(findings.posterior)
    draws, em = view.draws, view.em
    sd, em_sd = (np.sqrt(np.diagonal(m.dense_covariances, axis1=-2, axis2=-1)) for m in (draws, em))
    rows = []
    for j, name in enumerate(view.columns):
        places, sd_places = _places(draws.means[:, :, j]), _places(sd[:, :, j])
        for k in range(view.n_components):
            radius = kmeans.spheres[f"radius[{name}]"].iloc[k]
            rows.append(
                (
                    name, str(k), fixed(kmeans.centres[name].iloc[k], places), fixed(em.means[k, j], places),
                    _estimate(draws.means[:, k, j], places), fixed(radius, sd_places), fixed(em_sd[k, j], sd_places),
                    _estimate(sd[:, k, j], sd_places),
                )
            )  # fmt: skip
    return TableView.of(
        "kmeans-table",
        "Where the three put the groups, and how wide they make them, in the units of the data. k-means has one radius per "
        "cluster for all standardised columns. Posterior mean with its "
        f"{100 * MASS:g}% equal-tailed interval.",
        (Column("Column", **_TEXT), Column("Cluster"), Column("Centre, k-means"), Column("Mean, EM"),
         Column("Mean, posterior"), Column("Radius, k-means"), Column("SD, EM"), Column("SD, posterior")),
        rows,
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
        (Column("Row", **_TEXT), Column("k-means' cluster"), Column("Its probability"), Column("Most probable cluster"),
         Column("Its probability")),
        rows,
    )  # fmt: skip


def consensus_bounds(findings: Findings) -> TableView:
    """The edge of the credible ball."""
    c = findings.consensus
    heads = {"bound": "Bound", "n_clusters": "Clusters", "distance": "Distance", "n_rows_different": "Rows elsewhere"}
    frame = c.bound_table.rename(index=lambda name: str(name).replace("_", " "))
    return frame_table(
        "consensus-table",
        f"Edge of the {100 * c.ci_prob:g}% credible ball around the consensus partition (Wade & Ghahramani 2018): the "
        f"partitions in it with fewest clusters (vertical upper), with most (vertical lower), and the farthest (horizontal).",
        frame,
        heads,
    )


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
        "Log score, summed over rows: the density at EM's estimate against the posterior predictive density. In sample both "
        "are optimistic, EM the more.",
        (Column("Rows", **_TEXT), Column("Number"), Column("EM plug-in"), Column("Posterior predictive"),
         Column("Difference")),
        rows,
    )  # fmt: skip


def checks(findings: Findings) -> TableView:
    """Posterior predictive checks."""
    return frame_table(
        "checks-table",
        "Posterior predictive checks of the headline model: a statistic of the data beside its distribution over replicated "
        "data. A p-value near 0 or 1 says that the model does not reproduce it.",
        findings.checks,
    )
