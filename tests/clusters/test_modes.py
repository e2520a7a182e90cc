"""Modal EM: theorems about the number of modes, a fine grid, the plain algorithm, and invariance."""

from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pytest
from scipy.ndimage import maximum_filter
from scipy.stats import multivariate_normal

from bayesgmm.clusters.modes import climb
from bayesgmm.em import fit_mixture
from bayesgmm.mixture import Mixture


def mixture(weights, means, covariances):
    """One draw; covariances (K, D, D)."""
    parts = (np.asarray(part, dtype=float)[None] for part in (weights, means, covariances))
    return Mixture.from_dense("full", *parts)


def random_mixture(rng, k, d, spread):
    factor = 0.7 * np.eye(d) + 0.6 * rng.normal(size=(k, d, d))
    covariances = factor @ np.swapaxes(factor, 1, 2) + 0.1 * np.eye(d)
    return mixture(rng.dirichlet(np.full(k, 3.0)), rng.normal(0, spread, (k, d)), covariances)


def density(draws, points, s=0):
    return sum(
        w * multivariate_normal(m, c).pdf(points).reshape(points.shape[:-1])
        for w, m, c in zip(draws.weights[s], draws.means[s], draws.dense_covariances[s], strict=True)
    )


def sample(draws, n, rng):
    z = rng.choice(draws.n_components, n, p=draws.weights[0])
    factor = np.linalg.cholesky(draws.dense_covariances[0])
    return draws.means[0][z] + np.einsum("nij,nj->ni", factor[z], rng.normal(size=(n, draws.n_features)))


@pytest.mark.parametrize(("gap", "expected"), [(0.5, 1), (1.9, 1), (1.999, 1), (2.0, 1), (2.001, 2), (2.01, 2), (3, 2)])
@pytest.mark.parametrize("sd", [0.01, 1.0, 300.0])
def test_two_equal_components_have_one_mode_up_to_two_standard_deviations(gap, expected, sd):
    """f'' at the middle of w = 1/2, means +-m, is proportional to m^2 / sd^2 - 1: a minimum beyond m = sd."""
    draws = mixture([0.5, 0.5], [[0.0], [gap * sd]], np.full((2, 1, 1), sd**2))
    found = climb(draws, np.linspace(-3, gap + 3, 101)[:, None] * sd)
    assert found.n_modes[0] == expected
    assert (found.component[0, 0] == found.component[0, 1]) == (expected == 1)


def test_unequal_weights_have_two_modes_exactly_where_the_theorem_says():
    """Holzmann & Vollmer (2008), after de Helguero (1904): with d = |mu_1 - mu_2| / (2 sd), one mode if and only if

        d <= 1   or   |log(1 - p) - log p| >= 2 log(d - sqrt(d^2 - 1)) + 2 d sqrt(d^2 - 1).

    Points closer than 0.01 to the boundary are passed over.
    """
    rng = np.random.default_rng(0)
    tried = []
    for _ in range(300):
        d, p = rng.uniform(0.9, 2.2), rng.uniform(0.02, 0.98)
        root = np.sqrt(max(d * d - 1, 0))
        margin = abs(np.log1p(-p) - np.log(p)) - (2 * np.log(d - root) + 2 * d * root) if d > 1 else np.inf
        if abs(margin) < 0.01:
            continue
        found = climb(mixture([p, 1 - p], [[0.0], [2 * d]], np.ones((2, 1, 1))), np.linspace(-3, 8, 201)[:, None])
        assert found.n_modes[0] == (1 if d <= 1 or margin >= 0 else 2), (d, p)
        tried.append(found.n_modes[0])
    assert min(tried.count(1), tried.count(2)) > 60


def test_two_components_can_have_three_modes():
    """Ray & Lindsay (2005), example 2: two long components at right angles have a third mode where they cross."""
    draws = mixture([0.5, 0.5], [[0, 0], [1, 1]], [[[1, 0], [0, 0.05]], [[0.05, 0], [0, 1]]])
    points = np.stack(np.meshgrid(*[np.linspace(-1, 2, 31)] * 2), -1).reshape(-1, 2)
    found = climb(draws, points)
    assert found.n_modes[0] == 3
    assert len(set(found.component[0])) == 2
    assert len(set(found.labels[0])) == 3


