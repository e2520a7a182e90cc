"""Averages over models against brute force over draws, and their limits."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bayesgmm.clusters.clusters import clusters, group_draws
from bayesgmm.data import InputError
from bayesgmm.mixture import log_density
from bayesgmm.sampling.posterior import Posterior
from bayesgmm.selection.average import average

from ..membership_fixtures import laplace_posterior, two_groups

ROWS = two_groups(50, 3.0)


@pytest.fixture(scope="module")
def posts():
    return {f"{k} full": laplace_posterior(ROWS, k, draws=30) for k in (1, 2, 3)}


def compared(*p):
    return pd.DataFrame({"p_model": p, "weight": p[::-1]}, index=["1 full", "2 full", "3 full"])


def test_equals_brute_force_over_draws(posts):
    """Every draw of every model with the weight of its model over its number of draws."""
    weights = np.array([0.2, 0.5, 0.3])
    found = average(posts, compared(*weights))
    number, together, indicator = np.zeros(12), np.zeros((50, 50)), []
    density = np.zeros(50)
    for w, post in zip(weights, posts.values(), strict=True):
        draws = group_draws(Posterior.read(post))
        n_draws = len(draws.climbs.n_modes)
        p = np.zeros((50, 50))
        for s in range(n_draws):
            labels = draws.climbs.labels[s]
            number[len(set(labels))] += w / n_draws
            p += (labels[:, None] == labels) / n_draws
            density += w / n_draws * np.exp(log_density(Posterior.read(post).draws[s], ROWS))
        together += w * p
        indicator.append(p)
    np.testing.assert_allclose(found.number_of_clusters, number[1 : found.number_of_clusters.size + 1], atol=1e-12)
    np.testing.assert_allclose(found.coclustering["probability"], together, atol=1e-12)
    np.testing.assert_allclose(found.density(ROWS), density, rtol=1e-10)
    # The law of total variance, of an indicator with that mean.
    total = found.coclustering["within"] + found.coclustering["between"]
    np.testing.assert_allclose(total, together * (1 - together), atol=1e-12)
    spread = np.average((np.array(indicator) - together) ** 2, axis=0, weights=weights)
    np.testing.assert_allclose(found.coclustering["between"], spread, atol=1e-12)
    assert found.entropy["total"] == pytest.approx(found.entropy["within"] + found.entropy["between"])


def test_weights_of_zero_and_one_give_the_single_model(posts):
    found, alone = average(posts, compared(0.0, 1.0, 0.0)), clusters(posts["2 full"])
    np.testing.assert_allclose(found.number_of_clusters, alone.number)
    np.testing.assert_allclose(found.number_of_clusters["mcse"], alone.number["mcse"])
    np.testing.assert_array_equal(found.consensus.labels, alone.consensus.labels)
    assert found.consensus.radius == pytest.approx(alone.consensus.radius)
    assert float(abs(found.coclustering["between"]).max()) == 0
    assert found.entropy["between"] == 0
    again = average({"2 full": posts["2 full"]}, compared(0.3, 0.4, 0.3))
    np.testing.assert_allclose(again.coclustering["probability"], found.coclustering["probability"])


def test_stacking_weights_on_request(posts):
    found = average(posts, compared(0.1, 0.2, 0.7), by="stacking")
    np.testing.assert_allclose(found.weights, [0.7, 0.2, 0.1])


def test_outlyingness_of_a_row_far_out_is_small():
    """Under the right model it is uniform over the rows; a row 8 sd away is out of all replicates."""
    rows = np.concatenate([np.random.default_rng(0).normal(size=(200, 2)), [[8.0, 8.0]]])
    found = average({"1 full": laplace_posterior(rows, 1, draws=30)}, compared(1.0, 0.0, 0.0))
    assert found.outlyingness.iloc[-1] < 0.001
    assert found.outlyingness.mean() == pytest.approx(0.5, abs=0.1)


def test_summary_says_the_number_and_its_source(posts):
    text = repr(average(posts, compared(0.2, 0.5, 0.3)))
    assert "averaged over three models" in text
    assert "between models" in text


def test_refuses_what_cannot_be_averaged(posts):
    with pytest.raises(InputError, match="no model '4 full'"):
        average({"4 full": posts["2 full"]}, compared(0.2, 0.5, 0.3))
    with pytest.raises(InputError, match="by="):
        average(posts, compared(0.2, 0.5, 0.3), by="wish")
    with pytest.raises(InputError, match="no p_model"):
        average(posts, compared(np.nan, 0.5, 0.3))
    other = laplace_posterior(two_groups(40), 2, draws=10)
    with pytest.raises(InputError, match="different data"):
        average({"1 full": posts["1 full"], "2 full": other}, compared(0.2, 0.5, 0.3))
