"""Responsibilities of many mixtures, the draws of a posterior, on the same rows, in blocks of rows.

S draws x K components x N rows are never held at once: `draw_responsibilities` yields blocks (S, K, B) small enough for
the memory it is given, and callers reduce them over draws, rows or both.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .estep import is_narrow, whitening
from .kernel import block_log_terms, softmax_block
from .mixture import Mixture
from .narrow import narrow_log_terms
from .parallel import run_parallel, single_threaded_blas
from .rows import Design, Rows

__all__ = ["DrawBlock", "draw_responsibilities"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class DrawBlock:
    """Responsibilities of all draws on some rows.

    Attributes
    ----------
    rows : slice
    responsibilities : (S, K, B)
    log_density : (S, B)
    """

    rows: slice
    responsibilities: Array
    log_density: Array


def _softmax_in_parallel(terms: Array) -> Array:
    """Softmax over axis 1 of terms (S, K, B) in place; the logs of the sums (S, B)."""
    n_draws, n_components, n_rows = terms.shape
    flat = terms.reshape(-1, n_rows)
    # Two arrays, not halves of one: the norms are let go when this returns.
    log_density, norm = np.empty((n_draws, n_rows)), np.empty((n_draws, n_rows))
    step = max(1, -(-n_draws // 16))

    def over(first: int) -> None:
        stop = min(first + step, n_draws)
        softmax_block(flat, n_components, first, stop, n_rows, log_density, norm)
        log_density[first:stop] += np.log(norm[first:stop])

    run_parallel(over, range(0, n_draws, step))
    return log_density


def draw_responsibilities(draws: Mixture, values: Array, max_bytes: int = 2**26) -> Iterator[DrawBlock]:
    """Responsibilities and log densities of every draw on every row.

    Parameters
    ----------
    draws : Mixture
        With one leading axis of S draws, in the units of ``values``.
    values : (N, D)
    max_bytes : int
        Size of a block's responsibilities; blocks hold at least one row.

    Yields
    ------
    DrawBlock
        In the order of the rows; arrays are fresh and may be overwritten.
    """
    wide = draws.widened()
    n_draws, n_components = wide.weights.shape
    theta = wide.natural.reshape(n_draws * n_components, -1)
    size = int(max(1, min(len(values), max_bytes // (8 * n_draws * n_components))))
    rows = Rows.of_values(values)
    narrow = is_narrow(wide, Design.of(values, wide.structure)) if len(values) else False
    with single_threaded_blas():
        for part in rows.blocks(size):
            design = Design.of(rows.source[part], wide.structure)
            if narrow:
                terms = _narrow_terms(wide, design)
            else:
                flat = block_log_terms(theta, design.rows, design.pairs)
                terms = flat.reshape(n_draws, n_components, design.n_rows)
            yield DrawBlock(part, terms, _softmax_in_parallel(terms))


def _narrow_terms(wide: Mixture, design: Design) -> Array:
    inverse, constant = whitening(wide)
    features = design.rows[1 : 1 + design.n_features]
    means = np.ascontiguousarray(wide.means)
    return np.stack([narrow_log_terms(inverse[s], constant[s], means[s], features) for s in range(len(means))])
