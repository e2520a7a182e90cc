"""What theory says of EM: it never descends, stops where the gradient is zero, and moves with the data."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayesgmm.em.algorithm.iterate import run_em
from bayesgmm.em.algorithm.steps import maximisation_step
from bayesgmm.mixture import COVARIANCE_TYPES, Design, Mixture, expected_statistics, log_density

from ..mixture_fixtures import blobs, started

structures = pytest.mark.parametrize("name", COVARIANCE_TYPES)


@given(
    name=st.sampled_from(COVARIANCE_TYPES), k=st.integers(1, 4), d=st.integers(1, 3), seed=st.integers(0, 1000),
    accelerate=st.booleans(),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_log_likelihood_never_falls(name: str, k: int, d: int, seed: int, accelerate: bool) -> None:
    design, starts = started(name, blobs(seed, d=d), k, 5, seed)
    run = run_em(design, starts, max_iter=300, accelerate=accelerate)
    for path in run.trace.T:
        path = path[np.isfinite(path)]
        assert np.all(np.diff(path) >= -1e-10 * np.abs(path[1:]))
    assert np.isfinite(run.log_likelihood).all()


@structures
def test_reported_log_likelihood_is_that_of_the_mixture(name: str) -> None:
    design, starts = started(name, blobs(0), 3, 5, 0)
    for max_iter in (1, 2, 3, 4, 50):
        run = run_em(design, starts, max_iter=max_iter)
        assert run.n_iter.max() <= max_iter
        for s in range(5):
            density = log_density(run.mixture[s], design.values)
            assert run.log_likelihood[s] == pytest.approx(density.sum(), rel=1e-11)


def em_map(x: np.ndarray, mixture: Mixture) -> Mixture:
    design = Design.of(x, mixture.structure)
    statistics = expected_statistics(mixture[None], design)
    return maximisation_step(statistics, mixture.structure, design.total)[0][0]


@pytest.mark.parametrize("name", ["full", "tied"])
def test_em_map_moves_with_affine_maps(name: str) -> None:
    """M(Ax + b) = A M(x) + b: means transform so, covariances as A S A'."""
    x = blobs(3, d=3)
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(3, 3)) + 2 * np.eye(3), rng.normal(size=3)
    _, starts = started(name, x, 3, 1, 0)
    start = starts[0]
    moved = Mixture.from_dense(name, start.weights, start.means @ a.T + b, a @ start.dense_covariances @ a.T)
    plain, mapped = em_map(x, start), em_map(x @ a.T + b, moved)
    np.testing.assert_allclose(mapped.weights, plain.weights, rtol=1e-9)
    np.testing.assert_allclose(mapped.means, plain.means @ a.T + b, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(mapped.dense_covariances, a @ plain.dense_covariances @ a.T, rtol=1e-8, atol=1e-8)


@structures
def test_em_map_does_not_know_order(name: str) -> None:
    """Rows, columns and labels permuted: the same image, permuted."""
    x = blobs(4, d=3)
    _, starts = started(name, x, 3, 1, 0)
    start, rng = starts[0], np.random.default_rng(0)
    plain = em_map(x, start)
    rows = em_map(x[rng.permutation(len(x))], start)
    np.testing.assert_allclose(rows.covariances, plain.covariances, rtol=1e-10)
    order = np.array([2, 0, 1])
    labels = em_map(x, start.reordered(order))
    np.testing.assert_allclose(labels.means, plain.means[order], rtol=1e-10)
    columns = Mixture.from_dense(
        name, start.weights, start.means[:, order], start.dense_covariances[:, order][:, :, order]
    )
    image = em_map(x[:, order], columns)
    np.testing.assert_allclose(
        image.dense_covariances, plain.dense_covariances[:, order][:, :, order], rtol=1e-9, atol=1e-12
    )


def test_acceleration_saves_iterations_and_reaches_the_same() -> None:
    design, starts = started("full", blobs(5, n=400), 3, 1, 0)
    fast = run_em(design, starts, tol=1e-10)
    slow = run_em(design, starts, tol=1e-10, accelerate=False)
    assert fast.log_likelihood[0] == pytest.approx(slow.log_likelihood[0], abs=1e-5)
    assert fast.n_iter[0] < slow.n_iter[0]
