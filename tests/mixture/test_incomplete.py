"""The E-step over rows that do not see all features, against one row after the other.

A row with the observed features o and the missing m has the density sum_k w_k N(x_o | mu_k,o, S_k,oo). Given x_o and
component k, x_m is normal with mean mu_m + B (x_o - mu_o), B = S_mo S_oo^-1, and covariance S_mm - B S_om: so that the expected
sufficient statistics of whole rows are sums over rows of r_k (y y' + C), y the completed deviation and C that covariance
within m.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from bayesgmm.mixture import (
    Design,
    Groups,
    Mixture,
    completed,
    draw_responsibilities,
    expected_statistics,
    expected_values,
    log_density,
    patterns,
    responsibilities,
)
from bayesgmm.mixture.structure import STRUCTURES

from ..incomplete_fixtures import hidden
from ..mixture_fixtures import random_mixture


def row_terms(mixture: Mixture, row: np.ndarray) -> np.ndarray:
    """Log of weight times marginal density (K,) of what a row has, by SciPy."""
    o = np.flatnonzero(~np.isnan(row))
    return np.array(
        [
            np.log(w) + multivariate_normal(m[o], s[np.ix_(o, o)]).logpdf(row[o])
            for w, m, s in zip(mixture.weights, mixture.means, mixture.dense_covariances, strict=True)
        ]
    )


def by_rows(mixture: Mixture, x: np.ndarray, weight: np.ndarray) -> tuple:
    """Log likelihood, counts, first and second moments about the means, one row after the other."""
    k, d = mixture.means.shape
    total, counts, first, second = 0.0, np.zeros(k), np.zeros((k, d)), np.zeros((k, d, d))
    for row, w in zip(x, weight, strict=True):
        o, m = np.flatnonzero(~np.isnan(row)), np.flatnonzero(np.isnan(row))
        terms = row_terms(mixture, row)
        total += w * logsumexp(terms)
        r = w * np.exp(terms - logsumexp(terms))
        for c in range(k):
            s, y, rest = mixture.dense_covariances[c], np.zeros(d), np.zeros((d, d))
            regression = s[np.ix_(m, o)] @ np.linalg.inv(s[np.ix_(o, o)])
            y[o] = row[o] - mixture.means[c, o]
            y[m] = regression @ y[o]
            rest[np.ix_(m, m)] = s[np.ix_(m, m)] - regression @ s[np.ix_(o, m)]
            counts[c] += r[c]
            first[c] += r[c] * y
            second[c] += r[c] * (np.outer(y, y) + rest)
    return total, counts, first, mixture.structure.reduce(second)


@given(
    name=st.sampled_from(list(STRUCTURES)),
    k=st.integers(1, 4),
    d=st.integers(2, 5),
    share=st.sampled_from([0.1, 0.4, 0.7]),
    weighted=st.booleans(),
    narrow=st.booleans(),
    seed=st.integers(0, 10_000),
)
@settings(max_examples=60, deadline=None)
def test_statistics_are_those_of_the_rows_one_by_one(name, k, d, share, weighted, narrow, seed) -> None:
    rng = np.random.default_rng(seed)
    mixture = random_mixture(rng, name, k, d)
    x = hidden(rng.normal(size=(30, d)) * 2, share, rng)
    weight = rng.uniform(0.1, 2, len(x)) if weighted else np.ones(len(x))
    design = Design.of(x, mixture.structure, weight if weighted else None)
    found = expected_statistics(mixture, design, narrow)
    total, counts, first, second = by_rows(mixture, x, weight)
    scale = 1 + np.abs(second).max()
    assert found.log_likelihood == pytest.approx(total, rel=1e-11)
    np.testing.assert_allclose(found.counts, counts, rtol=0, atol=1e-10 * scale)
    # Of diagonal covariances nothing follows for other features.
    if design.groups is not None:
        np.testing.assert_allclose(found.first, first, rtol=0, atol=1e-10 * scale)
        np.testing.assert_allclose(found.second, second, rtol=0, atol=1e-10 * scale)


@pytest.mark.parametrize("name", list(STRUCTURES))
def test_mixtures_abreast_are_each_one_alone(name) -> None:
    rng = np.random.default_rng(3)
    singles = [random_mixture(rng, name, 3, 4) for _ in range(5)]
    batch = Mixture(
        singles[0].structure, *(np.stack([getattr(m, a) for m in singles]) for a in ("weights", "means", "covariances"))
    )
    design = Design.of(hidden(rng.normal(size=(80, 4)), 0.3, rng), batch.structure)
    together = expected_statistics(batch, design)
    for s, single in enumerate(singles):
        alone = expected_statistics(single, design)
        for part in ("log_likelihood", "counts", "first", "second"):
            np.testing.assert_allclose(getattr(together, part)[s], getattr(alone, part), rtol=1e-12, atol=1e-11)


@pytest.mark.parametrize("name", list(STRUCTURES))
def test_complete_rows_by_group_are_complete_rows(name) -> None:
    """One group that sees everything gives what the plain E-step gives."""
    rng = np.random.default_rng(4)
    mixture, x, weight = random_mixture(rng, name, 3, 3), rng.normal(size=(50, 3)), rng.uniform(0.5, 2, 50)
    plain = Design.of(x, mixture.structure, weight)
    grouped = Design(**{**plain.__dict__, "groups": Groups.of(x, weight, plain.layout)})
    one, other = expected_statistics(mixture, plain, True), expected_statistics(mixture, grouped)
    assert other.log_likelihood == pytest.approx(one.log_likelihood, rel=1e-13)
    for part in ("counts", "first", "second"):
        np.testing.assert_allclose(getattr(other, part), getattr(one, part), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", list(STRUCTURES))
def test_row_by_row_terms_are_the_marginal_mixture(name) -> None:
    rng = np.random.default_rng(5)
    mixture, x = random_mixture(rng, name, 3, 4), hidden(rng.normal(size=(40, 4)), 0.4, rng)
    terms = np.stack([row_terms(mixture, row) for row in x])
    r, density = responsibilities(mixture, x)
    np.testing.assert_allclose(density, logsumexp(terms, axis=1), rtol=0, atol=1e-10)
    np.testing.assert_allclose(r, np.exp(terms - logsumexp(terms, axis=1)[:, None]), rtol=0, atol=1e-10)
    np.testing.assert_allclose(log_density(mixture, x), density, rtol=0, atol=1e-12)
    batch = Mixture(mixture.structure, mixture.weights[None], mixture.means[None], mixture.covariances[None])
    blocks = list(draw_responsibilities(batch, x, 8 * 3 * 7))
    assert len(blocks) > 3
    np.testing.assert_allclose(np.concatenate([b.responsibilities[0] for b in blocks], axis=1).T, r, atol=1e-12)
    np.testing.assert_allclose(np.concatenate([b.log_density[0] for b in blocks]), density, atol=1e-10)


def test_threads_and_blocks_leave_the_sums_alone() -> None:
    """The calls are fixed: more rows and groups than one call takes, the same digits twice, and the sum of the rows."""
    rng = np.random.default_rng(6)
    mixture = random_mixture(rng, "full", 2, 12)
    x = hidden(rng.normal(size=(2500, 12)), 0.5, rng)
    design = Design.of(x, mixture.structure)
    assert len(design.groups.calls) > 1
    one, other = (expected_statistics(mixture, design) for _ in range(2))
    assert one.log_likelihood == other.log_likelihood
    assert np.array_equal(one.second, other.second)
    assert one.log_likelihood == pytest.approx(log_density(mixture, x).sum(), rel=1e-12)


def test_weights_can_be_changed() -> None:
    rng = np.random.default_rng(7)
    x, weight = hidden(rng.normal(size=(60, 3)), 0.3, rng), rng.uniform(0, 2, 60)[:60]
    for name in ("full", "tied"):
        mixture = random_mixture(rng, name, 2, 3)
        weight = rng.uniform(0, 2, len(x))
        changed = expected_statistics(mixture, Design.of(x, mixture.structure).reweighted(weight))
        given_so = expected_statistics(mixture, Design.of(x, mixture.structure, weight))
        assert changed.log_likelihood == pytest.approx(given_so.log_likelihood, rel=1e-13)
        np.testing.assert_allclose(changed.second, given_so.second, rtol=1e-12)


def test_patterns_are_named_once() -> None:
    x = np.array([[1.0, np.nan], [2.0, 3.0], [np.nan, 1.0], [4.0, np.nan]])
    seen, which = patterns(x)
    assert np.array_equal(seen[which], ~np.isnan(x))
    assert len(seen) == 3


def test_completed_rows_have_the_moments_of_what_is_missing() -> None:
    """20,000 copies of one row: mean and variance of the missing cells are those of the conditional mixture."""
    rng = np.random.default_rng(8)
    mixture = random_mixture(rng, "full", 2, 3)
    row = np.array([0.4, np.nan, np.nan])
    x = completed(mixture, np.tile(row, (20_000, 1)), rng)
    assert (x[:, 0] == 0.4).all()
    r = np.exp(row_terms(mixture, row) - logsumexp(row_terms(mixture, row)))
    dense, mean, second = mixture.dense_covariances, np.zeros(2), np.zeros((2, 2))
    for k in range(2):
        regression = dense[k][1:, 0] / dense[k][0, 0]
        m = mixture.means[k, 1:] + regression * (0.4 - mixture.means[k, 0])
        mean += r[k] * m
        second += r[k] * (np.outer(m, m) + dense[k][1:, 1:] - np.outer(regression, dense[k][0, 1:]))
    covariance = second - np.outer(mean, mean)
    np.testing.assert_allclose(expected_values(mixture, row[None])[0, 1:], mean, rtol=1e-12)
    np.testing.assert_allclose(x[:, 1:].mean(0), mean, atol=4 * np.sqrt(np.diag(covariance) / 20_000).max())
    np.testing.assert_allclose(np.cov(x[:, 1:].T), covariance, atol=0.06 * np.diag(covariance).max())
