"""The pieces of the search: starts are mixtures, moves keep moments, extrapolation never loses, pools choose and count."""

import numpy as np
import pytest

from bayesgmm.em import GaussianMixture
from bayesgmm.em.algorithm.iterate import run_em
from bayesgmm.em.algorithm.squarem import StepLengths, extrapolated
from bayesgmm.em.algorithm.steps import maximisation_step
from bayesgmm.em.prepare import prepare
from bayesgmm.em.search.explore import explore
from bayesgmm.em.search.moves import batch_of, merged, overlap, perturbed, split, split_and_merge
from bayesgmm.em.search.pool import Plan, Pool
from bayesgmm.em.search.starts import KINDS, Rows, make_starts
from bayesgmm.mixture import COVARIANCE_TYPES, Design, Mixture, expected_statistics, structure_named

structures = pytest.mark.parametrize("name", COVARIANCE_TYPES)


def blobs(seed: int, n: int = 120, d: int = 2, k: int = 3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(k, d))[rng.integers(k, size=n)] * 2.5 + rng.normal(size=(n, d))


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


@structures
@pytest.mark.parametrize("kind", KINDS)
def test_starts_are_mixtures(name: str, kind: str) -> None:
    x = blobs(0)
    structure = structure_named(name)
    weight = np.random.default_rng(1).uniform(0.5, 2, size=len(x))
    for own in (None, weight):
        starts = make_starts(structure, Rows(x, own), 4, 3, np.random.default_rng(0), kind)
        assert len(starts) == 3
        for m in starts:
            assert m.means.shape == (4, 2)
            assert m.covariances.shape == structure.shape(4, 2)
            assert m.weights.sum() == pytest.approx(1)
            assert (m.weights > 0).all()
            assert (np.linalg.eigvalsh(m.dense_covariances) > 0).all()


def test_starts_differ_and_come_with_their_seed() -> None:
    rows = Rows(blobs(0))
    one, two = (make_starts(structure_named("full"), rows, 3, 12, np.random.default_rng(0)) for _ in range(2))
    assert all(np.array_equal(a.means, b.means) for a, b in zip(one, two, strict=True))
    assert len({m.means.tobytes() for m in one}) == 12
    whitened = np.cov(rows.whitened.T, bias=True)
    np.testing.assert_allclose(whitened, np.eye(2), atol=1e-9)


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


@structures
def test_extrapolation_is_squarems(name: str) -> None:
    """x0 + 2 a r + a^2 v with a = |r| / |v|, in log weights, means and factors with logarithmic diagonals (scheme S3)."""
    design = Design.of(blobs(1), structure_named(name))
    x0 = batch_of(make_starts(design.structure, Rows(design.values), 3, 4, np.random.default_rng(0)))

    def mapped(m: Mixture) -> Mixture:
        return maximisation_step(expected_statistics(m, design), m.structure, design.total)[0]

    for _ in range(10):
        x0 = mapped(x0)
    x1 = mapped(x0)
    x2 = mapped(x1)
    steps = StepLengths(np.full(4, 1e4), np.ones((4, 3)))
    point, smallest, usable, _ = extrapolated(x0, x1, x2, steps)
    assert usable.any()
    flat = [
        np.concatenate(
            [np.log(m.weights), m.means.reshape(4, -1), m.structure.coordinates(m.covariances).reshape(4, -1)], 1
        )
        for m in (x0, x1, x2)
    ]
    r, v = flat[1] - flat[0], flat[2] - 2 * flat[1] + flat[0]
    a = np.maximum(np.linalg.norm(r, axis=1) / np.linalg.norm(v, axis=1), 1)[:, None]
    target = flat[0] + 2 * a * r + a**2 * v
    for s in np.flatnonzero(usable):
        np.testing.assert_allclose(point.means[s].ravel(), target[s, 3:9], rtol=1e-8)
        expected = np.exp(target[s, :3])
        np.testing.assert_allclose(point.weights[s], expected / expected.sum(), rtol=1e-8)
        assert smallest[s].min() == pytest.approx(np.linalg.eigvalsh(point.dense_covariances[s]).min(), rel=1e-6)


def test_where_extrapolation_loses_em_goes_on() -> None:
    """Accelerated paths never fall, and end no lower than plain EM from the same starts."""
    design = Design.of(blobs(7, n=60, d=1), structure_named("full"))
    starts = batch_of(
        make_starts(design.structure, Rows(design.values), 2, 8, np.random.default_rng(0), "random_from_data")
    )
    fast, slow = (run_em(design, starts, max_iter=5000, accelerate=a) for a in (True, False))
    steps = np.diff(np.where(np.isfinite(fast.trace), fast.trace, np.nan), axis=0)
    assert (steps[np.isfinite(steps)] >= -1e-9).all()
    assert np.median(fast.n_iter) < np.median(slow.n_iter)


def test_pools_choose_and_count(values) -> None:
    design = prepare(values("faithful"), "full").design
    plan = Plan(1e-9, 10_000, 0.0)
    starts = make_starts(design.structure, Rows(design.values), 3, 26, np.random.default_rng(0))
    pool = explore(design, starts, plan, np.random.default_rng(0))
    assert pool.is_sound(pool.best)
    assert pool.run.log_likelihood[pool.best] == pool.run.log_likelihood[pool.sound].max()
    chosen = pool.optima(12, 6)
    assert chosen[0] == pool.best
    assert 0 <= pool.once <= sum(pool.hits(i) == 1 for i in chosen)
    assert sum(pool.hits(i) for i in chosen) <= pool.tried == 26
    again = Pool.of(pool.run, design, 26, plan)
    np.testing.assert_array_equal(again.spurious, pool.spurious)


KINDS_OF_DATA = {
    "normal": lambda rng, n, d: rng.normal(size=(n, d)),
    "cauchy": lambda rng, n, d: rng.standard_cauchy((n, d)),
    "whole numbers": lambda rng, n, d: rng.integers(4, size=(n, d)) + np.eye(n, d),
    "threefold": lambda rng, n, d: np.repeat(rng.normal(size=(n, d)), 3, axis=0),
    "log-normal": lambda rng, n, d: np.exp(3 * rng.normal(size=(n, d))),
}


@structures
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("kind", KINDS_OF_DATA)
def test_log_likelihood_is_the_sum_of_scores(kind: str, name: str) -> None:
    """Of what is returned, on the data as given; also where a component is at the floor."""
    rng = np.random.default_rng(5)
    for seed in range(12):
        x = KINDS_OF_DATA[kind](rng, int(rng.integers(6, 50)), int(rng.integers(1, 4)))
        gm = GaussianMixture(int(rng.integers(1, 5)), covariance_type=name, random_state=seed, n_init=4).fit(x)
        total = gm.score_samples(x).sum()
        assert gm.result_.log_likelihood == pytest.approx(total, rel=1e-9, abs=1e-8), (seed, gm.result_.outcome)
