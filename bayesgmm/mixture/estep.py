"""The E-step of any mixture on any data, in blocks of rows and on all cores, and what follows row by row.

`Design` prepares a table once; `expected_statistics` is one E-step; `log_density` and `responsibilities` are the same
terms kept row by row. Sums run over fixed slices of rows, so that results do not depend on the number of threads.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .kernel import accumulate, block_log_terms, softmax_block
from .narrow import accumulate_narrow, narrow_log_terms
from .parameters import Mixture
from .structures import Structure

__all__ = [
    "Design",
    "Statistics",
    "expected_statistics",
    "log_density",
    "log_terms",
    "responsibilities",
    "run_parallel",
    "single_threaded_blas",
    "whitening",
]

Array = NDArray[np.float64]
_SLICE = 32768
_POOL_NAME = "bayesgmm-rows"
_EMPTY = np.empty(0)
# Relative rounding of the expanded form is about |x|^2 / (smallest variance) ulps; beyond this the narrow route is taken.
_CANCELLATION = 1e-8


@cache
def _blas_controller() -> object:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Blocks are too small for BLAS threads to pay; parallelism is over slices of rows and over chains."""
    with _blas_controller().limit(limits=1, user_api="blas"):  # type: ignore[attr-defined]
        yield


def _cores() -> int:
    count = getattr(os, "process_cpu_count", os.cpu_count)()  # process_cpu_count: Python 3.13
    return int(count or 1)


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=_cores(), thread_name_prefix=_POOL_NAME)


@dataclass(frozen=True)
class Design:
    """Data laid out for one structure.

    Attributes
    ----------
    structure : Structure
    rows : (A, N) float64, C order
        Augmented data.
    pairs : (P, 2) int64
    row_weight : (N,) or (0,)
        Case weights; empty where all are one.
    total : float
        Sum of the case weights.
    scatter : (D, D)
        Weighted sum of x x'.
    radius : float
        Largest squared norm of a row.
    """

    structure: Structure
    rows: Array
    pairs: NDArray[np.int64]
    row_weight: Array
    total: float
    scatter: Array
    radius: float

    @classmethod
    def of(cls, values: Array, structure: Structure, sample_weight: Array | None = None) -> Design:
        """Lay out ``values`` (N, D), with case weights (N,) if given."""
        values = np.asarray(values, dtype=np.float64)
        weight = _EMPTY if sample_weight is None else np.ascontiguousarray(sample_weight, dtype=np.float64)
        weighted = values if sample_weight is None else values * weight[:, None]
        rows = np.ascontiguousarray(structure.rows(values))
        return cls(
            structure,
            rows,
            structure.pairs(values.shape[1]),
            weight,
            float(values.shape[0] if sample_weight is None else weight.sum()),
            weighted.T @ values,
            float(np.einsum("ij,ij->i", values, values).max(initial=0.0)),
        )

    @property
    def n_rows(self) -> int:
        return self.rows.shape[1]

    @property
    def n_features(self) -> int:
        return self.scatter.shape[0]

    @property
    def values(self) -> Array:
        """The data (N, D), a view."""
        return self.rows[1 : 1 + self.n_features].T

    def subset(self, which: NDArray[np.intp]) -> Design:
        """The same layout for some of the rows."""
        weight = self.row_weight[which] if self.row_weight.size else None
        return Design.of(self.values[which], self.structure, weight)

    @property
    def block(self) -> int:
        """Rows per block: phi of a block should stay in the second-level cache."""
        return 256 if self.rows.shape[0] + self.pairs.shape[0] < 200 else 1024

    def is_narrow(self, mixture: Mixture) -> bool:
        """Whether a component is so narrow that the expanded form would lose digits."""
        variances = np.diagonal(mixture.dense_covariances, axis1=-2, axis2=-1)
        if mixture.structure.free(1, 2).correlated:
            smallest = np.linalg.eigvalsh(mixture.dense_covariances)[..., 0].min()
        else:
            smallest = variances.min()
        return bool(self.radius * np.finfo(float).eps > _CANCELLATION * smallest)


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


def _slices(n_rows: int) -> list[tuple[int, int]]:
    return [(a, min(a + _SLICE, n_rows)) for a in range(0, n_rows, _SLICE)]


def run_parallel(function: Callable[[Any], Any], tasks: Sequence[Any]) -> list[Any]:
    """``function`` of each task, on all cores, in order. For work that releases the interpreter lock."""
    if len(tasks) <= 1 or threading.current_thread().name.startswith(_POOL_NAME):
        # A pool that waits for itself would never finish.
        return [function(task) for task in tasks]
    return list(_pool().map(function, tasks))


