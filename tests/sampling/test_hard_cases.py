"""Calls that once ended in a traceback, a hang or an abort: each is a result or one line now."""

import multiprocessing
import subprocess
import sys

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.data import InputError

ROWS = np.random.default_rng(0).normal(size=(40, 2))
FEW = {"draws": 50, "random_seed": 0, "progressbar": False}


def test_columns_that_are_one_are_refused_or_sampled() -> None:
    """b = 2a: a full covariance has no volume there, which is said; without correlations there is nothing wrong."""
    x = np.c_[ROWS[:, :1], 2 * ROWS[:, :1]]
    with pytest.raises(InputError, match="has no volume"):
        bg.sample_posterior(x, 2, "full", **FEW)
    assert np.isfinite(bg.sample_posterior(x, 2, "diag", **FEW)["posterior"]["means"]).all()


def test_priors_far_off_give_draws_that_are_numbers() -> None:
    """Means a thousand standard deviations off: the ascent collapses from some starts, and the others are sampled."""
    post = bg.sample_posterior(ROWS, 2, priors=bg.Priors(mean_location=1000.0), **FEW)
    assert all(np.isfinite(post["posterior"][name]).all() for name in ("weights", "means", "covariances"))


def test_more_draws_than_memory_are_refused_first() -> None:
    with pytest.raises(InputError, match="of memory and"):
        bg.sample_posterior(ROWS, 2, draws=10**9, progressbar=False)


def test_another_origin_is_the_same_fit() -> None:
    """The galaxies a million further off: EM's memberships to what the shifted numbers can hold."""
    galaxies = bg.load_dataset("galaxies")
    here = bg.GaussianMixture(3, random_state=0).fit(galaxies).predict_proba(galaxies)
    there = bg.GaussianMixture(3, random_state=0).fit(galaxies + 1e6).predict_proba(galaxies + 1e6)
    np.testing.assert_allclose(there, here, atol=1e-7)


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="there is no fork here")
def test_a_forked_pool_works_after_a_threaded_fit() -> None:
    """In a process of its own: a pool's threads do not survive a fork, and each child makes its own."""
    program = (
        "import multiprocessing as mp, warnings, numpy as np, bayesgmm as bg\n"
        "warnings.simplefilter('ignore')\n"
        "def fit(seed):\n"
        "    x = np.random.default_rng(seed).normal(size=(40_000, 3))\n"
        "    return float(bg.fit_mixture(x, 2, n_starts=1).log_likelihood)\n"
        "alone = fit(1)\n"
        "with mp.get_context('fork').Pool(2) as pool:\n"
        "    assert pool.map_async(fit, [1, 1]).get(200) == [alone, alone]\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=300, capture_output=True)
