"""Structures that are no linear space: their maximisation steps, surfaces and shared parts.

With scatter W_k and counts n_k, the M-step minimises Q(S) = sum_k n_k log|S_k| + tr(W_k S_k^-1) over the covariances of a
structure.
"""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayesgmm.mixture import Structure, structure_named, structures_named, tangent
from bayesgmm.mixture.rotation import coordinates_of, proper, rotation_at, shared_axes
from bayesgmm.mixture.structure import curvature
from bayesgmm.mixture.structure.equivalence import FOURTEEN, narrower
from bayesgmm.mixture.structure.spectra import fit_products, raised_spectra

CURVED = [s.name for s in structures_named("all") if s.linear is not s]
SIZES = st.tuples(st.integers(2, 4), st.integers(1, 5), st.integers(0, 10_000))


def problem(k: int, d: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Counts (K,) and scatter (K, D, D), of variances that differ by up to a hundredfold."""
    rng = np.random.default_rng(seed)
    counts = rng.uniform(5, 100, k)
    root = rng.normal(size=(k, d, d + 2)) * np.exp(rng.uniform(-1, 1, (k, d, 1)))
    return counts, counts[:, None, None] * (root @ root.swapaxes(-1, -2)) / (d + 2)


def objective(counts: np.ndarray, scatter: np.ndarray, dense: np.ndarray) -> float:
    return float(
        counts @ np.linalg.slogdet(dense)[1] + np.trace(np.linalg.solve(dense, scatter), axis1=1, axis2=2).sum()
    )


def maximised(structure: Structure, counts, scatter, start=None) -> np.ndarray:
    means = np.zeros(scatter.shape[:2])
    found = structure.maximise(counts, means, structure.reduce(scatter), start)
    return structure.dense(found, *means.shape)


def member(structure: Structure, k: int, d: int, seed: int) -> np.ndarray:
    """Random covariances (K, D, D) of a structure."""
    return maximised(structure, *problem(k, d, seed))


@pytest.mark.parametrize("name", FOURTEEN)
@settings(max_examples=25, deadline=None)
@given(SIZES)
def test_first_order_conditions_and_no_random_member_is_better(name: str, sizes: tuple[int, int, int]) -> None:
    """Along the surface the gradient n_k S_k^-1 - S_k^-1 W_k S_k^-1 vanishes."""
    k, d, seed = sizes
    structure = structure_named(name)
    counts, scatter = problem(k, d, seed)
    dense = maximised(structure, counts, scatter)
    inverse = np.linalg.inv(dense)
    slope = counts[:, None, None] * inverse - inverse @ scatter @ inverse
    along = np.einsum("qkij,kij->q", tangent(structure, dense), slope)
    size = np.einsum("qkij,kij->q", np.abs(tangent(structure, dense)), np.abs(slope)) + counts.sum()
    assert np.abs(along / size).max() < 1e-6
    value = objective(counts, scatter, dense)
    for other in range(3):
        assert objective(counts, scatter, member(structure, k, d, seed + other + 1)) >= value - 1e-9 * abs(value)


@pytest.mark.parametrize("name", CURVED)
@settings(max_examples=25, deadline=None)
@given(SIZES)
def test_a_step_from_a_member_never_loses(name: str, sizes: tuple[int, int, int]) -> None:
    """From whatever covariances of the structure EM comes, the expected log likelihood rises."""
    k, d, seed = sizes
    structure = structure_named(name)
    counts, scatter = problem(k, d, seed)
    start = member(structure, k, d, seed + 1)
    after = maximised(structure, counts, scatter, structure.compact(start))
    before = objective(counts, scatter, start)
    assert objective(counts, scatter, after) <= before + 1e-10 * abs(before)


@pytest.mark.parametrize("name", CURVED)
def test_many_mixtures_at_once_are_each_on_its_own(name: str) -> None:
    structure = structure_named(name)
    problems = [problem(3, 3, seed) for seed in range(4)]
    counts, scatter = (np.stack(part) for part in zip(*problems, strict=True))
    means = np.zeros((4, 3, 3))
    together = structure.maximise(counts, means, structure.reduce(scatter))
    for one, (own_counts, own_scatter) in zip(together, problems, strict=True):
        np.testing.assert_allclose(structure.dense(one, 3, 3), maximised(structure, own_counts, own_scatter), rtol=1e-9)


@pytest.mark.parametrize(("inner", "outer"), [(a, b) for a, b in combinations(FOURTEEN, 2)])
def test_inclusions_are_those_of_the_letters(inner: str, outer: str) -> None:
    """A member of the narrower structure is the wider one's answer to its own covariances; and only of a narrower one."""
    small, large = structure_named(inner), structure_named(outer)
    dense = member(small, 3, 3, 7)
    same = np.allclose(maximised(large, np.ones(3), dense), dense, rtol=1e-6)
    assert same == (small.name in large.contains)
    assert small.name not in narrower(inner)


@pytest.mark.parametrize("name", CURVED)
def test_tangent_and_curvature_are_derivatives(name: str) -> None:
    """The tangent has as many directions as the structure has parameters; moved along the surface, S is S + t.T + O(t^2)."""
    structure = structure_named(name)
    dense = member(structure, 3, 3, 5)
    moves = tangent(structure, dense)
    free = structure.n_parameters(3, 3) - 2 - 9
    assert moves.shape == (free, 3, 3, 3)
    assert np.linalg.matrix_rank(moves.reshape(free, -1)) == free
    # The nearest member to S + t T in the metric of the M-step is off by O(t^2).
    errors = []
    for step in (1e-3, 1e-4):
        moved = dense + step * moves[0]
        errors.append(np.abs(maximised(structure, np.ones(3), moved, structure.compact(dense)) - moved).max())
    assert errors[1] < 3e-2 * errors[0] + 1e-11
    slope = np.random.default_rng(0).normal(size=(3, 3, 3))
    hessian = curvature(structure, dense, slope + slope.swapaxes(-1, -2))
    assert hessian.shape == (free, free)
    np.testing.assert_allclose(hessian, hessian.T)


@settings(max_examples=50, deadline=None)
@given(SIZES)
def test_products_balance_their_margins(sizes: tuple[int, int, int]) -> None:
    """At the optimum of VEI, sum_i w_ki / (lambda_k a_i) = D n_k and sum_k w_ki / (lambda_k a_i) = sum_k n_k."""
    k, d, seed = sizes
    rng = np.random.default_rng(seed)
    counts, spreads = rng.uniform(1, 50, k), np.exp(rng.normal(size=(k, d)) * 2)
    ratio = spreads / fit_products(counts, spreads)
    np.testing.assert_allclose(ratio.sum(1), d * counts, rtol=1e-9)
    np.testing.assert_allclose(ratio.sum(0), np.full(d, counts.sum()), rtol=1e-9)


@pytest.mark.parametrize("letters", ["EEI", "VEI", "EVI", "VVI"])
def test_raised_spectra_keep_what_is_shared(letters: str) -> None:
    structure = structure_named(letters)
    spectra = np.einsum("kii->ki", member(structure, 3, 4, 1))
    floor = float(np.quantile(spectra, 0.3))
    raised = raised_spectra(letters, spectra, floor)
    assert raised.min() >= floor * (1 - 1e-12)
    dense = raised[:, :, None] * np.eye(4)
    np.testing.assert_allclose(maximised(structure, np.ones(3), dense), dense, atol=1e-9)


@pytest.mark.parametrize("d", [1, 2, 3, 6])
def test_cayley_coordinates_invert(d: int) -> None:
    u = np.random.default_rng(d).normal(size=(5, d * (d - 1) // 2))
    rotations = rotation_at(u, d)
    np.testing.assert_allclose(
        rotations @ rotations.swapaxes(-1, -2), np.broadcast_to(np.eye(d), rotations.shape), atol=1e-12
    )
    np.testing.assert_allclose(np.linalg.det(rotations), 1.0)
    np.testing.assert_allclose(coordinates_of(rotations), u, atol=1e-10)


def test_shared_axes_diagonalise() -> None:
    rng = np.random.default_rng(3)
    axes = proper(np.linalg.qr(rng.normal(size=(4, 4)))[0])
    matrices = (axes * rng.uniform(0.1, 5, (3, 1, 4))) @ axes.T
    found = shared_axes(matrices)
    turned = found.T @ matrices @ found
    np.testing.assert_allclose(turned, turned * np.eye(4), atol=1e-12)
