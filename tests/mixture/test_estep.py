"""The E-step against SciPy: L = sum_i log sum_k w_k N(x_i | mu_k, S_k), and the moments under its softmax."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from bayesgmm.mixture import (
    COVARIANCE_TYPES,
    Design,
    Mixture,
    expected_statistics,
    log_density,
    responsibilities,
    structure_named,
)
from bayesgmm.mixture.estep import is_narrow
from bayesgmm.mixture.kernel import accumulate, exp, expect_into

from ..mixture_fixtures import random_mixture


def brute_force(mixture: Mixture, x: np.ndarray) -> np.ndarray:
    """Log of weight times density (N, K), by SciPy."""
    columns = [
        np.log(w) + multivariate_normal(m, s).logpdf(x).reshape(len(x))
        for w, m, s in zip(mixture.weights, mixture.means, mixture.dense_covariances, strict=True)
    ]
    return np.column_stack(columns)


cases = given(
    name=st.sampled_from(COVARIANCE_TYPES),
    k=st.integers(1, 4),
    d=st.integers(1, 4),
    n=st.integers(1, 60),
    seed=st.integers(0, 10_000),
)


@cases
@settings(max_examples=60, deadline=None)
def test_both_routes_equal_brute_force(name: str, k: int, d: int, n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, mixture = rng.normal(size=(n, d)) * 2, random_mixture(rng, name, k, d)
    weight = rng.uniform(0, 2, size=n)
    terms = brute_force(mixture, x)
    density = logsumexp(terms, axis=1)
    r = np.exp(terms - density[:, None]) * weight[:, None]
    for narrow in (False, True):
        s = expected_statistics(mixture, Design.of(x, mixture.structure, weight), narrow=narrow)
        assert s.log_likelihood == pytest.approx(weight @ density, rel=1e-9, abs=1e-8)
        np.testing.assert_allclose(s.counts, r.sum(0), rtol=1e-8, atol=1e-9)
        first = s.first + s.counts[:, None] * s.centres
        np.testing.assert_allclose(first, r.T @ x, rtol=1e-7, atol=1e-7)
        apart = x[:, None, :] - np.broadcast_to(s.centres, mixture.means.shape)
        dense = np.einsum("nk,nki,nkj->kij", r, apart, apart)
        np.testing.assert_allclose(s.second, mixture.structure.reduce(dense), rtol=1e-7, atol=1e-7)


@cases
@settings(max_examples=30, deadline=None)
def test_row_by_row(name: str, k: int, d: int, n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, mixture = rng.normal(size=(n, d)) * 2, random_mixture(rng, name, k, d)
    terms = brute_force(mixture, x)
    r, density = responsibilities(mixture, x)
    np.testing.assert_allclose(density, logsumexp(terms, axis=1), rtol=1e-9, atol=1e-8)
    np.testing.assert_allclose(log_density(mixture, x), density, rtol=1e-12)
    np.testing.assert_allclose(r, np.exp(terms - logsumexp(terms, axis=1)[:, None]), atol=1e-9)


@pytest.mark.parametrize("name", COVARIANCE_TYPES)
def test_block_size_changes_nothing(name: str) -> None:
    rng = np.random.default_rng(0)
    mixture = random_mixture(rng, name, 3, 3)
    design = Design.of(rng.normal(size=(1000, 3)), mixture.structure)
    theta = np.ascontiguousarray(mixture.natural[None])
    args = (theta, design.rows, design.pairs, design.sample_weight, 0, 1000)
    reference, statistics = accumulate(*args, 1000)
    for block in (1, 7, 64, 999, 5000):
        value, moments = accumulate(*args, block)
        np.testing.assert_allclose(value, reference, rtol=1e-10)
        np.testing.assert_allclose(moments, statistics, rtol=1e-10, atol=1e-10 * np.abs(statistics).max())


@pytest.mark.parametrize("name", COVARIANCE_TYPES)
def test_slices_on_threads_add_up(name: str) -> None:
    """More rows than one slice: the sum over parts, whatever the thread that made them."""
    rng = np.random.default_rng(1)
    mixture = random_mixture(rng, name, 2, 2)
    x = rng.normal(size=(70_000, 2))
    whole = expected_statistics(mixture, Design.of(x, mixture.structure))
    again = expected_statistics(mixture, Design.of(x, mixture.structure))
    parts = [expected_statistics(mixture, Design.of(p, mixture.structure)) for p in np.array_split(x, 7)]
    assert whole.log_likelihood == pytest.approx(sum(p.log_likelihood for p in parts), rel=1e-11)
    np.testing.assert_allclose(whole.counts, sum(p.counts for p in parts), rtol=1e-10)
    np.testing.assert_array_equal(whole.first, again.first)


@pytest.mark.parametrize("name", COVARIANCE_TYPES)
def test_weight_zero_drops_a_row_and_weight_two_repeats_it(name: str) -> None:
    rng = np.random.default_rng(2)
    mixture, x = random_mixture(rng, name, 3, 2), rng.normal(size=(50, 2))
    weight = rng.integers(0, 3, size=50)
    weighted = expected_statistics(mixture, Design.of(x, mixture.structure, weight.astype(float)))
    repeated = expected_statistics(mixture, Design.of(np.repeat(x, weight, axis=0), mixture.structure))
    assert weighted.log_likelihood == pytest.approx(repeated.log_likelihood, rel=1e-12)
    np.testing.assert_allclose(weighted.second, repeated.second, rtol=1e-10)


@pytest.mark.parametrize("name", COVARIANCE_TYPES)
def test_batch_is_each_on_its_own(name: str) -> None:
    rng = np.random.default_rng(3)
    mixtures = [random_mixture(rng, name, 3, 2) for _ in range(4)]
    design = Design.of(rng.normal(size=(80, 2)), mixtures[0].structure)
    parts = (np.stack([getattr(m, a) for m in mixtures]) for a in ("weights", "means", "covariances"))
    stacked = Mixture(mixtures[0].structure, *parts)
    both = expected_statistics(stacked, design)
    for i, mixture in enumerate(mixtures):
        np.testing.assert_allclose(both.second[i], expected_statistics(mixture, design).second, rtol=1e-12)


def test_narrow_components_need_the_cholesky_route() -> None:
    """A component of width 1e-7 far from the origin: the expanded form has lost all digits there."""
    rng = np.random.default_rng(4)
    structure = structure_named("full")
    means = np.array([[3.0, -2.0], [0.0, 0.0]])
    covariances = np.stack([1e-14 * np.array([[1.0, 0.3], [0.3, 1.0]]), np.eye(2)])
    mixture = Mixture(structure, np.array([0.5, 0.5]), means, covariances)
    x = np.vstack([means[0] + 1e-7 * rng.normal(size=(20, 2)), rng.normal(size=(20, 2))])
    design = Design.of(x, structure)
    assert is_narrow(mixture, design)
    y = (x - means[0]) * 1e7
    terms = np.column_stack(
        [
            multivariate_normal([0, 0], covariances[0] * 1e14).logpdf(y) + 2 * np.log(1e7),
            multivariate_normal([0, 0], np.eye(2)).logpdf(x),
        ]
    ) + np.log(0.5)
    expected = logsumexp(terms, axis=1).sum()
    assert expected_statistics(mixture, design).log_likelihood == pytest.approx(expected, rel=1e-9)


def test_exponential() -> None:
    x = np.linspace(-599, 700, 100_001)
    y = np.array([exp(v) for v in x])
    np.testing.assert_allclose(y, np.exp(x), rtol=1e-15 * 4)


def test_read_only_rows_and_weights_are_neither_copied_nor_compiled_for(tmp_path: Path) -> None:
    """A mapped file gives the statistics of the same numbers in memory, by the same machine code, from its own pages."""
    rng = np.random.default_rng(0)
    mixture = random_mixture(rng, "full", 2, 2)
    values, weight = rng.normal(size=(500, 2)), rng.uniform(size=500)
    expected = expected_statistics(mixture, Design.of(values, mixture.structure, weight))
    np.save(tmp_path / "rows.npy", values)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    frozen = weight.copy()
    frozen.flags.writeable = False
    design = Design.of(mapped, mixture.structure, frozen)
    before = expect_into.dispatcher.signatures
    got = expected_statistics(mixture, design)
    assert np.shares_memory(design.source, mapped)
    assert expect_into.dispatcher.signatures == before
    np.testing.assert_array_equal(got.second, expected.second)
    np.testing.assert_array_equal(got.log_likelihood, expected.log_likelihood)
