"""The bootstrap likelihood-ratio test: its level under the null, its power, and what it says."""

import numpy as np
import pytest
from scipy.stats import binom

from bayesgmm import load_dataset
from bayesgmm.data import InputError
from bayesgmm.em import fit_mixture, likelihood_ratio_test


def rejections(samples: list[np.ndarray], k: int, n_boot: int, level: float) -> int:
    tests = [likelihood_ratio_test(x, k, "tied", n_boot=n_boot, progressbar=False) for x in samples]
    return sum(test.p_value <= level for test in tests)


def test_level_under_the_null() -> None:
    """One Gaussian tested 25 times at 20%: rejections are Binomial(25, 0.2), bounded at one in 10,000 each side."""
    rng = np.random.default_rng(0)
    rejected = rejections([rng.normal(size=(60, 1)) for _ in range(25)], 1, 9, 0.2)
    low, high = binom(25, 0.2).ppf([1e-4, 1 - 1e-4])
    assert low <= rejected <= high


def test_level_with_two_components() -> None:
    """Six samples of two components tested against three, at 10%, bounded at one in 10,000."""
    rng = np.random.default_rng(1)
    samples = [rng.normal(size=(150, 2)) + 5 * rng.integers(2, size=(150, 1)) for _ in range(6)]
    assert rejections(samples, 2, 9, 0.1) <= binom(6, 0.1).ppf(1 - 1e-4)


def test_rejects_one_component_on_faithful() -> None:
    df = load_dataset("faithful")
    test = likelihood_ratio_test(df, 1, n_boot=39, progressbar=False)
    assert test.p_value == pytest.approx(1 / 40)
    one, two = (fit_mixture(df, k).log_likelihood for k in (1, 2))
    assert test.statistic == pytest.approx(2 * (two - one), abs=1e-3)
    assert np.all(test.replicates >= 0)
    assert test.null.log_likelihood == pytest.approx(one)
    for text in (repr(test), test._repr_html_()):
        assert "1 component against 2" in text
        assert "0.025" in text


def test_one_seed_one_result() -> None:
    x = np.random.default_rng(1).normal(size=(80, 2))
    one, two = (likelihood_ratio_test(x, 2, n_boot=5, random_state=4, progressbar=False) for _ in range(2))
    assert one.n_components == 2
    assert one.statistic == two.statistic
    np.testing.assert_array_equal(one.replicates, two.replicates)


def test_errors_and_silence(capsys) -> None:
    x = np.random.default_rng(2).normal(size=(5, 1))
    with pytest.raises(InputError, match="n_boot=0"):
        likelihood_ratio_test(x, 1, n_boot=0)
    with pytest.raises(InputError, match="covariance_type='round'"):
        likelihood_ratio_test(x, 1, "round")
    with pytest.raises(InputError, match="needs more than 5 rows"):
        likelihood_ratio_test(x, 5)
    likelihood_ratio_test(x, 1, "tied", n_boot=1, progressbar=False)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""
