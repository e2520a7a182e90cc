"""Where chains start: the modes of the posterior near EM's optima."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..em import EMFit, fit_mixture
from ..mixture import Mixture, log_density, single_threaded_blas
from ..posterior import Mode, Target, find_mode, starting_mixtures

__all__ = ["Prepared", "Start", "prepare"]

Array = NDArray[np.float64]
# A mode takes chains if its Laplace mass is at least this share of the best one's.
_COMPETING = 0.02
_MAX_OPTIMA = 8
# Starts are rounded to multiples of 1 / this on the unconstrained scale, where that costs less than so many nats.
_START_GRID, _ROUNDING_COST = 256.0, 10.0
# Rows by whose density modes are told apart, and the difference of log densities that tells them apart.
_SIGNATURE_ROWS, _SAME = 200, 0.05
# Further EM searches, each from starts of its own, where they take well under a second: rows times coordinates.
_FURTHER_SEARCHES, _MOST_TO_SEARCH = 3, 50_000


@dataclass(frozen=True)
class Start:
    """Where one chain starts.

    Attributes
    ----------
    mode : Mode
        Centre and spread of the chain's coordinates.
    offset : (P,)
        In posterior standard deviations from the mode.
    seed : int
        Of the chain.
    """

    mode: Mode
    offset: Array
    seed: int

    @property
    def point(self) -> Array:
        """The start (P,) itself."""
        return self.mode.point + self.mode.spread @ self.offset


@dataclass(frozen=True)
class Prepared:
    """One model to sample, with its modes found.

    Attributes
    ----------
    target : Target
    em : Mixture
        EM's optimum, in data units: what the labels mean.
    modes : tuple of Mode
        Those that compete, best Laplace mass first.
    rng : Generator
        Of all that is random from here on.
    found_by : tuple of int
        How many of the searches found each of them.
    n_searches : int
        Independent EM searches.
    unseen : float
        Good-Turing estimate over the starts of all searches: the probability that one more finds an optimum that none has.
    draws : (chain, draw, P), optional
        Of an earlier run, for samplers that go on from there.
    """

    target: Target
    em: Mixture
    modes: tuple[Mode, ...]
    rng: np.random.Generator
    found_by: tuple[int, ...] = ()
    n_searches: int = 1
    unseen: float = float("nan")
    draws: Array | None = None

    def dealt(self, n_chains: int) -> list[Start]:
        """A start for each chain, dealt to the competing modes in turn."""
        starts = []
        for c in range(n_chains):
            offset = self.rng.standard_normal(self.target.size)
            starts.append(Start(self.modes[c % len(self.modes)], offset, int(self.rng.integers(2**63))))
        return starts


def prepare(target: Target, em: EMFit | None, rng: np.random.Generator, further: bool = True) -> Prepared:
    """Find the modes to start from, near the optima of ``em`` or of a fit made here, and of further searches.

    Each search is a whole EM fit from starts of its own: what one of them misses, the others find, and a mode that only
    one has found says that there may be more.

    Raises
    ------
    InputError
        For a fit of another model, and where the prior leaves the data no density at any optimum.
    """
    if em is None:
        em = fit_mixture(
            target.table,
            target.n_components,
            target.structure,
            sample_weight=target.sample_weight,
            random_state=int(rng.integers(2**31)),
        )
    target.check_fit(em.mixture)
    target = target.about(em.mixture.standardised(target.scaling))
    fits = [em, *(_further_fits(target, rng) if further else ())]
    with single_threaded_blas():
        modes = _modes(target, [starting_mixtures(fit) for fit in fits])
    found_by = tuple(n for _, n in modes)
    return Prepared(target, em.mixture, tuple(m for m, _ in modes), rng, found_by, len(fits), _unseen(fits))


def _unseen(fits: Sequence[EMFit]) -> float:
    """The searches' own estimates (`EMFit.unseen`), each by its number of starts: of one search, on average."""
    starts = sum(fit.n_independent for fit in fits)
    return sum(fit.n_once for fit in fits) / starts if starts else float("nan")


def _further_fits(target: Target, rng: np.random.Generator) -> list[EMFit]:
    """EM fits by other seeds, which are not drawn from ``rng`` itself: whether they are made changes no draw of it."""
    if target.n_components == 1 or target.table.n_obs * target.size > _MOST_TO_SEARCH:
        return []
    seeds = rng.bit_generator.seed_seq.spawn(_FURTHER_SEARCHES)  # type: ignore[attr-defined]
    return [
        fit_mixture(
            target.table,
            target.n_components,
            target.structure,
            sample_weight=target.sample_weight,
            random_state=int(seed.generate_state(1)[0] >> 1),
        )
        for seed in seeds
    ]


def _rounded(target: Target, point: Array) -> Array:
    """A point to start from, rounded so that EM's last digits do not decide about the draws; not where that costs much."""
    rounded = np.round(point * _START_GRID) / _START_GRID
    return rounded if target(rounded)[0] > target(point)[0] - _ROUNDING_COST else point


def _modes(target: Target, searches: Sequence[Sequence[Mixture]]) -> list[tuple[Mode, int]]:
    """Distinct modes of the posterior near the optima of each search, and how many searches found them.

    Best Laplace mass first, those that compete with it.

    Raises
    ------
    InputError
        If the density is finite at none of them.
    """
    rows = target.scaling.standardise(target.table.values)
    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), _SIGNATURE_ROWS)).astype(int)]

    def signature(point: Array) -> Array:
        """The log density of rows knows no labels: it tells mirror images of one height from one mode found twice."""
        return log_density(target.coordinates.mixture(point), rows)

    points: list[tuple[Array, Array, set[int]]] = []
    for number, mixtures in enumerate(searches):
        for mixture in mixtures:
            point = _rounded(target, target.start_at(mixture.standardised(target.scaling)))
            own = signature(point)
            known = next((by for _, other, by in points if np.abs(own - other).max() < _SAME), None)
            if known is None:
                points.append((point, own, {number}))
            else:
                known.add(number)
    # Spurious optima are among them: the density, which knows the prior, says which are worth an ascent.
    heights = np.array([target(point)[0] for point, _, _ in points])
    found: list[tuple[float, Mode, Array, set[int]]] = []
    for i in np.argsort(-heights, kind="stable")[:_MAX_OPTIMA]:
        point, _, by = points[i]
        if not np.isfinite(heights[i]):
            continue
        mode = find_mode(target, point)
        mass = float(mode.value + np.log(np.diag(mode.spread)).sum())
        try:
            own = signature(mode.point)
        except np.linalg.LinAlgError:
            # Priors far off draw the ascent to where a covariance has no width to the last digit: no mode to start at.
            continue
        known = next((others for _, _, other, others in found if np.abs(own - other).max() < _SAME), None)
        if known is not None:
            known |= by
        elif np.isfinite(mass):
            found.append((mass, mode, own, set(by)))
    if not found:
        raise target.no_density()
    found.sort(key=lambda each: -each[0])
    return [(mode, len(by)) for mass, mode, _, by in found if mass - found[0][0] > np.log(_COMPETING)]
