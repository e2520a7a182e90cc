"""The tables of what was found: criteria, comparison, components, memberships."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...clusters import OPEN_BELOW, by_uncertainty, open_rows
from ...data import CI_PROB, equal_tailed
from ...mixture import structure_named
from ...sampling import Posterior
from ..numbers import decimals, fixed, interval, probability, probability_interval
from ..tables import Cell, Column, TableView, frame_table
from ..words import interval_words

if TYPE_CHECKING:
    import pandas as pd

    from ...mixture import Entry, Mixture
    from ..findings import Findings

__all__ = ["comparison", "components", "consensus_bounds", "criteria", "estimate", "places_of", "row_table"]

Array = NDArray[np.float64]

# Rows in the row table, and how many of them when there are more than it can hold.
MOST_ROWS = 2000
SHOWN_ROWS = 500
_MOST_CORRELATIONS = 150


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
                Cell(row.covariance_type, f"= {row.aliases}" if row.aliases else ""),
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
            Column("K"), Column.text("Covariance"), Column("Log likelihood"), Column("Parameters"), Column("BIC"),
            Column("AIC"), Column("ICL"), Column("Starts at this optimum"), Column.text("Outcome"),
        ),
        rows,
        marked=frozenset(marked),
    )  # fmt: skip


def comparison(findings: Findings) -> TableView:
    """The sampled models."""
    table = findings.comparison
    rows, marked = [], set()
    also = {f"{k} {s}": f"= {names}" for k, s, names in _named(findings)}
    for i, (key, row) in enumerate(table.iterrows()):
        if key == findings.headline:
            marked.add(i)
        diagnosis = findings.diagnoses.get(str(key))
        rows.append(
            (
                Cell(str(key), also.get(str(key), "")),
                Cell(diagnosis.verdict if diagnosis is not None else str(row["verdict"]), badge=True),
                Cell(fixed(row["elpd"], 1), f"SE {fixed(row['elpd_se'], 1)}"),
                Cell(fixed(-abs(row["elpd_diff"]), 1), f"SE {fixed(row['elpd_diff_se'], 1)}"),
                fixed(row["p_loo"], 1),
                Cell(fixed(row["n_high_k"], 0), f"{row['n_refitted']:.0f} refitted" if row["n_refitted"] else ""),
                probability(row["weight"]),
                _evidence(str(key), row, table.attrs.get("withheld", {})),
                *(_probability(row, name) for name in ("p_k", "p_structure")),
                fixed(row["bic"], 1),
                fixed(row["icl"], 1),
            )
        )
    return TableView.of(
        "comparison-table",
        "The sampled models, best predictive density first. Elpd: expected log predictive density by PSIS-LOO, and its "
        "difference to the best, with standard errors (SE). Evidence by bridge sampling, by tempering where chains are "
        f"apart. The headline model is marked. In words, {_in_words(table['covariance_type'])}.",
        (
            Column.text("Model"), Column.text("Verdict"), Column("Elpd"), Column("Difference"),
            Column("p_loo", help="effective number of parameters"),
            Column("k > 0.7", help="rows with a Pareto k above 0.7"), Column("Stacking weight"),
            Column("Log evidence"), Column("p(K | data)", help="of the number of components, over its structures"),
            Column("p(structure | K, data)", help="of the structure, with this many components"), Column("BIC"),
            Column("ICL"),
        ),
        rows,
        marked=frozenset(marked),
    )  # fmt: skip


def _in_words(structures: Iterable[str]) -> str:
    """What each structure means."""
    return "; ".join(f"{name}: {structure_named(name).label}" for name in dict.fromkeys(structures))


def _named(findings: Findings) -> list[tuple[int, str, str]]:
    """Models that go under further names, and these."""
    cells = findings.grid.fits
    return [(k, s, ", ".join(names)) for k, s in cells if (names := findings.grid.aliases_of((k, s)))]


def _evidence(key: str, row: pd.Series, withheld: dict[str, str]) -> Cell:
    if key in withheld:
        return Cell(fixed(np.nan), "withheld")
    return Cell(fixed(row["log_evidence"], 2), f"SE {fixed(row['log_evidence_se'], 2)}")


def _probability(row: pd.Series, name: str) -> Cell:
    """A probability, and its Monte Carlo error where that shows."""
    se = float(row[f"{name}_se"])
    return Cell(probability(row[name]), f"± {fixed(se, 2)}" if se >= 0.005 else "")


def components(findings: Findings) -> list[TableView]:
    """Weights; means and standard deviations; correlations: EM beside the posterior, in the data's units."""
    view = Posterior.read(findings.posterior)
    draws, em = view.draws, view.em
    said = f"Posterior mean and {100 * CI_PROB:g}% equal-tailed interval"
    assigned = findings.memberships["assignment"].values
    weights = TableView.of(
        "weights-table",
        f"Weights. {said}; rows by most probable cluster.",
        (Column("Cluster"), Column("EM"), Column("Posterior"), Column("sd"), Column("Rows")),
        [
            (str(k), fixed(em.weights[k], 3), estimate(draws.weights[:, k], 3), fixed(draws.weights[:, k].std(), 3),
             str(int((assigned == k).sum())))
            for k in range(view.n_components)
        ],
    )  # fmt: skip
    sd, em_sd = (np.sqrt(np.diagonal(m.dense_covariances, axis1=-2, axis2=-1)) for m in (draws, em))
    rows = []
    for j, name in enumerate(view.columns):
        mean_places, sd_places = places_of(draws.means[:, :, j]), places_of(sd[:, :, j])
        for k in range(view.n_components):
            mean = (fixed(em.means[k, j], mean_places), estimate(draws.means[:, k, j], mean_places))
            rows.append((name, str(k), *mean, fixed(em_sd[k, j], sd_places), estimate(sd[:, k, j], sd_places)))
    moments = TableView.of(
        "moments-table",
        f"Means and standard deviations (SD) of the components, in the units of the data. {said}.",
        (Column.text("Column"), Column("Cluster"), Column("Mean, EM"), Column("Mean, posterior"), Column("SD, EM"),
         Column("SD, posterior")),
        rows,
    )  # fmt: skip
    result = [weights, moments]
    correlated = [e for e in draws.structure.entries(draws.n_components, draws.n_features) if e.row != e.column]
    if correlated:
        result.append(_correlations(correlated, draws, em, view.columns, said))
    return result


