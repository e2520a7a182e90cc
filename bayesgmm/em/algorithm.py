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

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..mixture import Design, Mixture, Statistics, expected_statistics
from ..mixture.structures import Structure

__all__ = ["FLOOR", "Run", "joined", "maximisation_step", "run_em"]

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

# Smallest variance, on standardised data, in any direction: a constraint, not an addition, so that it moves no optimum
# whose components are wider than 1/30,000 of the data.
FLOOR = 1e-9
# Expected rows below which a component counts as empty.
_EMPTY = 1e-4
_LARGEST_STEP = 1e4
# How far the Cholesky route is needed: see `Design.is_narrow`.
_CANCELLATION = 1e-8


@dataclass(frozen=True)
class Run:
    """What became of S starts.

    Attributes
    ----------
    mixture : Mixture
        S mixtures, the last ones evaluated.
    log_likelihood : (S,)
        Of exactly these mixtures, on the scale of the design.
    n_iter : (S,) int
        E-steps spent.
    converged, degenerate : (S,) bool
        Stopping rule met; a component empty or as narrow as the floor allows. Neither: the iterations ran out.
    remaining : (S,)
        Estimated log likelihood left to gain.
    smallest : (S, K)
        Smallest eigenvalue of each component.
    counts : (S, K)
        Expected rows of each component.
    trace : (T, S)
        Log likelihood after each accepted step, NaN after a start has stopped.
    """

    mixture: Mixture
    log_likelihood: Array
    n_iter: NDArray[np.int64]
    converged: Flags
    degenerate: Flags
    remaining: Array
    smallest: Array
    counts: Array
    trace: Array

    def select(self, which: NDArray[np.intp] | Flags) -> Run:
        """Some of the starts."""
        return Run(
            self.mixture[which], self.log_likelihood[which], self.n_iter[which], self.converged[which],
            self.degenerate[which], self.remaining[which], self.smallest[which], self.counts[which],
            self.trace[:, which],
        )  # fmt: skip

    @classmethod
    def joined(cls, *runs: Run) -> Run:
        """Several runs of one model as one."""
        length = max(len(run.trace) for run in runs)
        padded = [
            np.vstack([run.trace, np.full((length - len(run.trace), run.trace.shape[1]), np.nan)]) for run in runs
        ]

        def all_of(name: str) -> Any:
            return np.concatenate([getattr(run, name) for run in runs])

        return cls(
            joined(*(run.mixture for run in runs)),
            all_of("log_likelihood"),
            all_of("n_iter"),
            all_of("converged"),
            all_of("degenerate"),
            all_of("remaining"),
            all_of("smallest"),
            all_of("counts"),
            np.concatenate(padded, axis=1),
        )


def joined(*mixtures: Mixture) -> Mixture:
    """Batches (S_i, ...) of mixtures of one structure as one batch."""
    return Mixture(
        mixtures[0].structure,
        np.concatenate([m.weights for m in mixtures]),
        np.concatenate([m.means for m in mixtures]),
        np.concatenate([m.covariances for m in mixtures]),
    )


def _per_component(smallest: Array, n_components: int) -> Array:
    """Smallest eigenvalues (S, K), from those (S, ...) of a structure's own matrices or variances."""
    flat = smallest.reshape(len(smallest), -1)
    if flat.shape[1] % n_components == 0:
        return flat.reshape(len(flat), n_components, -1).min(-1)
    return np.broadcast_to(flat.min(-1)[:, None], (len(flat), n_components))


def maximisation_step(
    statistics: Statistics, structure: Structure, total: float, ridge: float = 0.0
) -> tuple[Mixture, Array, Flags]:
    """M-step of S mixtures.

    Parameters
    ----------
    statistics : Statistics
        With leading axis S.
    structure : Structure
    total : float
        Sum of the case weights.
    ridge : float
        Added to all variances.

    Returns
    -------
    mixture : Mixture (S, ...)
    smallest : (S, K)
        Smallest eigenvalues, before the floor was applied.
    empty : (S,) bool
        Whether a component has lost all its rows.
    """
    counts = np.maximum(statistics.counts, _EMPTY)
    shift = statistics.first / counts[..., None]
    covariances = structure.maximise(counts, shift, statistics.second)
    if ridge > 0:
        covariances = structure.add_ridge(covariances, ridge)
    covariances, smallest = structure.floored(covariances, FLOOR)
    mixture = Mixture(structure, counts / counts.sum(-1, keepdims=True), shift + statistics.centres, covariances)
    return mixture, _per_component(smallest, counts.shape[-1]), (statistics.counts <= _EMPTY).any(-1)


