"""What is too large is refused before it is taken, in one line with a remedy."""

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.data import InputError, as_table
from bayesgmm.data.memory import available_memory, size
from bayesgmm.sampling.memory import memory_needed

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("scale", [1e308, 1e200, 1e-310, 1e-200])
@pytest.mark.parametrize("call", [lambda d: bg.fit_mixture(d, 2), lambda d: bg.GaussianMixture(2).fit(d), as_table])
def test_values_whose_variance_is_no_number_are_refused(scale, call) -> None:
    """A variance is of the order of scale^2, and double precision ends at 1.8e308 and 2.2e-308."""
    data = np.clip(RNG.normal(size=(30, 2)), -1, 1) * [1.0, scale]
    with pytest.raises(InputError, match=r"column 'x1' has values .*change its unit"):
        call(data)


@pytest.mark.parametrize("scale", [1e140, 1e-140])
def test_values_whose_variance_is_a_number_are_taken(scale) -> None:
    values = RNG.normal(size=(60, 2))
    fit, plain = bg.fit_mixture(values * [1.0, scale], 2), bg.fit_mixture(values, 2)
    assert fit.log_likelihood == pytest.approx(plain.log_likelihood - 60 * np.log(scale), rel=1e-9)


def test_five_thousand_columns_are_refused_at_once() -> None:
    data = RNG.normal(size=(20, 5000))
    for call in (lambda d: bg.fit_mixture(d, 2), as_table):
        with pytest.raises(InputError, match=r"5,000 columns.*at most 1,000.*principal components"):
            call(data)


def test_a_posterior_too_large_is_refused_before_it_is_sampled(monkeypatch) -> None:
    """D=200, K=2: 1 + 400 + 2 * 200 * 201 / 2 = 40,601 parameters, whose square in doubles is 13.2 GB, once."""
    monkeypatch.setattr("bayesgmm.data.memory.available_memory", lambda: 16 * 10**9)
    wide = RNG.normal(size=(500, 200))
    with pytest.raises(InputError, match=r"'2 full' \(40,601 parameters.*needs about .* GB .*16 GB are free; .*'diag'"):
        bg.sample_posterior(wide, 2)
    with pytest.raises(InputError, match=r"1,000,000,000 draws.*fewer columns, components or draws"):
        bg.sample_posterior(wide[:, :2], 2, draws=10**9)
    with pytest.raises(InputError, match="1,000,000,000 draws"):
        bg.analyze(wide[:, :2], [1, 2], draws=10**9)


def test_the_estimate_holds_what_must_be_held() -> None:
    """The curvature at a mode is P x P, the dense covariances of the result S x K x D x D, in doubles."""
    p, k, d, s = 131, 3, 5, 4000
    assert memory_needed(p, k, d, s) >= 8 * (p**2 + s * (p + k * d * d))
    assert memory_needed(p, k, d, s) <= 8 * 6 * (p**2 + s * (p + k * d * d))


def test_free_memory_is_known_here_and_said_in_words() -> None:
    free = available_memory()
    assert free is None or free > 10**7
    assert [size(n) for n in (12, 3456, 7.8e6, 1.25e9, 3e12)] == ["12 bytes", "3.46 kB", "7.8 MB", "1.25 GB", "3 TB"]
