"""Maximum likelihood over a grid of component counts and structures, each cell helped by its neighbours.

A wider model contains the narrower ones, so its best log likelihood cannot be lower. Cells are fitted on their own, in
parallel; then solutions are carried to their neighbours as starts: halved components upwards in K, merged ones
downwards, narrower structures to wider ones. Where a cell still falls behind, or has only spurious solutions, its
neighbour's solution is taken as it stands, with one component in two equal parts if need be, and the outcome says so:
"saddle" where it has fewer distinct components than its name says, "not converged" where its structure could still be
widened.

Structures that are one model at some size (`mixture.equivalence`) share one cell there, named by the first of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..data import InputError, check_counts, checked_with
from ..mixture import (
    COVARIANCE_TYPES,
    Mixture,
    Structure,
    model_names,
    place_of,
    single_threaded_blas,
    structure_named,
    structures_named,
)
from .algorithm.iterate import MAX_ITER, TOL
from .cells import Cell, Grid, rewritten
from .fit import fit_prepared, standardised_start
from .prepare import Prepared, prepare
from .result import EMFit, Optimum
from .search.moves import closest_merges, doubled, splits

__all__ = ["Grid", "extended", "fit_grid"]

_SOUND = ("converged", "not converged", "saddle")
_ROUNDS = 4
_MERGES = 10


@checked_with(n_components=check_counts)
def fit_grid(
    data: Any,
    n_components: Iterable[int] = range(1, 10),
    covariance_types: str | Iterable[str] = COVARIANCE_TYPES,
    *,
    sample_weight: Any = None,
    n_starts: int | str = "auto",
    tol: float = TOL,
    max_iter: int = MAX_ITER,
    ridge: float = 0.0,
    random_state: int | None = 0,
    n_jobs: int | None = None,
    progressbar: bool = True,
    missing: str = "error",
) -> Grid:
    """Fit mixtures over a grid.

    Parameters
    ----------
    data : Table, array (N, D) or data frame
    n_components : iterable of int
    covariance_types : iterable of str, or "all"
        By scikit-learn's names or mclust's; "all" for mclust's fourteen, those that coincide on these data once.
    sample_weight, n_starts, tol, max_iter, ridge :
        As in `fit_mixture`.
    random_state : int or None
    n_jobs : int, optional
        Cells at work at the same time, in threads; by default one per core. The results do not depend on it.
    progressbar : bool
        Show progress; nothing is printed without.
    missing : {"error", "drop", "marginalise"}
        What becomes of rows with a missing value: refused, left out, or kept for what they have: their likelihood is the
        marginal density of what was observed.

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
    how = _How(sample_weight, missing, options, random_state, n_jobs, progressbar)
    return _filled(Grid({}, {}), data, counts, structures, how)


def extended(
    grid: Grid,
    data: Any,
    n_components: Iterable[int],
    *,
    sample_weight: Any = None,
    missing: str = "error",
    random_state: int | None = 0,
    n_jobs: int | None = None,
    progressbar: bool = True,
) -> Grid:
    """A grid of the same structures at further component counts; the fits that it has stay as they are.

    The new cells start from theirs, too, so that none falls behind a cell that it contains. Parameters as in `fit_grid`.
    """
    names = {name for _, name in (*grid.fits, *grid.failures, *grid.aliases)}
    options = {"n_starts": "auto", "tol": TOL, "max_iter": MAX_ITER, "ridge": 0.0}
    counts, structures = _axes(n_components, sorted(names, key=place_of))
    how = _How(sample_weight, missing, options, random_state, n_jobs, progressbar)
    return _filled(grid, data, counts, structures, how)


@dataclass(frozen=True)
class _How:
    """How cells are fitted."""

    sample_weight: Any
    missing: str
    options: dict[str, Any]
    random_state: int | None
    n_jobs: int | None
    progressbar: bool


def _filled(grid: Grid, data: Any, counts: list[int], structures: list[Structure], how: _How) -> Grid:
    """A grid with the cells of more counts fitted."""
    prepared = {structure.name: prepare(data, structure, how.sample_weight, how.missing) for structure in structures}
    n_features = next(iter(prepared.values())).design.n_features
    seed = int(np.random.default_rng(how.random_state).integers(2**31))
    own = _own_cells(counts, structures, n_features)
    cells = [cell for cell, name in own.items() if cell == name]
    aliases = grid.aliases | {cell: name for cell, name in own.items() if cell != name}
    work = _Work(prepared, how.options, seed, {cell: cell for cell in (*grid.fits, *cells)} | aliases)
    with single_threaded_blas(), _progress(how.progressbar, 3 * len(cells)) as advance:
        fits, failures = work.independent(cells, _workers(how.n_jobs), advance)
        fits = work.improved(grid.fits | fits, list(fits), advance)
    return Grid(dict(sorted(fits.items())), grid.failures | failures, aliases)


def _own_cells(counts: list[int], structures: list[Structure], n_features: int) -> dict[Cell, Cell]:
    """Each cell asked for, and the one under which its model is fitted."""
    by_name = sorted(structures, key=lambda s: place_of(s.name))
    names = {k: model_names(by_name, k, n_features) for k in counts}
    return {(k, s.name): (k, names[k][s.name]) for k in counts for s in structures}


