"""Where chains start: the modes of the posterior near EM's optima."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..em import EMFit, fit_mixture
from ..mixture import Mixture, log_density, single_threaded_blas
from ..posterior.modes import Mode, find_mode, starting_mixtures
from ..posterior.target import Target
from .samplers.chains import Chain
from .settings import Settings

__all__ = ["Prepared", "prepare"]

Array = NDArray[np.float64]
# A mode takes chains if its Laplace mass is at least this share of the best one's.
_COMPETING = 0.02
_MAX_OPTIMA = 8
# Starts are rounded to multiples of 1 / this on the unconstrained scale, where that costs less than so many nats.
_START_GRID, _ROUNDING_COST = 256.0, 10.0
# Rows by whose density modes are told apart.
_SIGNATURE_ROWS = 200


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
    """

    target: Target
    em: Mixture
    modes: tuple[Mode, ...]

    def chains(self, settings: Settings, rng: np.random.Generator) -> list[Chain]:
        """One task per chain, dealt to the competing modes in turn."""
        s, dealt = settings, []
        for c in range(s.chains):
            mode = self.modes[c % len(self.modes)]
            start = rng.standard_normal(self.target.size)
            seed = int(rng.integers(2**63))
            dealt.append(Chain(self.target, mode, start, s.draws, s.tune, seed, s.target_accept, self.target.key))
        return dealt


def prepare(target: Target, em: EMFit | None, rng: np.random.Generator) -> Prepared:
    """Find the modes to start from, near the optima of ``em`` or of a fit made here.

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
    with single_threaded_blas():
        modes = _modes(target, starting_mixtures(em))
    return Prepared(target, em.mixture, modes)


def _rounded(target: Target, point: Array) -> Array:
    """A point to start from, rounded so that EM's last digits do not decide about the draws; not where that costs much."""
    rounded = np.round(point * _START_GRID) / _START_GRID
    return rounded if target(rounded)[0] > target(point)[0] - _ROUNDING_COST else point


def _modes(target: Target, starts: Sequence[Mixture]) -> tuple[Mode, ...]:
    """Distinct modes of the posterior near EM's optima, best Laplace mass first, those that compete with it.

    Raises
    ------
    InputError
        If the density is finite at none of them.
    """
    found: list[tuple[float, Mode, Array]] = []
    rows = target.scaling.standardise(target.table.values)
    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), _SIGNATURE_ROWS)).astype(int)]
    points = [_rounded(target, target.start_at(mixture.standardised(target.scaling))) for mixture in starts]
    # Spurious optima are among them: the density, which knows the prior, says which are worth an ascent.
    heights = np.array([target(point)[0] for point in points])
    for i in np.argsort(-heights, kind="stable")[:_MAX_OPTIMA]:
        point = points[i]
        if not np.isfinite(heights[i]):
            continue
        mode = find_mode(target, point)
        mass = mode.value + np.log(np.diag(mode.spread)).sum()
        # The log density of rows knows no labels: it tells mirror images of one height from one mode found twice.
        signature = log_density(target.coordinates.mixture(mode.point), rows)
        if np.isfinite(mass) and not any(np.abs(signature - other).max() < 0.05 for _, _, other in found):
            found.append((float(mass), mode, signature))
    if not found:
        raise target.no_density()
    found.sort(key=lambda triple: -triple[0])
    best = found[0][0]
    return tuple(mode for mass, mode, _ in found if mass - best > np.log(_COMPETING))
