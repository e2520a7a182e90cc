"""Jumps between the places where chains have been: local steps, and independence proposals from a mixture fitted to draws.

Chains that mix slowly, or that have settled in several modes, still show where the posterior's mass is. A mixture of Gaussians
q fitted to their draws (`proposal`) proposes points without regard to where a chain stands; the Metropolis-Hastings rule
(Tierney 1994, independence chains) accepts x -> v with probability

    min(1, p(v) q(x) / (p(x) q(v))),

so that modes are visited in proportion to their mass, whatever share of the draws they had. Where q is too thin an independence
chain would stick; steps of a random walk with the covariance of one of q's Gaussians, chosen with its responsibility r_m(x) for
the point, move it on: x -> v is accepted with probability min(1, p(v) r_m(v) / (p(x) r_m(x))), which leaves p unchanged (the
choice of m is a Gibbs step in the joint density p(x) r_m(x)).

Everything happens in one of the K! congruent regions of the posterior: a proposal that lies outside it is refused. Each chain
is a set of walkers that start at one earlier chain's draws. The walkers of all chains share q, which is adapted between
rounds only. Rounds double until label-free quantities agree in two of them in succession: to stop at the first would be to
choose the lucky one. What no earlier chain and no search has seen no jump will find: that is for `tempering`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from ...data import InputError
from ...mixture import Mixture, single_threaded_blas
from ...posterior import Target
from ...progress import progress_display
from ..draws import Draws
from ..proposal import Proposal, count_of
from ..quantities import is_settled, label_free, summarise
from ..settings import Settings
from ..starts import Prepared
from . import Conclude
from .nuts import sample_with_nutpie

__all__ = ["jump", "jump_seconds", "sample_by_jumps"]

Array = NDArray[np.float64]
# Walkers of each chain, steps of the first round, and the most rounds.
_WALKERS, _FIRST, _ROUNDS = 100, 16, 8
# Steps of the random walk for each jump, their first length and the acceptance wanted.
_LOCAL, _LENGTH, _ACCEPTANCE = 2, 0.5, 0.3
# A share of the proposals comes from Gaussians so much wider: tails.
_TAIL, _WIDER = 0.1, 3.0
# Draws of a mode's Laplace approximation that join the draws to which q is fitted.
_OF_EACH_MODE = 50
# Of one core: for a row, a component and a term of its log density; for a point, its proposal and its bookkeeping.
_NANOSECONDS, _MICROSECONDS = 2.0, 10.0
# After so many rounds jumps that are hardly ever accepted are given up.
_PATIENCE, _HOPELESS = 2, 0.005
# Draws of each chain by which rounds are judged, at least.
_LOOKED_AT = 1000
# Walkers that did not jump in a whole round: what the chains say of where these are is little.
_STUCK = 0.02


def jump_seconds(target: Target, n_steps: int, n_chains: int) -> float:
    """What so many steps take on one core, roughly; counted, so that it does not depend on the machine's other work."""
    n, d = target.table.n_obs, target.table.n_features
    per_point = 1e-9 * _NANOSECONDS * n * target.n_components * (1 + d + d * (d + 1) / 2) + 1e-6 * _MICROSECONDS
    return per_point * n_steps * (1 + _LOCAL) * n_chains * _WALKERS


class _Pieces:
    """A proposal's Gaussians, laid out so that many points are evaluated in one product of matrices."""

    def __init__(self, proposal: Proposal) -> None:
        m = proposal.mixture
        weights = np.concatenate([(1 - _TAIL) * m.weights, _TAIL * m.weights])
        self.weights = weights / weights.sum()
        factors = np.linalg.cholesky(m.dense_covariances)
        factors = proposal.spread @ np.concatenate([factors, np.sqrt(_WIDER) * factors])
        self.factors = factors
        self.means = proposal.centre + np.concatenate([m.means, m.means]) @ proposal.spread.T
        inverses = np.linalg.inv(factors)
        size = len(proposal.centre)
        self.whitener = inverses.reshape(-1, size).T
        self.whitened_means = np.einsum("mij,mj->mi", inverses, self.means)
        log_det = np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(1)
        self.constant = np.log(self.weights) - log_det - 0.5 * size * np.log(2 * np.pi)

    def log_densities(self, points: Array) -> Array:
        """Log of weight times density of each Gaussian (S, M) at points (S, P)."""
        z = (points @ self.whitener).reshape(len(points), *self.whitened_means.shape) - self.whitened_means
        result: Array = self.constant - 0.5 * np.einsum("smi,smi->sm", z, z)
        return result

    def draw(self, count: int, rng: np.random.Generator) -> Array:
        which = rng.choice(len(self.weights), size=count, p=self.weights)
        return self.means[which] + self.step(which, rng)

    def step(self, which: NDArray[np.intp], rng: np.random.Generator) -> Array:
        """Normal steps (S, P) with the covariances of the Gaussians given (S,)."""
        z = rng.standard_normal((len(which), self.means.shape[1]))
        result: Array = np.einsum("sij,sj->si", self.factors[which], z)
        return result


