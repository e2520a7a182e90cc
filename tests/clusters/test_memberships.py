"""Memberships against brute force and known answers, on hand-made posteriors."""

from __future__ import annotations

import os
import tracemalloc

import numpy as np
import pandas as pd
import polars as pl
import pytest

from bayesgmm.clusters.memberships import memberships, memberships_table, summarise_rows
from bayesgmm.clusters.rows import ScoredRows, training_rows
from bayesgmm.data import InputError
from bayesgmm.mixture import Mixture, responsibilities
from bayesgmm.sampling.posterior import Posterior

from ..membership_fixtures import laplace_posterior, two_groups


@pytest.fixture(scope="module")
def data():
    frame = pd.DataFrame(two_groups(80, 4.0), columns=["left", "up"])
    frame.index = [f"r{i}" for i in range(len(frame))]
    return frame


@pytest.fixture(scope="module")
def post(data):
    return laplace_posterior(data, 2)


def all_responsibilities(rows: ScoredRows) -> np.ndarray:
    """Every draw on its own, by the single-mixture route (S, N, K)."""
    return np.stack([responsibilities(rows.draws[s], rows.values)[0] for s in range(rows.n_draws)])


def test_equals_the_direct_formulas(post):
    ds = memberships(post, ci_prob=0.8)
    r = all_responsibilities(training_rows(Posterior.read(post)))
    mean = r.mean(0)
    np.testing.assert_allclose(ds["probability"], mean, atol=1e-12)
    np.testing.assert_allclose(ds["probability_lb"], np.quantile(r, 0.1, axis=0), atol=1e-12)
    np.testing.assert_allclose(ds["probability_ub"], np.quantile(r, 0.9, axis=0), atol=1e-12)
    np.testing.assert_array_equal(ds["assignment"], mean.argmax(1))
    modal = (r.argmax(2) == mean.argmax(1)).mean(0)
    np.testing.assert_allclose(ds["assignment_probability"], modal)
    allocation = -(r * np.log(np.maximum(r, 1e-300))).sum(2).mean(0)
    np.testing.assert_allclose(ds["entropy_allocation"], allocation, atol=1e-12)
    # The parameter part is the mean Kullback-Leibler divergence of the draws from their mean.
    divergence = (r * (np.log(np.maximum(r, 1e-300)) - np.log(mean))).sum(2).mean(0)
    np.testing.assert_allclose(ds["entropy_parameter"], divergence, atol=1e-12)


def test_drawing_labels_and_counting_gives_the_same(post):
    """Labels drawn from the responsibilities of drawn parameters: their frequencies are the probabilities, and the
    entropies are those of label given parameters and of label alone."""
    rows = training_rows(Posterior.read(post))
    r = all_responsibilities(rows)
    rng = np.random.default_rng(0)
    n_labels = 400
    p_second = np.repeat(r[:, :, 1], n_labels, axis=0)
    labels = rng.uniform(size=p_second.shape) < p_second
    ds = memberships(post)
    # Systematic over the draws, so that only the labels are random: sd at most 0.5 / sqrt(80,000).
    np.testing.assert_allclose(labels.mean(0), ds["probability"][:, 1], atol=6 * 0.5 / np.sqrt(len(labels)))
    within = labels.reshape(rows.n_draws, n_labels, -1).mean(1)
    shares = np.stack([1 - within, within], axis=-1)
    conditional = -(shares * np.log(np.maximum(shares, 1e-300))).sum(-1).mean(0)
    # The plug-in entropy of 400 labels is low by about 1 / 800. Its sd is at most max sqrt(p q / 400) |log(p / q)|,
    # that is 0.033, so 0.0024 for the mean over 200 draws.
    np.testing.assert_allclose(conditional, ds["entropy_allocation"], atol=6 * 0.0024 + 1 / 800)


def test_entropies_add_up(post):
    ds = memberships(post)
    gap = ds["entropy"] - ds["entropy_allocation"] - ds["entropy_parameter"]
    assert float(np.abs(gap).max()) < 1e-12
    assert (ds["entropy_parameter"] >= 0).all()


def test_one_component_is_certain(data):
    ds = memberships(laplace_posterior(data, 1))
    for name in ("probability", "probability_lb", "probability_ub", "assignment_probability"):
        np.testing.assert_array_equal(ds[name], 1.0)
    for name in ("entropy", "entropy_allocation", "entropy_parameter"):
        np.testing.assert_array_equal(ds[name], 0.0)


def test_identical_components_share_equally():
    k, s, values = 3, 50, two_groups(40)
    rng = np.random.default_rng(1)
    means = np.repeat(rng.normal(size=(s, 1, 2)), k, axis=1)
    spread = np.repeat(np.exp(rng.normal(size=(s, 1))), k, axis=1)
    draws = Mixture.from_dense("spherical", np.full((s, k), 1 / k), means, spread[..., None, None] * np.eye(2))
    found = summarise_rows(ScoredRows(draws, draws[0], values, np.arange(40), 0.0), 0.89)
    np.testing.assert_allclose(found["probability"], 1 / k, atol=1e-14)
    np.testing.assert_allclose(found["entropy"], np.log(k), atol=1e-12)
    np.testing.assert_allclose(found["entropy_parameter"], 0, atol=1e-12)


