"""Plots as data, for few and many features and clusters; and that they draw where they are told."""

from __future__ import annotations

from types import SimpleNamespace

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from bayesgmm.checks.verdict import diagnose
from bayesgmm.clusters.coclustering import coclustering
from bayesgmm.clusters.memberships import memberships
from bayesgmm.clusters.openness import OPEN_BELOW, open_rows
from bayesgmm.contrast.em import em_vs_posterior
from bayesgmm.contrast.matching import em_mixture
from bayesgmm.data import InputError, load_dataset
from bayesgmm.em.grid import fit_grid
from bayesgmm.mixture import responsibilities
from bayesgmm.report.plots import geometry
from bayesgmm.report.plots.checks import plot_contrast, plot_criteria, plot_verdict, rank_counts
from bayesgmm.report.plots.model import plot_marginals, plot_pairs, plot_predictive
from bayesgmm.report.plots.rows import (
    plot_coclustering,
    plot_memberships,
    plot_uncertain_rows,
)
from bayesgmm.report.plots.style import PALETTE, cluster_style, figure_style, plain
from bayesgmm.sampling.posterior import Posterior
from bayesgmm.sampling.sample import sample_posterior

SHAPES = [(d, k) for d in (1, 2, 20) for k in (1, 3, 12)]


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


@pytest.mark.parametrize(("d", "k"), SHAPES)
class TestEveryShape:
    def test_pairs(self, posterior, d, k):
        data = plot_pairs(posterior(d, k), backend="none")
        assert len(data["features"]) == min(d, 4)
        assert data["values"].shape == (120, min(d, 4))
        assert set(np.unique(data["assignment"])) <= set(range(k))
        assert data["posterior"].n_components == data["em"].n_components == k

    def test_predictive_density_integrates_to_one(self, posterior, d, k):
        frame = plot_predictive(posterior(d, k), backend="none")
        assert frame["feature"].nunique() == min(d, 6)
        for _, part in frame.groupby("feature"):
            # The range of the data holds nearly all of the density.
            assert np.trapezoid(part["mean"], part["x"]) == pytest.approx(1, abs=0.05)
            assert (part["lb"] <= part["ub"]).all()

    def test_marginals(self, posterior, d, k):
        post = posterior(d, k)
        table = plot_marginals(post, backend="none")
        assert len(table) == k * (1 + 2 * min(d, 4))
        weights = table[table["quantity"] == "weight"]
        np.testing.assert_allclose(weights["mean"], post["posterior"]["weights"].mean(("chain", "draw")))
        assert (table["lb"] <= table["ub"]).all()

    def test_rows(self, posterior, d, k):
        post = posterior(d, k)
        members = memberships(post)
        placed = plot_memberships(members, post, backend="none")
        assert list(placed.index) == list(members["obs_id"].values)
        assert placed["open"].sum() == len(open_rows(members))
        assert ("y" in placed) == (d > 1)
        forest = plot_uncertain_rows(members, 7, backend="none")
        assert len(forest) == 7 * min(k, 3)

    def test_coclustering(self, posterior, d, k):
        post = posterior(d, k)
        matrix = coclustering(post)
        labels = pd.Series(memberships(post)["assignment"].values, index=matrix["obs_id"].values)
        drawn = plot_coclustering(matrix, SimpleNamespace(labels=labels), backend="none")
        assert (np.diff(drawn["label"]) >= 0).all()
        assert set(drawn["obs_id"].values) == set(matrix["obs_id"].values)
        np.testing.assert_allclose(drawn.values, drawn.values.T)

    def test_contrast(self, posterior, d, k):
        if d == 20 and k == 12:
            pytest.skip("2783 standard errors of EM take a minute and the plot shows 30 parameters")
        contrast = em_vs_posterior(None, posterior(d, k))
        frame = plot_contrast(contrast, backend="none")
        assert len(frame) == min(30, (contrast.parameters["sd"] > 0).sum())
        assert ((frame["lb"] <= frame["z"]) & (frame["z"] <= frame["ub"])).tolist() == frame["inside"].tolist()

    def test_everything_is_drawn_on_the_figure_given(self, posterior, d, k):
        post = posterior(d, k)
        members = memberships(post)
        for draw in (
            lambda axes: plot_pairs(post, memberships=members, axes=axes),
            lambda axes: plot_predictive(post, axes=axes),
            lambda axes: plot_marginals(post, axes=axes),
            lambda axes: plot_memberships(members, post, axes=axes),
            lambda axes: plot_uncertain_rows(members, axes=axes),
            lambda axes: plot_coclustering(coclustering(post), axes=axes),
        ):
            figure = Figure(layout="constrained")
            drawn = draw(figure)
            figure.canvas.draw()
            assert all(ax.figure is figure for ax in np.ravel(drawn))
        assert not plt.get_fignums()


