"""Moves keep the moments of the whole mixture; the distance by which components are merged is Bhattacharyya's."""

import numpy as np
import pytest

from bayesgmm.em.search.moves import merged, overlap, perturbed, split, split_and_merge
from bayesgmm.mixture import Mixture


def any_mixture(seed: int, k: int = 3, d: int = 3) -> Mixture:
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(k, d, d))
    return Mixture.from_dense(
        "full", rng.dirichlet(np.ones(k)), 2 * rng.normal(size=(k, d)), a @ np.swapaxes(a, -1, -2) + 0.1 * np.eye(d)
    )


def moments(m: Mixture) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of the whole mixture."""
    mean = m.weights @ m.means
    apart = m.means - mean
    return mean, np.einsum("k,kij->ij", m.weights, m.dense_covariances) + (apart * m.weights[:, None]).T @ apart


@pytest.mark.parametrize("seed", range(5))
def test_split_and_merge_keep_two_moments(seed: int) -> None:
    """Total mean and covariance: with halves at m -+ u and covariance S - uu', w S = w (S - uu') + w uu'."""
    m = any_mixture(seed)
    mean, covariance = moments(m)
    moved = [split(m, k, axis) for k in range(3) for axis in range(3)] + [merged(m, 0, 1), merged(m, 2, 1)]
    moved += split_and_merge(m, 12, np.random.default_rng(0))
    for other in moved:
        assert other.weights.sum() == pytest.approx(1)
        own_mean, own_covariance = moments(other)
        np.testing.assert_allclose(own_mean, mean, atol=1e-10)
        np.testing.assert_allclose(own_covariance, covariance, atol=1e-9)
        assert (np.linalg.eigvalsh(other.dense_covariances) > 0).all()


def test_merging_undoes_a_split() -> None:
    m = any_mixture(3)
    back = merged(split(m, 1), 2, 3)
    order = np.array([0, 2, 1])  # the merged one comes last
    np.testing.assert_allclose(back.means, m.means[order], atol=1e-10)
    np.testing.assert_allclose(back.covariances, m.covariances[order], atol=1e-9)


def test_overlap_is_bhattacharyyas_distance() -> None:
    """-log of the integral of sqrt(p q), by quadrature in one dimension."""
    from scipy.integrate import quad
    from scipy.stats import norm

    m = Mixture.from_dense("full", np.array([0.5, 0.5]), np.array([[0.0], [1.5]]), np.array([[[1.0]], [[0.3]]]))
    integral = quad(lambda x: np.sqrt(norm.pdf(x) * norm.pdf(x, 1.5, np.sqrt(0.3))), -20, 20)[0]
    assert overlap(m)[0, 1] == pytest.approx(-np.log(integral), rel=1e-7)


def test_perturbed_means_are_off_by_so_many_standard_deviations() -> None:
    m = any_mixture(0)
    far = perturbed(m, 0.5, 4000, np.random.default_rng(0))
    apart = far.means - m.means
    for k in range(3):
        np.testing.assert_allclose(np.cov(apart[:, k].T), 0.25 * m.covariances[k], rtol=0.25, atol=0.15)
    np.testing.assert_array_equal(far.covariances[7], m.covariances)
