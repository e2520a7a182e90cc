"""Representative partitions: against enumeration, and where the posterior has two centres."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest

from bayesgmm.clusters.clusters import clusters
from bayesgmm.clusters.losses import LOSSES, distances
from bayesgmm.clusters.partitions import jaccard, partitions, representatives

from ..membership_fixtures import laplace_posterior, two_groups


def between(draws, loss):
    return np.stack([distances(z, draws, int(draws.max()) + 1, loss) for z in draws])


def test_two_centres_are_both_found_with_their_weights():
    """Draws scattered about two partitions, 70 and 30 of 100: one representative is a compromise, two are the centres."""
    rng = np.random.default_rng(0)
    first, second = np.repeat([0, 1], 20), np.tile([0, 1], 20)
    draws = np.array([first] * 70 + [second] * 30)
    noise = rng.uniform(size=draws.shape) < 0.05
    draws = np.where(noise, 1 - draws, draws)
    loss = LOSSES["VI"](40)
    _, _, one = representatives(draws, 1, loss, rng, between(draws, loss))
    found, nearest, two = representatives(draws, 2, loss, rng, between(draws, loss))
    assert {float(min(distances(c, np.array([z]), 2, loss)[0] for z in (first, second))) for c in found} == {0.0}
    assert sorted(np.bincount(nearest)) == [30, 70]
    assert two < one


@pytest.mark.parametrize("seed", range(4))
def test_the_search_finds_the_best_pair_of_all_partitions(seed):
    """Five rows in at most three clusters: every pair of partitions is tried. Descent is local: within 2% of the best."""
    rng = np.random.default_rng(seed)
    centres = rng.integers(0, 3, size=(2, 5))
    draws = np.where(rng.uniform(size=(24, 5)) < 0.7, centres[np.arange(24) % 2], rng.integers(0, 3, size=(24, 5)))
    loss = LOSSES["VI"](5)
    every = np.unique(np.stack([distances(np.array(c), draws, 3, loss) for c in product(range(3), repeat=5)]), axis=0)
    best = min(np.minimum(a, b).mean() for a, b in combinations(every, 2))
    _, _, value = representatives(draws, 2, loss, rng, between(draws, loss))
    assert best - 1e-12 <= value <= 1.02 * best


def test_jaccard_equals_its_definition():
    rng = np.random.default_rng(1)
    partition, draws = rng.integers(0, 3, 30), rng.integers(0, 4, (5, 30))
    for s, g in product(range(5), range(3)):
        own = set(np.flatnonzero(partition == g))
        others = [set(np.flatnonzero(draws[s] == m)) for m in range(4)]
        expected = max(len(own & other) / len(own | other) for other in others)
        assert jaccard(partition, draws)[s, g] == pytest.approx(expected)


def test_well_separated_groups_are_one_partition_that_recurs():
    post = laplace_posterior(two_groups(60, 7.0), 2, draws=40)
    found = partitions(post)
    assert found.weights.tolist() == [1.0]
    np.testing.assert_array_equal(found.labels[0], clusters(post).consensus.labels)
    assert (found.stability["recurs"] == 1).all()
    assert "One representative partition" in repr(found)


def test_weights_add_up_and_more_representatives_lose_less():
    found = partitions(laplace_posterior(two_groups(60, 1.5), 3, draws=40), min_rows=0)
    assert found.weights.sum() == pytest.approx(1)
    assert (found.expected_loss.diff().dropna() <= 0).all()
    assert found.stability["jaccard"].between(0, 1).all()
