"""Rows that importance sampling cannot leave out: their densities from the other rows, by the cheapest way that can be trusted.

The density of row i given the others is the ratio of two normalisers, with the row and without it. First the draws are
transported to the posterior without the row (`transport`), which takes a mode and a thousand densities; its Pareto k, and
the share of the draws that changed their labels on the way, say whether that is enough. An EM fit without the row looks for
modes that no draw could reach: where the row decided between two solutions, the other's Laplace mass counts too. What the
transport cannot do is annealed by sequential Monte Carlo (`smc.anneal`), with moves that let components be born and die;
beyond tables for which that takes a minute or so the row stays as importance sampling has it, and is counted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from ..em import fit_mixture
from ..mixture import single_threaded_blas
from ..posterior import Mode, Target, find_mode, starting_mixtures
from ..sampling import Posterior, pointwise_log_likelihood
from .smc import anneal
from .smc_moves import move_components, move_hamiltonian
from .transport import Moved, Transport

__all__ = ["Refit"]

Array = NDArray[np.float64]
Told = Callable[[int, int], None]
# Particles that are annealed, and the share of them that a step leaves effective: a twentieth of a nat.
_PARTICLES, _KEPT = 1000, 0.7
# Rows times coordinates up to which a row is annealed, and another mode is looked for.
_MOST_TO_ANNEAL, _MOST_TO_SEARCH = 100_000, 500_000
# Optima of EM's near which other modes are looked for, and the nats below which they do not count.
_OPTIMA, _NOTICED = 2, 0.01


@dataclass(frozen=True, eq=False)
class Refit:
    """One posterior, ready to lose rows.

    Attributes
    ----------
    view : Posterior
    random_seed : int
    elsewhere : bool
        Whether modes that no draw has reached are looked for; not, where the draws are of one mode on purpose.
    """

    view: Posterior
    random_seed: int
    elsewhere: bool = True

    def without(self, rows: NDArray[np.intp], told: Told | None = None) -> Array:
        """Log densities (R,) of rows under the posterior without each, of the data as given.

        NaN for rows that could not be left out in reasonable time. ``told`` is called with the number of rows done and
        their total.
        """
        densities = []
        for done, row in enumerate(rows.tolist()):
            if told is not None:
                told(done, len(rows))
            densities.append(self._transported(row))
            if np.isnan(densities[-1]) and self._work <= _MOST_TO_ANNEAL:
                densities[-1] = self._annealed(row)
        return np.array(densities) + self.view.scaling.log_jacobians(self.view.values[rows])

    @property
    def _work(self) -> int:
        return len(self.view.values) * self.view.target.size

    @cached_property
    def _points(self) -> Array:
        """All draws (S, P), labels aligned."""
        view = self.view
        return view.target.in_region(view.unconstrained, view.em.standardised(view.scaling))

    @cached_property
    def _transport(self) -> Transport:
        view = self.view
        return Transport.of(view.target, self._points, view.em.standardised(view.scaling))

    def _weights(self, row: int) -> tuple[Array, Array]:
        """Row weights without one copy of a row, and with one copy more than that."""
        without = self.view.sample_weight.copy()
        without[row] = max(without[row] - 1.0, 0.0)
        copy = without.copy()
        copy[row] += 1.0
        return without, copy

    def _transported(self, row: int) -> float:
        """Standardised log density of a row, NaN where transport cannot be trusted."""
        without, copy = self._weights(row)
        down = self._transport.to(self.view.target.reweighted(without))
        if not down.trusted:
            return np.nan
        gain = 0.0
        if copy[row] != self.view.sample_weight[row]:
            # A row of weight below one: one copy of it is more than there was.
            up = self._transport.to(self.view.target.reweighted(copy))
            if not up.trusted:
                return np.nan
            gain = up.log_ratio
        return gain - down.log_ratio - self._unreached(down)

    def _unreached(self, moved: Moved) -> float:
        """Log of what modes to which no draw was moved add to the normaliser, by Laplace's method, as a factor."""
        if not self.elsewhere or moved.end.n_components == 1 or self._work > _MOST_TO_SEARCH:
            return 0.0
        near = _mass(moved.mode)
        others: dict[float, float] = {}
        for mode in self._other_modes(moved):
            standard = np.linalg.solve(mode.spread, (moved.points - mode.point).T)
            size = len(mode.point)
            reached = (standard**2).sum(0).min() < size + 4.0 * np.sqrt(2.0 * size)
            if not reached:
                others[round(mode.value, 3)] = _mass(mode) - near
        gain = float(logsumexp([0.0, *others.values()]))
        return gain if gain > _NOTICED else 0.0

    def _other_modes(self, moved: Moved) -> list[Mode]:
        """Modes near EM's optima without the row, with the draws' labels."""
        end = moved.end
        fit = fit_mixture(
            end.table, end.n_components, end.structure, sample_weight=end.sample_weight, random_state=self.random_seed
        )
        modes = []
        for mixture in starting_mixtures(fit)[:_OPTIMA]:
            start = end.in_region(end.start_at(mixture.standardised(end.scaling))[None], self._transport.pivot)[0]
            if np.isfinite(end(start)[0]):
                with single_threaded_blas():
                    modes.append(find_mode(end, start))
        return modes

    @cached_property
    def _spread(self) -> Array:
        size = self._points.shape[1]
        return np.linalg.cholesky(np.atleast_2d(np.cov(self._points.T)) + 1e-10 * np.eye(size))

    def _annealed(self, row: int) -> float:
        """Standardised log density of a row by sequential Monte Carlo."""
        target = self.view.target
        points = self._points[:: max(1, len(self._points) // _PARTICLES)][:_PARTICLES]
        spread, step = self._spread, 1.2 * points.shape[1] ** -0.25

        def move(target: Target, cloud: Array, rng: np.random.Generator) -> float:
            acceptance = move_hamiltonian(target, cloud, spread, step, 4, 2, rng)
            move_components(target, cloud, 1, rng)
            return acceptance

        without, copy = self._weights(row)
        rng = np.random.default_rng([self.random_seed, row])
        run = anneal(target, points, self.view.sample_weight, without, move, rng, kept=_KEPT)
        if copy[row] == self.view.sample_weight[row]:
            return -run.log_ratio
        own = pointwise_log_likelihood(target.mixtures(run.points), target.values[[row]])[:, 0]
        return float(logsumexp(own)) - np.log(len(own))


def _mass(mode: Mode) -> float:
    return mode.value + float(np.log(np.diag(mode.spread)).sum())
