"""A model that is right reproduces its data; one that is wrong fails in the aspect in which it is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from bayesgmm.checks.predictive_checks import kurtosis, largest_gap, predictive_checks, skewness
from bayesgmm.data import InputError
from bayesgmm.sampling.sample import sample_posterior


def sampled(values, k):
    return sample_posterior(values, k, draws=200, chains=2, random_seed=0, progressbar=False)


def test_statistics_of_known_data():
    x = np.array([0.0, 0.0, 0.0, 1.0])
    assert skewness(x) == pytest.approx(2 / np.sqrt(3))
    assert kurtosis(x) == pytest.approx(7 / 3 - 3)
    two = np.concatenate([np.linspace(0, 1, 50), np.linspace(5, 6, 50)])
    assert largest_gap(two) == pytest.approx(4 / two.std())


def test_right_model_passes():
    values = np.random.default_rng(0).normal(size=(200, 2))
    table = predictive_checks(sampled(values, 1), n_replicates=200)
    assert list(table.index.names) == ["feature", "statistic"]
    assert len(table) == 10
    assert table["p_value"].between(0.005, 0.995).all()
    assert (table["lb"] <= table["ub"]).all()


def test_one_component_fails_on_two_groups():
    rng = np.random.default_rng(1)
    values = np.concatenate([rng.normal(-4, 1, 100), rng.normal(4, 1, 100)])[:, None]
    wrong = predictive_checks(sampled(values, 1), n_replicates=200)["p_value"]["x0"]
    assert wrong["kurtosis"] > 0.99
    assert wrong["density"] < 0.01
    assert wrong["largest gap"] < 0.01
    right = predictive_checks(sampled(values, 2), n_replicates=200)["p_value"]
    assert right.between(0.01, 0.99).all()


def test_same_seed_same_numbers_and_wrong_arguments():
    post = sampled(np.random.default_rng(2).normal(size=(50, 1)), 1)
    first, again = (predictive_checks(post, n_replicates=50, random_seed=3) for _ in range(2))
    assert first.equals(again)
    with pytest.raises(InputError, match="n_replicates=3"):
        predictive_checks(post, n_replicates=3)


def test_the_mass_of_intervals_is_ci_prob():
    """The ends are the quantiles (1 -+ ci_prob) / 2 of the replicates, so a wider interval holds a narrower one."""
    post = sample_posterior(np.random.default_rng(2).normal(size=(40, 1)), 1, draws=100, chains=2, progressbar=False)
    wide, narrow = (predictive_checks(post, ci_prob=p, n_replicates=50) for p in (0.9, 0.5))
    assert (wide["lb"] < narrow["lb"]).all()
    assert (wide["ub"] > narrow["ub"]).all()
    assert (wide.attrs["ci_prob"], wide.attrs["interval"]) == (0.9, "equal-tailed")
    assert predictive_checks(post, mass=0.5, n_replicates=50).equals(narrow)
    with pytest.raises(InputError, match=r"ci_prob=1\.5: give a number above 0 and below 1"):
        predictive_checks(post, ci_prob=1.5)
