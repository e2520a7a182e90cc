"""EM on incomplete rows is maximum likelihood of what was observed."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime, minimize
from scipy.stats import multivariate_normal, norm

import bayesgmm as bg
from bayesgmm.em.score import score
from bayesgmm.em.standard_errors import Layout
from bayesgmm.mixture import Design, Mixture, expected_statistics, log_density, structure_named
from bayesgmm.mixture.structure import STRUCTURES
from bayesgmm.posterior.coordinates import Coordinates

from ..incomplete_fixtures import two_groups
from ..mixture_fixtures import random_mixture


def observed_log_likelihood(mixture: Mixture, x: np.ndarray, weight: np.ndarray) -> float:
    """By SciPy, one row after the other."""
    total = 0.0
    for row, w in zip(x, weight, strict=True):
        o = np.flatnonzero(~np.isnan(row))
        density = sum(
            share * multivariate_normal(m[o], s[np.ix_(o, o)]).pdf(row[o])
            for share, m, s in zip(mixture.weights, mixture.means, mixture.dense_covariances, strict=True)
        )
        total += w * np.log(density)
    return total


@pytest.mark.parametrize("name", list(STRUCTURES))
def test_em_is_direct_maximisation(name) -> None:
    """L-BFGS on the log likelihood of the rows, in coordinates without constraint, ends where EM does, and no higher."""
    rng = np.random.default_rng(1)
    x, weight = two_groups(rng, 120), rng.uniform(0.5, 2, 120)
    fit = bg.fit_mixture(x, 2, name, sample_weight=weight, missing="marginalise")
    assert fit.converged
    assert fit.log_likelihood == pytest.approx(observed_log_likelihood(fit.mixture, x, weight), abs=1e-8)
    c, scaling = Coordinates(fit.mixture.structure, 2, 3), fit.scaling
    start = c.unconstrain(fit.standardised.weights, fit.standardised.means, fit.standardised.dense_covariances)

    def negative(u: np.ndarray) -> float:
        return -float(weight @ log_density(c.mixture(u[None])[0].in_data_units(scaling), x))

    moved = start + 0.01 * rng.normal(size=start.size)
    found = minimize(negative, moved, method="BFGS", options={"gtol": 1e-7, "maxiter": 2000})
    assert -found.fun == pytest.approx(fit.log_likelihood, abs=1e-6)


def test_one_gaussian_with_a_monotone_pattern_has_a_closed_form() -> None:
    """Anderson (1957): of (y1, y2) with y2 missing at times, the first margin is that of all rows, and the regression of y2 on
    y1 that of the complete ones."""
    rng = np.random.default_rng(2)
    x = rng.multivariate_normal([1.0, -2.0], [[2.0, 1.2], [1.2, 1.5]], size=200)
    x[x[:, 0] > 1.5, 1] = np.nan
    there = ~np.isnan(x[:, 1])
    slope, level = np.polyfit(x[there, 0], x[there, 1], 1)
    mean, variance = x[:, 0].mean(), x[:, 0].var()
    residual = ((x[there, 1] - level - slope * x[there, 0]) ** 2).mean()
    fit = bg.fit_mixture(x, 1, missing="marginalise", tol=1e-14)
    np.testing.assert_allclose(fit.mixture.means[0], [mean, level + slope * mean], rtol=1e-6)
    expected = [[variance, slope * variance], [slope * variance, residual + slope**2 * variance]]
    np.testing.assert_allclose(fit.mixture.dense_covariances[0], expected, rtol=2e-6)


def test_nothing_missing_changes_nothing() -> None:
    x = np.random.default_rng(3).normal(size=(80, 2))
    one, other = (bg.fit_mixture(x, 2, missing=missing) for missing in ("error", "marginalise"))
    assert one.log_likelihood == other.log_likelihood
    assert np.array_equal(one.mixture.means, other.mixture.means)


def test_order_of_rows_and_units_do_not_matter() -> None:
    rng = np.random.default_rng(4)
    x = two_groups(rng, 150)
    fit = bg.fit_mixture(x, 2, missing="marginalise")
    moved = bg.fit_mixture(x[rng.permutation(150)] * 3.0 + 1.0, 2, missing="marginalise")
    shift = (~np.isnan(x)).sum() * np.log(3.0)
    assert moved.log_likelihood + shift == pytest.approx(fit.log_likelihood, abs=1e-5)
    np.testing.assert_allclose((moved.mixture.means - 1.0) / 3.0, fit.mixture.means, rtol=1e-3)


def test_more_rows_than_are_searched() -> None:
    """Search on some of the rows, the finish on all, in blocks beyond 32,768: the optimum of the truth's start or better."""
    rng = np.random.default_rng(5)
    x = two_groups(rng, 40_000)
    fit = bg.fit_mixture(x, 2, missing="marginalise")
    truth = bg.fit_mixture(x, 2, missing="marginalise", n_starts=0, extra_starts=[fit.mixture])
    assert fit.converged
    assert fit.log_likelihood == pytest.approx(log_density(fit.mixture, x).sum(), rel=1e-10)
    assert fit.log_likelihood >= truth.log_likelihood - 1e-3


