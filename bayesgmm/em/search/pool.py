"""The solutions of a search, and how to choose among them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ...mixture import Design, Mixture
from ..algorithm.iterate import run_em
from ..algorithm.run import Run
from .spurious import spurious_components

__all__ = ["Plan", "Pool", "Searched", "extended", "replaced"]

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Plan:
    """How hard to look.

    Attributes
    ----------
    tol, max_iter, ridge, singular, resumed :
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
    resumed: bool = False

    def run(self, design: Design, start: Mixture, max_iter: int) -> Run:
        """EM under this plan, for at most ``max_iter`` E-steps."""
        return run_em(
            design,
            start,
            self.tol,
            min(max_iter, self.max_iter),
            self.ridge,
            singular=self.singular,
            resumed=self.resumed,
        )

    @property
    def without_moves(self) -> Plan:
        """The same, starting from where it is told and going nowhere else."""
        return replace(self, candidates=0, rounds=0)


# On standardised data; solutions of one optimum agree far better than this once converged.
_SAME_MOMENTS = 0.02


@dataclass(frozen=True)
class Searched:
    """A search on some of the rows, of which only the best solutions were tried on all.

    Attributes
    ----------
    starts : int
    hits : tuple of int
        How many of them led to each solution that was tried on all rows.
    once : int
        Optima there that a single start reached.
    """

    starts: int
    hits: tuple[int, ...]
    once: int


@dataclass(frozen=True)
class Pool:
    """Solutions found, with what is needed to choose among them.

    Attributes
    ----------
    run : Run
        C solutions.
    spurious, saddle : (C,) bool
        With a spurious component; led away from by small perturbations, but only to spurious or degenerate solutions.
    n_starts : int
        Starts tried; the first ``n_starts`` solutions are theirs.
    same : float
        Log likelihoods closer than this belong to one optimum.
    escaped : bool
        False where small perturbations of the best solution still led upwards at the end.
    searched : Searched, optional
        Where the search was on some of the rows.
    """

    run: Run
    spurious: Flags
    saddle: Flags
    n_starts: int
    same: float
    escaped: bool = True
    searched: Searched | None = None

    @classmethod
    def of(cls, run: Run, design: Design, n_starts: int, plan: Plan) -> Pool:
        """A pool of the solutions of ``run``, of which the first ``n_starts`` are those of starts."""
        same = 1e-5 + 100 * plan.tol * design.total
        spurious = spurious_components(run, design, plan.represents).any(1)
        return cls(run, spurious, np.zeros_like(spurious), n_starts, same)

    @property
    def order(self) -> NDArray[np.intp]:
        """Best first: sound ones by log likelihood, then spurious ones, then degenerate ones, then saddles."""
        rank = np.where(self.saddle, 3, np.where(self.run.degenerate, 2, self.spurious.astype(int)))
        return np.lexsort((np.arange(len(rank)), -self.run.log_likelihood, rank))

    @property
    def best(self) -> int:
        return int(self.order[0])

    @property
    def sound(self) -> Flags:
        """Which solutions (C,) are neither spurious, nor degenerate, nor saddles."""
        return ~(self.spurious | self.run.degenerate | self.saddle)

    def is_sound(self, i: int) -> bool:
        """Whether solution ``i`` is `sound`."""
        return bool(self.sound[i])

    def distinct(self, limit: int, among: Flags | None = None) -> list[int]:
        """The best ``limit`` solutions, of all or of those ``among`` (C,), of which no two are one optimum.

        Data with a symmetry have several optima of one log likelihood: they are told apart by moments of the components
        that do not depend on their order.
        """
        moments = _moments(self.run.mixture)
        chosen: list[int] = []
        for i in self.order:
            if among is not None and not among[i]:
                continue
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

    def optima(self, sound: int, unsound: int) -> list[int]:
        """The best, and the best distinct ones that converged: at most so many sound ones, and so many others."""
        found = self.run.converged & ~self.saddle
        found[self.best] = True
        return [*self.distinct(sound, found & self.sound), *self.distinct(unsound, found & ~self.sound)]

    def hits(self, i: int) -> int:
        """Starts that reached the optimum of solution ``i``."""
        mine = self.run.log_likelihood[: self.n_starts]
        reached = np.abs(mine - self.run.log_likelihood[i]) <= self.same
        each = np.ones(self.n_starts) if self.searched is None else np.array(self.searched.hits)
        return int(each @ reached)

    @property
    def once(self) -> int:
        """Sound optima that exactly one start reached, of the starts that were run until they converged."""
        if self.searched is not None:
            return self.searched.once
        among = self.run.converged & self.sound
        among[self.n_starts :] = False
        return sum(self.hits(i) == 1 for i in self.distinct(self.n_starts, among))

    @property
    def tried(self) -> int:
        """Starts tried, in the search where there was one."""
        return self.n_starts if self.searched is None else self.searched.starts

    def single(self, i: int) -> Mixture:
        """The mixture of solution ``i``."""
        return self.run.mixture[i]


def _moments(mixture: Mixture) -> Array:
    """Moments of the components (C, 1 + D^2) that do not depend on their order."""
    w2, means = mixture.weights**2, mixture.means
    seconds = np.einsum("sk,ski,skj->sij", w2, means, means)
    return np.concatenate([w2.sum(-1)[:, None], seconds.reshape(len(w2), -1)], axis=1)


def extended(pool: Pool, run: Run, design: Design, plan: Plan) -> Pool:
    """The pool with more solutions, which do not count as starts."""
    more = Pool.of(run, design, 0, plan)
    return replace(
        pool, run=Run.joined(pool.run, run), spurious=np.append(pool.spurious, more.spurious),
        saddle=np.append(pool.saddle, more.saddle),
    )  # fmt: skip


def replaced(pool: Pool, which: list[int], run: Run, design: Design, plan: Plan) -> Pool:
    """The pool with the solutions ``which`` taken further."""
    total = extended(pool, run, design, plan)
    index = np.arange(len(pool.spurious))
    index[which] = len(index) + np.arange(len(which))
    merged = total.run.select(index)
    n_iter = merged.n_iter.copy()
    n_iter[which] += pool.run.n_iter[which]
    return replace(pool, run=replace(merged, n_iter=n_iter), spurious=total.spurious[index], saddle=total.saddle[index])
