"""The modes of every posterior draw's density, and the mode to which each row climbs: groups, draw by draw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..mixture import Mixture, completed, run_parallel, whitening
from ..progress import progress_display
from .modal import climb_draws

__all__ = ["Climbs", "climb"]

Array = NDArray[np.float64]
Integers = NDArray[np.integer[Any]]
# Draws per task: few enough that the last tasks to finish leave no core idle for long.
_DRAWS = 8
# Of what is drawn for missing values.
_SEED = 0


@dataclass(frozen=True)
class Climbs:
    """Where components and rows climb to, under each of S draws.

    Attributes
    ----------
    n_modes : (S,)
        Modes of the density that have rows, and enough of them.
    component : (S, K)
        The mode to which the mean of each component climbs.
    labels : (S, N)
        The mode to which each row climbs.
    modes : (S, M, D)
        Positions, in the units of the rows; of draw s the first ``n_modes[s]``.
    """

    n_modes: Integers
    component: Integers
    labels: Integers
    modes: Array


def climb(
    draws: Mixture,
    rows: Array,
    sample_weight: Array | None = None,
    min_rows: float = 0.0,
    min_evidence: float = 0.0,
    progressbar: bool = False,
) -> Climbs:
    """Find the modes of every draw and climb from every row, on all cores.

    Modes are looked for from the component means, from the maxima of the density on the ridgeline between each two
    components, and from every row: with unequal covariances there can be more modes than components.

    Parameters
    ----------
    draws : Mixture
        One leading axis of S draws, in the units of ``rows``.
    rows : (N, D)
        Of those with missing values a draw climbs from what it draws for them, given the rest: over the draws a row has each
        group with the probability that what is missing leaves it.
    sample_weight : (N,), optional
        Case weights.
    min_rows : float
        A mode whose excess mass is no more than so many rows is joined to the higher mode over the highest pass known;
        with 0, only modes to which no row climbs.
    min_evidence : float
        So is one with no more evidence, in nats: what levelling it would cost in log likelihood.

    Notes
    -----
    Li, J., Ray, S. & Lindsay, B. G. (2007). A nonparametric statistical approach to clustering via mode identification.
    JMLR 8, 1687-1723. Ray, S. & Lindsay, B. G. (2005). The topography of multivariate normal mixtures. Annals of
    Statistics 33, 2042-2065. Mueller, D. W. & Sawitzki, G. (1991). Excess mass estimates and tests for multimodality.
    JASA 86, 738-746.
    """
    n_draws, k = draws.weights.shape
    d = draws.n_features
    inverse, constant = whitening(draws)
    precision = np.ascontiguousarray(np.swapaxes(inverse, -1, -2) @ inverse)
    means, rows = np.ascontiguousarray(draws.means), np.ascontiguousarray(rows, dtype=float)
    if not rows.flags.writeable:
        rows = rows.copy()
    incomplete = bool(np.isnan(rows).any())
    weight = np.ones(len(rows)) if sample_weight is None else np.array(sample_weight, dtype=float)
    n_modes, component = np.empty(n_draws, dtype=np.int64), np.empty((n_draws, k), dtype=np.int64)
    # More modes than components are rare; four times as many were never seen.
    modes, labels = np.empty((n_draws, 4 * k + 4, d)), np.empty((n_draws, len(rows)), dtype=np.int16)

    def part(first: int) -> None:
        stop = min(first + _DRAWS, n_draws)
        for s in range(first, stop) if incomplete else [first]:
            climb_draws(
                means, inverse, constant, precision, whole(s) if incomplete else rows, weight, float(min_rows),
                float(min_evidence), component, n_modes, modes, labels, s, s + 1 if incomplete else stop,
            )  # fmt: skip

    def whole(s: int) -> Array:
        return completed(draws[s], rows, np.random.default_rng([_SEED, s]))

    firsts = list(range(0, n_draws, _DRAWS))
    with progress_display(progressbar) as display:
        task = display.add_task("Climbing to modes", total=n_draws, detail="draws")
        for at in range(0, len(firsts), 16):
            batch = firsts[at : at + 16]
            run_parallel(part, batch)
            display.update(task, completed=min(batch[-1] + _DRAWS, n_draws))
    return Climbs(n_modes, component, labels, modes)