def _sum_over_slices(function: Callable[[int, int], tuple[Array, Array]], n_rows: int) -> tuple[Array, Array]:
    slices = _slices(n_rows)
    if len(slices) == 1:
        return function(*slices[0])
    log_likelihood: Any = 0.0
    statistics: Any = 0.0
    for part, update in run_parallel(lambda s: function(*s), slices):
        log_likelihood = log_likelihood + part
        statistics = statistics + update
    return np.asarray(log_likelihood), np.asarray(statistics)


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
    narrow = design.is_narrow(batch) if narrow is None else narrow
    stats = _narrow_statistics(batch, design) if narrow else _expanded_statistics(batch, design)
    if not single:
        return stats
    centres = stats.centres if isinstance(stats.centres, float) else stats.centres[0]
    return Statistics(stats.log_likelihood[0], stats.counts[0], stats.first[0], stats.second[0], centres)


def _expanded_statistics(batch: Mixture, design: Design) -> Statistics:
    structure, d = design.structure, design.n_features
    theta = np.ascontiguousarray(batch.natural)

    def over(first: int, stop: int) -> tuple[Array, Array]:
        return accumulate(theta, design.rows, design.pairs, design.row_weight, first, stop, design.block)

    log_likelihood, t = _sum_over_slices(over, design.n_rows)
    log_likelihood = log_likelihood + structure.shared_quadratic(batch.covariances, design.scatter)
    second = structure.second_moments(t, design.scatter)
    return Statistics(log_likelihood, t[..., 0], t[..., 1 : 1 + d], second, 0.0)


def whitening(mixture: Mixture) -> tuple[Array, Array]:
    """Inverse Cholesky factors (..., K, D, D) and the log normalisers (..., K), weights included."""
    dense = mixture.dense_covariances
    factor = np.linalg.cholesky(dense)
    half_log_det = np.log(np.diagonal(factor, axis1=-2, axis2=-1)).sum(-1)
    inverse = np.linalg.solve(factor, np.broadcast_to(np.eye(mixture.n_features), dense.shape))
    constant = np.log(mixture.weights) - half_log_det - 0.5 * mixture.n_features * np.log(2 * np.pi)
    return np.ascontiguousarray(inverse), np.ascontiguousarray(constant)


def _narrow_statistics(batch: Mixture, design: Design) -> Statistics:
    d = design.n_features
    inverse, constant = whitening(batch)
    means = np.ascontiguousarray(batch.means)
    values = design.rows[1 : 1 + d]

    def over(first: int, stop: int) -> tuple[Array, Array]:
        return accumulate_narrow(inverse, constant, means, values, design.row_weight, first, stop, design.block)

    log_likelihood, t = _sum_over_slices(over, design.n_rows)
    dense = t[..., 1 + d :].reshape(*t.shape[:-1], d, d)
    return Statistics(log_likelihood, t[..., 0], t[..., 1 : 1 + d], batch.structure.reduce(dense), means)


def log_terms(mixture: Mixture, values: Array) -> Iterator[tuple[slice, Array]]:
    """Log of weight times density, (K, B), for blocks of rows of ``values`` (N, D), in order.

    ``mixture`` is a single one; the blocks are fresh arrays that the caller may overwrite.
    """
    wide = mixture.widened()
    n_rows = values.shape[0]
    for first in range(0, n_rows, _SLICE):
        part = slice(first, min(first + _SLICE, n_rows))
        design = Design.of(values[part], wide.structure)
        if design.is_narrow(wide):
            inverse, constant = whitening(wide)
            block = narrow_log_terms(
                inverse, constant, np.ascontiguousarray(wide.means), design.rows[1 : 1 + design.n_features]
            )
        else:
            block = block_log_terms(np.ascontiguousarray(wide.natural), design.rows, design.pairs, 0, design.n_rows)
        yield part, block


def log_density(mixture: Mixture, values: Array) -> Array:
    """Log density of each row (N,) under a single mixture."""
    result = np.empty(values.shape[0])
    with single_threaded_blas():
        for part, terms in log_terms(mixture, values):
            top, norm, scratch = np.empty((3, terms.shape[1]))
            softmax_block(terms, top, norm, scratch)
            result[part] = top + np.log(norm)
    return result


def responsibilities(mixture: Mixture, values: Array) -> tuple[Array, Array]:
    """Responsibilities (N, K) and log densities (N,) of each row under a single mixture."""
    density = np.empty(values.shape[0])
    result = np.empty((values.shape[0], mixture.n_components))
    with single_threaded_blas():
        for part, terms in log_terms(mixture, values):
            top, norm, scratch = np.empty((3, terms.shape[1]))
            softmax_block(terms, top, norm, scratch)
            result[part] = terms.T
            density[part] = top + np.log(norm)
    return result, density
