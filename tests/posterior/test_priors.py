"""Priors: the five-term form of each scale prior against SciPy, the published priors, and refusals."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import halfnorm, invgamma, lognorm

from bayesgmm.data import InputError, load_dataset
from bayesgmm.posterior.priors import HalfNormalScale, InverseGammaScale, LogNormalScale, Priors, ScalePrior
from bayesgmm.posterior.target import Target

S = np.linspace(-3, 2, 11)


@pytest.mark.parametrize(
    ("prior", "expected"),
    [
        # Density of s = log sd: that of the sd times sd, or of the variance times 2 variance.
        (LogNormalScale(), lognorm(0.6, scale=3 ** (-1 / 2)).logpdf(np.exp(S)) + S),
        (LogNormalScale(0.2, 1.5), lognorm(1.5, scale=np.exp(0.2)).logpdf(np.exp(S)) + S),
        (HalfNormalScale(1.5), halfnorm(scale=1.5).logpdf(np.exp(S)) + S),
        (InverseGammaScale(2.5, 1.5), invgamma(2.5, scale=1.5).logpdf(np.exp(2 * S)) + np.log(2) + 2 * S),
    ],
)
def test_scale_priors_are_the_named_distributions(prior, expected):
    np.testing.assert_allclose(prior.log_density(S, 3, 2), expected, rtol=1e-12)
    mass, _ = quad(lambda s: np.exp(prior.log_density(s, 3, 2)), -25, 12)
    assert mass == pytest.approx(1)


@pytest.mark.parametrize(("k", "d"), [(1, 1), (4, 2), (9, 3)])
def test_default_scales_share_the_volume_of_the_data(k, d):
    """K ellipsoids with the median sd K^(-1/D) in each of D directions have the volume of the data together."""
    assert k * np.exp(LogNormalScale().resolved(k, d)) ** d == pytest.approx(1)


def test_a_new_scale_prior_must_say_what_it_is():
    with pytest.raises(NotImplementedError):
        ScalePrior().coefficients(1, 1)


def test_richardson_green_on_the_galaxies():
    """Their values for this set: midrange 21.7255, range 25.107 thousand km/s (Richardson & Green 1997, section 4)."""
    y = load_dataset("galaxies").iloc[:, 0]
    y = y / (1000 if y.max() > 1000 else 1)
    priors = Priors.richardson_green(y)
    spread = y.max() - y.min()
    assert priors.mean_location == pytest.approx((y.max() + y.min()) / 2)
    assert priors.mean_scale == pytest.approx(spread)
    assert spread == pytest.approx(25.1, abs=0.1)
    assert priors.scale.shape == 2
    assert priors.scale.hyper == pytest.approx((0.2, 10 / spread**2))
    assert priors.weight_concentration == 1
    assert priors.units == "data"


@pytest.mark.parametrize(
    ("y", "message"),
    [(np.zeros((5, 2)), "is for one column; y has 2"), (np.ones(5), "all values of y are equal")],
)
def test_richardson_green_refuses(y, message):
    with pytest.raises(InputError, match=message):
        Priors.richardson_green(y)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LogNormalScale(sigma=0), "LogNormalScale.sigma=0.: sigma must be positive"),
        (lambda: LogNormalScale(location=np.nan), "location must be finite or None"),
        (lambda: HalfNormalScale(-1), "sigma must be positive"),
        (lambda: InverseGammaScale(rate=np.inf), "rate must be positive and finite"),
        (lambda: InverseGammaScale(hyper=(0.2, 0)), "hyper_rate must be positive"),
        (lambda: Priors(mean_scale=(1.0, -1.0)), "mean_scale=.*must be positive"),
        (lambda: Priors(mean_location=np.inf), "mean_location=inf.: must be finite"),
        (lambda: Priors(mean_scale=np.ones((2, 2))), "not an array of shape"),
        (lambda: Priors(correlation_eta=0), "correlation_eta must be positive"),
        (lambda: Priors(weight_concentration=-1), "weight_concentration must be positive"),
        (lambda: Priors(scale=0.6), "give LogNormalScale, HalfNormalScale or InverseGammaScale"),
        (lambda: Priors(units="cm"), "choose 'standardised' or 'data'"),
        (lambda: Priors(mean_scale=(1.0, 2.0)).mean_vectors(3), "has 2 values for 3 features"),
    ],
)
def test_bad_priors_are_named(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_description_is_plain():
    found = Priors(scale=HalfNormalScale(2.0), mean_scale=np.array([1.0, 2.0])).describe()
    assert found["scale"] == {"family": "HalfNormalScale", "sigma": 2.0}
    assert found["mean_scale"] == (1.0, 2.0)


@pytest.mark.parametrize("structure", ["full", "spherical"])
def test_priors_in_data_units_lose_no_digits_far_from_zero(structure: str) -> None:
    """Data and prior moved together by ten million standard deviations: the same density at the same point."""
    y = np.random.default_rng(0).normal(size=(50, 2)).round(4)
    far = 1e7
    near = Target.of(y, 2, structure, Priors(mean_location=0.5, mean_scale=3.0, units="data"))
    moved = Target.of(y + far, 2, structure, Priors(mean_location=0.5 + far, mean_scale=3.0, units="data"))
    x = np.random.default_rng(1).normal(size=near.size)
    value, gradient = near(x)
    again, slope = moved(x)
    # The centres differ in the last digits that y + far can hold.
    assert again == pytest.approx(value, abs=1e-4)
    np.testing.assert_allclose(slope, gradient, atol=1e-4)
    assert np.allclose(moved.own_priors.mean_vectors(2)[0], near.own_priors.mean_vectors(2)[0], atol=1e-7)
