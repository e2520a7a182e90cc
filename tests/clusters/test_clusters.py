"""Groups of a posterior: Old Faithful by two routes, what the memberships are, and their invariances."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import maximum_filter

from bayesgmm import load_dataset, sample_posterior
from bayesgmm.clusters.clusters import clusters, group_draws
from bayesgmm.clusters.merging import bhattacharyya, misclassification
from bayesgmm.clusters.rows import training_rows
from bayesgmm.data import InputError
from bayesgmm.mixture import responsibilities
from bayesgmm.sampling.posterior import Posterior

from ..membership_fixtures import laplace_posterior, two_groups


@pytest.fixture(scope="module")
def post():
    """Two groups, the larger drawn by two of three components."""
    rng = np.random.default_rng(0)
    skewed = np.concatenate([rng.normal([0, 0], 0.5, (60, 2)), rng.normal([1.2, 0.4], 0.8, (40, 2))])
    return laplace_posterior(np.concatenate([skewed, rng.normal([7, 0], 0.6, (50, 2))]), 3, draws=60)


def modes_on_a_grid(draws, s, size=301):
    """Maxima of the density of one draw among their neighbours on a grid, two dimensions."""
    dense = draws.dense_covariances[s]
    low, high = draws.means[s].min(0) - 0.6, draws.means[s].max(0) + 0.6
    grid = np.stack(np.meshgrid(*np.linspace(low, high, size).T, indexing="ij"), -1)
    f = 0.0
    for w, m, c in zip(draws.weights[s], draws.means[s], dense, strict=True):
        q = np.einsum("xya,ab,xyb->xy", grid - m, np.linalg.inv(c), grid - m)
        f = f + w * np.exp(-0.5 * q) / np.sqrt(np.linalg.det(c))
    peak = f == maximum_filter(f, 5)
    return int(peak[2:-2, 2:-2].sum())


@pytest.mark.slow
@pytest.mark.parametrize(("k", "structure", "prototype"), [(2, "full", 1.0), (3, "tied", 0.953), (4, "tied", 0.733)])
def test_old_faithful_has_two_groups_however_many_gaussians_draw_it(k, structure, prototype):
    """Every mode counted (``min_rows=0``), as in a prototype with 400 draws of each; and on a grid, draw by draw.

    The tolerance is four Monte Carlo standard errors of the difference. With ripples joined, two groups are sure.
    """
    sampled = sample_posterior(load_dataset("faithful"), k, structure, random_seed=1, progressbar=False)
    every = clusters(sampled, min_rows=0)
    p, se = (float(part.sel(n_groups=2)) for part in (every.number, every.number["mcse"]))
    assert abs(p - prototype) <= 4 * np.hypot(se, np.sqrt(prototype * (1 - prototype) / 400)) + 1e-9
    found = group_draws(Posterior.read(sampled), min_rows=0, max_draws=200)
    by_grid = np.array([modes_on_a_grid(found.rows.draws, s) for s in range(len(found.climbs.n_modes))])
    # Two modes closer than the grid's steps are one there.
    assert (by_grid == found.climbs.n_modes).mean() >= 0.98
    joined = clusters(sampled)
    assert joined.n_groups == 2
    assert float(joined.number.sel(n_groups=2)) > 0.97
    assert sorted(joined.consensus.labels.value_counts()) == [97, 175]
    # The open rows are a handful, not the 75 between components of one group.
    assert int((joined.memberships["probability"].max("group") < 0.9).sum()) <= 5
    assert joined.headline.startswith("Two groups (probability")


@pytest.mark.slow
@pytest.mark.parametrize(("k", "seed"), [(2, 0), (4, 0), (6, 1)])
def test_skewed_data_are_one_group_however_many_gaussians_draw_it(k, seed):
    """Under six components every second draw has a mode in the tail that holds more than one row; none has the evidence."""
    rows = np.random.default_rng(seed).gamma(3, size=(300, 2))
    found = clusters(sample_posterior(rows, k, random_seed=1, draws=300, chains=2, progressbar=False))
    assert float(found.number.sel(n_groups=1)) > 0.9


def test_what_is_returned_fits_together(post):
    found = clusters(post)
    assert found.n_groups == 2
    assert float(found.number.sum()) == pytest.approx(1)
    np.testing.assert_allclose(found.memberships["probability"].sum("group"), 1, atol=1e-12)
    np.testing.assert_allclose(found.memberships["climbs"].sum("group"), 1, atol=1e-12)
    np.testing.assert_allclose(found.components.sum("group"), 1)
    np.testing.assert_allclose(np.diag(found.sharing), 1)
    assert found.consensus.labels.value_counts().tolist() == [100, 50]
    assert (found.memberships["assignment"].values == found.consensus.labels.to_numpy()).all()
    assert found.number_set(0.5) == (2,)
    assert "Two groups (probability" in repr(found)
    assert "drawn with three Gaussians" in found._repr_html_()


def test_memberships_are_sums_over_the_components_of_a_group(post):
    """Draw by draw, from responsibilities and from the modes that the means climb to."""
    found = clusters(post)
    rows, groups = training_rows(Posterior.read(post)), group_draws(Posterior.read(post))
    total = np.zeros((len(rows.values), 2))
    for s in range(rows.n_draws):
        r = responsibilities(rows.draws[s], rows.values)[0]
        for k in range(3):
            total[:, groups.grouping.of_component[s, k]] += r[:, k]
    np.testing.assert_allclose(found.memberships["probability"], total / rows.n_draws, atol=1e-12)


def test_groups_do_not_depend_on_labels(post):
    shuffled = post.copy(deep=True)
    for name in ("weights", "means", "covariances"):
        values = shuffled["posterior"][name].values
        values[:, ::2] = values[:, ::2, [2, 0, 1]]
    a, b = clusters(post), clusters(shuffled)
    np.testing.assert_allclose(a.number, b.number)
    np.testing.assert_allclose(a.memberships["probability"], b.memberships["probability"], atol=1e-12)
    np.testing.assert_array_equal(a.consensus.labels, b.consensus.labels)


def test_more_rows_than_climb_go_through_the_components(post):
    """The error of that shortcut: groups this far apart are the same, row by row."""
    whole, part = clusters(post), clusters(post, max_rows=60)
    assert part.memberships.attrs["rows"].startswith("a random 60 of 150 rows")
    assert part.memberships.sizes["obs_id"] == 150
    np.testing.assert_allclose(part.memberships["climbs"], whole.memberships["climbs"], atol=0.02)
    np.testing.assert_allclose(part.memberships["probability"], whole.memberships["probability"], atol=0.02)


def test_thinning_takes_the_same_draws_of_each_chain(post):
    view = Posterior.read(post)
    found = group_draws(view, max_draws=40)
    expected = np.arange(120).reshape(2, 60)[:, 2::3].ravel()
    np.testing.assert_array_equal(found.rows.draws.weights, training_rows(view).draws.weights[expected])


def test_one_component_is_one_group():
    found = clusters(laplace_posterior(two_groups(30), 1))
    assert found.number.values.tolist() == [1.0]
    assert found.tree.empty
    assert found.headline == "One group (probability 1.00), drawn with one Gaussian"


def test_the_tree_merges_what_overlaps_first(post):
    tree = clusters(post).tree
    assert tree.index.tolist() == [2, 1]
    assert (tree["overlap"].diff().dropna() < 0).all()
    assert tree.loc[1, "same_group"] == 0


def test_overlap_and_bhattacharyya_equal_their_definitions():
    """Misclassification from a case counted by hand; the coefficient of two normals by quadrature."""
    shares = np.array([[[0.9, 0.6, 0.2], [0.1, 0.4, 0.8]]])
    expected = [[1.5 / 1.7, 0.2 / 1.7], [0.5 / 1.3, 0.8 / 1.3]]
    np.testing.assert_allclose(misclassification(shares, np.ones(3)), expected)
    x = np.linspace(-20, 20, 100001)
    f, g = (np.exp(-0.5 * ((x - m) / s) ** 2) / (s * np.sqrt(2 * np.pi)) for m, s in ((0, 1), (1.5, 2)))
    parts = [(np.ones(1), np.array([[m]]), np.array([[[s**2]]])) for m, s in ((0.0, 1.0), (1.5, 2.0))]
    assert bhattacharyya(*parts)[0] == pytest.approx(np.sqrt(f * g).sum() * (x[1] - x[0]), rel=1e-8)


def test_a_mode_s_evidence_is_what_levelling_it_costs(post):
    """One column, one draw: the levelled density by quadrature, its log likelihood on the rows, to first order in the excess.

    The rows of the lower bump are to the right of the pass, since the highest density is on the left.
    """
    from bayesgmm.clusters.modes import climb
    from bayesgmm.mixture import Mixture

    draws = Mixture.from_dense(
        "full", np.array([[0.8, 0.2]]), np.array([[[0.0], [4.0]]]), np.array([[[[1.0]], [[0.5]]]])
    )
    rng = np.random.default_rng(0)
    rows = np.concatenate([rng.normal(0, 1, 80), rng.normal(4, np.sqrt(0.5), 20)])[:, None]

    def f(x):
        return 0.8 * np.exp(-0.5 * x**2) / np.sqrt(2 * np.pi) + 0.2 * np.exp(-((x - 4) ** 2)) / np.sqrt(np.pi)

    grid = np.linspace(0, 4, 400_001)
    at = grid[f(grid).argmin()]
    bump = rows[rows[:, 0] > at, 0]
    over = np.maximum(np.log(f(bump)) - np.log(f(at)), 0)
    evidence = (over - (1 - np.exp(-over))).sum()
    for factor, number in ((0.999, 2), (1.001, 1)):
        assert climb(draws, rows, None, 0.0, evidence * factor).n_modes.tolist() == [number]
    # What is left out is of second order in the excess mass.
    excess = (1 - np.exp(-over)).sum()
    assert evidence == pytest.approx(over.sum() + 100 * np.log1p(-excess / 100), abs=excess**2 / 100)


def test_what_is_asked_for_by_default_is_bic_s_price(post):
    """150 rows, two columns: two logs of 150."""
    default, spelled, none = (
        clusters(post),
        clusters(post, min_evidence=2 * np.log(150)),
        clusters(post, min_evidence=1e9),
    )
    np.testing.assert_array_equal(default.number, spelled.number)
    assert none.number.values.tolist() == [1.0]


@pytest.mark.parametrize(
    "bad", [{"ci_prob": 1.2}, {"min_rows": -1}, {"min_evidence": -1}, {"max_draws": 0}, {"max_rows": 0}]
)
def test_refuses_what_is_not_fit_for_use(post, bad):
    with pytest.raises(InputError, match=next(iter(bad))):
        clusters(post, **bad)


def test_the_profile_is_that_of_the_group_s_mixture(post):
    """Two components by the law of total variance, draw by draw; the third alone is itself."""
    found, view = clusters(post), Posterior.read(post)
    groups = group_draws(view)
    alone = int(np.bincount(groups.grouping.of_component[:, :].ravel(), minlength=2).argmin())
    means, sds = [], []
    for s, of in enumerate(groups.grouping.of_component):
        k = np.flatnonzero(of != alone)
        w = view.draws.weights[s, k] / view.draws.weights[s, k].sum()
        m, v = view.draws.means[s, k, 0], view.draws.dense_covariances[s, k, 0, 0]
        means.append(w @ m)
        sds.append(np.sqrt(w @ (v + m**2) - (w @ m) ** 2))
    of = found.profile.isel(group=1 - alone, feature=0)
    assert float(of["mean"]) == pytest.approx(np.mean(means))
    assert float(of["sd"]) == pytest.approx(np.mean(sds))
    assert float(of["sd_ub"]) == pytest.approx(np.quantile(sds, 0.945))
    assert float(found.profile["weight"].sum()) == pytest.approx(1)


def test_what_sets_a_group_apart_is_the_difference_from_all_other_rows(post):
    """Draw by draw: the mean of a group less that of the rest, over the standard deviation of the whole mixture."""
    found, view = clusters(post), Posterior.read(post)
    groups = group_draws(view)
    apart = []
    for s, of in enumerate(groups.grouping.of_component):
        w, m = view.draws.weights[s], view.draws.means[s, :, 0]
        v = view.draws.dense_covariances[s, :, 0, 0]
        own = of == 1
        sd = np.sqrt(w @ (v + m**2) - (w @ m) ** 2)
        apart.append((np.average(m[own], weights=w[own]) - np.average(m[~own], weights=w[~own])) / sd)
    of = found.profile.isel(group=1, feature=0)
    assert float(of["apart"]) == pytest.approx(np.mean(apart))
    assert float(of["apart_lb"]) == pytest.approx(np.quantile(apart, 0.055))
    # One group has nothing to stand apart from.
    assert "apart" not in clusters(post, min_evidence=1e9).profile
