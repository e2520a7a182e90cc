"""What every sampler returns."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Draws"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Draws:
    """Draws on the unconstrained scale, whatever made them.

    Attributes
    ----------
    unconstrained : (chain, draw, P)
        In the order of `coordinates.Coordinates`.
    stats : dict of str to (chain, draw)
        Sampler statistics under ArviZ's names.
    sampler : str
    tune : int
        Adaptation steps before the first draw.
    interrupted : bool
        Whether sampling was stopped before the draws asked for.
    attrs : dict
        What the sampler says of the whole run, such as the log evidence of the standardised data.
    """

    unconstrained: Array
    stats: dict[str, NDArray]
    sampler: str
    tune: int
    interrupted: bool = False
    attrs: dict[str, Any] = field(default_factory=dict)

    def thinned(self, step: int) -> Draws:
        """Every ``step``-th draw of each chain."""
        if step == 1:
            return self
        stats = {name: values[:, ::step] for name, values in self.stats.items()}
        return replace(self, unconstrained=self.unconstrained[:, ::step], stats=stats)
