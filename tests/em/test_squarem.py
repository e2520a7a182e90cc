"""Extrapolation is SQUAREM's, never loses, and keeps to what the structure allows."""

import numpy as np
import pytest

from bayesgmm.em.algorithm.iterate import run_em
from bayesgmm.em.algorithm.squarem import LARGEST_STEP, StepLengths, extrapolated, merge
from bayesgmm.em.algorithm.steps import maximisation_step
from bayesgmm.em.search.moves import batch_of
from bayesgmm.em.search.starts import Rows, make_starts
from bayesgmm.mixture import COVARIANCE_TYPES, Design, Mixture, expected_statistics, structure_named

from ..mixture_fixtures import blobs

structures = pytest.mark.parametrize("name", COVARIANCE_TYPES)


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


@structures
def test_a_map_that_is_linear_is_solved_in_one_step(name: str) -> None:
    """Where errors shrink by one factor c per step, x_n = x* + c^n e, the point is x* itself.

    r = (c - 1) e, v = (c - 1)^2 e, a = 1 / (1 - c): x0 + 2 a r + a^2 v = x* + e - 2 e + e. Along means alone, so that the
    point need not be mapped back.
    """
    structure = structure_named(name)
    start = batch_of(make_starts(structure, Rows(blobs(3)), 2, 1, np.random.default_rng(0)))
    e = np.random.default_rng(0).normal(size=start.means.shape)

    def at(n: int) -> Mixture:
        return Mixture(structure, start.weights, start.means + 0.8**n * 0.3 * e, start.covariances)

    steps = StepLengths(np.full(1, LARGEST_STEP), np.ones((1, 3)))
    point, _, usable, growing = extrapolated(at(0), at(1), at(2), steps)
    assert usable.all()
    assert not growing.any()
    np.testing.assert_allclose(point.means, start.means, atol=1e-12)
    np.testing.assert_allclose(point.dense_covariances, start.dense_covariances, rtol=1e-9)
    assert steps.slowest[0, -1] == pytest.approx(5.0)


def test_steps_are_bounded_and_far_jumps_refused() -> None:
    """The step is cut at ``largest``; a weight that would change more than e^3 times is left to EM."""
    structure = structure_named("spherical")
    start = batch_of(make_starts(structure, Rows(blobs(3)), 2, 1, np.random.default_rng(0)))

    def at(shift: float) -> Mixture:
        return Mixture(structure, start.weights, start.means + shift, start.covariances)

    steps = StepLengths(np.full(1, 2.0), np.ones((1, 3)))
    point, _, usable, _ = extrapolated(at(0.0), at(0.1), at(0.19), steps)
    assert usable.all()
    # a = 2 instead of 10: 2 * 2 * 0.1 - 4 * 0.01.
    np.testing.assert_allclose(point.means, start.means + 0.36, rtol=1e-12)
    far = StepLengths(np.full(1, LARGEST_STEP), np.ones((1, 3)))
    assert not extrapolated(at(0.0), at(1.0), at(1.999), far)[2].any()


def test_merge_takes_each_start_whole() -> None:
    structure = structure_named("diag")
    old, new = (
        batch_of(make_starts(structure, Rows(blobs(seed)), 2, 3, np.random.default_rng(seed))) for seed in (0, 1)
    )
    mixed = merge(np.array([True, False, True]), new, old)
    for name in ("weights", "means", "covariances"):
        np.testing.assert_array_equal(getattr(mixed, name)[[0, 2]], getattr(new, name)[[0, 2]])
        np.testing.assert_array_equal(getattr(mixed, name)[1], getattr(old, name)[1])