def _axes(n_components: Iterable[int], covariance_types: str | Iterable[str]) -> tuple[list[int], list[Structure]]:
    """Distinct counts in order, and structures with the narrower ones, which are the cheaper ones, first."""
    counts = sorted({int(k) for k in ([n_components] if isinstance(n_components, int) else n_components)})
    structures = structures_named(covariance_types)
    if not counts or not structures:
        raise InputError("the grid is empty; give at least one n_components and one covariance type")
    return counts, structures


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
    own: dict[Cell, Cell]  # of every cell asked for, the one under which its model is fitted

    def _rng(self, cell: Cell, stage: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, cell[0], place_of(cell[1]), stage])

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

    def improved(self, fits: dict[Cell, EMFit], cells: list[Cell], advance: Callable[[], None]) -> dict[Cell, EMFit]:
        """Cells helped by their neighbours, until none falls behind a cell that it contains."""
        fits = dict(fits)
        order = sorted(cells, key=lambda cell: (cell[0], len(structure_named(cell[1]).contains)))
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
        below = [(j, name) for j, other in self.own if other == name and j < k and self.own[j, other] in fits]
        inside = [(k, narrower) for narrower in structure_named(name).contains]
        near = dict.fromkeys(self.own.get(c) for c in (*([max(below)] if below else []), *inside))
        return [(c, fits[c]) for c in near if c in fits and c != cell and fits[c].outcome in _SOUND]

    def _ahead_of(self, fits: dict[Cell, EMFit], cell: Cell) -> tuple[Cell, EMFit] | None:
        """The contained model that is most ahead of a cell, if any is; all sound ones are ahead of a spurious one."""
        neighbours = self._neighbours(fits, cell)
        if not neighbours:
            return None
        best = max(neighbours, key=lambda item: item[1].log_likelihood)
        behind = _is_better(best[1], fits[cell])
        return best if behind or not _stands(fits[cell]) else None

    def _carried(self, mixture: Mixture, source: str, target: str) -> Mixture:
        """A mixture on the scale of one structure's rows, on that of another's; not a digit changes where they are one."""
        own, other = self.prepared[source], self.prepared[target]
        if np.array_equal(own.scaling.scale, other.scaling.scale):
            return mixture
        return standardised_start(mixture.in_data_units(own.scaling), other)

    def _from_below(self, fits: dict[Cell, EMFit], cell: Cell) -> list[Mixture]:
        starts = []
        near = self._neighbours(fits, cell)
        inside = {other for (k, name), _ in near if k == cell[0] for other in structure_named(name).contains}
        for (k, name), fit in near:
            if k == cell[0] and name in inside:
                continue  # what contains it started from it
            if k == cell[0]:
                starts.append(self._carried(fit.standardised, name, cell[1]))
            elif k == cell[0] - 1:
                starts += splits(rewritten(fit.standardised, structure_named(cell[1])))
        return starts

    def _from_above(self, fits: dict[Cell, EMFit], cell: Cell) -> list[Mixture]:
        own = self.own.get((cell[0] + 1, cell[1]))
        above = None if own is None else fits.get(own)
        if above is None or above.outcome not in _SOUND:
            return []
        return closest_merges(rewritten(above.standardised, structure_named(cell[1])), _MERGES)

    def _refine(self, fits: dict[Cell, EMFit], cell: Cell, starts: list[Mixture], stage: int) -> None:
        """Try more starts for a cell, and keep the better fit."""
        if not starts or cell[0] == 1:
            return
        old = fits[cell]
        options = {**self.options, "n_starts": 0, "standardised_starts": starts, "moves": False}
        new = fit_prepared(self.prepared[cell[1]], cell[0], random_state=self._rng(cell, stage), **options)
        tried = old.n_starts + new.n_starts
        close = 1e-5 + 1e-7 * old.n_rows
        same = abs(new.log_likelihood - old.log_likelihood) <= close
        fewer = [fit for (k, _), fit in self._neighbours(fits, cell) if k < cell[0]]
        if _rank(old) and any(new.log_likelihood <= fit.log_likelihood + close for fit in fewer):
            return  # copies of a component: EM from there had nowhere to go but to where ``old`` is
        if _rank(new) < _rank(old) or (_rank(new) == _rank(old) and _is_better(new, old)):
            better = replace(new, n_independent=old.n_independent, n_once=old.n_once, optima=_merged(new, old))
            fits[cell] = replace(better, n_starts=tried, n_hits=new.n_hits + old.n_hits * same)
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
        taken = replace(new, n_independent=old.n_independent, n_once=old.n_once, optima=(*new.optima, *old.optima))
        fits[cell] = replace(taken, outcome=outcome, n_starts=old.n_starts, n_hits=0)


def _is_better(fit: EMFit, other: EMFit) -> bool:
    """Whether a log likelihood is higher by more than rounding."""
    return fit.log_likelihood > other.log_likelihood + 1e-10 * abs(other.log_likelihood)


def _stands(fit: EMFit) -> bool:
    """Whether a fit may stay what it is: not where it is spurious or has collapsed, unless onto rows that are equal."""
    return fit.outcome in _SOUND or (fit.outcome == "degenerate" and bool(fit.repeated) and not fit.collinear)


def _rank(fit: EMFit) -> int:
    return {"spurious": 1, "degenerate": 2}.get(fit.outcome, 0)


def _merged(new: EMFit, old: EMFit) -> tuple[Optimum, ...]:
    """The optima of two fits of one model, those of the better first, none twice."""
    close = 1e-5 + 1e-7 * old.n_rows
    rest = [o for o in old.optima if all(abs(o.log_likelihood - n.log_likelihood) > close for n in new.optima)]
    return (*new.optima, *rest)
