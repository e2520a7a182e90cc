"""Co-clustering probabilities against counting, and their conventions."""

from __future__ import annotations

import numpy as np
import pytest

from bayesgmm.clusters import coclustering as module
from bayesgmm.clusters.coclustering import coclustering
from bayesgmm.clusters.consensus import draw_partitions
from bayesgmm.clusters.rows import training_rows
from bayesgmm.data import InputError
from bayesgmm.mixture import responsibilities
from bayesgmm.sampling.posterior import Posterior

from ..membership_fixtures import laplace_posterior, two_groups


@pytest.fixture(scope="module")
def post():
    return laplace_posterior(two_groups(40, 4.0), 2)


def test_equals_the_sum_of_products(post):
    rows = training_rows(Posterior.read(post))
    r = np.stack([responsibilities(rows.draws[s], rows.values)[0] for s in range(rows.n_draws)])
    expected = np.einsum("sik,sjk->ij", r, r) / len(r)
    np.fill_diagonal(expected, 1.0)
    np.testing.assert_allclose(coclustering(post), expected, atol=1e-12)


def test_drawing_labels_and_counting_gives_the_same(post):
    rows = training_rows(Posterior.read(post))
    rng = np.random.default_rng(0)
    together = np.zeros((40, 40))
    passes = 100
    for _ in range(passes):
        labels = draw_partitions(rows.draws, rows.values, rng)
        together += (labels[:, None, :] == labels[None, :, :]).mean(2)
    tolerance = 6 * 0.5 / np.sqrt(passes * rows.n_draws)
    np.testing.assert_allclose(coclustering(post), together / passes, atol=tolerance)


def test_does_not_depend_on_labels(post):
    """Labels of the draws permuted and not aligned at all."""
    shuffled = post.copy(deep=True)
    for name in ("weights", "means", "covariances"):
        values = shuffled["posterior"][name].values
        values[:, ::2] = values[:, ::2, ::-1]
    np.testing.assert_allclose(coclustering(shuffled), coclustering(post), atol=1e-12)


def test_is_a_probability_with_ones_on_the_diagonal(post):
    c = coclustering(post)
    assert c.dims == ("obs_id", "obs_id_bis")
    np.testing.assert_array_equal(np.diag(c), 1.0)
    np.testing.assert_allclose(c, c.values.T, atol=1e-15)
    assert float(c.min()) >= 0
    assert float(c.max()) <= 1


def test_blocks_of_draws_change_nothing(post, monkeypatch):
    whole = coclustering(post)
    monkeypatch.setattr(module, "_BLOCK", 1)
    np.testing.assert_allclose(coclustering(post), whole, atol=1e-12)


def test_one_component_puts_all_together():
    np.testing.assert_allclose(coclustering(laplace_posterior(two_groups(20), 1)), 1.0, atol=1e-14)


def test_rows_by_label_and_stated_subsample(post):
    whole = coclustering(post)
    part = coclustering(post, rows=[7, 3])
    np.testing.assert_allclose(part, whole.sel(obs_id=[7, 3], obs_id_bis=[7, 3]), atol=1e-12)
    some = coclustering(post, max_rows=10)
    assert some.shape == (10, 10)
    assert some.attrs["rows"] == "a random 10 of 40 rows (seed 0)"
    labels = some["obs_id"].values
    np.testing.assert_allclose(some, whole.sel(obs_id=labels, obs_id_bis=labels), atol=1e-12)


def test_refuses_rows_that_there_are_not(post):
    with pytest.raises(InputError, match="names 99"):
        coclustering(post, rows=[1, 99])
    with pytest.raises(InputError, match="at least two"):
        coclustering(post, rows=[1])
