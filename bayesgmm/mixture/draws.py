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
from .groups import each_pattern
from .kernel import block_log_terms, softmax_block
from .mixture import Mixture
from .narrow import narrow_log_terms
from .parallel import run_parallel, single_threaded_blas
from .rows import Design, Rows
from .structure import Layout

__all__ = ["DrawBlock", "draw_responsibilities"]

Array = NDArray[np.float64]
# Numbers that are not worth a task of their own.
_FEW = 2**15
# Bytes of marginals that are kept from block to block.
_MARGINALS = 2**27


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
    step = max(1, -(-n_draws // 16), _FEW // max(1, n_components * n_rows))

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
    incomplete = bool(np.isnan(values).any())
    theta = np.empty(0) if incomplete else wide.natural.reshape(n_draws * n_components, -1)
    marginals = _Marginals(wide)
    size = int(max(1, min(len(values), max_bytes // (8 * n_draws * n_components))))
    rows = Rows.of_values(values)
    narrow = is_narrow(wide, Design.of(values, wide.structure)) if len(values) else False
    with single_threaded_blas():
        for part in rows.blocks(size):
            if incomplete:
                terms = marginals.terms(rows.source[part], narrow)
                yield DrawBlock(part, terms, _softmax_in_parallel(terms))
                continue
            design = Design.of(rows.source[part], wide.structure)
            if narrow:
                terms = _narrow_terms(wide, design)
            else:
                flat = block_log_terms(theta, design.rows, design.pairs)
                terms = flat.reshape(n_draws, n_components, design.n_rows)
            yield DrawBlock(part, terms, _softmax_in_parallel(terms))


class _Marginals:
    """Natural parameters of the draws' marginals, pattern by pattern, kept while they are not too many."""

    def __init__(self, draws: Mixture) -> None:
        self.draws, self.kept, self.room = draws, {}, _MARGINALS  # type: ignore[var-annotated]

    def terms(self, values: Array, narrow: bool) -> Array:
        """Log terms (S, K, B) of what each row (B, D) has."""
        n_draws, n_components = self.draws.weights.shape
        terms = np.empty((n_draws, n_components, len(values)))
        for rows, features in each_pattern(values):
            own = values[rows[:, None], features]
            if narrow:
                marginal = self.draws.marginal(features)
                terms[:, :, rows] = _narrow_terms(marginal, Design.of(own, marginal.structure))
                continue
            theta, layout = self._natural(features)
            flat = block_log_terms(theta, np.ascontiguousarray(layout.rows(own)), layout.pairs)
            terms[:, :, rows] = flat.reshape(n_draws, n_components, len(rows))
        return terms

    def _natural(self, features: NDArray[np.intp]) -> tuple[Array, Layout]:
        found = self.kept.get(features.tobytes())
        if found is None:
            marginal = self.draws.marginal(features)
            natural = marginal.natural
            found = natural.reshape(-1, natural.shape[-1]), marginal.structure.layout(len(features))
            self.room -= natural.nbytes
            if self.room > 0:
                self.kept[features.tobytes()] = found
        return found


def _narrow_terms(wide: Mixture, design: Design) -> Array:
    inverse, constant = whitening(wide)
    features = design.rows[1 : 1 + design.n_features]
    means = np.ascontiguousarray(wide.means)
    return np.stack([narrow_log_terms(inverse[s], constant[s], means[s], features) for s in range(len(means))])