@dataclass
class _Walkers:
    """Points (S, P) in the pivot's region, with their log densities."""

    target: Target
    pivot: Mixture
    points: Array
    rng: np.random.Generator
    length: float = _LENGTH

    def __post_init__(self) -> None:
        self.log_density = self.target.many(self.points)

    def aim(self, pieces: _Pieces) -> None:
        """Propose from these Gaussians from now on."""
        self.pieces = pieces
        self.each = pieces.log_densities(self.points)
        self.log_q = logsumexp(self.each, axis=1)

    def jump(self) -> NDArray[np.bool_]:
        """One independence proposal for each walker; who moved (S,)."""
        return self._move(self.pieces.draw(len(self.points), self.rng), None)

    def walk(self) -> NDArray[np.bool_]:
        """One step of the random walk for each walker; who moved (S,)."""
        share = np.cumsum(np.exp(self.each - self.log_q[:, None]), axis=1)
        which = (self.rng.random((len(share), 1)) * share[:, -1:] > share).sum(1).clip(0, share.shape[1] - 1)
        length = self.length * np.exp(0.7 * self.rng.standard_normal((len(which), 1)))
        return self._move(self.points + length * self.pieces.step(which, self.rng), which)

    def _move(self, proposed: Array, which: NDArray[np.intp] | None) -> NDArray[np.bool_]:
        log_p = self.target.many(proposed)
        each = self.pieces.log_densities(proposed)
        log_q = logsumexp(each, axis=1)
        at = np.arange(len(proposed))
        change = self.log_q - log_q
        if which is not None:
            change += each[at, which] - self.each[at, which]
        log_ratio = np.where(np.isfinite(log_p), log_p - self.log_density + change, -np.inf)
        moved = np.log(self.rng.random(len(at))) < log_ratio
        if moved.any():
            moved[moved] = self.target.are_in_region(proposed[moved], self.pivot)
        for own, new in ((self.points, proposed), (self.log_density, log_p), (self.each, each), (self.log_q, log_q)):
            own[moved] = new[moved]
        return moved


@dataclass(frozen=True)
class _Round:
    """Points (chain, walker, step, P) of a round, the share of jumps accepted, and of walkers that made none."""

    points: Array
    acceptance: float
    stuck: float

    def drawn(self, count: int) -> Array:
        """So many of each chain's points (chain, count, P), walker by walker."""
        chains, walkers, steps, size = self.points.shape
        chosen = np.linspace(0, walkers * steps - 1, count).round().astype(int)
        return np.ascontiguousarray(self.points.reshape(chains, -1, size)[:, chosen])


def _round(walkers: _Walkers, n_steps: int, n_chains: int) -> _Round:
    n, size = walkers.points.shape
    kept = np.empty((n_steps, n, size))
    jumps, walked = np.zeros(n), 0.0
    for t in range(n_steps):
        jumps += walkers.jump()
        for _ in range(_LOCAL):
            walked += walkers.walk().mean() / (_LOCAL * n_steps)
        kept[t] = walkers.points
    walkers.length *= float(np.exp(np.clip(1.5 * (walked - _ACCEPTANCE), -0.5, 0.5)))
    points = kept.reshape(n_steps, n_chains, -1, size).transpose(1, 2, 0, 3)
    return _Round(points, float(jumps.mean() / n_steps), float((jumps == 0).mean()))