def test_a_structure_looks_the_same_in_every_panel():
    grid = fit_grid(load_dataset("faithful"), (1, 2), ("full", "tied", "diag"), random_state=0, progressbar=False)
    comparison = pd.DataFrame(
        {
            "n_components": [2, 2],
            "covariance_type": ["diag", "tied"],
            "elpd_diff": [-5.0, 0.0],
            "elpd_diff_se": [1.0, 0.0],
            "p_model": 0.5,
        }
    )
    looks: dict[str, set] = {}
    for ax in np.ravel(plot_criteria(grid, comparison)):
        for line in ax.get_lines():
            if not line.get_label().startswith("_"):
                looks.setdefault(line.get_label(), set()).add((line.get_color(), line.get_marker()))
    assert {"diag", "tied"} <= looks.keys()
    assert all(len(own) == 1 for own in looks.values())
    assert len(set().union(*looks.values())) == len(looks)


def test_criteria_take_numbers_from_the_grid_and_the_comparison():
    grid = fit_grid(load_dataset("faithful"), (1, 2), ("full", "diag"), random_state=0, progressbar=False)
    comparison = pd.DataFrame(
        {
            "n_components": [1, 2],
            "covariance_type": "full",
            "elpd_diff": [-150.0, 0.0],
            "elpd_diff_se": [15.0, 0.0],
            "p_model": [0.1, 0.9],
        }
    )
    frame = plot_criteria(grid, comparison, backend="none")
    bic = frame[frame["panel"] == "BIC above the best"]
    assert bic["value"].min() == 0
    assert sorted(bic["value"]) == sorted(grid.table["bic"] - grid.table["bic"].min())
    loo = frame[frame["panel"].str.startswith("LOO")].sort_values("n_components")
    assert loo["value"].tolist() == [-150, 0]
    assert loo["lb"].tolist() == [-180, 0]
    assert loo["ub"].tolist() == [-120, 0]
    assert not plot_criteria(grid, backend="none")["panel"].str.startswith("LOO").any()
    assert plot_criteria(grid, comparison).shape == (1, 3)


def test_open_rows_are_those_whose_top_probability_is_low_most_uncertain_first(posterior):
    members = memberships(posterior(1, 3))
    found = open_rows(members)
    top = members["probability"].max("cluster").values
    assert set(found) == set(np.flatnonzero(top < OPEN_BELOW))
    assert (np.diff(members["entropy"].values[found]) <= 0).all()


def test_map_directions_are_those_that_separate():
    """Three components apart in columns 3 and 7 of ten: the plane is spanned by these two."""
    rng = np.random.default_rng(1)
    means = np.zeros((3, 10))
    means[:, 3], means[:, 7] = (0, 5, 0), (0, 0, 5)
    spread = rng.uniform(0.5, 2, 10)
    from bayesgmm.mixture import Mixture

    mixture = Mixture.from_dense("diag", np.full(3, 1 / 3), means, np.tile(np.diag(spread**2), (3, 1, 1)))
    plane = geometry.directions(mixture)
    others = [j for j in range(10) if j not in (3, 7)]
    assert np.abs(plane[others]).max() < 1e-8
    assert abs(np.linalg.det(plane[[3, 7]])) > 0.1
    assert geometry.top_features(mixture, 2) == [3, 7]


def test_an_ellipse_holds_its_share():
    rng = np.random.default_rng(0)
    covariance = np.array([[2.0, 0.8], [0.8, 1.0]])
    outline = geometry.ellipses(np.array([1.0, -1.0]), covariance)
    centred = outline - [1, -1]
    radius = np.einsum("ni,ij,nj->n", centred, np.linalg.inv(covariance), centred)
    draws = rng.standard_normal((200_000, 2))
    assert (np.square(draws).sum(1) <= radius[0]).mean() == pytest.approx(geometry.COVERAGE, abs=0.003)
    np.testing.assert_allclose(radius, radius[0])


def test_rank_counts_are_complete_and_show_chains_that_differ():
    rng = np.random.default_rng(0)
    same = rank_counts(rng.standard_normal((4, 500)))
    assert (same.sum(1) == 500).all()
    assert same.sum(0).tolist() == [100] * 20
    apart = rank_counts(rng.standard_normal((2, 500)) + np.array([[0.0], [10.0]]))
    assert apart[0, 10:].sum() == 0


def test_verdict_shows_the_log_likelihood_and_the_worst(posterior):
    post = posterior(2, 3)
    diagnosis = diagnose(post)
    frame = plot_verdict(post, diagnosis, 4, backend="none")
    names = list(dict.fromkeys(frame["quantity"]))
    assert names[0] == "log likelihood"
    assert diagnosis.table["r_hat"].idxmax() in names
    assert frame.groupby(["quantity", "chain"])["count"].sum().eq(40).all()
    assert plot_verdict(post, diagnosis, 4).shape == (2, 3)