def _expectation_step(mixture: Mixture, design: Design, smallest: Array) -> Statistics:
    """E-step of S mixtures; only those that need it take the slow route for narrow components."""
    narrow = design.radius * np.finfo(float).eps > _CANCELLATION * smallest.min(-1)
    if narrow.all() or not narrow.any():
        return expected_statistics(mixture, design, narrow=bool(narrow.any()))
    wide_part = expected_statistics(mixture[~narrow], design, narrow=False)
    narrow_part = expected_statistics(mixture[narrow], design, narrow=True)

    def merged(wide: Array, own: Array) -> Array:
        result = np.empty((len(narrow), *own.shape[1:]))
        result[~narrow], result[narrow] = wide, own
        return result

    centres = merged(np.zeros((1, *narrow_part.first.shape[1:])), np.asarray(narrow_part.centres))
    return Statistics(
        merged(wide_part.log_likelihood, narrow_part.log_likelihood),
        merged(wide_part.counts, narrow_part.counts),
        merged(wide_part.first, narrow_part.first),
        merged(wide_part.second, narrow_part.second),
        centres,
    )


def _coordinates(mixture: Mixture) -> Array:
    """Unconstrained coordinates (S, P)."""
    s = len(mixture.weights)
    covariances = mixture.structure.coordinates(mixture.covariances)
    return np.concatenate([np.log(mixture.weights), mixture.means.reshape(s, -1), covariances.reshape(s, -1)], axis=1)


def _from_coordinates(flat: Array, like: Mixture) -> Mixture:
    """Inverse of `_coordinates`; the weights are normalised."""
    k = like.n_components
    weights = np.exp(flat[:, :k] - flat[:, :k].max(1, keepdims=True))
    stop = k + like.means[0].size
    return Mixture(
        like.structure,
        weights / weights.sum(1, keepdims=True),
        flat[:, k:stop].reshape(like.means.shape),
        like.structure.from_coordinates(flat[:, stop:].reshape(like.covariances.shape)),
    )


def _merge(take: Flags, new: Mixture, old: Mixture) -> Mixture:
    """``new`` where ``take`` (S,), ``old`` elsewhere."""

    def pick(a: Array, b: Array) -> Array:
        return np.where(take.reshape(-1, *[1] * (a.ndim - 1)), a, b)

    return Mixture(
        new.structure,
        pick(new.weights, old.weights),
        pick(new.means, old.means),
        pick(new.covariances, old.covariances),
    )


@dataclass
class _Steps:
    """Step lengths of the extrapolation, one per start still at work."""

    largest: Array  # bound on the step length, widened by success and narrowed by failure
    slowest: Array  # (S, 3): |r| / |v| of the last cycles

    @classmethod
    def first(cls, s: int) -> _Steps:
        return cls(np.ones(s), np.ones((s, 3)))


def _extrapolated(x0: Mixture, x1: Mixture, x2: Mixture, steps: _Steps) -> tuple[Mixture, Array, Flags, Flags]:
    """SQUAREM's point for each start, its smallest eigenvalues, where it is usable, and where EM steps still grow."""
    c0, c1, c2 = _coordinates(x0), _coordinates(x1), _coordinates(x2)
    r = c1 - c0
    v = c2 - c1 - r
    length_r, length_v = np.linalg.norm(r, axis=1), np.linalg.norm(v, axis=1)
    ratio = length_r / np.maximum(length_v, 1e-300)
    ratio = np.where(length_r > 0, np.minimum(ratio, _LARGEST_STEP), 1.0)
    growing = (r * v).sum(1) > 0
    steps.slowest = np.column_stack([steps.slowest[:, 1:], np.maximum(ratio, 1.0)])
    a = np.clip(ratio, 1.0, steps.largest)[:, None]
    target = c0 + 2 * a * r + a * a * v
    # A jump of more than a factor e^3 in a weight or a scale is not an extrapolation any more.
    usable = (a[:, 0] > 1) & (np.abs(target - c2).max(1) < 3.0)
    point = _from_coordinates(np.where(usable[:, None], target, c2), x2)
    covariances, smallest = x2.structure.floored(point.covariances, 10 * FLOOR)
    smallest = _per_component(smallest, x2.n_components)
    usable &= (smallest.min(1) > 10 * FLOOR) & (point.weights.min(1) > 1e-12)
    return Mixture(point.structure, point.weights, point.means, covariances), smallest, usable, growing


