"""The search for the best optimum: many starts run short, the best finished, moves from there, saddles left.

Everything here happens on standardised rows, all of them or a subsample; `scale` finishes on all rows what is found
on some.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...mixture import Design, Mixture
from ..algorithm.run import joined
from .moves import batch_of, perturbed, split_and_merge
from .pool import Plan, Pool, extended, replaced

__all__ = ["at_the_floor", "best_finished", "explore", "finished", "improved"]

# Optima this close in log likelihood may each be a step away from the best one.
_RIVALS = 5.0
# Perturbed copies of a solution that may be a saddle.
_COPIES = 4


def _longer(pool: Pool, which: list[int], design: Design, plan: Plan, max_iter: int) -> Pool:
    """The pool with the solutions ``which`` run on, up to ``max_iter`` E-steps in all."""
    run = pool.run
    which = [i for i in which if not (run.converged[i] or run.degenerate[i] or run.n_iter[i] >= max_iter)]
    if not which:
        return pool
    left = max_iter - int(run.n_iter[which].max())
    more = plan.run(design, run.mixture[np.array(which)], max(left, 1))
    return replaced(pool, which, more, design, plan)


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
    if not plan.rounds:
        return pool
    settled = plan.settled < 1 and pool.hits(pool.best) >= plan.settled * pool.n_starts
    for _ in range(0 if settled else 2 * plan.rounds):
        better = _moved(pool, design, plan, rng)
        if better is None:
            break
        pool = better
    return _off_saddles(pool, design, plan, rng)


def _candidates(pool: Pool, plan: Plan, rng: np.random.Generator) -> list[Mixture]:
    """Where to go from the best solution: batches (S, ...) of mixtures, likely to lead to better ones.

    Split-and-merge moves of the best; the best with means one standard deviation off, if no two starts have led to it
    (where starts do not meet, optima are many and close to each other: from one the next is a step away); and so the
    second best, if it is not far behind.
    """
    if pool.run.mixture.n_components == 1 or not plan.candidates:
        return []
    best = pool.best
    batches = [batch_of(split_and_merge(pool.single(best), plan.candidates, rng))]
    if pool.is_sound(best) and pool.hits(best) <= 1:
        batches.append(perturbed(pool.single(best), 1.0, plan.candidates, rng))
    second = pool.distinct(2, pool.run.converged & pool.sound)[1:]
    if second and pool.run.log_likelihood[best] - pool.run.log_likelihood[second[0]] < _RIVALS:
        batches.append(perturbed(pool.single(second[0]), 1.0, plan.candidates, rng))
    return batches


def _promising(pool: Pool, limit: int) -> list[int]:
    """The best unfinished starts, as many as ``limit``, and the best one whatever it is."""
    unfinished = [int(i) for i in pool.order if not pool.run.converged[i] and pool.is_sound(int(i))]
    return unfinished[:limit] or [pool.best]


def _moved(pool: Pool, design: Design, plan: Plan, rng: np.random.Generator) -> Pool | None:
    """The pool after one round of moves; None if they gained nothing."""
    candidates = _candidates(pool, plan, rng)
    if not candidates:
        return None
    best, first = pool.best, len(pool.spurious)
    trial = extended(pool, plan.run(design, joined(*candidates), plan.short), design, plan)
    moved = [int(i) for i in trial.order if i >= first and trial.is_sound(int(i)) and not trial.run.converged[i]]
    trial = finished(trial, moved[: max(plan.kept // 2, 1)], design, plan)
    gained = trial.run.log_likelihood[trial.best] - pool.run.log_likelihood[best]
    new = trial.is_sound(trial.best) and (gained > pool.same or not pool.is_sound(best))
    return trial if new else None


def _off_saddles(pool: Pool, design: Design, plan: Plan, rng: np.random.Generator) -> Pool:
    """Perturb the best solution: from a maximum EM returns, from a saddle it climbs.

    A solution from which EM climbs to spurious or degenerate ones only is a saddle, and no longer the best.
    """
    if pool.run.mixture.n_components == 1:
        return pool
    escapes = plan.rounds
    while escapes and pool.is_sound(pool.best):
        best, first = pool.best, len(pool.spurious)
        run = plan.run(design, perturbed(pool.single(best), 0.05, _COPIES, rng), plan.short)
        trial = extended(pool, run, design, plan)
        if trial.best >= first and trial.run.log_likelihood[trial.best] - pool.run.log_likelihood[best] > pool.same:
            pool = finished(trial, [trial.best], design, plan)
            escapes -= 1
            continue
        climbed = run.log_likelihood > pool.run.log_likelihood[best] + pool.same
        if climbed.sum() <= _COPIES // 2:
            return pool
        trial.saddle[best] = True
        pool = best_finished(trial, design, plan)
    return pool if escapes else replace(pool, escaped=False)


def at_the_floor(pool: Pool, design: Design, plan: Plan) -> Pool:
    """Where every solution has collapsed: the best of them run on under the constraint that holds them up."""
    if not pool.run.degenerate[pool.best]:
        return pool
    which = [int(i) for i in pool.order if pool.run.degenerate[i]][: plan.kept // 2]
    own = replace(plan, singular=True)
    run = own.run(design, pool.run.mixture[np.array(which)], 10 * plan.short)
    return replaced(pool, which, replace(run, degenerate=np.ones_like(run.degenerate)), design, plan)
