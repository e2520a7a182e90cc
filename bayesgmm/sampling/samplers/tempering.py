"""Non-reversible parallel tempering from the prior to the posterior (Syed, Bouchard-Cote, Deligiannidis & Doucet 2022).

Replicas at inverse temperatures 0 = beta_1 < ... < beta_T = 1 explore prior x likelihood^beta and exchange places, even and odd
pairs in turn. At beta = 0 every scan takes a fresh draw from the prior, so that what arrives at beta = 1 does not depend on
where anything started: a *restart* is a replica that came all the way, and their number says how many independent looks at
the whole posterior a run has had. Exchanges of neighbours are rejected at rates r; their sum, the *barrier* Lambda, is a
property of the model, and with temperatures spaced so that rejections are equal there is at best a restart in every
2 + 2 Lambda scans.

    symbol of the paper   here
    beta_t                `Ladder.betas`
    r^(t-1, t)            `Round.rejection`
    Lambda                `Round.barrier`
    round of 2^j scans    `_Tempering.advance`

All chains are independent runs that share one ladder, which is adapted between rounds only; the last round is kept. The log
evidence is the sum over neighbours of Bennett's (1976) acceptance ratio estimates, its error that between runs.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from ...data import InputError
from ...mixture import single_threaded_blas
from ...posterior import Target
from ...progress import progress_display
from ..draws import Draws
from ..predictive import prior_draws
from ..quantities import is_settled, label_free, summarise
from ..settings import Settings
from ..starts import Prepared
from . import one_by_one
from .tempering_kernel import KINDS, scan_rounds
from .tempering_layout import layout_of

__all__ = ["Ladder", "Round", "bennett", "sample_by_tempering", "seconds_of"]

Array = NDArray[np.float64]
# Adaptive rounds of 2^4 to 2^8 scans, then rounds that may be kept.
_FIRST, _ADAPTIVE = 4, 5
_TEMPERATURES, _FEWEST, _MOST_TEMPERATURES = 10, 4, 200
# Rejection between neighbours that the number of temperatures aims at.
_REJECTION = 0.5
_ACCEPTANCE, _GAIN, _LARGEST_CHANGE = 0.3, 3.0, 1.5
# States kept of a round, by which it is judged.
_KEPT = 1024
# Nanoseconds of one core for one row in one step of the kernel's loops; a chunk of scans takes about so many seconds.
_NANOSECONDS, _CHUNK_SECONDS = 1.0, 0.3


@dataclass(frozen=True)
class Ladder:
    """Inverse temperatures (T,), and lengths of steps (T, 6) by kind of move."""

    betas: Array
    steps: Array


@dataclass(frozen=True)
class Round:
    """What R runs of S scans brought.

    Attributes
    ----------
    draws : (R, kept, P)
        States at beta = 1, evenly spaced.
    logs : (R, S, T)
        Log likelihoods.
    rejection : (T - 1,)
        Mean probability that an exchange is rejected.
    counts : (T, 6, 2)
        Moves tried and accepted.
    restarts : (R,) int
    """

    draws: Array
    logs: Array
    rejection: Array
    counts: Array
    restarts: NDArray[np.int64]

    @property
    def barrier(self) -> float:
        """Lambda."""
        return float(self.rejection.sum())


def bennett(betas: Array, logs: Array) -> float:
    """Log evidence from log likelihoods (S, T) at inverse temperatures (T,), by Bennett's acceptance ratio between neighbours.

    With l the log likelihood and d the difference of two betas, log Z'/Z is the c that solves
    sum over the lower's draws of expit(d l - c) = sum over the upper's draws of expit(c - d l) (Bennett 1976).
    """
    total = 0.0
    for t in range(len(betas) - 1):
        step = betas[t + 1] - betas[t]
        below, above = step * logs[:, t], step * logs[:, t + 1]
        value = 0.5 * float(np.median(below) + np.median(above))
        for _ in range(500):
            top = logsumexp(-np.logaddexp(0.0, value - below))
            bottom = logsumexp(-np.logaddexp(0.0, above - value))
            change = float(top - bottom)
            value += change
            if abs(change) < 1e-9 or not np.isfinite(value):
                break
        total += value
    return total


def seconds_of(target: Target, n_scans: int, n_temperatures: int, n_runs: int) -> float:
    """What so many scans take on one core, roughly; counted, so that it does not depend on the machine's other work."""
    k, d = target.n_components, target.table.n_features
    logarithm = 1.0 if target.sample_weight is None else 8.0
    per_row = (2 * k + 2) * (5 + 2 * d + d * d / 2) + (4 * k + 3) * (k + logarithm)
    return 1e-9 * _NANOSECONDS * n_scans * n_temperatures * n_runs * target.table.n_obs * per_row