@pytest.mark.parametrize("name", list(STRUCTURES))
def test_gradient_of_the_observed_likelihood(name) -> None:
    """By Fisher's identity, against differences of the log likelihood of the rows."""
    rng = np.random.default_rng(6)
    x = two_groups(rng, 60)
    structure = structure_named(name)
    x = structure.scaling(x).standardise(x)
    mixture = random_mixture(rng, name, 2, 3)
    found = score(mixture, expected_statistics(mixture, Design.of(x, structure)))

    def at_means(flat: np.ndarray) -> float:
        return float(log_density(Mixture(structure, mixture.weights, flat.reshape(2, 3), mixture.covariances), x).sum())

    np.testing.assert_allclose(
        found.means.ravel(), approx_fprime(mixture.means.ravel(), at_means, 1e-7), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("name", ["full", "tied", "diag"])
def test_information_is_the_curvature(name) -> None:
    """The observed information is minus the Hessian of the log likelihood of what was observed, by differences of SciPy's."""
    rng = np.random.default_rng(7)
    x = two_groups(rng, 100)
    fit = bg.fit_mixture(x, 2, name, missing="marginalise")
    errors = fit.standard_errors(x, missing="marginalise")
    m, layout = fit.standardised, Layout(fit.standardised)
    z = fit.scaling.standardise(x)
    q = len(layout.directions)

    def moved(u: np.ndarray) -> float:
        logits = np.append(np.log(m.weights[:-1] / m.weights[-1]) + u[: layout.k - 1], 0.0)
        weights = np.exp(logits) / np.exp(logits).sum()
        means = m.means + u[layout.k - 1 : layout.first_covariance].reshape(m.means.shape)
        steps = u[layout.first_covariance :].reshape(layout.n_blocks, q)[layout.blocks]
        dense = m.dense_covariances + np.einsum("kq,qij->kij", steps, layout.directions)
        return float(log_density(Mixture(structure_named("full"), weights, means, dense), z).sum())

    size, h = layout.n_parameters, 1e-4
    hessian, e = np.empty((size, size)), np.eye(size) * h
    for i in range(size):
        for j in range(size):
            hessian[i, j] = (moved(e[i] + e[j]) - moved(e[i] - e[j]) - moved(e[j] - e[i]) + moved(-e[i] - e[j])) / (
                4 * h * h
            )
    expected = np.linalg.inv(-hessian)
    np.testing.assert_allclose(errors.covariance, expected, rtol=2e-3, atol=1e-5)


def test_membership_intervals_of_incomplete_rows_are_wider_than_of_complete_ones() -> None:
    """And those of a complete row are the same whatever others lack."""
    rng = np.random.default_rng(8)
    x = two_groups(rng, 200)
    errors = bg.fit_mixture(x, 2, missing="marginalise").standard_errors(x, missing="marginalise")
    row = np.array([[7.0, 20.0, 5.0], [np.nan, 20.0, 5.0], [7.0, np.nan, 5.0]])
    found = bg.membership_intervals(errors, row)
    alone = bg.membership_intervals(errors, row[:1])
    np.testing.assert_allclose(found.lb[0], alone.lb[0], rtol=1e-12)
    np.testing.assert_allclose(found.plug_in.sum(1), 1.0)
    mixture = errors.estimate
    o = [1, 2]
    terms = [
        w * multivariate_normal(m[o], s[np.ix_(o, o)]).pdf(row[1, o])
        for w, m, s in zip(mixture.weights, mixture.means, mixture.dense_covariances, strict=True)
    ]
    np.testing.assert_allclose(found.plug_in[1], np.array(terms) / sum(terms), rtol=1e-10)


def test_columns_that_some_rows_alone_see() -> None:
    """No row sees both columns: each margin is fitted, and nothing is said of the correlation but what is consistent."""
    rng = np.random.default_rng(9)
    x = np.full((200, 2), np.nan)
    x[:100, 0], x[100:, 1] = rng.normal(3, 2, 100), rng.normal(-1, 0.5, 100)
    fit = bg.fit_mixture(x, 1, "diag", missing="marginalise")
    expected = norm(x[:100, 0].mean(), x[:100, 0].std()).logpdf(x[:100, 0]).sum()
    expected += norm(x[100:, 1].mean(), x[100:, 1].std()).logpdf(x[100:, 1]).sum()
    assert fit.log_likelihood == pytest.approx(expected, abs=1e-6)


def test_grid_criteria_and_likelihood_ratio() -> None:
    x = two_groups(np.random.default_rng(10), 150)
    grid = bg.fit_grid(x, [1, 2], missing="marginalise", progressbar=False)
    assert grid.best_cell("bic")[0] == 2
    test = bg.likelihood_ratio_test(x, 1, n_boot=19, missing="marginalise", progressbar=False)
    assert test.p_value == pytest.approx(0.05)
