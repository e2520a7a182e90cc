"""Work on all cores: one pool of threads for what releases the interpreter lock, and BLAS kept to one thread meanwhile."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Any

__all__ = ["blocks_of", "run_parallel", "single_threaded_blas"]

_POOL_NAME = "bayesgmm-rows"


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


# A forked process has the pool and none of its threads: it makes its own.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)


def blocks_of(count: int, size: int) -> list[slice]:
    """Fixed blocks of at most ``size`` of so many rows, points or draws, in order."""
    return [slice(first, min(first + size, count)) for first in range(0, count, size)]


def run_parallel(function: Callable[[Any], Any], tasks: Sequence[Any]) -> list[Any]:
    """``function`` of each task, on all cores, in order. For work that releases the interpreter lock."""
    if len(tasks) <= 1 or threading.current_thread().name.startswith(_POOL_NAME):
        # A pool that waits for itself would never finish.
        return [function(task) for task in tasks]
    return list(_pool().map(function, tasks))