@pytest.mark.parametrize("seed", range(8))
def test_modes_are_the_maxima_on_a_fine_grid_in_one_dimension(seed):
    rng = np.random.default_rng(seed)
    draws = random_mixture(rng, 5, 1, 2.0)
    grid = np.linspace(-12, 12, 40001)[:, None]
    f = density(draws, grid)
    maxima = grid[1:-1][(f[1:-1] > f[:-2]) & (f[1:-1] > f[2:])]
    found = climb(draws, grid[::100])
    modes = np.sort(found.modes[0, : found.n_modes[0], 0])
    np.testing.assert_allclose(modes, np.sort(maxima[:, 0]), atol=1e-3)


@pytest.mark.parametrize("seed", range(6))
def test_modes_are_the_maxima_on_a_fine_grid_in_two_dimensions(seed):
    rng = np.random.default_rng(10 + seed)
    draws = random_mixture(rng, 4, 2, 1.5)
    axis = np.linspace(-7, 7, 1401)
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1)
    f = density(draws, grid)
    # A ridge across the grid has false maxima among eight neighbours; none among those of a wider window.
    peaks = np.argwhere((f == maximum_filter(f, 9)) & (f > 1e-12))
    peaks = peaks[((peaks > 4) & (peaks < 1396)).all(1)]
    found = climb(draws, grid[::50, ::50].reshape(-1, 2))
    modes = found.modes[0, : found.n_modes[0]]
    maxima = axis[peaks]
    assert len(modes) == len(maxima)
    distance = np.linalg.norm(modes[:, None] - maxima, axis=2)
    assert distance.min(1).max() < 0.02
    assert distance.min(0).max() < 0.02


