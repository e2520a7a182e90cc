"""The mode is a mode, its curvature is the curvature, and the approximation knows when it is bad."""

import numpy as np
import pytest

from bayesgmm import Priors, load_dataset
from bayesgmm.em import fit_mixture
from bayesgmm.mixture import COVARIANCE_TYPES
from bayesgmm.posterior.modes import find_mode, sample_laplace
from bayesgmm.posterior.target import Target


def start_of(target: Target) -> np.ndarray:
    em = fit_mixture(target.table, target.n_components, target.structure, random_state=0).mixture
    standard = em.standardised(target.scaling)
    return target.coordinates.unconstrain(standard.weights, standard.means, standard.dense_covariances)


@pytest.mark.parametrize("name", COVARIANCE_TYPES)
def test_mode_is_stationary_and_no_neighbour_is_higher(name: str) -> None:
    target = Target.of(load_dataset("faithful"), 2, name)
    density = target
    mode = find_mode(density, start_of(target))
    value, gradient = density(mode.point)
    assert value == mode.value
    assert np.linalg.norm(mode.spread.T @ gradient) < 1e-5
    assert mode.smallest_curvature > 0
    steps = np.random.default_rng(0).standard_normal((200, density.size)) @ mode.spread.T
    assert np.all(density.many(mode.point + 0.1 * steps) < value)
    # To second order the log density falls by |z|^2 / 2: the spread is the inverse root of the curvature.
    z = np.random.default_rng(1).standard_normal(density.size)
    h = 1e-3
    fall = value - density.many(np.stack([mode.point + h * mode.spread @ z, mode.point - h * mode.spread @ z])).mean()
    assert fall == pytest.approx(0.5 * h**2 * z @ z, rel=1e-3)


def test_one_gaussian_with_many_rows_is_nearly_its_laplace_approximation() -> None:
    x = np.random.default_rng(0).normal(size=(4000, 2))
    target = Target.of(x, 1)
    mode = find_mode(target, start_of(target))
    laplace = sample_laplace(target, mode, 2000, 0)
    assert laplace.pareto_k < 0.5
    assert laplace.ess > 1000
    assert np.allclose(laplace.unconstrained.mean(0), mode.point, atol=0.1 * np.diag(mode.spread).max())


def test_few_rows_and_overlap_are_refused_by_the_pareto_k() -> None:
    x = np.random.default_rng(0).normal(size=(30, 1))
    target = Target.of(x, 3)
    mode = find_mode(target, start_of(target))
    assert sample_laplace(target, mode, 1000, 0).pareto_k > 0.7


def test_density_of_many_points_is_that_of_each() -> None:
    density = Target.of(load_dataset("faithful"), 3, "full", Priors())
    points = np.random.default_rng(0).normal(size=(600, density.size))
    assert np.allclose(density.many(points), [density(p)[0] for p in points], rtol=1e-12)