def jump(prepared: Prepared, settings: Settings) -> Draws:
    """Go on from ``prepared.draws``; see the module.

    Returns
    -------
    Draws
        ``stats`` hold ``lp`` and ``diverging``; ``attrs`` ``jump_acceptance``, ``stuck`` (the share of walkers that did not
        jump in the last round), ``n_walkers`` of each chain, and ``settled``: whether the last two rounds passed the verdict's
        limits within ``settings.jump_seconds``.

    Raises
    ------
    InputError
        If there are no draws to go on from.
    KeyboardInterrupt
        If interrupted before a round has ended.
    """
    target, draws = prepared.target, prepared.draws
    if draws is None:
        raise InputError("jumps go on from draws of an earlier run: there are none")
    n_chains, n_draws, size = draws.shape
    flat = draws.reshape(-1, size)
    pivot = target.middle(flat, prepared.em.standardised(target.scaling))
    inside = target.in_region(flat, pivot)
    at = np.linspace(0, n_draws - 1, _WALKERS).round().astype(int)
    rng = prepared.rng
    seen = np.concatenate([inside, target.in_region(_near_modes(prepared), pivot)])
    starts = inside.reshape(draws.shape)[:, at].reshape(-1, size)
    found: _Round | None = None
    passes, length, steps, spent, interrupted = 0, _FIRST, 0, 0.0, False
    with single_threaded_blas(), progress_display(settings.progressbar) as progress:
        bar = progress.add_task(f"jumping {target.key}", total=_ROUNDS, detail="")
        walkers = _Walkers(target, pivot, starts, rng)
        try:
            for number in range(_ROUNDS):
                spent += jump_seconds(target, length, n_chains)
                if found is not None and spent > settings.jump_seconds:
                    break
                if passes == 0:
                    walkers.aim(_Pieces(Proposal.fitted(seen, count_of(seen, rng), rng)))
                found, steps = _round(walkers, length, n_chains), steps + length
                passes = passes + 1 if _is_settled(target, found, max(settings.draws, _LOOKED_AT)) else 0
                length *= 2
                progress.update(bar, advance=1, detail=f"{found.acceptance:.0%} of the jumps accepted")
                if passes == 2 or (number + 1 >= _PATIENCE and found.acceptance < _HOPELESS):
                    break
                seen = found.points.reshape(-1, size)
        except KeyboardInterrupt:
            interrupted = True
        progress.update(bar, completed=_ROUNDS)
    if found is None:
        raise KeyboardInterrupt("jumping was interrupted before a round had ended")
    return _draws_of(target, found, settings, steps, passes == 2, interrupted)


def _near_modes(prepared: Prepared) -> Array:
    """Points (S, P) around every mode that competes: some may have had no chain."""
    z = prepared.rng.standard_normal((len(prepared.modes), _OF_EACH_MODE, prepared.target.size))
    return np.concatenate([m.point + own @ m.spread.T for m, own in zip(prepared.modes, z, strict=True)])


def _is_settled(target: Target, found: _Round, count: int) -> bool:
    """Whether label-free quantities of a round pass the verdict's own limits, and next to no walker is stuck."""
    draws = found.drawn(count)
    mixture = target.mixtures(draws.reshape(-1, draws.shape[-1]))
    quantities = label_free(mixture, target.values, target.table.columns, target.sample_weight)
    table = summarise({name: v.reshape(draws.shape[:2]) for name, v in quantities.items()})
    return found.stuck <= _STUCK and is_settled(table)


def _draws_of(target: Target, found: _Round, settings: Settings, steps: int, settled: bool, interrupted: bool) -> Draws:
    draws = found.drawn(settings.draws)
    shape = draws.shape[:2]
    stats = {
        "lp": target.many(draws.reshape(-1, draws.shape[-1])).reshape(shape),
        "diverging": np.zeros(shape, dtype=bool),
    }
    attrs = {
        "jump_acceptance": found.acceptance,
        "stuck": found.stuck,
        "n_walkers": _WALKERS,
        "settled": int(settled),
    }
    return Draws(draws, stats, "jumps", steps - found.points.shape[2], interrupted, attrs)


def sample_by_jumps(models: Mapping[str, Prepared], settings: Settings, conclude: Conclude) -> None:
    """Jump from the draws that models have, and from those of a run of NUTS where they have none."""
    ready = {key: model for key, model in models.items() if model.draws is not None}

    def chained(key: str, drawn: Draws) -> None:
        if drawn.interrupted:
            conclude(key, drawn)
        else:
            ready[key] = replace(models[key], draws=drawn.unconstrained)

    if waiting := {key: model for key, model in models.items() if key not in ready}:
        sample_with_nutpie(waiting, settings, chained)
    for key, model in ready.items():
        conclude(key, jump(model, settings))
