"""The two steps of EM, for many mixtures side by side."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...mixture import Design, Mixture, Statistics, Structure, expected_statistics

__all__ = ["FLOOR", "expectation_step", "maximisation_step"]

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

# Smallest variance, on standardised data, in any direction: a constraint, not an addition, so that it moves no optimum
# whose components are wider than 1/30,000 of the data.
FLOOR = 1e-9
# Expected rows below which a component counts as empty.
_EMPTY = 1e-4


def maximisation_step(
    statistics: Statistics, structure: Structure, total: float, ridge: float = 0.0, start: Array | None = None
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
    start : (S, compact shape), optional
        Covariances of the E-step's mixtures, for structures without a closed form.

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
    covariances = structure.maximise(counts, shift, statistics.second, start)
    if ridge > 0:
        covariances = structure.add_ridge(covariances, ridge)
    covariances, smallest = structure.floored(covariances, FLOOR)
    mixture = Mixture(structure, counts / counts.sum(-1, keepdims=True), shift + statistics.centres, covariances)
    return mixture, structure.smallest_per_component(smallest, counts.shape[-1]), (statistics.counts <= _EMPTY).any(-1)


def expectation_step(mixture: Mixture, design: Design, smallest: Array) -> Statistics:
    """E-step of S mixtures; only those that need it take the slow route for narrow components."""
    narrow = design.loses_digits(smallest.min(-1))
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
