"""The one sampler of rows: components in their proportions, each with its own mean and covariance."""

import re
from pathlib import Path

import numpy as np

import bayesgmm
from bayesgmm.mixture import Mixture, drawn_rows, replicates

N = 40_000


def two_mixtures() -> Mixture:
    rng = np.random.default_rng(0)
    a = rng.normal(size=(2, 3, 2, 2))
    return Mixture.from_dense(
        "full", rng.dirichlet(np.ones(3), 2), 3 * rng.normal(size=(2, 3, 2)), a @ np.swapaxes(a, -1, -2) + np.eye(2)
    )


def test_each_row_is_of_the_component_pointed_at() -> None:
    """Means and covariances of the rows of every component within five standard errors; blocks of rows do not matter."""
    draws = two_mixtures()
    s, k = (index.ravel() for index in np.indices((2, 3)))
    which = tuple(np.tile(index, N // 6) for index in (s, k))
    x = drawn_rows(draws, which, np.random.default_rng(1))
    for i, j in zip(s, k, strict=True):
        own = x[(which[0] == i) & (which[1] == j)]
        covariance = draws.dense_covariances[i, j]
        sd = np.sqrt(np.diag(covariance))
        np.testing.assert_array_less(np.abs(own.mean(0) - draws.means[i, j]), 5 * sd / np.sqrt(len(own)))
        np.testing.assert_allclose(
            np.cov(own.T) / np.outer(sd, sd), covariance / np.outer(sd, sd), atol=5 * np.sqrt(2 / len(own))
        )


def test_replicates_have_the_moments_of_their_mixture() -> None:
    """E x = sum w m, cov x = sum w (S + m m') - E x E x'."""
    draws = two_mixtures()
    x = replicates(draws, N, np.random.default_rng(2))
    assert x.shape == (2, N, 2)
    for s in range(2):
        w, m = draws.weights[s], draws.means[s]
        mean = w @ m
        covariance = np.einsum("k,kij->ij", w, draws.dense_covariances[s]) + (m - mean).T @ np.diag(w) @ (m - mean)
        sd = np.sqrt(np.diag(covariance))
        np.testing.assert_array_less(np.abs(x[s].mean(0) - mean), 5 * sd / np.sqrt(N))
        np.testing.assert_allclose(np.cov(x[s].T) / np.outer(sd, sd), covariance / np.outer(sd, sd), atol=0.05)


def test_the_estimator_draws_by_it() -> None:
    x = bayesgmm.load_dataset("faithful").to_numpy()
    gm = bayesgmm.GaussianMixture(2, random_state=3).fit(x)
    rows, labels = gm.sample(500)
    generator = np.random.RandomState(3)
    counts = generator.multinomial(500, gm.weights_ / gm.weights_.sum())
    np.testing.assert_array_equal(labels, np.repeat([0, 1], counts))
    own = Mixture.from_dense("full", gm.weights_, gm.means_, gm.covariances_)
    np.testing.assert_allclose(rows, drawn_rows(own, (labels,), generator), rtol=1e-8)


def test_there_is_no_other() -> None:
    """Replicates, the estimator, the likelihood ratio test, averages and the bridge's proposal each had their own."""
    root = Path(bayesgmm.__file__).parent
    found = [
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        if re.search(r"cholesky\(.*dense_covariances.*\)", text := path.read_text("utf-8"))
        and re.search(r"\.(standard_)?normal\(", text)
    ]
    # The moves of the search push means off, and draw no rows; walkers step along Gaussians of their own choice.
    assert sorted(found) == ["em/search/moves.py", "mixture/replicates.py", "sampling/samplers/jumps.py"]
