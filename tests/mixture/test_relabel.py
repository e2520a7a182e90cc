"""Alignment undoes what was permuted, and says how sure it is."""

from itertools import permutations

import numpy as np
import pytest

from bayesgmm.mixture import Mixture
from bayesgmm.mixture.relabel import align_labels, labels_by_pivot


def separated(k: int = 3, n_draws: int = 200, n_rows: int = 150, spread: float = 6.0, seed: int = 0):
    """A mixture with distinct components, draws around it, and data from it."""
    rng = np.random.default_rng(seed)
    means = spread * np.arange(k)[:, None] * np.array([[1.0, 0.5]])
    z = rng.integers(k, size=n_rows)
    values = means[z] + rng.normal(size=(n_rows, 2))
    weights = rng.dirichlet(np.full(k, 50.0), size=n_draws)
    drawn = means + 0.1 * rng.normal(size=(n_draws, k, 2))
    draws = Mixture.from_dense("full", weights, drawn, np.tile(np.eye(2), (n_draws, k, 1, 1)))
    pivot = Mixture.from_dense("full", np.full(k, 1 / k), means, np.tile(np.eye(2), (k, 1, 1)))
    return draws, values, pivot


def shuffled(draws: Mixture, seed: int = 1) -> tuple[Mixture, np.ndarray]:
    order = np.argsort(np.random.default_rng(seed).random(draws.weights.shape), axis=1)
    return draws.reordered(order), order


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_permuted_draws_come_back(k: int) -> None:
    draws, values, pivot = separated(k)
    permuted, order = shuffled(draws)
    alignment = align_labels(permuted, values, pivot)
    back = permuted.reordered(alignment.order)
    assert np.array_equal(back.means, draws.means)
    assert np.array_equal(back.weights, draws.weights)
    assert np.array_equal(alignment.moved, (order != np.arange(k)).any(1))
    assert alignment.agreement == 1.0
    assert alignment.ambiguity < 1e-6


def test_unpermuted_draws_stay() -> None:
    draws, values, pivot = separated()
    assert not align_labels(draws, values, pivot).moved.any()


def test_each_assignment_is_the_best_of_all_permutations() -> None:
    """Brute force over K! for the Kullback-Leibler cost, with overlapping components so that ties and errors would show."""
    from bayesgmm.mixture import draw_responsibilities

    draws, values, pivot = separated(4, n_draws=60, spread=1.5)
    permuted, _ = shuffled(draws)
    alignment = align_labels(permuted, values, pivot)
    (block,) = draw_responsibilities(permuted, values)
    # The pivot of the last pass, from the result: at convergence it is the mean of the aligned responsibilities.
    aligned = np.take_along_axis(block.responsibilities, alignment.order[:, :, None], axis=1)
    log_q = np.log(aligned.mean(0))
    for s in range(60):
        cost = -block.responsibilities[s] @ log_q.T
        brute = min(sum(cost[p[label], label] for label in range(4)) for p in permutations(range(4)))
        ours = sum(cost[alignment.order[s, label], label] for label in range(4))
        assert ours == pytest.approx(brute, rel=1e-9)


def test_identical_components_are_ambiguous() -> None:
    draws, values, pivot = separated(2, spread=0.0)
    assert align_labels(draws, values, pivot).ambiguity > 0.2


def test_labels_of_a_draw_do_not_depend_on_the_draws_beside_it(monkeypatch) -> None:
    """The evidence needs K! congruent regions of points: a point's labels are a function of the point.

    Components so close that which rows are looked at decides, and room for the responsibilities of a few draws only.
    """
    monkeypatch.setattr("bayesgmm.mixture.relabel._MAX_HELD", 3 * 2 * 400)
    draws, values, pivot = separated(2, n_draws=60, n_rows=400, spread=0.1)
    together = labels_by_pivot(draws, values, pivot)
    alone = np.concatenate([labels_by_pivot(draws[s : s + 1], values, pivot) for s in range(60)])
    np.testing.assert_array_equal(together, alone)
    assert 5 < (together[:, 0] == 1).sum() < 55  # close indeed
    by_hand = align_labels(draws[:1], values, pivot, max_iter=1).order
    np.testing.assert_array_equal(together[:1], by_hand)
    # What the evidence took before: one alignment of all, on as many rows as there is room for.
    assert (align_labels(draws, values, pivot, max_iter=1).order != alone).any()
