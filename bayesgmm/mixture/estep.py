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
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.scaling import Scaling
from .kernel import BLOCK, accumulate_values, block_log_terms, softmax_mixture
from .mixture import Mixture
from .narrow import accumulate_narrow, narrow_log_terms
from .structure import Layout, Structure

__all__ = [
    "Design",
    "Statistics",
    "expected_statistics",
    "log_density",
    "log_terms",
    "responsibilities",
    "row_blocks",
    "run_parallel",
    "single_threaded_blas",
    "terms_of",
    "whitening",
]

Array = NDArray[np.float64]
_SLICE = 32768
_POOL_NAME = "bayesgmm-rows"
_EMPTY = np.empty(0)
# Bytes of a block of log terms kept row by row.
_TERMS = 2**22
# Relative rounding of the expanded form is about |x|^2 / (smallest variance) ulps: beyond this, the narrow route.
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


@dataclass(frozen=True, eq=False)
class Design:
    """Data laid out for one structure. They are not copied: blocks are standardised as they are used.

    Attributes
    ----------
    structure : Structure
    source : (N, D) float64, C order
        The data as given.
    scaling : Scaling
        What makes them the standardised rows that everything else here is about.
    layout : Layout
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
    source: Array
    scaling: Scaling
    layout: Layout
    row_weight: Array
    total: float
    scatter: Array
    radius: float

    @classmethod
    def of(
        cls, values: Array, structure: Structure, sample_weight: Array | None = None, scaling: Scaling | None = None
    ) -> Design:
        """Lay out ``values`` (N, D), standardised by ``scaling`` if given, with case weights (N,) if given."""
        values = _as_compiled(values)
        d = values.shape[1]
        if scaling is None:
            scaling = Scaling.identity(d)
        elif not np.isfinite(_reciprocal(scaling)).all():
            values, scaling = scaling.standardise(values), Scaling.identity(d)
        weight = _EMPTY if sample_weight is None else _as_compiled(sample_weight)
        own, scale = values, scaling

        def moments(part: tuple[int, int]) -> tuple[Array, float]:
            block = scale.standardise(own[slice(*part)])
            weighted = block if sample_weight is None else block * weight[slice(*part), None]
            return weighted.T @ block, float(np.einsum("ij,ij->i", block, block).max(initial=0.0))

        parts = run_parallel(moments, _slices(len(values)))
        scatter = sum((part[0] for part in parts), np.zeros((d, d)))
        radius = max((part[1] for part in parts), default=0.0)
        total = float(len(values) if sample_weight is None else weight.sum())
        return cls(structure, values, scaling, structure.layout(d), weight, total, scatter, radius)

    @property
    def pairs(self) -> NDArray[np.int64]:
        """Which of `rows` are multiplied (P, 2)."""
        return self.layout.pairs

    @property
    def n_rows(self) -> int:
        return self.source.shape[0]

    @property
    def n_features(self) -> int:
        return self.source.shape[1]

    @property
    def values(self) -> Array:
        """The standardised data (N, D), a new array."""
        return self.scaling.standardise(self.source)

    @cached_property
    def rows(self) -> Array:
        """Augmented data (A, N), C order: for `kernel.accumulate`. Kept once asked for."""
        return np.ascontiguousarray(self.layout.rows(self.values))

    def subset(self, which: NDArray[np.intp]) -> Design:
        """The same layout for some of the rows."""
        weight = self.row_weight[which] if self.row_weight.size else None
        return Design.of(self.source[which], self.structure, weight, self.scaling)

    def reweighted(self, sample_weight: Array) -> Design:
        """The same rows with other case weights (N,)."""
        return Design.of(self.source, self.structure, sample_weight, self.scaling)

    def is_narrow(self, mixture: Mixture) -> bool:
        """Whether a component is so narrow that the expanded form would lose digits."""
        _, smallest = mixture.structure.floored(mixture.covariances, 0.0)
        return bool(self.loses_digits(smallest).any())

    def loses_digits(self, smallest: Array) -> NDArray[np.bool_]:
        """Whether the expanded form does, for components whose smallest variance in any direction is ``smallest`` (...)."""
        return np.asarray(self.radius * np.finfo(float).eps > _CANCELLATION * smallest)


class _Lent:
    """The memory of an array, offered as if it might be written to."""

    def __init__(self, array: Array) -> None:
        self.array = array
        interface = array.__array_interface__
        self.__array_interface__ = {**interface, "data": (interface["data"][0], False)}


def _as_compiled(array: Array) -> Array:
    """The array as the one kind that compiled functions are compiled for: float64, C order, aligned, writable.

    Read-only memory is lent, not copied, so that mapped files stay where they are: nothing writes to it.
    """
    array = np.require(array, np.float64, ["C", "A"])
    return array if array.flags.writeable else np.asarray(_Lent(array))


def _reciprocal(scaling: Scaling) -> Array:
    with np.errstate(over="ignore"):
        return 1.0 / scaling.scale


def _affine(scaling: Scaling) -> tuple[Array, Array]:
    """Location and precision as compiled code takes them: for read-only arrays numba would compile it again."""
    return scaling.location.copy(), _reciprocal(scaling)


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
    location, precision = _affine(design.scaling)

    def over(first: int, stop: int) -> tuple[Array, Array]:
        return accumulate_values(
            theta, design.source, location, precision, design.pairs, design.row_weight, first, stop, BLOCK
        )

    log_likelihood, t = _sum_over_slices(over, design.n_rows)
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

    def over(first: int, stop: int) -> tuple[Array, Array]:
        return accumulate_narrow(
            inverse, constant, means, design.source, location, precision, design.row_weight, first, stop, BLOCK
        )

    log_likelihood, t = _sum_over_slices(over, design.n_rows)
    dense = t[..., 1 + d :].reshape(*t.shape[:-1], d, d)
    return Statistics(log_likelihood, t[..., 0], t[..., 1 : 1 + d], batch.structure.reduce(dense), means)


def log_terms(mixture: Mixture, values: Array, scaling: Scaling | None = None) -> Iterator[tuple[slice, Array]]:
    """Log of weight times density, (K, B), for blocks of rows of ``values`` (N, D), in order.

    ``mixture`` is a single one, of the values standardised by ``scaling`` if given; the blocks are fresh arrays that
    the caller may overwrite.
    """
    wide = mixture.widened()
    for part in row_blocks(mixture, len(values)):
        yield part, terms_of(wide, values[part], scaling)


def row_blocks(mixture: Mixture, n_rows: int) -> list[slice]:
    """Blocks of rows whose log terms are not large."""
    size = int(np.clip(_TERMS // (8 * mixture.n_components), 1024, _SLICE))
    return [slice(first, min(first + size, n_rows)) for first in range(0, n_rows, size)]


def terms_of(wide: Mixture, values: Array, scaling: Scaling | None = None) -> Array:
    """As one block of `log_terms`, of a mixture already widened."""
    design = Design.of(values, wide.structure, scaling=scaling)
    if not design.is_narrow(wide):
        return block_log_terms(wide.natural, design.rows, design.pairs)
    inverse, constant = whitening(wide)
    features = design.rows[1 : 1 + design.n_features]
    return narrow_log_terms(inverse, constant, np.ascontiguousarray(wide.means), features)


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