def test_permuting_the_labels_of_the_draws_changes_nothing_after_alignment(data, post):
    shuffled = memberships(laplace_posterior(data, 2, shuffled=True))
    plain = memberships(post)
    for name in plain:
        np.testing.assert_allclose(shuffled[name], plain[name], atol=1e-9, err_msg=str(name))


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
def test_block_size_changes_nothing(covariance_type):
    rows = training_rows(Posterior.read(laplace_posterior(two_groups(70, 4.0), 2, covariance_type)))
    one, many = (summarise_rows(rows, 0.89, block_bytes=size) for size in (2**30, 1))
    for name, values in one.items():
        np.testing.assert_allclose(many[name], values, atol=1e-12, err_msg=name)


def test_memory_does_not_hold_draws_times_rows():
    """400 draws x 3 components x 20,000 rows would be 192 MB at once, twice that with the transposed copy."""
    rng = np.random.default_rng(0)
    s, k, n = 400, 3, 20_000
    means = np.arange(k)[:, None] + 0.1 * rng.normal(size=(s, k, 1))
    draws = Mixture.from_dense("full", np.full((s, k), 1 / k), means, np.ones((s, k, 1, 1)))
    rows = ScoredRows(draws, draws[0], rng.normal(size=(n, 1)), np.arange(n), 0.0)
    tracemalloc.start()
    summarise_rows(rows, 0.89, block_bytes=2**20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # The results take 17 MB; each core works on a few blocks of 1 MB.
    assert peak < 17e6 + 8e6 * (os.cpu_count() or 1)


def test_units_and_offset_of_the_data_change_nothing():
    x = two_groups(70, 4.0)
    near, far = (memberships(laplace_posterior(values, 2)) for values in (x, x * [1e-3, 1e6] + [1e3, 1e9]))
    np.testing.assert_allclose(near["probability"], far["probability"], atol=1e-4)


def test_dataset_says_what_it_holds(post, data):
    ds = memberships(post, ci_prob=0.5)
    assert ds["probability"].dims == ("obs_id", "cluster")
    assert ds["entropy"].dims == ("obs_id",)
    assert ds["obs_id"].values.tolist() == data.index.tolist()
    assert ds.attrs["ci_prob"] == 0.5
    assert ds.attrs["interval"] == "equal-tailed"
    assert ds["entropy"].attrs["units"] == "nats"
    assert ds.to_dataframe().shape == (160, 8)


def test_table_has_one_row_per_observation(post, data):
    ds = memberships(post)
    table = memberships_table(ds)
    assert table.index.tolist() == data.index.tolist()
    assert table.index.name == "obs_id"
    assert table["assignment"].dtype.kind == "i"
    np.testing.assert_array_equal(table["probability_lb[1]"], ds["probability_lb"].sel(cluster=1))


def test_new_rows(post, data):
    own = memberships(post)
    for new in (data, data[["up", "left"]], data.to_numpy(), pl.DataFrame(data)):
        np.testing.assert_allclose(memberships(post, new)["probability"], own["probability"], atol=1e-12)
    single = memberships(post, data.iloc[[3]])
    assert single["obs_id"].values.tolist() == ["r3"]
    np.testing.assert_allclose(single["probability"][0], own["probability"][3])
    twice = memberships(post, data.iloc[[3, 3]].to_numpy())
    np.testing.assert_allclose(twice["probability"][1], own["probability"][3])


@pytest.mark.parametrize(
    ("new", "culprit"),
    [
        ([[1.0, 2.0, 3.0]], "3 columns"),
        (pd.DataFrame({"left": [1.0], "down": [2.0]}), "'up'"),
        (pd.DataFrame({"left": [1.0], "up": [np.nan]}), "'up'"),
        (pd.DataFrame({"left": [1.0], "up": ["a"]}), "'up'"),
        (pd.DataFrame({"left": [], "up": []}, dtype=float), "no rows"),
    ],
)
def test_refuses_rows_that_do_not_fit(post, new, culprit):
    with pytest.raises(InputError, match=culprit):
        memberships(post, new)


def test_missing_value_in_new_rows_is_told_without_advice_to_leave_a_column_out(post):
    with pytest.raises(InputError, match="'up' of new_data has one missing value, in row 0") as refused:
        memberships(post, pd.DataFrame({"left": [1.0], "up": [np.nan]}))
    assert "leave the column out" not in str(refused.value)


def test_refuses_a_mass_that_is_none(post):
    with pytest.raises(InputError, match="ci_prob=89"):
        memberships(post, ci_prob=89)


def test_progress_is_silent_unless_asked_for(post, capsys):
    memberships(post)
    assert capsys.readouterr() == ("", "")
    memberships(post, progressbar=True)
    assert "Memberships" in capsys.readouterr().err
