"""The E-step of any mixture on any data, in blocks of rows and on all cores, and what follows row by row.

`Design` prepares a table once; `expected_statistics` is one E-step; `log_density` and `responsibilities` are the same
terms kept row by row. Sums run over fixed slices of rows, so that results do not depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..data import Scaling
from .grouped import expect_groups_into
from .groups import each_pattern
from .kernel import BLOCK, accumulate_values, block_log_terms, softmax_mixture
from .mixture import Mixture
from .narrow import accumulate_narrow, narrow_log_terms
from .parallel import run_parallel, single_threaded_blas
from .rows import Design, Rows, reciprocal

__all__ = [
    "Statistics", "block_size", "expected_statistics", "is_narrow", "log_density", "log_terms", "responsibilities", "terms_of",
    "whitening",
]  # fmt: skip

Array = NDArray[np.float64]
# Bytes of a block of log terms kept row by row.
_TERMS = 2**22
_LARGEST_BLOCK = 32768


def _affine(scaling: Scaling) -> tuple[Array, Array]:
    """Location and precision as compiled code takes them: for read-only arrays numba would compile it again."""
    return scaling.location.copy(), reciprocal(scaling)


@dataclass(frozen=True)
class Statistics:
    """Expected sufficient statistics of S mixtures about given centres.

    Attributes
    ----------
    log_likelihood : (...)
    counts : (..., K)
    first : (..., K, D)
        Sum of r (x - centre).
    second : (..., own shape of the structure)
        Sum of r (x - centre)(x - centre)'.
    centres : (..., K, D) or 0
    """

    log_likelihood: Array
    counts: Array
    first: Array
    second: Array
    centres: Array | float


def is_narrow(mixture: Mixture, design: Design) -> bool:
    """Whether a component is so narrow that the expanded form would lose digits."""
    _, smallest = mixture.structure.floored(mixture.covariances, 0.0)
    return bool(design.loses_digits(smallest).any())


def expected_statistics(mixture: Mixture, design: Design, narrow: bool | None = None) -> Statistics:
    """One E-step: log likelihood and expected sufficient statistics.

    Parameters
    ----------
    mixture : Mixture
        One mixture, or S of them side by side (one leading axis).
    design : Design
        Laid out for the mixture's structure.
    narrow : bool, optional
        Take the Cholesky route, which centres at each component's mean. By default it is taken where the expanded
        form would lose more than eight digits.
    """
    single = mixture.weights.ndim == 1
    batch = mixture[None] if single else mixture
    narrow = is_narrow(batch, design) if narrow is None else narrow
    if design.groups is not None:
        stats = _grouped_statistics(batch, design, narrow)
    else:
        stats = _narrow_statistics(batch, design) if narrow else _expanded_statistics(batch, design)
    if not single:
        return stats
    centres = stats.centres if isinstance(stats.centres, float) else stats.centres[0]
    return Statistics(stats.log_likelihood[0], stats.counts[0], stats.first[0], stats.second[0], centres)


def _expanded_statistics(batch: Mixture, design: Design) -> Statistics:
    structure, d = design.structure, design.n_features
    theta = np.ascontiguousarray(batch.natural)
    location, precision = _affine(design.scaling)

    def over(block: slice) -> tuple[Array, Array]:
        return accumulate_values(
            theta,
            design.source,
            location,
            precision,
            design.pairs,
            design.sample_weight,
            block.start,
            block.stop,
            BLOCK,
        )

    log_likelihood, t = design.sum(over)
    log_likelihood = log_likelihood + structure.shared_quadratic(batch.covariances, design.scatter)
    second = structure.second_moments(t, design.scatter)
    return Statistics(log_likelihood, t[..., 0], t[..., 1 : 1 + d], second, 0.0)


def whitening(mixture: Mixture) -> tuple[Array, Array]:
    """Inverse Cholesky factors (..., K, D, D) and the log normalisers (..., K), weights included."""
    dense = mixture.dense_covariances
    factor = np.linalg.cholesky(dense)
    half_log_det = np.log(np.diagonal(factor, axis1=-2, axis2=-1)).sum(-1)
    inverse = np.linalg.inv(factor)
    constant = np.log(mixture.weights) - half_log_det - 0.5 * mixture.n_features * np.log(2 * np.pi)
    return np.ascontiguousarray(inverse), np.ascontiguousarray(constant)


def _narrow_statistics(batch: Mixture, design: Design) -> Statistics:
    d = design.n_features
    inverse, constant = whitening(batch)
    means = np.ascontiguousarray(batch.means)
    location, precision = _affine(design.scaling)

    def over(block: slice) -> tuple[Array, Array]:
        return accumulate_narrow(
            inverse,
            constant,
            means,
            design.source,
            location,
            precision,
            design.sample_weight,
            block.start,
            block.stop,
            BLOCK,
        )

    log_likelihood, t = design.sum(over)
    dense = t[..., 1 + d :].reshape(*t.shape[:-1], d, d)
    return Statistics(log_likelihood, t[..., 0], t[..., 1 : 1 + d], batch.structure.reduce(dense), means)


def _grouped_statistics(batch: Mixture, design: Design, narrow: bool) -> Statistics:
    groups, structure = design.groups, batch.structure
    assert groups is not None
    dense = batch.dense_covariances
    # Copies: compiled code is compiled for arrays that may be written to. One matrix for all is given once.
    covariances = np.array(dense[:, :1] if design.layout.common else dense, order="C")
    weights, means = np.array(batch.weights, order="C"), np.array(batch.means, order="C")
    tables, arrays = groups.tables(weights.shape[1]), groups.arrays

    def over(tasks: tuple[int, int]) -> tuple[Array, ...]:
        log_likelihood, counts = np.zeros(len(weights)), np.zeros(weights.shape)
        first, second = np.zeros(means.shape), np.zeros((*means.shape, means.shape[-1]))
        expect_groups_into(
            weights, means, covariances, design.layout.kind, narrow, *tables, *arrays, *tasks, log_likelihood, counts, first,
            second,
        )  # fmt: skip
        return log_likelihood, counts, first, second

    log_likelihood, counts, first, second = (
        sum(parts) for parts in zip(*run_parallel(over, groups.calls), strict=True)
    )
    return Statistics(log_likelihood, counts, first, structure.reduce(second), means)


def log_terms(mixture: Mixture, values: Array, scaling: Scaling | None = None) -> Iterator[tuple[slice, Array]]:
    """Log of weight times density, (K, B), for blocks of rows of ``values`` (N, D), in order.

    ``mixture`` is a single one, of the values standardised by ``scaling`` if given; the blocks are fresh arrays that
    the caller may overwrite.
    """
    wide = mixture.widened()
    for part in Rows.of_values(values).blocks(block_size(mixture)):
        yield part, terms_of(wide, values[part], scaling)


def block_size(mixture: Mixture) -> int:
    """Rows of a block whose log terms are not large."""
    return int(np.clip(_TERMS // (8 * mixture.n_components), 1024, _LARGEST_BLOCK))


def terms_of(wide: Mixture, values: Array, scaling: Scaling | None = None) -> Array:
    """As one block of `log_terms`, of a mixture already widened."""
    if np.isnan(values).any():
        return _terms_by_pattern(wide, values if scaling is None else scaling.standardise(values))
    design = Design.of(values, wide.structure, scaling=scaling)
    if not is_narrow(wide, design):
        return block_log_terms(wide.natural, design.rows, design.pairs)
    inverse, constant = whitening(wide)
    features = design.rows[1 : 1 + design.n_features]
    return narrow_log_terms(inverse, constant, np.ascontiguousarray(wide.means), features)


def _terms_by_pattern(mixture: Mixture, values: Array) -> Array:
    """Log of weight times density (K, B) of what each row (B, D) has."""
    terms = np.empty((mixture.n_components, len(values)))
    for rows, features in each_pattern(values):
        terms[:, rows] = terms_of(mixture.marginal(features), np.ascontiguousarray(values[rows[:, None], features]))
    return terms


def log_density(mixture: Mixture, values: Array, scaling: Scaling | None = None) -> Array:
    """Log density of each row (N,) under a single mixture (of standardised rows, if ``scaling`` is given)."""
    result = np.empty(values.shape[0])
    with single_threaded_blas():
        for part, terms in log_terms(mixture, values, scaling):
            result[part] = softmax_mixture(terms)
    return result


def responsibilities(mixture: Mixture, values: Array, scaling: Scaling | None = None) -> tuple[Array, Array]:
    """Responsibilities (N, K) and log densities (N,) of each row under a single mixture (scaling: `log_density`)."""
    density = np.empty(values.shape[0])
    result = np.empty((values.shape[0], mixture.n_components))
    with single_threaded_blas():
        for part, terms in log_terms(mixture, values, scaling):
            density[part] = softmax_mixture(terms)
            result[part] = terms.T
    return result, density
