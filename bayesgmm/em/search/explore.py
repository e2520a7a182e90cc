"""The search for the best optimum: many starts run short, the best finished, moves from there, saddles left.

Everything here happens on standardised rows, all of them or a subsample; `scale` finishes on all rows what is found
on some.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ...mixture import Design, Mixture
from ..algorithm.iterate import run_em
from ..algorithm.run import Run
from .moves import batch_of, perturbed, split_and_merge

__all__ = ["Plan", "Pool", "best_finished", "explore", "extended", "finished", "improved", "spurious_components"]

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

# A component this narrow on standardised data, and on few rows, is a spike on near-duplicates and not a group.
_NARROW = 1e-4


def spurious_components(run: Run, design: Design, represents: float = 1.0) -> Flags:
    """Whether each component (S, K) is a spike of the unbounded likelihood: too few rows, or few rows and no width.

    A component is spurious on fewer than max(5, 2 D) rows, or with a smallest eigenvalue below 1e-4 (standardised) on
    fewer than max(100, 30 (D + 1)) rows of all the data, of which each row here ``represents`` so many. Where the
    structure bounds the likelihood there are none.
    """
    d = design.n_features
    if design.structure.bounded:
        return np.zeros(run.counts.shape, dtype=bool)
    few = run.counts < max(5, 2 * d)
    thin = (run.smallest < _NARROW) & (represents * run.counts < max(100, 30 * (d + 1)))
    return few | thin


@dataclass(frozen=True)
class Plan:
    """How hard to look.

    Attributes
    ----------
    tol, max_iter, ridge, singular :
        As in `run_em`; ``max_iter`` over all stages.
    short : int
        E-steps after which starts are compared.
    kept : int
        Starts that go on then.
    candidates : int
        Split-and-merge moves tried in one round.
    rounds : int
        Rounds of moves, and of perturbations.
    settled : float
        No moves where at least this part of the starts has reached the best optimum.
    represents : float
        Rows of all the data that each row of the search stands for.
    """

    tol: float
    max_iter: int
    ridge: float
    singular: bool = False
    short: int = 60
    kept: int = 10
    candidates: int = 12
    rounds: int = 3
    settled: float = 1.0
    represents: float = 1.0

    def run(self, design: Design, start: Mixture, max_iter: int) -> Run:
        """EM under this plan, for at most ``max_iter`` E-steps."""
        return run_em(design, start, self.tol, min(max_iter, self.max_iter), self.ridge, singular=self.singular)

    @property
    def without_moves(self) -> Plan:
        """The same, starting from where it is told and going nowhere else."""
        return replace(self, candidates=0, rounds=0)


# On standardised data; solutions of one optimum agree far better than this once converged.
_SAME_MOMENTS = 0.02


@dataclass(frozen=True)
class Pool:
    """Optima found, with what is needed to choose among them.

    Attributes
    ----------
    run : Run
        C solutions.
    spurious : (C,) bool
    n_starts : int
        Starts tried; the first ``n_starts`` solutions are theirs.
    same : float
        Log likelihoods closer than this belong to one optimum.
    escaped : bool
        False where small perturbations of the best solution still led upwards at the end.
    searched : (int, tuple of int), optional
        Where the search was on some of the rows: the starts tried there, and how many of them led to each solution.
    """

    run: Run
    spurious: Flags
    n_starts: int
    same: float
    escaped: bool = True
    searched: tuple[int, tuple[int, ...]] | None = None

    @classmethod
    def of(cls, run: Run, design: Design, n_starts: int, plan: Plan) -> Pool:
        same = 1e-5 + 100 * plan.tol * design.total
        return cls(run, spurious_components(run, design, plan.represents).any(1), n_starts, same)

    @property
    def order(self) -> NDArray[np.intp]:
        """Best first: sound ones by log likelihood, then spurious ones, then degenerate ones."""
        rank = 2 * self.run.degenerate.astype(int) + self.spurious
        return np.lexsort((np.arange(len(rank)), -self.run.log_likelihood, rank))

    @property
    def best(self) -> int:
        return int(self.order[0])

    def is_sound(self, i: int) -> bool:
        """Neither spurious nor degenerate."""
        return not (self.spurious[i] or self.run.degenerate[i])

    def distinct(self, limit: int) -> list[int]:
        """The best ``limit`` solutions of which no two are one optimum.

        Data with a symmetry have several optima of one log likelihood: they are told apart by moments of the components
        that do not depend on their order.
        """
        w2 = self.run.mixture.weights**2
        means = self.run.mixture.means
        moments = np.concatenate(
            [w2.sum(-1)[:, None], np.einsum("sk,ski,skj->sij", w2, means, means).reshape(len(w2), -1)], axis=1
        )
        chosen: list[int] = []
        for i in self.order:
            value = self.run.log_likelihood[i]
            if all(
                abs(value - self.run.log_likelihood[j]) > self.same
                or np.abs(moments[i] - moments[j]).max() > _SAME_MOMENTS
                for j in chosen
            ):
                chosen.append(int(i))
            if len(chosen) == limit:
                break
        return chosen

    def hits(self, i: int) -> int:
        """Starts that reached the optimum of solution ``i``."""
        mine = self.run.log_likelihood[: self.n_starts]
        reached = np.abs(mine - self.run.log_likelihood[i]) <= self.same
        each = np.ones(self.n_starts) if self.searched is None else np.array(self.searched[1])
        return int(each @ reached)

    @property
    def tried(self) -> int:
        """Starts tried, in the search where there was one."""
        return self.n_starts if self.searched is None else self.searched[0]

    def single(self, i: int) -> Mixture:
        """The mixture of solution ``i``."""
        return self.run.mixture[i]


def extended(pool: Pool, run: Run, design: Design, plan: Plan) -> Pool:
    """The pool with more solutions, which do not count as starts."""
    return Pool.of(Run.joined(pool.run, run), design, pool.n_starts, plan)


def _replaced(pool: Pool, which: list[int], run: Run, design: Design, plan: Plan) -> Pool:
    """The pool with the solutions ``which`` taken further."""
    total = Run.joined(pool.run, run)
    index = np.arange(len(pool.run.log_likelihood))
    index[which] = len(index) + np.arange(len(which))
    merged = total.select(index)
    n_iter = merged.n_iter.copy()
    n_iter[which] += pool.run.n_iter[which]
    return Pool.of(replace(merged, n_iter=n_iter), design, pool.n_starts, plan)


def _longer(pool: Pool, which: list[int], design: Design, plan: Plan, max_iter: int) -> Pool:
    """The pool with the solutions ``which`` run on, up to ``max_iter`` E-steps in all."""
    run = pool.run
    which = [i for i in which if not (run.converged[i] or run.degenerate[i] or run.n_iter[i] >= max_iter)]
    if not which:
        return pool
    left = max_iter - int(run.n_iter[which].max())
    more = plan.run(design, run.mixture[np.array(which)], max(left, 1))
    return _replaced(pool, which, more, design, plan)


def finished(pool: Pool, which: list[int], design: Design, plan: Plan) -> Pool:
    """The pool with the solutions ``which`` run until nearly all converge, and the best one until it does.

    A few starts creep along ridges for thousands of iterations; only the best is worth that.
    """
    pool = _longer(pool, which, design, plan, min(10 * plan.short, plan.max_iter))
    return best_finished(pool, design, plan)


def best_finished(pool: Pool, design: Design, plan: Plan) -> Pool:
    """The pool with its best solution run until it converges; if it loses its place on the way, the next best."""
    for _ in range(len(pool.spurious)):
        best, run = pool.best, pool.run
        if run.converged[best] or run.degenerate[best] or run.n_iter[best] >= plan.max_iter:
            break
        pool = _longer(pool, [best], design, plan, plan.max_iter)
    return pool


def explore(design: Design, starts: list[Mixture], plan: Plan, rng: np.random.Generator) -> Pool:
    """Find optima.

    Parameters
    ----------
    design : Design
        Rows to search on.
    starts : list of single mixtures
    plan : Plan
    rng : numpy.random.Generator

    Returns
    -------
    Pool
    """
    run = plan.run(design, batch_of(starts), plan.short)
    pool = Pool.of(run, design, len(starts), plan)
    pool = finished(pool, _promising(pool, plan.kept), design, plan)
    return improved(pool, design, plan, rng)


def improved(pool: Pool, design: Design, plan: Plan, rng: np.random.Generator) -> Pool:
    """The pool after rounds of moves from its best solution, and off the saddle where it is one."""
    settled = plan.settled < 1 and pool.hits(pool.best) >= plan.settled * pool.n_starts
    for _ in range(0 if settled else plan.rounds):
        better = _moved(pool, design, plan, rng)
        if better is None:
            break
        pool = better
    return _off_saddles(pool, design, plan, rng) if plan.rounds else pool


def _promising(pool: Pool, limit: int) -> list[int]:
    """The best unfinished starts, as many as ``limit``, and the best one whatever it is."""
    unfinished = [int(i) for i in pool.order if not pool.run.converged[i] and pool.is_sound(int(i))]
    return unfinished[:limit] or [pool.best]


def _moved(pool: Pool, design: Design, plan: Plan, rng: np.random.Generator) -> Pool | None:
    """The pool after one round of split-and-merge moves from its best solution; None if they gained nothing."""
    best = pool.best
    candidates = split_and_merge(pool.single(best), plan.candidates, rng)
    if not candidates:
        return None
    run = plan.run(design, batch_of(candidates), plan.short)
    trial = extended(pool, run, design, plan)
    first = len(pool.run.log_likelihood)
    moved = [int(i) for i in trial.order if i >= first and trial.is_sound(int(i)) and not trial.run.converged[i]]
    trial = finished(trial, moved[: max(plan.kept // 2, 1)], design, plan)
    gained = trial.run.log_likelihood[trial.best] - pool.run.log_likelihood[best]
    new = trial.is_sound(trial.best) and (gained > pool.same or not pool.is_sound(best))
    return trial if new else None


def _off_saddles(pool: Pool, design: Design, plan: Plan, rng: np.random.Generator) -> Pool:
    """Perturb the best solution: from a maximum EM returns, from a saddle it climbs."""
    for _ in range(plan.rounds):
        best = pool.best
        if not pool.is_sound(best) or pool.run.mixture.n_components == 1:
            return pool
        copies = perturbed(pool.single(best), 0.05, 4, rng)
        run = plan.run(design, copies, plan.short)
        trial = extended(pool, run, design, plan)
        if trial.run.log_likelihood[trial.best] - pool.run.log_likelihood[best] <= pool.same:
            return pool
        pool = finished(trial, [trial.best], design, plan)
    return replace(pool, escaped=False)
