"""Maximum likelihood over a grid of component counts and structures, each cell helped by its neighbours.

A wider model contains the narrower ones, so its best log likelihood cannot be lower. Cells are fitted on their own, in
parallel; then solutions are carried to their neighbours as starts: halved components upwards in K, merged ones
downwards, narrower structures to wider ones. Where a cell still falls behind, or has only spurious solutions, its
neighbour's solution is taken as it stands, with one component in two equal parts if need be, and the outcome says so:
"saddle" where it has fewer distinct components than its name says, "not converged" where its structure could still be
widened.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data import InputError
from ..mixture import COVARIANCE_TYPES, Mixture, Structure, single_threaded_blas, structure_named
from .fit import fit_prepared, standardised_start
from .prepare import Prepared, prepare
from .result import EMFit, Optimum
from .search.moves import closest_merges, doubled, splits

if TYPE_CHECKING:
    import pandas as pd

    from .estimator import GaussianMixture

__all__ = ["Grid", "fit_grid"]

Cell = tuple[int, str]
_CRITERIA = ("bic", "aic", "icl")
_SOUND = ("converged", "not converged", "saddle")
_COLUMNS = (
    "n_components", "covariance_type", "log_likelihood", "n_parameters", "bic", "aic", "icl", "n_starts", "n_hits",
    "outcome",
)  # fmt: skip
_ROUNDS = 4
_MERGES = 10


@dataclass(frozen=True, eq=False, repr=False)
class Grid:
    """Fits over component counts and structures. Made by `fit_grid`.

    Attributes
    ----------
    fits : dict of (n_components, covariance_type) to EMFit
        Cells that could be fitted.
    failures : dict of (n_components, covariance_type) to str
        The others, and why.
    """

    fits: dict[Cell, EMFit]
    failures: dict[Cell, str]

    @property
    def table(self) -> pd.DataFrame:
        """One row per cell, criteria with lower better; failed cells have no numbers and say why in ``outcome``."""
        import pandas as pd

        cells = sorted([*self.fits, *self.failures], key=lambda cell: (COVARIANCE_TYPES.index(cell[1]), cell[0]))
        rows = [self._row(cell) for cell in cells]
        return pd.DataFrame(rows, columns=list(_COLUMNS))

    def _row(self, cell: Cell) -> tuple[Any, ...]:
        if cell in self.failures:
            return (*cell, np.nan, np.nan, np.nan, np.nan, np.nan, 0, 0, f"failed: {self.failures[cell]}")
        fit = self.fits[cell]
        return (
            *cell, fit.log_likelihood, fit.n_parameters, fit.bic, fit.aic, fit.icl, fit.n_starts, fit.n_hits,
            fit.outcome,
        )  # fmt: skip

    def __getitem__(self, cell: Cell) -> EMFit:
        """The fit of a cell (n_components, covariance_type).

        Raises
        ------
        InputError
            The cell failed, or is not in the grid.
        """
        if cell in self.failures:
            raise InputError(f"the fit of {cell} failed: {self.failures[cell]}")
        if cell not in self.fits:
            raise InputError(f"{cell!r} is not in the grid; choose (n_components, covariance_type) among its cells")
        return self.fits[cell]

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
        table = self.table.dropna(subset=["log_likelihood"])
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


def fit_grid(
    data: Any,
    n_components: Iterable[int] = range(1, 10),
    covariance_types: Iterable[str] = COVARIANCE_TYPES,
    *,
    sample_weight: Any = None,
    n_starts: int | str = "auto",
    tol: float = 1e-9,
    max_iter: int = 10_000,
    ridge: float = 0.0,
    random_state: int | None = 0,
    n_jobs: int | None = None,
    progressbar: bool = True,
) -> Grid:
    """Fit mixtures over a grid.

    Parameters
    ----------
    data : Table, array (N, D) or data frame
    n_components : iterable of int
    covariance_types : iterable of str
    sample_weight, n_starts, tol, max_iter, ridge :
        As in `fit_mixture`.
    random_state : int or None
    n_jobs : int, optional
        Cells at work at the same time, in threads; by default one per core. The results do not depend on it.
    progressbar : bool
        Show progress; nothing is printed without.

    Returns
    -------
    Grid

    Raises
    ------
    InputError
        The data are not fit for use, or a structure is unknown. A cell that cannot be fitted is no error: it is
        recorded in `Grid.failures`.
    """
    counts, structures = _axes(n_components, covariance_types)
    options = {"n_starts": n_starts, "tol": tol, "max_iter": max_iter, "ridge": ridge}
    prepared = {structure.name: prepare(data, structure, sample_weight) for structure in structures}
    seed = int(np.random.default_rng(random_state).integers(2**31))
    cells = [(k, structure.name) for k in counts for structure in structures]
    work = _Work(prepared, options, seed)
    with single_threaded_blas(), _progress(progressbar, 3 * len(cells)) as advance:
        fits, failures = work.independent(cells, _workers(n_jobs), advance)
        fits = work.improved(fits, advance)
    return Grid(dict(sorted(fits.items())), failures)


def _axes(n_components: Iterable[int], covariance_types: Iterable[str]) -> tuple[list[int], list[Structure]]:
    """Distinct counts in order, and structures with the narrower ones first."""
    counts = sorted({int(k) for k in ([n_components] if isinstance(n_components, int) else n_components)})
    names = [covariance_types] if isinstance(covariance_types, str) else list(covariance_types)
    if not counts or not names:
        raise InputError("the grid is empty; give at least one n_components and one covariance type")
    try:
        structures = {name: structure_named(name) for name in names}
    except ValueError as error:
        raise InputError(str(error)) from None
    return counts, sorted(structures.values(), key=lambda s: len(s.contains))


def _workers(n_jobs: int | None) -> int:
    cores = getattr(os, "process_cpu_count", os.cpu_count)() or 1
    return cores if n_jobs is None or n_jobs < 1 else n_jobs


@contextmanager
def _progress(show: bool, total: int) -> Iterator[Callable[[], None]]:
    """A function to call after each piece of work."""
    if not show:
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("fitting mixtures", total=total)
        yield lambda: progress.advance(task)


@dataclass(frozen=True)
class _Work:
    """What all cells need."""

    prepared: dict[str, Prepared]
    options: dict[str, Any]
    seed: int

    def _rng(self, cell: Cell, stage: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, cell[0], COVARIANCE_TYPES.index(cell[1]), stage])

    def _fit(self, cell: Cell) -> EMFit:
        return fit_prepared(self.prepared[cell[1]], cell[0], random_state=self._rng(cell, 0), **self.options)

    def independent(
        self, cells: list[Cell], workers: int, advance: Callable[[], None]
    ) -> tuple[dict[Cell, EMFit], dict[Cell, str]]:
        """Every cell on its own."""
        fits: dict[Cell, EMFit] = {}
        failures: dict[Cell, str] = {}
        with ThreadPoolExecutor(max_workers=workers) as pool:
            jobs = {pool.submit(self._fit, cell): cell for cell in cells}
            for job in as_completed(jobs):
                try:
                    fits[jobs[job]] = job.result()
                except (InputError, np.linalg.LinAlgError, FloatingPointError) as error:
                    failures[jobs[job]] = str(error)
                advance()
        return fits, failures

    def improved(self, fits: dict[Cell, EMFit], advance: Callable[[], None]) -> dict[Cell, EMFit]:
        """Every cell helped by its neighbours, until none falls behind a cell that it contains."""
        fits = dict(fits)
        order = sorted(fits, key=lambda cell: (cell[0], len(structure_named(cell[1]).contains)))
        for cell in order:
            self._refine(fits, cell, self._from_below(fits, cell), 1)
            advance()
        for cell in reversed(order):
            self._refine(fits, cell, self._from_above(fits, cell), 2)
            advance()
        for round_ in range(_ROUNDS):
            behind = [cell for cell in order if self._ahead_of(fits, cell) is not None]
            if not behind:
                return fits
            for cell in order:
                if self._ahead_of(fits, cell) is not None:
                    self._refine(fits, cell, self._from_below(fits, cell), 3 + round_)
                self._catch_up(fits, cell)
        return fits

    def _neighbours(self, fits: dict[Cell, EMFit], cell: Cell) -> list[tuple[Cell, EMFit]]:
        """Sound fits of the models that a cell contains: next lower K, narrower structures."""
        k, name = cell
        below = [(j, name) for j, other in fits if other == name and j < k]
        inside = [(k, narrower) for narrower in structure_named(name).contains]
        near = [*([max(below)] if below else []), *inside]
        return [(c, fits[c]) for c in near if c in fits and fits[c].outcome in _SOUND]

    def _ahead_of(self, fits: dict[Cell, EMFit], cell: Cell) -> tuple[Cell, EMFit] | None:
        """The contained model that is most ahead of a cell, if any is; all sound ones are ahead of a spurious one."""
        neighbours = self._neighbours(fits, cell)
        if not neighbours:
            return None
        best = max(neighbours, key=lambda item: item[1].log_likelihood)
        behind = _is_better(best[1], fits[cell])
        return best if behind or fits[cell].outcome not in _SOUND else None

    def _carried(self, mixture: Mixture, source: str, target: str) -> Mixture:
        """A mixture on the scale of one structure's rows, on that of another's; not a digit changes where they are one."""
        own, other = self.prepared[source], self.prepared[target]
        if own.structure.common_scale == other.structure.common_scale:
            return mixture
        return standardised_start(mixture.in_data_units(own.scaling), other)

    def _from_below(self, fits: dict[Cell, EMFit], cell: Cell) -> list[Mixture]:
        starts = []
        for (k, name), fit in self._neighbours(fits, cell):
            if k == cell[0]:
                starts.append(self._carried(fit.standardised, name, cell[1]))
            elif k == cell[0] - 1:
                starts += splits(fit.standardised)
        return starts

    def _from_above(self, fits: dict[Cell, EMFit], cell: Cell) -> list[Mixture]:
        above = fits.get((cell[0] + 1, cell[1]))
        if above is None or above.outcome not in _SOUND:
            return []
        return closest_merges(above.standardised, _MERGES)

    def _refine(self, fits: dict[Cell, EMFit], cell: Cell, starts: list[Mixture], stage: int) -> None:
        """Try more starts for a cell, and keep the better fit."""
        if not starts or cell[0] == 1:
            return
        old = fits[cell]
        options = {**self.options, "n_starts": 0, "standardised_starts": starts, "moves": False}
        new = fit_prepared(self.prepared[cell[1]], cell[0], random_state=self._rng(cell, stage), **options)
        tried = old.n_starts + new.n_starts
        same = abs(new.log_likelihood - old.log_likelihood) <= 1e-5 + 1e-7 * old.n_rows
        if _rank(new) < _rank(old) or (_rank(new) == _rank(old) and _is_better(new, old)):
            hits = new.n_hits + old.n_hits * same
            fits[cell] = replace(new, n_starts=tried, n_hits=hits, optima=_merged(new, old))
        else:
            fits[cell] = replace(old, n_starts=tried, n_hits=old.n_hits + new.n_hits * same)

    def _catch_up(self, fits: dict[Cell, EMFit], cell: Cell) -> None:
        """Where a cell is still behind, take the contained model's solution as it stands."""
        found = self._ahead_of(fits, cell)
        if found is None:
            return
        (k, name), fit = found
        start = self._carried(fit.standardised, name, cell[1])
        for _ in range(cell[0] - k):
            start = doubled(start)
        options = {**self.options, "n_starts": 0, "standardised_starts": (start,), "moves": False, "max_iter": 1}
        new = fit_prepared(self.prepared[cell[1]], cell[0], random_state=self._rng(cell, 0), **options)
        outcome = "saddle" if cell[0] > k else "not converged"
        old = fits[cell]
        fits[cell] = replace(new, outcome=outcome, n_starts=old.n_starts, n_hits=0, optima=(*new.optima, *old.optima))


def _is_better(fit: EMFit, other: EMFit) -> bool:
    """Whether a log likelihood is higher by more than rounding."""
    return fit.log_likelihood > other.log_likelihood + 1e-10 * abs(other.log_likelihood)


def _rank(fit: EMFit) -> int:
    return {"spurious": 1, "degenerate": 2}.get(fit.outcome, 0)


def _merged(new: EMFit, old: EMFit) -> tuple[Optimum, ...]:
    """The optima of two fits of one model, those of the better first, none twice."""
    close = 1e-5 + 1e-7 * old.n_rows
    rest = [o for o in old.optima if all(abs(o.log_likelihood - n.log_likelihood) > close for n in new.optima)]
    return (*new.optima, *rest)
