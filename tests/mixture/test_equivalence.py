"""Structures that are one model at some size: the rule against the sets of covariances, EM and the posterior."""

from itertools import permutations, product

import numpy as np
import pytest

from bayesgmm import fit_grid, load_dataset
from bayesgmm.analysis import chosen_cells
from bayesgmm.data import InputError
from bayesgmm.mixture import COVARIANCE_TYPES, Mixture, model_names, structure_named
from bayesgmm.mixture.structure.equivalence import reduced
from bayesgmm.posterior.target import Target

from .test_structures import random_mixture


def _contained(inner: str, outer: str, k: int, d: int) -> bool:
    """Whether random covariances of one structure are unchanged when they are written in the other."""
    dense = random_mixture(inner, k, d, seed=k + 10 * d).dense_covariances
    structure = structure_named(outer)
    return bool(np.allclose(structure.dense(structure.compact(dense), k, d), dense))


@pytest.mark.parametrize(("k", "d"), list(product((1, 2, 3), (1, 2, 3))))
def test_structures_coincide_where_their_sets_of_covariances_do(k: int, d: int) -> None:
    """Two families of covariances are one if each lies within the other.

    `Structure.compact` reads off what a structure may differ in; a covariance belongs to the structure if nothing is lost by
    it. A random member lies in a proper subset with probability zero.
    """
    for one, other in permutations(COVARIANCE_TYPES, 2):
        same = structure_named(one).identity(k, d) == structure_named(other).identity(k, d)
        assert same == (_contained(one, other, k, d) and _contained(other, one, k, d)), (one, other)
        if same:
            assert structure_named(one).n_parameters(k, d) == structure_named(other).n_parameters(k, d)


def test_mclust_letters() -> None:
    """mclust knows E and V in one dimension and X (one component) in any: fourteen names, as many models as its manual says."""
    names = ["EII", "VII", "EEI", "VEI", "EVI", "VVI", "EEE", "VEE", "EVE", "VVE", "EEV", "VEV", "EVV", "VVV"]
    assert {reduced(n, 3, 1) for n in names} == {"EII", "VII"}
    assert {reduced(n, 1, 1) for n in names} == {"EII"}
    assert {reduced(n, 1, 3) for n in names} == {"EII", "EEI", "EEE"}
    assert len({reduced(n, 2, 2) for n in names}) == 14


def test_the_first_name_given_is_kept() -> None:
    structures = [structure_named(name) for name in ("tied", "spherical", "full", "diag")]
    names = {"tied": "tied", "spherical": "spherical", "full": "spherical", "diag": "spherical"}
    assert model_names(structures, 3, 1) == names
    assert set(model_names(structures, 1, 1).values()) == {"tied"}


@pytest.mark.parametrize(("k", "d"), [(1, 3), (3, 1)])
def test_one_model_has_one_posterior(k: int, d: int) -> None:
    """The priors, too, are the same, so that it does not matter under which name a model is sampled."""
    y = np.random.default_rng(0).normal(size=(40, d)) * 3 + 1
    for one, other in permutations(COVARIANCE_TYPES, 2):
        if structure_named(one).identity(k, d) != structure_named(other).identity(k, d):
            continue
        problems = [Target.of(y, k, name) for name in (one, other)]
        densities = problems
        assert densities[0].size == densities[1].size
        for point in np.random.default_rng(1).normal(size=(5, densities[0].size)):
            assert densities[0](point)[0] == pytest.approx(densities[1](point)[0], abs=1e-6)


def test_one_column_has_two_models_for_each_count() -> None:
    """Galaxies, K = 1 to 4, all structures: seven models, each listed once, each found by all of its names."""
    grid = fit_grid(load_dataset("galaxies"), range(1, 5), progressbar=False)
    assert set(grid.fits) == {(1, "full"), *((k, s) for k in (2, 3, 4) for s in ("full", "tied"))}
    assert len(grid.table) == 7
    assert grid.table.set_index(["n_components", "covariance_type"])["aliases"][4, "full"] == "diag, spherical"
    assert grid[4, "diag"].log_likelihood == grid["4 spherical"].log_likelihood == grid[4, "full"].log_likelihood
    for name in COVARIANCE_TYPES:
        fit = grid[1, name]
        assert fit.mixture.structure is structure_named(name)
        np.testing.assert_array_equal(fit.mixture.dense_covariances, grid[1, "full"].mixture.dense_covariances)
    assert grid["4 full"] is grid.fits[4, "full"]
    assert {name: list(g["n_components"]) for name, g in grid.lines.groupby("covariance_type")} == {
        "full": [1, 2, 3, 4],
        "tied": [1, 2, 3, 4],
    }
    with pytest.raises(InputError, match="'5 full' is not in the grid"):
        grid["5 full"]
    cells, _ = chosen_cells(grid, "all")
    assert len(cells) == 7
    assert chosen_cells(grid, [(4, "diag"), (4, "full"), (4, "spherical")])[0] == [(4, "full")]


def test_the_structure_of_one_component_is_settled_by_the_others() -> None:
    """Ten correlated columns of one Gaussian: K=1 full is K=1 tied, and beyond it the narrower is sampled."""
    rng = np.random.default_rng(5)
    y = rng.normal(size=(150, 4)) @ rng.normal(size=(4, 4))
    grid = fit_grid(y, (1, 2), progressbar=False)
    assert grid.best_cell() == (1, "full")
    assert chosen_cells(grid, "bic")[0][:2] == [(1, "full"), (2, "tied")]


def test_a_grid_in_other_words_is_the_same_grid() -> None:
    """The cell of (K=1, tied) is that of (K=1, full): what K=2 tied starts from does not depend on the name."""
    y = load_dataset("faithful")
    alone, together = (fit_grid(y, (1, 2), names, progressbar=False) for names in (("tied",), ("full", "tied")))
    assert alone[1, "tied"].log_likelihood == pytest.approx(together[1, "tied"].log_likelihood, abs=1e-9)
    assert alone[2, "tied"].log_likelihood == pytest.approx(together[2, "tied"].log_likelihood, abs=1e-6)
    assert isinstance(together[1, "tied"].mixture, Mixture)
