"""How to sample: the options of `sample_posterior`, checked once."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ..tables import InputError

__all__ = ["DEFAULT_TUNE", "Method", "Sampler", "Settings"]

Method = Literal["nuts", "laplace", "auto"]
Sampler = Literal["nutpie", "pymc", "numpyro"]
DEFAULT_TUNE = 300


@dataclass(frozen=True)
class Settings:
    """How to sample, checked."""

    draws: int
    tune: int
    chains: int
    cores: int
    target_accept: float
    sampler: Sampler
    method: Method
    progressbar: bool

    @classmethod
    def checked(cls, draws: Any, tune: Any, chains: Any, cores: Any, target_accept: float, sampler: str, method: str,
                progressbar: bool) -> Settings:  # fmt: skip
        """As `sample_posterior` takes them, defaults filled in.

        Raises
        ------
        InputError
            Naming the setting that cannot be used.
        """
        for name, value, least in (("draws", draws, 4), ("tune", tune, 20), ("chains", chains, 1), ("cores", cores, 1)):
            if value is not None and (not isinstance(value, int | np.integer) or value < least):
                raise InputError(f"{name}={value!r}: give a whole number, at least {least}")
        if not 0.4 <= target_accept < 1:
            raise InputError(f"target_accept={target_accept!r}: give a number from 0.4 to below 1")
        if sampler not in ("nutpie", "pymc", "numpyro"):
            raise InputError(f"sampler={sampler!r} is unknown: choose 'nutpie', 'pymc' or 'numpyro'")
        if method not in ("nuts", "laplace", "auto"):
            raise InputError(f"method={method!r} is unknown: choose 'nuts', 'laplace' or 'auto'")
        available = getattr(os, "process_cpu_count", os.cpu_count)() or 1
        cores = available if cores is None else cores
        tune = DEFAULT_TUNE if tune is None else tune
        return cls(draws, tune, chains, cores, target_accept, sampler, method, progressbar)  # type: ignore[arg-type]
