"""The grid: what its table holds, that wider models are never worse, and that failures stay in their cells."""

import numpy as np
import pytest

from bayesgmm import load_dataset
from bayesgmm.data import InputError
from bayesgmm.em import GaussianMixture, Grid, fit_grid
from bayesgmm.mixture import COVARIANCE_TYPES, structure_named

COLUMNS = [
    "n_components",
    "covariance_type",
    "log_likelihood",
    "n_parameters",
    "bic",
    "aic",
    "icl",
    "n_starts",
    "n_hits",
    "outcome",
    "aliases",
]


@pytest.fixture(scope="module", params=["faithful", "iris", "galaxies"])
def grid(request) -> Grid:
    df = load_dataset(request.param)
    return fit_grid(df.select_dtypes("number"), range(1, 7), progressbar=False)


def test_wider_models_are_never_worse(grid: Grid) -> None:
    for (k, name), fit in grid.fits.items():
        inside = [(k - 1, name), *((k, narrower) for narrower in structure_named(name).contains)]
        for cell in inside:
            if cell in grid.fits:
                assert fit.log_likelihood >= grid[cell].log_likelihood - 1e-6, (k, name, cell)


def test_table(grid: Grid) -> None:
    table = grid.table
    assert list(table.columns) == COLUMNS
    n_features = grid[2, "full"].mixture.n_features
    assert len(table) == (11 if n_features == 1 else 23)
    assert set(table["covariance_type"]) == ({"full", "tied"} if n_features == 1 else set(COVARIANCE_TYPES))
    assert table["bic"].notna().all()
    assert (table["n_hits"] <= table["n_starts"]).all()
    assert not set(table["outcome"]) & {"spurious", "degenerate"}


@pytest.mark.parametrize("criterion", ["bic", "aic", "icl"])
def test_best(grid: Grid, criterion: str) -> None:
    best = grid.best(criterion)
    assert isinstance(best, GaussianMixture)
    table = grid.table[grid.table["outcome"] == "converged"]
    assert getattr(best.result_, criterion) == pytest.approx(table[criterion].min())
    assert grid[grid.best_cell(criterion)] is best.result_
    assert criterion.upper() in repr(grid)
    assert "<table" in grid._repr_html_()


def test_plot(grid: Grid) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    axes = grid.plot(("bic", "icl"))
    assert len(axes) == 2
    line = axes[0].lines[0]
    rows = grid.lines[grid.lines["covariance_type"] == line.get_label()]
    np.testing.assert_allclose(line.get_ydata(), rows["bic"])
    import matplotlib.pyplot as plt

    plt.close("all")


def test_results_do_not_depend_on_threads() -> None:
    df = load_dataset("faithful")
    one, two = (fit_grid(df, (1, 2, 3), ("full", "diag"), n_jobs=n, progressbar=False).table for n in (1, 2))
    assert one.equals(two)


def test_failed_cells_are_recorded() -> None:
    x = np.random.default_rng(0).normal(size=(4, 1))
    grid = fit_grid(x, (1, 2, 5), ("diag", "spherical"), progressbar=False)
    assert set(grid.failures) == {(5, "diag")}
    outcome = grid.table.set_index(["n_components", "covariance_type"])["outcome"]
    assert "more than the 4 rows" in outcome[5, "diag"]
    with pytest.raises(InputError, match="more than the 4 rows"):
        grid[5, "spherical"]
    assert grid.best("bic").n_components in (1, 2)


def test_errors() -> None:
    x = np.random.default_rng(0).normal(size=(20, 1))
    with pytest.raises(InputError, match="covariance_type='round'"):
        fit_grid(x, (1,), ("round",), progressbar=False)
    with pytest.raises(InputError, match="grid is empty"):
        fit_grid(x, (), progressbar=False)
    grid = fit_grid(x, (1,), ("full",), progressbar=False)
    with pytest.raises(InputError, match="criterion='loo'"):
        grid.best("loo")
    with pytest.raises(InputError, match="not in the grid"):
        grid[2, "full"]


def test_progress_goes_to_stderr_or_nowhere(capsys) -> None:
    x = np.random.default_rng(0).normal(size=(30, 1))
    fit_grid(x, (1, 2), ("diag",), progressbar=False)
    silent = capsys.readouterr()
    assert silent.out == ""
    assert silent.err == ""
    fit_grid(x, (1, 2), ("diag",), progressbar=True)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", ["faithful", "galaxies"])
def test_a_change_of_units_changes_nothing_but_the_jacobian(name) -> None:
    """x -> 3.7 x + 1000: the same solutions, starts and hits, and a log likelihood that gains -N D log 3.7."""
    df = load_dataset(name)
    one, two = (fit_grid(x, range(1, 4), random_state=0, progressbar=False) for x in (df, df * 3.7 + 1000.0))
    gain = df.size * np.log(3.7)
    for cell, fit in one.fits.items():
        other = two.fits[cell]
        assert (other.n_starts, other.n_hits, other.outcome) == (fit.n_starts, fit.n_hits, fit.outcome)
        np.testing.assert_allclose(other.standardised.means, fit.standardised.means, rtol=0, atol=1e-9)
        for column, times in {"log_likelihood": 1, "aic": -2, "bic": -2, "icl": -2}.items():
            assert getattr(other, column) == pytest.approx(getattr(fit, column) - times * gain, rel=0, abs=1e-6), column