def places_of(values: Array) -> int | None:
    """Decimals for draws (S, K) of one quantity: those of the most precise cluster, so that the column lines up."""
    return decimals(float(values.std(axis=0).min()))


def estimate(values: Array, places: int | None) -> Cell:
    lb, ub = equal_tailed(values)
    return Cell(fixed(values.mean(), places), interval(lb, ub, places), sort=float(values.mean()))


def _correlations(
    entries: Sequence[Entry], draws: Mixture, em: Mixture, columns: tuple[str, ...], said: str
) -> TableView:
    r, em_r = (_correlation_matrices(m.dense_covariances) for m in (draws, em))
    found = []
    for entry in sorted(entries, key=lambda e: (e.component or 0, e.column, e.row)):
        who = "all" if entry.component is None else str(entry.component)
        values = entry.of(r)
        a, b = (columns[j] for j in (entry.row, entry.column) if j is not None)
        found.append((abs(float(values.mean())), entry.component or 0, who, a, b, entry.of(em_r), values))
    note = ""
    if len(found) > _MOST_CORRELATIONS:
        note = f"The {_MOST_CORRELATIONS} strongest of {len(found)}; the posterior-*.nc files hold the draws of all."
        found = sorted(sorted(found, key=lambda f: -f[0])[:_MOST_CORRELATIONS], key=lambda f: (f[1], -f[0]))
    return TableView.of(
        "correlations-table",
        f"Correlations within the components. {said}.",
        (Column.text("Columns"), Column("Cluster"), Column("EM"), Column("Posterior")),
        [(f"{a} and {b}", who, fixed(e, 2), estimate(values, 2)) for _, _, who, a, b, e, values in found],
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
    mean, lb, ub = (
        part[name].transpose("obs_id", "cluster").values for name in ("probability", "probability_lb", "probability_ub")
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
              for m, lo, hi in zip(mean[i], lb[i], ub[i], strict=True)),
            Cell(fixed(entropy[i], 3), sort=round(float(entropy[i]), 6)),
            Cell(fixed(share[i], 3), sort=round(float(share[i]), 6)),
        )
        for i, position in enumerate(chosen.tolist())
    ]  # fmt: skip
    return TableView.of(
        "row-table",
        f"Posterior probability of each cluster for each row, with {interval_words(members.attrs)} of the "
        "responsibility. "
        f"Open: no cluster reaches {OPEN_BELOW:g}. Entropy in nats, and the part of it due to unknown parameters.",
        (
            Column.text("Row"), Column("Most probable"), *(Column(f"Cluster {c}") for c in clusters),
            Column("Entropy"), Column("Due to parameters"),
        ),
        rows,
        note=note,
        searchable=True,
    )  # fmt: skip


def consensus_bounds(findings: Findings) -> TableView:
    """The edge of the credible ball."""
    c = findings.consensus
    heads = {"bound": "Bound", "n_clusters": "Clusters", "distance": "Distance", "n_rows_different": "Rows elsewhere"}
    frame = c.bound_table.rename(index=lambda name: str(name).replace("_", " "))
    return frame_table(
        "consensus-table",
        f"Edge of the {100 * c.ci_prob:g}% credible ball around the consensus partition (Wade & Ghahramani 2018): the "
        "partitions in it with fewest clusters (vertical upper), with most (vertical lower), and the farthest "
        "(horizontal).",
        frame,
        heads,
    )
