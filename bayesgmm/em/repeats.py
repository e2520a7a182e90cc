"""Equal rows: which rows are distinct, and which one comes most often."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..mixture import blocks_of

__all__ = ["distinct_rows", "most_repeated"]

Array = NDArray[np.float64]
_BLOCK = 2**15
# How much more often than the median row a row must come to be worth a word.
_STANDS_OUT = 5.0


def _keys(values: Array) -> NDArray[np.uint64]:
    """A number for each row (N,), the same for equal rows, and for different ones with a probability of about 2^-64."""
    rng = np.random.default_rng(0)
    factors = np.asarray(rng.integers(2**63, size=values.shape[1], dtype=np.uint64)) * np.uint64(2) + np.uint64(1)
    keys = np.empty(len(values), dtype=np.uint64)
    for block in blocks_of(len(values), _BLOCK):
        # The sum makes one zero of two. Short numbers differ in their leading bits only: those are brought down first.
        bits = (values[block] + 0.0).view(np.uint64)
        bits ^= bits >> np.uint64(32)
        bits *= factors
        bits ^= bits >> np.uint64(29)
        keys[block] = (bits * factors[::-1]).sum(1)
    return keys


def distinct_rows(values: Array) -> NDArray[np.bool_]:
    """Whether each row (N,) is the first of its kind in ``values`` (N, D)."""
    first = np.zeros(len(values), dtype=bool)
    first[np.unique(_keys(np.ascontiguousarray(values)), return_index=True)[1]] = True
    return first


def most_repeated(values: Array, sample_weight: Array | None = None) -> tuple[float, int] | None:
    """How often the most frequent row of ``values`` (N, D) comes, and where it stands first, if it stands out.

    That is, where it comes more often than D + 1 times, which is enough for a component to collapse onto it, and at
    least five times as often as the median of the distinct rows. Of weighted rows the weights are counted.
    """
    values = np.ascontiguousarray(values)
    keys = _keys(values)
    if sample_weight is None:
        keys.sort()
        new = np.concatenate([[True], keys[1:] != keys[:-1]])
        if new.all():
            return None
        start = np.flatnonzero(new)
        kinds, times = keys[start], np.diff(start, append=len(keys)).astype(float)
    else:
        kinds, kind = np.unique(keys, return_inverse=True)
        times = np.bincount(kind, weights=sample_weight)
    most = int(times.argmax())
    if times[most] <= values.shape[1] + 1 or times[most] < _STANDS_OUT * np.median(times):
        return None
    return float(times[most]), int(np.flatnonzero(_keys(values) == kinds[most])[0])