def plain_climb(draws, rows, tol=1e-22):
    """The fixed point x <- (sum p_k P_k)^-1 sum p_k P_k mu_k, until it stands still."""
    weights, means = draws.weights[0], draws.means[0]
    precisions = np.linalg.inv(draws.dense_covariances[0])
    constant = np.log(weights) + 0.5 * np.linalg.slogdet(precisions)[1]
    x, live = rows.copy(), np.arange(len(rows))
    for _ in range(20000):
        apart = means - x[live][:, None]
        terms = constant - 0.5 * np.einsum("nka,kab,nkb->nk", apart, precisions, apart)
        p = np.exp(terms - terms.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        information = np.einsum("nk,kab->nab", p, precisions)
        gradient = np.einsum("nk,kab,nkb->na", p, precisions, apart)
        step = np.linalg.solve(information, gradient[..., None])[..., 0]
        x[live] += step
        live = live[np.einsum("na,na->n", step, gradient) > tol]
        if not live.size:
            return x
    raise AssertionError("the plain climb did not arrive")


@pytest.mark.parametrize(("seed", "k", "d"), [(0, 2, 1), (1, 5, 2), (2, 4, 3), (3, 6, 2), (4, 7, 4), (5, 3, 5)])
def test_capture_and_newton_change_no_row_s_mode(seed, k, d):
    """Against the algorithm without either: every row, and every mode's position."""
    rng = np.random.default_rng(seed)
    draws = random_mixture(rng, k, d, 1.5)
    rows = sample(draws, 1500, rng)
    found = climb(draws, rows)
    arrived = plain_climb(draws, rows)
    distance = np.linalg.norm(arrived[:, None] - found.modes[0, : found.n_modes[0]], axis=2)
    np.testing.assert_array_equal(distance.argmin(1), found.labels[0])
    assert distance.min(1).max() < 1e-7


def test_labels_and_affine_maps_change_nothing():
    rng = np.random.default_rng(5)
    draws = random_mixture(rng, 5, 3, 1.5)
    rows = sample(draws, 500, rng)
    found = climb(draws, rows)
    order = np.array([3, 0, 4, 2, 1])
    moved = climb(draws.reordered(order[None]), rows)
    a, b = rng.normal(size=(3, 3)), rng.normal(size=3)
    mapped = mixture(draws.weights[0], draws.means[0] @ a.T + b, a @ draws.dense_covariances[0] @ a.T)
    other = climb(mapped, rows @ a.T + b)
    n = found.n_modes[0]
    assert n > 1
    for again, back in ((moved, lambda x: x), (other, lambda x: np.linalg.solve(a, (x - b).T).T)):
        assert again.n_modes[0] == n
        distance = np.linalg.norm(back(again.modes[0, :n])[:, None] - found.modes[0, :n], axis=2)
        same = distance.argmin(1)
        assert distance.min(1).max() < 1e-7
        np.testing.assert_array_equal(same[again.labels[0]], found.labels[0])


def test_draws_do_not_depend_on_each_other():
    rng = np.random.default_rng(6)
    singles = [random_mixture(rng, 4, 2, 1.5) for _ in range(20)]
    parts = (np.concatenate([getattr(m, name) for m in singles]) for name in ("weights", "means", "dense_covariances"))
    rows = rng.normal(0, 2, (300, 2))
    together = climb(Mixture.from_dense("full", *parts), rows)
    for s, single in enumerate(singles):
        alone = climb(single, rows)
        np.testing.assert_array_equal(together.labels[s], alone.labels[0])
        np.testing.assert_array_equal(together.component[s], alone.component[0])


def test_excess_mass_is_that_of_the_integral():
    """Two bumps of one density: joined exactly where ``min_rows`` exceeds N times the integral of (f - f(pass))+.

    The rows are quantiles of f, so that the mean over them is the integral up to 1 / N.
    """
    draws = mixture([0.8, 0.2], [[0.0], [3.5]], np.ones((2, 1, 1)))
    grid = np.linspace(-8, 12, 200001)
    f = density(draws, grid[:, None])
    low = np.argmin(np.where((grid > 1) & (grid < 3.4), f, np.inf))
    mass = np.cumsum(f) * (grid[1] - grid[0])
    excess = np.maximum(f[low:] - f[low], 0).sum() * (grid[1] - grid[0])
    n = 4000
    rows = np.interp((np.arange(n) + 0.5) / n, mass, grid)[:, None]
    at = {m: climb(draws, rows, min_rows=m * n * excess).n_modes[0] for m in (0.0, 0.95, 1.05)}
    assert at == {0.0: 2, 0.95: 2, 1.05: 1}
    # A row that counts for two: half as many rows reach the same.
    weighted = {m: climb(draws, rows, np.full(n, 2.0), 2 * m * n * excess).n_modes[0] for m in (0.95, 1.05)}
    assert weighted == {0.95: 2, 1.05: 1}


def test_modes_without_rows_are_no_groups():
    draws = mixture([0.9, 0.1], [[0.0], [9.0]], np.ones((2, 1, 1)))
    found = climb(draws, np.linspace(-2, 2, 50)[:, None])
    assert found.n_modes[0] == 1
    assert set(found.component[0]) == {0}


@pytest.mark.slow
def test_the_published_modal_clusters_of_baudry_s_data(tmp_path):
    """Scrucca's mclustAddons, ex4.1 of Baudry et al. (2010): EEV, six components, four modes of 118, 122, 228, 132 rows."""
    rscript = shutil.which("Rscript")
    code = f'data(Baudry_etal_2010_JCGS_examples, package="mclust"); write.csv(ex4.1, "{tmp_path / "x.csv"}", row.names=FALSE)'
    if rscript is None or subprocess.run([rscript, "-e", code], capture_output=True, check=False).returncode:
        pytest.skip("R with mclust, which has the data, is not installed")
    rows = np.loadtxt(tmp_path / "x.csv", delimiter=",", skiprows=1)
    fit = fit_mixture(rows, 6, "EEV", random_state=0).mixture
    found = climb(mixture(fit.weights, fit.means, fit.dense_covariances), rows)
    assert found.n_modes.tolist() == [4]
    assert sorted(np.bincount(found.labels[0]).tolist()) == [118, 122, 132, 228]