def adapted(ladder: Ladder, found: Round, n_temperatures: int) -> Ladder:
    """Betas at which the rejections found would be equal, and steps nearer to the acceptance wanted."""
    from scipy.interpolate import PchipInterpolator

    tried, accepted = found.counts[..., 0], found.counts[..., 1]
    rate = np.where(tried > 0, accepted / np.maximum(tried, 1), _ACCEPTANCE)
    change = np.clip(_GAIN * (rate - _ACCEPTANCE), -_LARGEST_CHANGE, _LARGEST_CHANGE)
    # No step needs to be longer than the prior is wide, whatever is accepted.
    steps = np.clip(ladder.steps * np.exp(change), 1e-4, 10.0)
    # Where nothing was rejected betas still have to differ.
    cumulative = np.concatenate([[0.0], np.cumsum(np.maximum(found.rejection, 1e-4))])
    wanted = np.linspace(0.0, cumulative[-1], n_temperatures)
    betas = PchipInterpolator(cumulative, ladder.betas)(wanted)
    betas[0], betas[-1] = 0.0, 1.0
    at = np.interp(wanted, cumulative, np.arange(len(cumulative)))
    steps = np.stack([np.exp(np.interp(at, np.arange(len(steps)), np.log(s))) for s in steps.T], axis=1)
    return Ladder(np.maximum.accumulate(betas), steps)


