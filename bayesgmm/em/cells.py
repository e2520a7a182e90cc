"""The fits of a grid, by number of components and structure: one cell for each model, found by any of its names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data import InputError
from ..mixture import Mixture, Structure, place_of, structure_named
from .result import EMFit

if TYPE_CHECKING:
    import pandas as pd

    from .estimator import GaussianMixture

__all__ = ["Cell", "Grid", "rewritten"]

Cell = tuple[int, str]
_CRITERIA = ("bic", "aic", "icl")
_COLUMNS = (
    "n_components", "covariance_type", "log_likelihood", "n_parameters", "bic", "aic", "icl", "n_starts", "n_hits",
    "outcome", "aliases",
)  # fmt: skip


@dataclass(frozen=True, eq=False, repr=False)
class Grid:
    """Fits over component counts and structures. Made by `fit_grid`.

    Attributes
    ----------
    fits : dict of (n_components, covariance_type) to EMFit
        Cells that could be fitted.
    failures : dict of (n_components, covariance_type) to str
        The others, and why.
    aliases : dict of (n_components, covariance_type) to (n_components, covariance_type)
        Cells asked for that are the same model as another, and which: with one column ``diag`` is ``full``. They are in
        neither of the above.
    """

    fits: dict[Cell, EMFit]
    failures: dict[Cell, str]
    aliases: dict[Cell, Cell] = field(default_factory=dict)

    @property
    def table(self) -> pd.DataFrame:
        """One row per model, criteria with lower better; failed cells have no numbers and say why in ``outcome``.

        ``aliases`` names the other structures that are the same model.
        """
        import pandas as pd

        rows = [self._row(cell) for cell in sorted([*self.fits, *self.failures], key=_place)]
        return pd.DataFrame(rows, columns=list(_COLUMNS))

    @property
    def lines(self) -> pd.DataFrame:
        """As `table`, with a row at every K for each structure that is a model of its own at some K."""
        import pandas as pd

        own = {name for _, name in (*self.fits, *self.failures)}
        cells = [*self.fits, *self.failures, *(alias for alias in self.aliases if alias[1] in own)]
        rows = [(*cell, *self._row(self.cell(cell))[2:]) for cell in sorted(cells, key=_place)]
        return pd.DataFrame(rows, columns=list(_COLUMNS)).drop(columns="aliases")

    def _row(self, cell: Cell) -> tuple[Any, ...]:
        also = ", ".join(self.aliases_of(cell))
        if cell in self.failures:
            return (*cell, np.nan, np.nan, np.nan, np.nan, np.nan, 0, 0, f"failed: {self.failures[cell]}", also)
        fit = self.fits[cell]
        return (
            *cell, fit.log_likelihood, fit.n_parameters, fit.bic, fit.aic, fit.icl, fit.n_starts, fit.n_hits,
            fit.outcome, also,
        )  # fmt: skip

    def cell(self, asked: Cell | str) -> Cell:
        """The cell under whose name a model goes, from any of its names: (3, "diag") or "3 diag"."""
        asked = _parsed(asked)
        return self.aliases.get(asked, asked)

    def aliases_of(self, cell: Cell) -> tuple[str, ...]:
        """The other structures that are the same model as a cell."""
        return tuple(name for (_, name), own in sorted(self.aliases.items(), key=lambda a: _place(a[0])) if own == cell)

    def __getitem__(self, cell: Cell | str) -> EMFit:
        """The fit of a model, (n_components, covariance_type) or "3 diag", by whichever of its names.

        Raises
        ------
        InputError
            The cell failed, or is not in the grid.
        """
        asked, own = _parsed(cell), self.cell(cell)
        if own in self.failures:
            raise InputError(f"the fit of {cell} failed: {self.failures[own]}")
        if own not in self.fits:
            raise InputError(f"{cell!r} is not in the grid; choose (n_components, covariance_type) among its cells")
        return self.fits[own] if own == asked else _as_structure(self.fits[own], structure_named(asked[1]))

    def best_cell(self, criterion: str = "bic") -> Cell:
        """The cell of the lowest criterion; fits with a bad outcome are taken only where there are no others.

        Raises
        ------
        InputError
            The criterion is unknown, or every cell failed.
        """
        if criterion not in _CRITERIA:
            raise InputError(f"criterion={criterion!r} is unknown; choose one of {', '.join(_CRITERIA)}")
        if not self.fits:
            reason = next(iter(self.failures.values()), "the grid is empty")
            raise InputError(f"no cell of the grid could be fitted: {reason}")
        rank = {"converged": 0, "not converged": 1, "saddle": 1}
        return min(
            self.fits, key=lambda cell: (rank.get(self.fits[cell].outcome, 2), getattr(self.fits[cell], criterion))
        )

    def best(self, criterion: str = "bic") -> GaussianMixture:
        """The fitted estimator of `best_cell`."""
        from .estimator import GaussianMixture

        return GaussianMixture.from_fit(self.fits[self.best_cell(criterion)])

    def plot(self, criteria: Iterable[str] = ("bic", "icl", "aic"), axes: Any = None) -> Any:
        """Criteria against the number of components, one panel per criterion, one line per structure.

        Parameters
        ----------
        criteria : iterable of "bic", "aic", "icl"
        axes : array of matplotlib axes, optional

        Returns
        -------
        ndarray of matplotlib axes
        """
        import matplotlib.pyplot as plt

        names = tuple(criteria)
        if axes is None:
            _, axes = plt.subplots(1, len(names), figsize=(4.2 * len(names), 3.4), squeeze=False, layout="constrained")
        panels = np.atleast_1d(np.asarray(axes, dtype=object)).ravel()
        table = self.lines.dropna(subset=["log_likelihood"])
        for axis, criterion in zip(panels, names, strict=True):
            for structure, rows in table.groupby("covariance_type", sort=False):
                axis.plot(rows["n_components"], rows[criterion], marker="o", markersize=3, label=structure)
            k, structure = self.best_cell(criterion)
            axis.plot(k, getattr(self.fits[k, structure], criterion), "k*", label="best", zorder=5)
            axis.set(xlabel="components", title=f"{criterion.upper()} (lower is better)")
            axis.xaxis.get_major_locator().set_params(integer=True)
        panels[0].legend(frameon=False)
        return panels

    def __repr__(self) -> str:
        lines = [f"Grid of {len(self.fits) + len(self.failures)} Gaussian mixtures fitted by EM"]
        if self.fits:
            for criterion in _CRITERIA:
                k, structure = self.best_cell(criterion)
                value = getattr(self.fits[k, structure], criterion)
                lines.append(f"  best {criterion.upper()}  {value:.3f}  {structure}, {k} components")
        lines.append(self.table.to_string(index=False))
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        from html import escape

        heading, *best = repr(self).split("\n")[: 4 if self.fits else 1]
        return f"<pre>{escape(chr(10).join([heading, *best]))}</pre>{self.table.to_html(index=False, escape=True)}"


def _parsed(cell: Cell | str) -> Cell:
    """(3, "diag") from itself or from "3 diag"."""
    if not isinstance(cell, str):
        return cell
    k, _, name = cell.partition(" ")
    return (int(k) if k.isdecimal() else 0, name)


def _place(cell: Cell) -> tuple[int, int]:
    """Where a cell stands in a table: by structure, then by K."""
    return place_of(cell[1]), cell[0]


def _as_structure(fit: EMFit, structure: Structure) -> EMFit:
    """A fit written in another structure that is the same model."""
    return replace(
        fit,
        mixture=rewritten(fit.mixture, structure),
        standardised=rewritten(fit.standardised, structure),
        optima=tuple(replace(o, mixture=rewritten(o.mixture, structure)) for o in fit.optima),
    )


def rewritten(mixture: Mixture, structure: Structure) -> Mixture:
    if mixture.structure is structure:
        return mixture
    return Mixture.from_dense(structure, mixture.weights, mixture.means, mixture.dense_covariances)
