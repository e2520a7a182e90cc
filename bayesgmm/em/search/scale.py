"""The search at any size: on all rows where they are few, on a random part of them where they are many.

On many rows each optimum is clear-cut and each E-step is dear. So a few starts are run on some thousand rows; where two
of them agree on components that lie far apart there is nothing more to look for, and otherwise the search goes on there
with more starts and moves. Only the best solutions are then tried on all rows, and only the best of those is finished.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ...mixture import Design, Mixture
from .complete import filled_in
from .explore import at_the_floor, best_finished, explore, improved
from .moves import batch_of, overlap, without_spike
from .pool import Plan, Pool, Searched, extended
from .spurious import spurious_components
from .starts import Rows, make_starts

__all__ = ["Sources", "rows_to_start_from", "searched"]

# Rows on which starts are compared; all rows where there are fewer.
_SEARCH_ROWS = 4000
_FEW_STARTS, _SOME_STARTS, _MANY_STARTS = 5, 14, 26
# Distinct solutions of the search that are tried on all rows.
_TRIED = 3
# Bhattacharyya distance of components that lie far apart. That of the halves of a Gaussian is 0.9.
_FAR = 2.0
# On some of the rows, what is left to gain below this per row is less than what the other rows will change.
_SEARCH_TOL = 1e-6


@dataclass(frozen=True)
class Sources:
    """Where starts come from.

    Attributes
    ----------
    n_components : int
    given : tuple of Mixture
        Single ones, standardised.
    count : int or None
        Starts to make; None for as many as the data call for.
    kind : str
        As in `make_starts`.
    """

    n_components: int
    given: tuple[Mixture, ...]
    count: int | None
    kind: str

    def made(self, design: Design, count: int, rng: np.random.Generator) -> list[Mixture]:
        """``count`` new starts."""
        if not count:
            return []
        rows = rows_to_start_from(design, rng)
        return make_starts(design.structure, rows, self.n_components, count, rng, self.kind)


def rows_to_start_from(design: Design, rng: np.random.Generator) -> Rows:
    """The rows that starts partition, made whole where values are missing."""
    values = design.values if design.groups is None else filled_in(design, rng)
    return Rows(values, design.sample_weight if design.sample_weight.size else None)


def searched(design: Design, sources: Sources, plan: Plan, rng: np.random.Generator) -> Pool:
    """Solutions on all rows of ``design``, the best one finished.

    Parameters
    ----------
    design : Design
    sources : Sources
    plan : Plan
        For a search on all rows.
    rng : numpy.random.Generator

    Returns
    -------
    Pool
    """
    limit = max(_SEARCH_ROWS, 15 * sources.n_components * (design.n_features + 1))
    if design.n_rows <= limit:
        many = 1 if sources.n_components == 1 else _MANY_STARTS
        count = many if sources.count is None else sources.count
        pool = explore(design, [*sources.given, *sources.made(design, count, rng)], plan, rng)
        return at_the_floor(pool, design, plan)
    part = design.subset(np.sort(rng.choice(design.n_rows, limit, replace=False)))
    pool = _on_some_rows(part, sources, replace(plan, represents=design.n_rows / part.n_rows), rng)
    return at_the_floor(_on_all_rows(pool, design, plan, rng), design, plan)


def _on_some_rows(part: Design, sources: Sources, plan: Plan, rng: np.random.Generator) -> Pool:
    own = replace(
        plan, tol=max(plan.tol, _SEARCH_TOL), max_iter=min(plan.max_iter, 10 * plan.short), kept=4, candidates=6,
        settled=0.5,
    )  # fmt: skip
    if sources.count is not None or sources.given or sources.n_components == 1:
        count = sources.count if sources.count is not None else (1 if sources.n_components == 1 else _SOME_STARTS)
        return explore(part, [*sources.given, *sources.made(part, count, rng)], own, rng)
    starts = sources.made(part, _FEW_STARTS, rng)
    pool = explore(part, starts, replace(own.without_moves, short=20, kept=2), rng)
    if not _is_clear(pool):
        # The kinds of starts that come once have come.
        more = sources.made(part, _SOME_STARTS, rng)[2 : 2 + _SOME_STARTS - _FEW_STARTS]
        starts = [*(pool.single(i) for i in range(_FEW_STARTS)), *more]
        pool = explore(part, starts, replace(own.without_moves, short=30), rng)
    return pool if _is_clear(pool) or not plan.rounds else improved(pool, part, own, rng)


def _is_clear(pool: Pool) -> bool:
    """Whether the best solution was found more than once and its components lie far apart."""
    return pool.is_sound(pool.best) and pool.hits(pool.best) > 1 and _far_apart(pool.single(pool.best))


def _far_apart(mixture: Mixture) -> bool:
    """Whether no two components overlap much."""
    distance = overlap(mixture)
    return bool((distance + np.diag(np.full(len(distance), np.inf)) > _FAR).all())


def _on_all_rows(found: Pool, design: Design, plan: Plan, rng: np.random.Generator) -> Pool:
    """The best distinct solutions of a search on some rows, tried on all of them, and the best one finished."""
    chosen = found.distinct(_TRIED)
    # A solution that is far behind on the search rows will not win on all of them.
    values = found.run.log_likelihood[chosen]
    chosen = [i for i, v in zip(chosen, values, strict=True) if v >= values[0] - 20.0 or i == chosen[0]]
    hits = [found.hits(i) for i in chosen]
    start = batch_of([found.single(i) for i in chosen])
    lone = len(chosen) == 1
    run = plan.run(design, start, plan.max_iter if lone else plan.short // 2)
    pool = best_finished(Pool.of(run, design, len(chosen), plan), design, plan)
    if plan.rounds:
        pool = _without_spikes(pool, design, plan, rng)
    return replace(pool, escaped=found.escaped, searched=Searched(found.n_starts, tuple(hits), found.once))


def _without_spikes(pool: Pool, design: Design, plan: Plan, rng: np.random.Generator) -> Pool:
    """Where every solution has a spike: the components on spikes put to better use."""
    for _ in range(plan.rounds):
        best = pool.best
        if pool.is_sound(best):
            break
        spikes = spurious_components(pool.run.select(np.array([best])), design)[0]
        spike = int(np.where(spikes, pool.run.counts[best], np.inf).argmin())
        candidates = without_spike(pool.single(best), spike, plan.candidates // 2)
        run = plan.run(design, batch_of(candidates), plan.short // 2)
        pool = best_finished(extended(pool, run, design, plan), design, plan)
    return pool
