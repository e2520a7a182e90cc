"""How to sample: the options of `sample_posterior` and their defaults, checked where they are put together."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from ..data import InputError
from .samplers import SAMPLERS

__all__ = ["Method", "Settings"]

Method = Literal["nuts", "laplace", "auto"]
_LEAST = {"draws": 4, "tune": 20, "chains": 1, "cores": 1, "thin": 1}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How to sample; the meaning of each is told in `sample_posterior`, which takes its defaults from here.

    Attributes
    ----------
    thin : int
        Keep every so many-th draw.
    tempering_seconds, jump_seconds : float
        When tempering and jumps give up: work of one core, counted and not timed, so that what is sampled does not depend on
        the machine's other work.

    Raises
    ------
    InputError
        Naming the setting that cannot be used.
    """

    draws: int = 1000
    tune: int = 300
    chains: int = 4
    cores: int | None = None
    random_seed: int | None = None
    target_accept: float = 0.8
    progressbar: bool = True
    sampler: str = "nutpie"
    method: Method = "nuts"
    log_likelihood: bool | None = None
    predictive: bool = False
    thin: int = 1
    tempering_seconds: float = 600.0
    jump_seconds: float = 60.0

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if not (name == "cores" and value is None) and (not isinstance(value, int | np.integer) or value < least):
                raise InputError(f"{name}={value!r}: give a whole number, at least {least}")
        if not 0.4 <= self.target_accept < 1:
            raise InputError(f"target_accept={self.target_accept!r}: give a number from 0.4 to below 1")
        for name, known in (("sampler", tuple(SAMPLERS)), ("method", get_args(Method))):
            if getattr(self, name) not in known:
                choices = f"{', '.join(map(repr, known[:-1]))} or {known[-1]!r}"
                raise InputError(f"{name}={getattr(self, name)!r} is unknown: choose {choices}")

    @property
    def n_cores(self) -> int:
        """Chains to run at once."""
        return self.cores or getattr(os, "process_cpu_count", os.cpu_count)() or 1