def test_colours_of_the_clusters_do_not_depend_on_who_asks(posterior):
    assert len({cluster_style(k)["marker"] for k in range(12)}) == 12
    looks = {(cluster_style(k)["color"], str(cluster_style(k)["linestyle"])) for k in range(12)}
    assert len(looks) == 12
    assert cluster_style(0)["color"] == PALETTE[0]


def test_em_comes_from_whatever_holds_it(posterior):
    post = posterior(2, 3)
    view = Posterior.read(post)
    grid = fit_grid(view.values, (3,), ("full",), random_state=0, progressbar=False)
    fit = grid[3, "full"]
    for gm in (fit, grid.best(), fit.mixture):
        np.testing.assert_allclose(em_mixture(gm, view).means, fit.mixture.means)
    assert em_mixture(None, view).n_components == 3
    with pytest.raises(InputError, match="gm is a str"):
        em_mixture("em", view)


def test_probabilities_without_memberships_agree_with_them(posterior):
    post = posterior(2, 3)
    view = Posterior.read(post)
    assignment = geometry.cluster_probabilities(view).argmax(1)
    assert (assignment == memberships(post)["assignment"].values).mean() > 0.98
    assert (assignment == responsibilities(view.em, view.values)[0].argmax(1)).mean() > 0.9


def test_the_users_settings_are_left_alone(posterior):
    before = dict(mpl.rcParams)
    plot_pairs(posterior(2, 3))
    with figure_style():
        assert mpl.rcParams["svg.fonttype"] == "none"
    assert dict(mpl.rcParams) == before


def test_axes_are_taken_and_too_few_refused(posterior):
    _, ax = plt.subplots()
    members = memberships(posterior(2, 3))
    assert plot_uncertain_rows(members, axes=ax)[0, 0] is ax
    with pytest.raises(InputError, match="16 panels"):
        plot_pairs(posterior(20, 3), axes=ax)


def test_names_are_one_short_line():
    assert plain("a\nb\t\x00c") == "a b c"
    assert plain("x" * 60) == "x" * 27 + "…"
    assert plain("cost in $, gain in $") == "cost in $, gain in $"


def test_histograms_count_case_weights():
    rng = np.random.default_rng(4)
    x = np.concatenate([rng.normal(0, 1, (40, 1)), rng.normal(9, 1, (40, 1))])
    weight = np.repeat([1.0, 4.0], 40)
    post = sample_posterior(x, 2, sample_weight=weight, method="laplace", draws=50, progressbar=False, random_seed=0)
    for plot in (plot_predictive, plot_pairs):
        ax = np.ravel(plot(post))[0]
        (bars,) = ax.patches
        corners = bars.get_xy()
        # The outline's area left and right of the gap, by the shoelace formula.
        right = np.where(corners[:, 0] > 4.5, corners[:, 1], 0.0)
        area = abs(np.trapezoid(right, corners[:, 0]))
        assert area == pytest.approx(0.8, abs=1e-6), plot.__name__
        plt.close(ax.figure)


def test_all_structures_are_drawn_by_family():
    """One line and one panel of K ellipses for each; lowest criterion first."""
    from bayesgmm.mixture import FAMILIES
    from bayesgmm.report.plots.structures import plot_structures

    df = load_dataset("faithful")
    grid = fit_grid(df, (1, 2), "all", random_state=0, progressbar=False)
    frame = plot_structures(grid, backend="none")
    assert list(dict.fromkeys(frame["family"])) == list(FAMILIES)
    assert len(frame) == 28
    assert frame["best"].sum() == 14
    top, *panels = plot_structures(grid, values=df)
    assert len(panels) == 14
    colours = {line.get_label(): line.get_color() for line in top.get_lines()}
    assert len(colours) == 14
    assert len(set(colours.values())) == 4
    best = frame[frame["best"]].sort_values("bic")
    for panel, k, name in zip(panels, best["n_components"], best["covariance_type"], strict=True):
        assert panel.get_title(loc="left").startswith(name)
        assert len(panel.get_lines()) == 1 + k  # the rows, and an ellipse for each component
    one = fit_grid(load_dataset("galaxies"), (1, 2), "all", random_state=0, progressbar=False)
    assert plot_structures(one).shape == (1,)
    with pytest.raises(ValueError, match="values have 1 columns"):
        plot_structures(grid, values=load_dataset("galaxies"))
    with pytest.raises(ValueError, match="criterion='elpd'"):
        plot_structures(grid, "elpd")
