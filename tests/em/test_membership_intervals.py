"""EM's membership intervals by two other routes: numerical derivatives, and draws from the asymptotic normal distribution."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import expit, logit
from scipy.stats import norm

from bayesgmm.data import InputError
from bayesgmm.em import GaussianMixture, fit_mixture, membership_intervals, standard_errors
from bayesgmm.em.membership_intervals import logistic_normal_mean
from bayesgmm.em.standard_errors import Layout
from bayesgmm.mixture import Mixture, responsibilities

from ..membership_fixtures import two_groups


def moved(mixture: Mixture, step: np.ndarray) -> Mixture:
    """The mixture (standardised) with its P coordinates moved: logits, means, distinct covariance entries."""
    layout, k = Layout(mixture), mixture.n_components
    logits = np.log(mixture.weights) + np.append(step[: k - 1], 0.0)
    weights = np.exp(logits - logits.max())
    means, dense = mixture.means.copy(), mixture.dense_covariances.copy()
    for c in range(k):
        mean, entries = layout.of_component(c)
        means[c] += step[mean]
        dense[c] += np.einsum("q,qij->ij", step[entries], layout.directions)
    return Mixture.from_dense(mixture.structure.name, weights / weights.sum(), means, dense)


def errors_of(x, k, covariance_type):
    fit = fit_mixture(x, k, covariance_type)
    return standard_errors(fit.mixture, x, fit.scaling)


def three_groups(n=300):
    rng = np.random.default_rng(5)
    centres = np.array([[0.0, 0.0], [3.0, 0.5], [0.5, 3.5]])
    return centres[rng.integers(3, size=n)] + rng.standard_normal((n, 2)) * [1.0, 0.8]


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical", "EEI"])
def test_standard_errors_of_log_odds_by_numerical_derivatives(covariance_type):
    """var(eta_k) = g' V g with g by central differences of log r_k - log(1 - r_k) in every parameter."""
    x = three_groups()
    errors = errors_of(x, 3, covariance_type)
    found = membership_intervals(errors, x[:25])
    m, z = errors.estimate.standardised(errors.scaling), errors.scaling.standardise(x[:25])

    def log_odds(step):
        return logit(responsibilities(moved(m, step), z)[0])

    n_parameters = len(errors.covariance)
    steps = 1e-5 * np.eye(n_parameters)
    gradient = np.stack([(log_odds(s) - log_odds(-s)) / 2e-5 for s in steps])
    expected = np.sqrt(np.einsum("pnk,pq,qnk->nk", gradient, errors.covariance, gradient))
    # Where r_k is within 1e-9 of one its logit has no digits left to differ by.
    known = np.abs(log_odds(np.zeros(n_parameters))) < 15
    assert known.mean() > 0.8
    np.testing.assert_allclose(found.log_odds_se[known], expected[known], rtol=2e-4)
    reach = norm.ppf(0.945) * expected
    np.testing.assert_allclose(found.plug_in, responsibilities(m, z)[0], atol=1e-12)
    np.testing.assert_allclose(found.lb[known], expit(log_odds(np.zeros(n_parameters)) - reach)[known], atol=1e-4)
    np.testing.assert_allclose(found.ub[known], expit(log_odds(np.zeros(n_parameters)) + reach)[known], atol=1e-4)


@pytest.mark.parametrize("k", [2, 3])
def test_intervals_and_means_are_those_of_the_asymptotic_normal(k):
    """4,000 parameters from N(estimate, V), responsibilities of each: the delta method is right to first order in V.

    With 5,000 rows the second order is in the thousandths; quantiles of 4,000 draws err by about 0.04 of an sd.
    """
    x = two_groups(5000, 3.0) if k == 2 else three_groups(5000)
    errors = errors_of(x, k, "full")
    m, rows = errors.estimate.standardised(errors.scaling), errors.scaling.standardise(x[:200])
    rng = np.random.default_rng(0)
    steps = rng.multivariate_normal(np.zeros(len(errors.covariance)), errors.covariance, size=4000)
    r = np.stack([responsibilities(moved(m, step), rows)[0] for step in steps])
    found = membership_intervals(errors, x[:200], 0.8)
    assert r.std(0).max() > 0.02  # there is something to find
    np.testing.assert_allclose(found.probability, r.mean(0), atol=0.003)
    np.testing.assert_allclose(found.lb, np.quantile(r, 0.1, axis=0), atol=0.007)
    np.testing.assert_allclose(found.ub, np.quantile(r, 0.9, axis=0), atol=0.007)


@pytest.mark.parametrize("location", [-6.0, -0.5, 0.0, 3.0, 40.0])
@pytest.mark.parametrize("sd", [0.0, 0.3, 1.9, 2.1, 10.0, 200.0])
def test_the_mean_of_a_logistic_of_a_normal_is_the_integral(location, sd):
    """Against adaptive quadrature over the normal density, the transition at 0 given as a break point."""
    places = sorted({-9.0, *np.clip([(-location - 40) / max(sd, 1e-9), -location / max(sd, 1e-9)], -9, 9), 9.0})
    expected = sum(
        quad(lambda t: expit(location + sd * t) * norm.pdf(t), a, b, epsabs=1e-12, limit=400)[0]
        for a, b in itertools.pairwise(places)
    )
    assert logistic_normal_mean(np.array([location]), np.array([sd]))[0] == pytest.approx(expected, abs=1e-9)


def test_with_two_components_the_means_sum_to_one_by_themselves():
    x = two_groups(60, 2.0)
    found = membership_intervals(errors_of(x, 2, "full"), x)
    np.testing.assert_allclose(found.log_odds_se[:, 0], found.log_odds_se[:, 1], rtol=1e-9)
    # Where r is near one its logit has no digits left.
    known = np.abs(logit(found.plug_in)).max(1) < 12
    assert known.sum() > 30
    by_themselves = logistic_normal_mean(logit(found.plug_in[known]), found.log_odds_se[known])
    np.testing.assert_allclose(found.probability[known], by_themselves, atol=1e-9)


def test_units_do_not_matter_and_weights_count():
    x = two_groups(80, 3.0)
    own = membership_intervals(errors_of(x, 2, "full"), x)
    other = membership_intervals(errors_of(x * [1e3, 1e-4] + [5.0, 1.0], 2, "full"), x * [1e3, 1e-4] + [5.0, 1.0])
    np.testing.assert_allclose(own.lb, other.lb, atol=1e-6)
    gm = GaussianMixture(2).fit(x, sample_weight=np.full(80, 4.0))
    quarter = membership_intervals(gm.standard_errors(x, sample_weight=np.full(80, 4.0)), x)
    np.testing.assert_allclose(quarter.log_odds_se, own.log_odds_se / 2, rtol=1e-4)


def test_one_component_is_certain_and_no_answer_is_nan():
    x = two_groups(50)
    assert (membership_intervals(errors_of(x, 1, "full"), x).lb == 1).all()
    m = Mixture.from_dense("full", np.array([0.5, 0.5]), np.zeros((2, 1)), np.ones((2, 1, 1)))
    none = membership_intervals(standard_errors(m, x[:, :1]), x[:, :1])
    assert np.isnan(none.lb).all()
    assert none.plug_in == pytest.approx(0.5)


def test_refuses_what_has_no_joint_distribution():
    x = two_groups(50)
    with pytest.raises(InputError, match="errors are of the bootstrap"):
        membership_intervals(GaussianMixture(1).fit(x).standard_errors(x, "bootstrap", n_boot=3), x)
    with pytest.raises(InputError, match="give rows of 2 columns"):
        membership_intervals(errors_of(x, 1, "full"), x[:, :1])
