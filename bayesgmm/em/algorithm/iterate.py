"""EM for many mixtures side by side, accelerated and guarded, with an honest stopping rule.

Symbols: S mixtures (starts), N rows, K components, D features, P coordinates of one mixture.

One cycle takes a point ``x0`` with its EM maps ``x1 = M(x0)`` and ``x2 = M(x1)``, and extrapolates as SQUAREM does
(Varadhan & Roland 2008, Scandinavian Journal of Statistics 35, scheme S3)::

    r = x1 - x0,  v = x2 - x1 - r,  a = -|r| / |v|,  x' = x0 - 2 a r + a^2 v

in coordinates without constraints: log weights, means, log-diagonal Cholesky factors. ``x'`` is kept only where its
log likelihood is not below that of ``x1``; otherwise the cycle goes on from ``x2``. So the log likelihood never falls.

Stopping: with gain ``g = l(x1) - l(x0)`` of one EM step and rate ``c`` of the steps, what is left to gain is about
``g / (1 - c^2)`` (Aitken), and ``|r| / |v|`` is ``1 / (1 - c)``. A run stops when what is left is below ``tol`` per
row, and not while steps grow (c > 1), which is how EM leaves a saddle.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...mixture import Design, Mixture, Statistics
from .run import Run
from .squarem import LARGEST_STEP, StepLengths, extrapolated, merge
from .steps import FLOOR, expectation_step, maximisation_step

__all__ = ["MAX_ITER", "TOL", "run_em"]

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

# Log likelihood still to gain, per row, below which a run stops, and E-steps after which it does in any case.
TOL, MAX_ITER = 1e-9, 10_000
# Bound on |r| / |v| = 1 / (1 - c) below which convergence is fast: c < 0.2.
_FAST = 1.25
_ROUNDING = float(np.finfo(float).eps)


def run_em(
    design: Design,
    start: Mixture,
    tol: float = TOL,
    max_iter: int = MAX_ITER,
    ridge: float = 0.0,
    accelerate: bool = True,
    singular: bool = False,
    resumed: bool = False,
) -> Run:
    """Run EM from S starts until each has converged, degenerated or used up its iterations.

    Parameters
    ----------
    design : Design
        Standardised data, laid out for the structure of ``start``.
    start : Mixture
        Leading axis S.
    tol : float
        Stop when the estimated log likelihood still to gain is below this, per row.
    max_iter : int
        E-steps for each start, at least 1.
    ridge : float
        Added to all variances at each M-step (in units of the standardised variances). Not needed for stability.
    accelerate : bool
        Extrapolate. Without it, plain EM with the same stopping rule.
    singular : bool
        The data themselves have no width in some direction: components at the floor are then no reason to stop.
    resumed : bool
        The starts are where an earlier run stopped, so that one more cycle in which the stopping rule is met is enough.

    Returns
    -------
    Run
    """
    batch = _Batch(design, start, tol, max_iter, ridge, accelerate, singular)
    batch.calm += resumed
    return batch.run()


class _Batch:
    """The starts still at work, and the results of all."""

    def __init__(
        self, design: Design, start: Mixture, tol: float, max_iter: int, ridge: float, accelerate: bool, singular: bool
    ) -> None:
        self.design, self.ridge, self.accelerate, self.max_iter = design, ridge, accelerate, max_iter
        self.collapsed = -np.inf if singular else 2 * FLOOR
        self.left = tol * design.total
        s, k = start.weights.shape
        self.active = np.arange(s)
        self.steps = StepLengths.first(s)
        self.calm = np.zeros(s, dtype=int)
        covariances, smallest = start.structure.floored(start.covariances, FLOOR)
        self.x = Mixture(start.structure, start.weights, start.means, covariances)
        self.smallest = start.structure.smallest_per_component(smallest, k)
        # Results
        self.weights, self.means = start.weights.copy(), start.means.copy()
        self.covariances = np.array(covariances)
        self.log_likelihood = np.full(s, -np.inf)
        self.n_iter = np.zeros(s, dtype=np.int64)
        self.converged, self.degenerate = np.zeros(s, dtype=bool), np.zeros(s, dtype=bool)
        self.all_smallest = np.array(self.smallest)
        self.counts = np.zeros((s, k))
        self.trace: list[Array] = []

    def _keep(self, which: Flags, x: Mixture, log_likelihood: Array, smallest: Array, counts: Array) -> None:
        """Record an evaluated point, for the active starts in ``which``."""
        to = self.active[which]
        self.weights[to], self.means[to], self.covariances[to] = x.weights[which], x.means[which], x.covariances[which]
        self.log_likelihood[to], self.all_smallest[to] = log_likelihood[which], smallest[which]
        self.counts[to] = counts[which]
        row = np.full(len(self.weights), np.nan)
        row[to] = log_likelihood[which]
        self.trace.append(row)

    def _evaluate(self, x: Mixture, smallest: Array) -> tuple[Statistics, Mixture, Array, Flags]:
        """E-step at ``x``, and the EM map of it."""
        statistics = expectation_step(x, self.design, smallest)
        self.n_iter[self.active] += 1
        image, image_smallest, empty = maximisation_step(
            statistics, x.structure, self.design.total, self.ridge, x.covariances
        )
        return statistics, image, image_smallest, empty | (image_smallest.min(1) <= self.collapsed)

    def _drop(self, gone: Flags, *rest: Any) -> list[Any]:
        """Take starts out of the work."""
        kept = ~gone
        self.active, self.calm = self.active[kept], self.calm[kept]
        self.steps = StepLengths(self.steps.largest[kept], self.steps.slowest[kept])
        return [part[kept] for part in rest]

    def run(self) -> Run:
        with np.errstate(all="ignore"):
            while self.active.size and self.n_iter[self.active].max() < self.max_iter:
                self._cycle()
        mixture = Mixture(self.x.structure, self.weights, self.means, self.covariances)
        trace = np.array(self.trace) if self.trace else np.empty((0, len(self.weights)))
        return Run(
            mixture, self.log_likelihood, self.n_iter, self.converged, self.degenerate,
            self.all_smallest, self.counts, trace,
        )  # fmt: skip

    def _cycle(self) -> None:
        everyone = np.ones(self.active.size, dtype=bool)
        x0 = self.x
        e0, x1, small1, bad = self._evaluate(x0, self.smallest)
        self._keep(everyone, x0, e0.log_likelihood, self.smallest, e0.counts)
        l0 = e0.log_likelihood
        bad |= ~np.isfinite(l0)
        if bad.any():
            self.degenerate[self.active[bad]] = True
            x0, x1, small1, l0 = self._drop(bad, x0, x1, small1, l0)
            if not self.active.size:
                return
        if self.n_iter[self.active].max() >= self.max_iter:
            self.x, self.smallest = x1, small1
            return
        self._second_half(x0, x1, small1, l0)

    def _second_half(self, x0: Mixture, x1: Mixture, small1: Array, l0: Array) -> None:
        e1, x2, small2, bad = self._evaluate(x1, small1)
        l1 = e1.log_likelihood
        # With a ridge, EM steps may lose a little close to the optimum: then x0 was the better point. But not a start, which
        # need not be the image of anything under the ridge.
        first = (self.n_iter[self.active] == 2) & (self.ridge > 0)
        self._keep((l1 >= l0) | first, x1, l1, small1, e1.counts)
        self.degenerate[self.active[bad]] = True
        point, small, usable, growing = extrapolated(
            x0, x1, merge(bad, x1, x2) if bad.any() else x2, self.steps, self.accelerate
        )
        done = bad | (self._is_done(l0, l1, growing) & ~(first & (l1 < l0)))
        self.converged[self.active[done & ~bad]] = True
        if done.any():
            x2, small2, point, small, usable, l1 = self._drop(done, x2, small2, point, small, usable, l1)
            if not self.active.size:
                return
        self.x, self.smallest = x2, small2
        if usable.any() and self.n_iter[self.active].max() < self.max_iter:
            self._try(point, small, usable, l1)
        hit = self.steps.slowest[:, -1] >= self.steps.largest
        self.steps.largest = np.where(hit, np.minimum(4 * self.steps.largest, LARGEST_STEP), self.steps.largest)

    def _is_done(self, l0: Array, l1: Array, growing: Flags) -> Flags:
        """Aitken's rule, met in two cycles running or beyond doubt; a gain that is rounding only ends the run."""
        gain = l1 - l0
        slowest = self.steps.slowest.max(1)
        remaining = np.maximum(gain, 0.0) * np.maximum(0.5 * slowest, 1.0)
        rounding = np.abs(gain) <= 4 * _ROUNDING * np.abs(l1)
        met = ((remaining < self.left) & ~growing) | rounding
        self.calm = np.where(met, self.calm + 1, 0)
        # Where errors shrink more than fivefold per step, the estimate needs no second opinion.
        self.calm[met & (slowest < _FAST) & (remaining < 0.1 * self.left)] = 2
        return (self.calm >= 2) | (gain < -4 * _ROUNDING * np.abs(l1) - self.left)

    def _try(self, point: Mixture, small: Array, usable: Flags, l1: Array) -> None:
        """Evaluate the extrapolated points and go on from their EM maps where they did not lose."""
        statistics, image, image_small, bad = self._evaluate(point, small)
        # Where the extrapolation was not usable, the point is x2 itself, and never worse.
        good = ~bad & (statistics.log_likelihood >= l1)
        self._keep(good, point, statistics.log_likelihood, small, statistics.counts)
        self.x = merge(good, image, self.x)
        self.smallest = np.where(good[:, None], image_small, self.smallest)
        failed = usable & ~good
        self.steps.largest = np.where(failed, np.maximum(self.steps.largest / 4, 1.0), self.steps.largest)
