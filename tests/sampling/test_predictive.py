"""Replicated data have the moments of the mixture; prior draws have the distribution of the PyMC model's prior."""

import numpy as np
import pytest
from scipy.stats import kstest

from bayesgmm import InverseGammaScale, Priors, load_dataset, sample_posterior
from bayesgmm.mixture import COVARIANCE_TYPES, Mixture, structure_named
from bayesgmm.posterior.coordinates import Coordinates
from bayesgmm.sampling.predictive import prior_draws, replicates


def test_replicates_have_the_moments_of_the_mixture() -> None:
    weights = np.array([[0.2, 0.8]])
    means = np.array([[[0.0, 0.0], [5.0, -2.0]]])
    covariances = np.array([[[[1.0, 0.5], [0.5, 2.0]], [[3.0, -1.0], [-1.0, 1.0]]]])
    x = replicates(Mixture.from_dense("full", weights, means, covariances), 200_000, np.random.default_rng(0))[0]
    mean = weights[0] @ means[0]
    centred = means[0] - mean
    covariance = np.einsum("k,kij->ij", weights[0], covariances[0]) + np.einsum(
        "k,ki,kj->ij", weights[0], centred, centred
    )
    assert np.allclose(x.mean(0), mean, atol=0.03)
    assert np.allclose(np.cov(x.T), covariance, atol=0.08)


@pytest.mark.parametrize("name", COVARIANCE_TYPES)
def test_prior_draws_follow_the_stated_prior(name: str) -> None:
    """Marginals against SciPy's distribution functions (Kolmogorov-Smirnov)."""
    from scipy.stats import beta, lognorm, norm

    k, d = 3, 2
    coordinates = Coordinates(structure_named(name), k, d)
    points = prior_draws(coordinates, Priors(), 4000, np.random.default_rng(0))
    weights, means, scales = list(coordinates.values(points).values())[:3]
    assert kstest(weights[:, 0], beta(4, 8).cdf).pvalue > 1e-4
    assert kstest(means[:, 1, 1], norm(0, 2).cdf).pvalue > 1e-4
    assert kstest(scales[:, -1, 0], lognorm(0.6, scale=k ** (-1 / d)).cdf).pvalue > 1e-4
    blocks = coordinates.split(points)
    if "correlations" in blocks:
        assert kstest(1 / (1 + np.exp(-blocks["correlations"][:, 0])), beta(2, 2).cdf).pvalue > 1e-4


def test_unknown_rate_is_drawn_too() -> None:
    from scipy.stats import gamma

    coordinates = Coordinates(structure_named("diag"), 2, 1, with_rate=True)
    priors = Priors(scale=InverseGammaScale(2.0, hyper=(0.8, 1.5)))
    points = prior_draws(coordinates, priors, 4000, np.random.default_rng(0))
    assert kstest(np.exp(points[:, -1]), gamma(0.8, scale=1 / 1.5).cdf).pvalue > 1e-4
    # variance = rate / Gamma(2): their ratio is free of the rate
    scales = coordinates.values(points)["scales"][:, 0, 0]
    assert kstest(np.exp(points[:, -1]) / scales**2, gamma(2.0).cdf).pvalue > 1e-4


def test_groups_on_request() -> None:
    df = load_dataset("faithful")
    post = sample_posterior(df, 2, draws=50, tune=50, chains=2, random_seed=0, progressbar=False, predictive=True)
    assert dict(post["posterior_predictive"].sizes) == {"chain": 2, "draw": 50, "obs_id": 272, "feature": 2}
    assert {"prior", "prior_predictive"} <= set(post.children)
    replicated = post["posterior_predictive"]["x"].mean(("chain", "draw", "obs_id"))
    assert np.allclose(replicated, df.mean(), rtol=0.03)
