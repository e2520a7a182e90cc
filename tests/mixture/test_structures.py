"""Structures: parameter counts, natural parameters, and the inverse of every map."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from bayesgmm.data import InputError
from bayesgmm.mixture import Mixture, structure_named
from bayesgmm.mixture.structure import STRUCTURES


def random_mixture(name: str, k: int = 3, d: int = 3, seed: int = 0) -> Mixture:
    rng = np.random.default_rng(seed)
    structure = structure_named(name)
    root = rng.normal(size=(k, d, d)) * 0.4 + np.eye(d)
    weights = rng.dirichlet(np.full(k, 2.0))
    second = structure.reduce(weights[:, None, None] * (root @ np.swapaxes(root, -1, -2)))
    covariances = structure.maximise(weights, np.zeros((k, d)), second)
    return Mixture(structure, weights, rng.normal(size=(k, d)), covariances)


@pytest.mark.parametrize(("name", "count"), [("spherical", 13), ("diag", 21), ("tied", 26), ("full", 41), ("EEI", 16)])
def test_parameter_counts(name: str, count: int) -> None:
    """Five features, two components."""
    assert structure_named(name).n_parameters(2, 5) == count


@pytest.mark.parametrize("name", STRUCTURES)
def test_shapes_are_compact(name: str) -> None:
    mixture = random_mixture(name)
    assert mixture.covariances.shape == mixture.structure.shape(3, 3)
    np.testing.assert_array_equal(mixture.structure.compact(mixture.dense_covariances), mixture.covariances)


@pytest.mark.parametrize("name", STRUCTURES)
def test_natural_parameters_give_log_densities(name: str) -> None:
    """theta_k . phi(x) = log w_k N(x | mu_k, S_k), in the structure whose terms are whole."""
    mixture = random_mixture(name).widened()
    structure, x = mixture.structure, np.random.default_rng(1).normal(size=(5, 3))
    rows, pairs = structure.layout(3).rows(x), structure.layout(3).pairs
    phi = np.vstack([rows, rows[pairs[:, 0]] * rows[pairs[:, 1]]])
    expected = [
        np.log(w) + multivariate_normal(m, s).logpdf(x)
        for w, m, s in zip(mixture.weights, mixture.means, mixture.dense_covariances, strict=True)
    ]
    np.testing.assert_allclose(mixture.natural @ phi, expected, rtol=1e-10)


@pytest.mark.parametrize("name", STRUCTURES)
def test_coordinates_invert(name: str) -> None:
    structure, covariances = structure_named(name), random_mixture(name).covariances
    np.testing.assert_allclose(structure.from_coordinates(structure.coordinates(covariances)), covariances, rtol=1e-10)
    np.testing.assert_allclose(structure.inverted(structure.inverted(covariances)), covariances, rtol=1e-9)


@pytest.mark.parametrize("name", STRUCTURES)
def test_floor_binds_only_below(name: str) -> None:
    structure, covariances = structure_named(name), random_mixture(name).covariances
    same, smallest = structure.floored(covariances, 1e-9)
    np.testing.assert_array_equal(same, covariances)
    floor = float(smallest.max()) * 1.5
    raised, _ = structure.floored(covariances, floor)
    assert structure.floored(raised, 0.0)[1].min() >= floor * (1 - 1e-12)


@pytest.mark.parametrize("name", STRUCTURES)
def test_units_and_back(name: str) -> None:
    mixture = random_mixture(name)
    x = np.random.default_rng(2).normal(size=(20, 3)) * [1e-3, 1, 1e4]
    scaling = mixture.structure.scaling(x)
    back = mixture.in_data_units(scaling).standardised(scaling)
    np.testing.assert_allclose(back.covariances, mixture.covariances, rtol=1e-10)
    np.testing.assert_allclose(back.means, mixture.means, rtol=1e-8, atol=1e-8)


def test_unknown_name() -> None:
    with pytest.raises(ValueError, match="choose one of full, tied, diag, spherical"):
        structure_named("banana")
    assert issubclass(InputError, ValueError)


@pytest.mark.parametrize("name", STRUCTURES)
@pytest.mark.parametrize(("k", "d"), [(2, 4), (3, 3), (4, 2), (1, 3)])
def test_smallest_eigenvalues_are_of_each_component(name: str, k: int, d: int) -> None:
    """Also where K divides D: whether variances were shared was once guessed by divisibility."""
    mixture = random_mixture(name, k, d, seed=3)
    structure = mixture.structure
    _, smallest = structure.floored(mixture.covariances[None], 1e-9)
    expected = np.linalg.eigvalsh(mixture.dense_covariances)[:, 0]
    np.testing.assert_allclose(structure.smallest_per_component(smallest, k)[0], expected, rtol=1e-9)