def run_em(
    design: Design,
    start: Mixture,
    tol: float = 1e-9,
    max_iter: int = 10_000,
    ridge: float = 0.0,
    accelerate: bool = True,
    singular: bool = False,
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

    Returns
    -------
    Run
    """
    return _Batch(design, start, tol, max_iter, ridge, accelerate, singular).run()


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
        self.steps = _Steps.first(s)
        self.calm = np.zeros(s, dtype=int)
        covariances, smallest = start.structure.floored(start.covariances, FLOOR)
        self.x = Mixture(start.structure, start.weights, start.means, covariances)
        self.smallest = _per_component(smallest, k)
        # Results
        self.weights, self.means = start.weights.copy(), start.means.copy()
        self.covariances = np.array(covariances)
        self.log_likelihood = np.full(s, -np.inf)
        self.n_iter = np.zeros(s, dtype=np.int64)
        self.converged, self.degenerate = np.zeros(s, dtype=bool), np.zeros(s, dtype=bool)
        self.remaining, self.all_smallest = np.full(s, np.inf), np.array(self.smallest)
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
        statistics = _expectation_step(x, self.design, smallest)
        self.n_iter[self.active] += 1
        image, image_smallest, empty = maximisation_step(statistics, x.structure, self.design.total, self.ridge)
        return statistics, image, image_smallest, empty | (image_smallest.min(1) <= self.collapsed)

    def _drop(self, gone: Flags, *rest: Any) -> list[Any]:
        """Take starts out of the work."""
        kept = ~gone
        self.active, self.calm = self.active[kept], self.calm[kept]
        self.steps = _Steps(self.steps.largest[kept], self.steps.slowest[kept])
        return [part[kept] for part in rest]

    def run(self) -> Run:
        with np.errstate(all="ignore"):
            while self.active.size and self.n_iter[self.active].max() < self.max_iter:
                self._cycle()
        mixture = Mixture(self.x.structure, self.weights, self.means, self.covariances)
        trace = np.array(self.trace) if self.trace else np.empty((0, len(self.weights)))
        return Run(
            mixture, self.log_likelihood, self.n_iter, self.converged, self.degenerate, self.remaining,
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
        # With a ridge, EM steps may lose a little close to the optimum: then x0 was the better point.
        self._keep(l1 >= l0, x1, l1, small1, e1.counts)
        self.degenerate[self.active[bad]] = True
        point, small, usable, growing = _extrapolated(x0, x1, _merge(bad, x1, x2), self.steps)
        done = bad | self._is_done(l0, l1, growing)
        self.converged[self.active[done & ~bad]] = True
        if done.any():
            x2, small2, point, small, usable, l1 = self._drop(done, x2, small2, point, small, usable, l1)
            if not self.active.size:
                return
        self.x, self.smallest = x2, small2
        if self.accelerate and usable.any() and self.n_iter[self.active].max() < self.max_iter:
            self._try(point, small, usable, l1)
        hit = self.steps.slowest[:, -1] >= self.steps.largest
        self.steps.largest = np.where(hit, np.minimum(4 * self.steps.largest, _LARGEST_STEP), self.steps.largest)

    def _is_done(self, l0: Array, l1: Array, growing: Flags) -> Flags:
        """Aitken's rule, met in two cycles running; a gain that is rounding only ends the run at once."""
        gain = l1 - l0
        slowest = self.steps.slowest.max(1)
        remaining = np.maximum(gain, 0.0) * np.maximum(0.5 * slowest, 1.0)
        self.remaining[self.active] = remaining
        rounding = np.abs(gain) <= 4 * np.finfo(float).eps * np.abs(l1)
        met = ((remaining < self.left) & ~growing) | rounding
        self.calm = np.where(met, self.calm + 1, 0)
        return (self.calm >= 2) | (gain < -4 * np.finfo(float).eps * np.abs(l1) - self.left)

    def _try(self, point: Mixture, small: Array, usable: Flags, l1: Array) -> None:
        """Evaluate the extrapolated points and go on from their EM maps where they did not lose."""
        statistics, image, image_small, bad = self._evaluate(point, small)
        # Where the extrapolation was not usable, the point is x2 itself, and never worse.
        good = ~bad & (statistics.log_likelihood >= l1)
        self._keep(good, point, statistics.log_likelihood, small, statistics.counts)
        self.x = _merge(good, image, self.x)
        self.smallest = np.where(good[:, None], image_small, self.smallest)
        failed = usable & ~good
        self.steps.largest = np.where(failed, np.maximum(self.steps.largest / 4, 1.0), self.steps.largest)