class _Tempering:
    """R runs of one model: their states, and the ladder they share."""

    def __init__(self, target: Target, n_runs: int, seed: np.random.SeedSequence) -> None:
        self.target, self.layout = target, layout_of(target)
        self.features = np.ascontiguousarray(target.values.T)
        weight = target.sample_weight
        self.sample_weight = np.empty(0) if weight is None else np.ascontiguousarray(weight, dtype=float)
        self.mass = float(self.features.shape[1] if weight is None else weight.sum())
        self.rngs = [np.random.default_rng(s) for s in seed.spawn(n_runs)]
        t = _TEMPERATURES
        self.ladder = Ladder(np.linspace(0.0, 1.0, t) ** 4, np.ones((t, len(KINDS))))
        self.points = np.stack([self._from_prior(t, rng) for rng in self.rngs])

    def _from_prior(self, count: int, rng: np.random.Generator) -> Array:
        return prior_draws(self.target.coordinates, self.target.own_priors, count, rng)

    def seconds(self, n_scans: int) -> float:
        """As `seconds_of`, with the ladder as it is."""
        return seconds_of(self.target, n_scans, len(self.ladder.betas), len(self.rngs))

    def advance(self, n_scans: int, pool: ThreadPoolExecutor, tick: Callable[[], None]) -> Round:
        """A round of scans of all runs, each on a core."""
        thin = max(1, n_scans // _KEPT)
        chunk = int(_CHUNK_SECONDS * len(self.rngs) * n_scans / max(self.seconds(n_scans), 1e-9))
        # Chunks of whole thinned steps: an interrupt waits for one of them.
        chunk = thin * max(1, min(n_scans, max(chunk, 16)) // thin)
        sizes = [min(chunk, n_scans - at) for at in range(0, n_scans, chunk)]
        flags = np.zeros(self.points.shape[:2], dtype=np.int64)
        parts: list[list[Any]] = [[] for _ in self.rngs]
        at = 0
        for size in sizes:
            first = at

            def run(r: int, size: int = size, first: int = first) -> Any:
                return self._scan(r, size, first, thin, flags[r])

            for mine, part in zip(parts, pool.map(run, range(len(self.rngs))), strict=True):
                mine.append(part)
            at += size
            tick()
        merged = [[np.concatenate([p[i] for p in mine]) for mine in parts] for i in (0, 1)]
        rejected, counts = (sum(p[i] for mine in parts for p in mine) for i in (2, 3))
        restarts = np.array([sum(p[4] for p in mine) for mine in parts])
        return Round(np.stack(merged[0]), np.stack(merged[1]), rejected / (n_scans * len(parts)), counts, restarts)

    def _scan(self, r: int, size: int, first: int, thin: int, flags: NDArray[np.int64]) -> tuple[Any, ...]:
        rng, t = self.rngs[r], len(self.ladder.betas)
        logs = np.empty((size, t))
        draws = np.empty((size // thin, self.target.size))
        rejected, counts = np.zeros(t - 1), np.zeros((t, len(KINDS), 2))
        fresh = self._from_prior(size, rng)
        restarts = scan_rounds(
            int(rng.integers(2**32)), self.ladder.betas, self.ladder.steps, self.points[r], fresh, flags, first, thin,
            self.layout, self.features, self.sample_weight, self.mass, logs, draws, rejected, counts,
        )  # fmt: skip
        return draws, logs, rejected, counts, int(restarts)

    def adapt(self, found: Round, n_temperatures: int) -> None:
        """A ladder that fits what was found better, and states for it: those of the nearest old temperature."""
        before = self.ladder.betas
        self.ladder = adapted(self.ladder, found, n_temperatures)
        nearest = np.abs(self.ladder.betas[:, None] - before).argmin(1)
        self.points = np.ascontiguousarray(self.points[:, nearest])

    def is_settled(self, draws: Array) -> bool:
        """Whether label-free quantities of draws (R, S, P) pass the verdict's own limits."""
        columns = self.target.table.columns
        mixture = self.target.mixtures(draws.reshape(-1, draws.shape[-1]))
        found = label_free(mixture, self.features.T, columns, self.sample_weight if self.sample_weight.size else None)
        return is_settled(summarise({name: v.reshape(draws.shape[:2]) for name, v in found.items()}))


@one_by_one
def sample_by_tempering(prepared: Prepared, settings: Settings) -> Draws:
    """Temper ``settings.chains`` independent runs until their label-free quantities agree, and again to confirm it.

    Rounds double; the last is kept, ``settings.draws`` of its scans evenly spaced. A round that passes is followed by one
    more, twice as long, which has to pass too: to stop at the first pass would be to choose the lucky round.

    Returns
    -------
    Draws
        ``stats`` hold ``lp`` and ``diverging``; ``attrs`` the log evidence of the standardised data (``log_evidence``, of each
        run ``log_evidence_runs``) and its standard error ``log_evidence_se``, ``restarts`` of each run, ``barrier``,
        ``n_temperatures``, ``betas``, ``scans``, and ``settled``: whether the last two rounds passed before
        ``settings.tempering_seconds`` were spent.

    Raises
    ------
    InputError
        For rows with missing values.
    KeyboardInterrupt
        If interrupted before a round that can be kept has ended.
    """
    target = prepared.target
    if target.design.groups is not None:
        raise InputError("sampler='tempering' knows no rows with missing values; leave the sampler at its default")
    runs = _Tempering(target, settings.chains, np.random.SeedSequence(int(prepared.rng.integers(2**63))))
    kept: Round | None = None
    ladder = runs.ladder
    passes, spent, number, scans, interrupted = 0, 0.0, 0, 0, False
    pool = ThreadPoolExecutor(settings.n_cores)
    with single_threaded_blas(), pool, progress_display(settings.progressbar) as progress:
        bar = progress.add_task(f"tempering {target.key}", total=None, detail="")
        try:
            while passes < 2:
                size = 2 ** (_FIRST + number)
                cost = runs.seconds(size)
                if kept is not None and spent + cost > settings.tempering_seconds and size >= 2 * settings.draws:
                    break
                found = runs.advance(size, pool, lambda: progress.advance(bar))
                spent, number, scans = spent + cost, number + 1, scans + size
                if number > _ADAPTIVE and size >= settings.draws:
                    kept, ladder = found, runs.ladder
                    passes = passes + 1 if runs.is_settled(found.draws) else 0
                told = f"{scans} scans, barrier {found.barrier:.1f}, {found.restarts.sum()} restarts"
                progress.update(bar, detail=told)
                if passes < 2:
                    runs.adapt(found, _n_temperatures(found, number))
        except KeyboardInterrupt:
            interrupted = True
        progress.update(bar, total=1, completed=1)
    if kept is None:
        raise KeyboardInterrupt("tempering was interrupted before any round that could be kept")
    return _draws_of(runs, kept, ladder, settings, scans, passes >= 2, interrupted)


def _n_temperatures(found: Round, number: int) -> int:
    """Temperatures for the next round: so many that neighbours' exchanges are rejected half of the time."""
    wanted = int(np.ceil(found.barrier / _REJECTION)) + 1
    if number < _ADAPTIVE:
        # Early estimates are rough, and too low where nearly everything is rejected: grow, never shrink.
        return int(np.clip(wanted, len(found.rejection) + 1, _MOST_TEMPERATURES))
    return int(np.clip(wanted, _FEWEST, _MOST_TEMPERATURES))


def _draws_of(
    runs: _Tempering, kept: Round, ladder: Ladder, settings: Settings, scans: int, settled: bool, interrupted: bool
) -> Draws:
    chosen = np.linspace(0, kept.draws.shape[1] - 1, settings.draws).round().astype(int)
    draws = np.ascontiguousarray(kept.draws[:, chosen])
    shape = draws.shape[:2]
    each = np.array([bennett(ladder.betas, logs) for logs in kept.logs])
    together = bennett(ladder.betas, kept.logs.reshape(-1, len(ladder.betas)))
    stats = {
        "lp": runs.target.many(draws.reshape(-1, draws.shape[-1])).reshape(shape),
        "diverging": np.zeros(shape, dtype=bool),
    }
    attrs = {
        "log_evidence": together,
        "log_evidence_runs": each,
        "log_evidence_se": float(each.std(ddof=1) / np.sqrt(len(each))) if len(each) > 1 else np.nan,
        "restarts": kept.restarts,
        "barrier": kept.barrier,
        "n_temperatures": len(ladder.betas),
        "betas": ladder.betas,
        "scans": scans,
        "settled": int(settled),
    }
    return Draws(draws, stats, "tempering", scans - kept.logs.shape[1], interrupted, attrs)
