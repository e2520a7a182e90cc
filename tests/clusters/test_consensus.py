"""The consensus partition against enumeration of all partitions, and the losses against their definitions."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score, mutual_info_score, rand_score

from bayesgmm.clusters.consensus import consensus, draw_partitions
from bayesgmm.clusters.losses import LOSSES, descend, distances
from bayesgmm.clusters.rows import training_rows
from bayesgmm.data import InputError
from bayesgmm.mixture import responsibilities
from bayesgmm.sampling.posterior import Posterior

from ..membership_fixtures import laplace_posterior, two_groups


def entropy(labels):
    share = np.bincount(labels) / len(labels)
    share = share[share > 0]
    return -(share * np.log(share)).sum()


def vi(a, b):
    """H(a) + H(b) - 2 I(a, b)."""
    return entropy(a) + entropy(b) - 2 * mutual_info_score(a, b)


def pairs(a, b):
    """Pairs that are together in one and apart in the other."""
    return np.mean([(a[i] == a[j]) != (b[i] == b[j]) for i, j in combinations(range(len(a)), 2)])


@pytest.fixture(scope="module")
def post():
    return laplace_posterior(two_groups(80, 4.0), 2)


@pytest.mark.parametrize(("name", "definition"), [("VI", vi), ("binder", pairs)])
def test_losses_equal_their_definitions(name, definition):
    rng = np.random.default_rng(0)
    draws = rng.integers(0, 3, size=(20, 15))
    candidate = rng.integers(0, 4, size=15)
    found = distances(candidate, draws, 3, LOSSES[name](15))
    np.testing.assert_allclose(found, [definition(candidate, z) for z in draws], atol=1e-12)
    assert distances(draws[0], draws[:1], 3, LOSSES[name](15))[0] < 1e-12


def test_binder_is_one_minus_the_rand_index():
    rng = np.random.default_rng(1)
    a, b = rng.integers(0, 3, size=(2, 50))
    assert distances(a, b[None], 3, LOSSES["binder"](50))[0] == pytest.approx(1 - rand_score(a, b))


@pytest.mark.parametrize(("name", "definition"), [("VI", vi), ("binder", pairs)])
@pytest.mark.parametrize("seed", range(5))
def test_search_finds_the_best_of_all_partitions(name, definition, seed):
    """Eight rows in at most three clusters: 3^8 labellings hold every partition."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, size=8)
    draws = np.where(rng.uniform(size=(30, 8)) < 0.6, truth, rng.integers(0, 3, size=(30, 8)))
    loss = LOSSES[name](8)
    least = min(distances(np.array(c), draws, 3, loss).mean() for c in product(range(3), repeat=8))
    by_row = np.ascontiguousarray(draws.T)
    starts = [*draws, np.zeros(8, dtype=int)]
    found = min((descend(start, by_row, 3, 3, loss, rng) for start in starts), key=lambda pair: pair[1])
    assert found[1] == pytest.approx(least, abs=1e-12)
    assert np.mean([definition(found[0], z) for z in draws]) == pytest.approx(least, abs=1e-12)


def test_moves_never_raise_the_loss():
    rng = np.random.default_rng(2)
    draws = rng.integers(0, 3, size=(50, 40))
    loss = LOSSES["VI"](40)
    start = rng.integers(0, 3, size=40)
    before = distances(start, draws, 3, loss).mean()
    labels, after = descend(start, np.ascontiguousarray(draws.T), 3, 3, loss, rng)
    assert after <= before
    assert distances(labels, draws, 3, loss).mean() == pytest.approx(after, abs=1e-12)


def test_drawn_labels_have_the_right_frequencies(post):
    rows = training_rows(Posterior.read(post))
    rng = np.random.default_rng(0)
    passes = 50
    share = np.mean([(draw_partitions(rows.draws, rows.values, rng) == 1).mean(1) for _ in range(passes)], axis=0)
    expected = np.mean([responsibilities(rows.draws[s], rows.values)[0][:, 1] for s in range(rows.n_draws)], axis=0)
    np.testing.assert_allclose(share, expected, atol=6 * 0.5 / np.sqrt(passes * rows.n_draws))


@pytest.mark.parametrize("loss", ["VI", "binder"])
def test_ball_holds_its_mass_and_its_bounds(post, loss):
    c = consensus(post, loss, ci_prob=0.8)
    rows = training_rows(Posterior.read(post))
    draws = draw_partitions(rows.draws, rows.values, np.random.default_rng(0)).T.astype(int)
    d = distances(c.labels.to_numpy(), draws, 2, LOSSES[loss](80))
    assert c.n_draws == len(draws) == 200
    assert c.expected_loss == pytest.approx(d.mean(), abs=1e-12)
    assert np.mean(d <= c.radius) >= 0.8
    assert np.mean(d < c.radius) < 0.8
    inside = d <= c.radius
    assert c.bound_table.loc["horizontal", "distance"] == pytest.approx(d[inside].max())
    counts = np.array([np.unique(z).size for z in draws])
    assert c.bound_table.loc["vertical_upper", "n_clusters"] == counts[inside].min()
    assert c.bound_table.loc["vertical_lower", "n_clusters"] == counts[inside].max()
    for name in c.bounds:
        gap = distances(c.bounds[name].to_numpy(), c.labels.to_numpy()[None], 2, LOSSES[loss](80))[0]
        assert gap <= c.radius + 1e-12


def test_clear_groups_are_found_and_numbered_as_components():
    x = two_groups(60, 12.0)
    post = laplace_posterior(x, 2)
    c = consensus(post)
    hard = responsibilities(Posterior.read(post).em, x)[0].argmax(1)
    np.testing.assert_array_equal(c.labels, hard)
    assert c.expected_loss == pytest.approx(0, abs=1e-12)
    assert c.radius == pytest.approx(0, abs=1e-12)


def test_more_clusters_than_components_on_request(post):
    more = consensus(post, "binder", max_clusters=6)
    plain = consensus(post, "binder")
    assert more.expected_loss <= plain.expected_loss + 1e-12
    assert adjusted_rand_score(more.labels, plain.labels) > 0.8
    assert consensus(post, max_clusters=1).n_clusters == 1


def test_same_seed_same_answer_and_readable(post):
    a, b = consensus(post, random_seed=3), consensus(post, random_seed=3)
    np.testing.assert_array_equal(a.labels, b.labels)
    assert a.labels.index.name == "obs_id"
    assert "credible ball   89% of them" in repr(a)
    assert "<pre>" in a._repr_html_()


def test_refuses_what_it_does_not_know(post):
    with pytest.raises(InputError, match="loss='rand' is unknown"):
        consensus(post, "rand")
    with pytest.raises(InputError, match="max_clusters=0"):
        consensus(post, max_clusters=0)
    with pytest.raises(InputError, match="ci_prob=1"):
        consensus(post, ci_prob=1)
