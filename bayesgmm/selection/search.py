"""A comparison that goes on until it can be told: further components, and models whose absence could matter."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..checks import sampled_until_settled
from ..data import InputError
from ..em import Grid, extended
from ..mixture import ModelKey
from ..posterior import Priors, Target
from ..sampling import DrawStore, Settings
from .assessment import AssessmentStore
from .compare import compare
from .further import at_the_edge, best_model, worth_sampling
from .screening import Cell, Screen, screened

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from ..checks import Diagnosis
    from ..data import Table

__all__ = ["Search"]


@dataclass
class Search:
    """Models sampled and compared, in as many steps as it takes.

    Attributes
    ----------
    table : Table
    priors : Priors
    grid : Grid
        Grows with `look_further`.
    how : Settings
    store : DrawStore
        Draws, and what is computed of them, are kept here.
    posteriors, diagnoses : dict of str to DataTree, Diagnosis
    comparison : DataFrame
        Of all models sampled so far.
    reused : list of str
        Models that were found in the store.
    said : list of str
        What was looked at besides what was asked for, and why.
    failed : dict of str to str
        Models that could not be sampled, and why: they lose their evidence, and are no part of the rest.
    """

    table: Table
    priors: Priors
    grid: Grid
    how: Settings
    store: DrawStore
    posteriors: dict[str, xr.DataTree] = field(default_factory=dict)
    diagnoses: dict[str, Diagnosis] = field(default_factory=dict)
    reused: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    comparison: pd.DataFrame = field(init=False)
    _screen: Screen = field(init=False)
    _assessed: AssessmentStore = field(init=False)

    def __post_init__(self) -> None:
        self._screen = screened(self.table, self.grid, self.priors)
        self._assessed = AssessmentStore(self.store.folder)

    def sample(self, cells: list[Cell]) -> None:
        """Sample models of the grid, and compare them with those that were sampled before."""
        wanted = [Target.of(self.table, *cell, self.priors) for cell in cells]
        posteriors, diagnoses, reused = sampled_until_settled(wanted, self.grid, self.how, self.store, self.failed)
        self.posteriors |= posteriors
        self.diagnoses |= diagnoses
        self.reused += reused
        if not self.posteriors:
            raise InputError(f"no model could be sampled: {next(iter(self.failed.values()), 'none was asked for')}")
        self.comparison = compare(
            self.posteriors,
            grid=self.grid,
            progressbar=self.how.progressbar,
            random_seed=int(self.how.random_seed or 0),
            store=self._assessed,
            screen=self._screen,
            failed=self.failed,
        )

    def look_further(self, last: int) -> None:
        """Sample one component more, up to ``last``, while the largest number compared is the most probable."""
        added = []
        while at_the_edge(self.comparison) and (k := max(k for k, _ in self.grid.fits) + 1) <= min(
            last, self.table.n_obs
        ):
            structure = str(self.comparison.loc[best_model(self.comparison), "covariance_type"])
            grid = extended(
                self.grid, self.table, [k], random_state=self.how.random_seed, progressbar=self.how.progressbar
            )
            if (cell := grid.cell((k, structure))) not in grid.fits:
                break
            new = screened(self.table, grid, self.priors, only=grid.fits.keys() - self.grid.fits.keys())
            self.grid, self._screen = grid, Screen(self._screen.laplace | new.laplace)
            self.sample([cell])
            added.append(str(k))
        if added:
            self.said.append(
                f"K={', '.join(added)} too, because the largest number of components was the most probable"
            )

    def look_closer(self, most: int) -> None:
        """Sample up to ``most`` more models of the grid, so that those left out hold next to nothing."""
        added: list[Cell] = []
        while cells := worth_sampling(self.comparison, self._sampled(), most - len(added)):
            self.sample(cells)
            added += cells
        if added:
            named = ", ".join(f"{k} {s}" for k, s in added)
            self.said.append(f"because by their Laplace approximations they might matter also {named}")

    def _sampled(self) -> set[Cell]:
        return {ModelKey.parse(key) for key in (*self.posteriors, *self.failed)}
