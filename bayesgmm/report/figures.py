"""The figures of the report, each with its caption and what a screen reader says of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..clusters import OPEN_BELOW, by_uncertainty, open_rows
from ..data import CI_PROB
from ..mixture import ModelKey
from .plots import checks, model, rows, svg
from .plots.geometry import COVERAGE
from .words import interval_words, model_words

if TYPE_CHECKING:
    from markupsafe import Markup

    from .findings import Findings

__all__ = ["FigureView", "figures", "planned_figures"]


@dataclass(frozen=True)
class FigureView:
    """A figure on the page.

    Attributes
    ----------
    name : str
    svg : Markup
    caption : str
    """

    name: str
    svg: Markup
    caption: str


def figures(findings: Findings) -> dict[str, FigureView]:
    """All that the findings allow, by name."""
    drawn = {}
    for i, (name, draw, title, alt, caption) in enumerate(planned_figures(findings)):
        drawn[name] = FigureView(name, _drawn(draw, f"f{i}", title, alt), caption)
    return drawn


def _drawn(draw: Callable[[Any], Any], prefix: str, title: str, alt: str) -> Markup:
    from matplotlib.figure import Figure

    figure = Figure(layout="constrained")
    draw(figure)
    return svg.inline(figure, prefix, title, alt)


def planned_figures(f: Findings) -> Iterator[tuple[str, Callable[[Any], Any], str, str, str]]:
    """Name, drawing, title, alternative text and caption of each figure."""
    yield from _of_models(f)
    yield from _of_components(f)
    if f.memberships.sizes["cluster"] > 1:
        yield from _of_rows(f)
    yield from _of_checks(f)


def _of_models(f: Findings) -> Iterator[tuple[str, Callable[[Any], Any], str, str, str]]:
    k, structure = f.grid.best_cell("bic")
    ks = sorted(set(f.grid.table["n_components"]))
    yield (
        "criteria",
        lambda figure: checks.plot_criteria(f.grid, f.comparison, axes=figure),
        "Criteria against the number of components",
        f"Line charts over K from {ks[0]} to {ks[-1]}. BIC is lowest for {model_words(k, structure)}. The numbers are "
        "in the "
        "tables of this section and the next.",
        "Left: BIC above the lowest of the grid, one line per covariance structure. Middle: BIC, AIC and ICL of the "
        f"structure that BIC prefers ({structure}), each above its own lowest value. Right: estimated out-of-sample "
        "log "
        "density (PSIS-LOO) under that of the best sampled model; the band is two standard errors of the difference on "
        "either side. Scales are linear up to ten points from the best and logarithmic beyond. Circles mark the best "
        "of "
        "each line.",
    )


def _of_components(f: Findings) -> Iterator[tuple[str, Callable[[Any], Any], str, str, str]]:
    d = f.table.n_features
    name = model_words(*ModelKey.parse(f.headline))
    data = model.plot_pairs(f.posterior, memberships=f.memberships, backend="none")
    shown, fan = data["features"], len(data["posterior"].weights)
    selected = (
        f" Shown are the {len(shown)} of {d} columns in which the components lie furthest apart for their spread."
    )
    if d == 1:
        caption = (
            f"{name[0].upper()}{name[1:]}. Histogram of the data, weighted component densities of {fan} posterior "
            "draws (coloured "
            "lines), and the density at EM's estimate (dashed)."
        )
        alt = f"Histogram of {shown[0]} with the component densities of posterior draws and of EM's estimate."
    else:
        caption = (
            f"{name[0].upper()}{name[1:]}. Rows by most probable cluster; ellipses hold {100 * COVERAGE:.0f}% of a "
            "component: "
            f"coloured, {fan} posterior draws; dashed, EM. On the diagonal, histograms with the component densities of "
            "the draws "
            "and EM's density." + (selected if len(shown) < d else "")
        )
        alt = (
            f"Scatter plots of {', '.join(shown)} against each other, with the ellipses of {name}. "
            "Means and standard deviations are in the table of this section."
        )
    yield (
        "pairs",
        lambda figure: model.plot_pairs(f.posterior, memberships=f.memberships, axes=figure),
        "The data and the components",
        alt,
        caption,
    )
    yield (
        "marginals",
        lambda figure: model.plot_marginals(f.posterior, axes=figure),
        "Posterior densities of the parameters",
        "Posterior densities of the weights, means and standard deviations of each component, with intervals and EM's "
        "estimates. The numbers are in the tables of this section.",
        "Posterior densities of weights, means and standard deviations (kernel estimates, scaled to one height), with "
        f"posterior mean and {100 * CI_PROB:g}% equal-tailed interval below, and EM's estimate (cross)."
        + (selected if d > 4 else ""),
    )


def _of_rows(f: Findings) -> Iterator[tuple[str, Callable[[Any], Any], str, str, str]]:
    members = f.memberships
    n_open = len(open_rows(members))
    said = interval_words(members.attrs)
    d = f.table.n_features
    where = {
        1: f"Posterior probability of each cluster at every value of the column, with pointwise {said}; marks are "
        "rows.",
        2: "Rows by most probable cluster; the larger the mark, the less certain (entropy).",
    }.get(
        d,
        "Rows in the plane in which the components differ most, in means and covariances (Scrucca 2010); colour and "
        "mark are "
        "the most probable cluster, and the larger the mark, the less certain (entropy).",
    )
    lacking = (
        " Rows with missing values stand where EM expects them, given the rest." if not f.table.is_complete else ""
    )
    ringed = f" Ringed: open rows, whose most probable cluster has probability below {OPEN_BELOW:g}."
    yield (
        "memberships",
        lambda figure: rows.plot_memberships(members, f.posterior, axes=figure),
        "Membership map",
        f"Map of {members.sizes['obs_id']} rows, {n_open} of them open. Every row's probabilities are in the row "
        "table.",
        where + (ringed if d > 1 else "") + lacking,
    )
    n = int(np.clip(n_open + 2, 8, min(25, members.sizes["obs_id"])))
    names = ", ".join(str(v) for v in members["obs_id"].values[by_uncertainty(members)[:5]])
    yield (
        "uncertain",
        lambda figure: rows.plot_uncertain_rows(members, n, axes=figure),
        "The most uncertain rows",
        f"Forest plot of the {n} most uncertain rows, from the top: {names} and so on.",
        f"The {n} rows of largest entropy, the most uncertain on top: posterior probability of their (at most three) "
        "most "
        f"probable clusters, with {said}.",
    )
    matrix = _coclustering(f)
    ball = 100 * f.consensus.ci_prob
    yield (
        "coclustering",
        lambda figure: rows.plot_coclustering(matrix, f.consensus, axes=figure),
        "Co-clustering probabilities",
        f"Heat map of the probability that two rows share a cluster, in {f.consensus.n_clusters} blocks of the "
        "consensus.",
        "Posterior probability that two rows belong to the same cluster, labels integrated out, rows ordered by the "
        f"consensus partition ({f.consensus.loss} loss, {f.consensus.n_clusters} clusters). {ball:g}% of the sampled "
        f"partitions lie within {f.consensus.radius:.3f} of it, {_unit(f)}. Drawn: "
        f"{matrix.attrs.get('rows', 'all rows')}.",
    )


def _unit(f: Findings) -> str:
    return f"in units of {f.consensus.unit}" if f.consensus.unit else "in the loss's own units"


def _coclustering(f: Findings) -> Any:
    from ..clusters.coclustering import coclustering

    return coclustering(f.posterior, max_rows=rows.LARGEST_MAP)


def _of_checks(f: Findings) -> Iterator[tuple[str, Callable[[Any], Any], str, str, str]]:
    inside = f.contrast.parameters["inside"]
    yield (
        "contrast",
        lambda figure: checks.plot_contrast(f.contrast, axes=figure),
        "EM against the posterior",
        f"Forest plot. {int(inside.sum())} of {len(inside)} EM estimates lie inside the posterior's interval.",
        f"EM's estimates on the scale of the posterior: bars are {100 * f.contrast.ci_prob:g}% equal-tailed intervals, "
        "in posterior standard deviations from the posterior mean; below each, EM's estimate (a diamond inside, a cross "
        "outside) with its own interval, from its standard error."
        + (" Shown are the 30 parameters in which EM lies furthest off." if len(inside) > 30 else ""),
    )
    yield (
        "verdict",
        lambda figure: checks.plot_verdict(f.posterior, f.diagnosis, axes=figure),
        "Rank plots of label-free quantities",
        f"Rank histograms of each chain. Verdict: {f.diagnosis.title}.",
        "How often each chain's draws take each twentieth of the ranks among all draws: the log likelihood and the "
        "label-free quantities of largest R-hat. Chains that agree stay within the band, which holds 99% of a class's "
        "counts "
        "for as many independent draws as the effective sample size.",
    )
    yield (
        "predictive",
        lambda figure: model.plot_predictive(f.posterior, axes=figure),
        "Data and posterior predictive density",
        "Histograms of the data with the posterior predictive density, its band, and EM's density.",
        "Histogram of the data and its rug, posterior predictive density with the pointwise "
        f"{100 * CI_PROB:g}% equal-tailed band of the density, and the density at EM's estimate (dashed)."
        + (" Shown are the six columns in which the components lie furthest apart." if f.table.n_features > 6 else ""),
    )
