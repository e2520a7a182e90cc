"""What the samplers share that run the PyMC model: its starts, its draws and its statistics, in our coordinates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...posterior import Target
from ...posterior.pymc_model import from_value_variables, model_of, to_value_variables
from ..draws import Draws
from ..settings import Settings

if TYPE_CHECKING:
    import pymc as pm

    from ..starts import Prepared

__all__ = ["ModelNUTS"]

Array = NDArray[np.float64]
_STATS = ("diverging", "energy", "lp", "n_steps", "tree_depth", "step_size", "acceptance_rate")


@dataclass(frozen=True)
class ModelNUTS:
    """A run of NUTS on the PyMC model of a target.

    Attributes
    ----------
    target : Target
    model : pymc.Model
    starts : list of dict
        Initial values of each chain, by value variable.
    seed : int
    settings : Settings
    """

    target: Target
    model: pm.Model
    starts: list[dict[str, Any]]
    seed: int
    settings: Settings

    @classmethod
    def of(cls, prepared: Prepared, settings: Settings) -> ModelNUTS:
        target = prepared.target
        model = model_of(target)
        points = [start.point for start in prepared.dealt(settings.chains)]
        starts = [to_value_variables(model, target.coordinates, point) for point in points]
        return cls(target, model, starts, int(prepared.rng.integers(2**31)), settings)

    def stats(self, tree: Any) -> dict[str, NDArray]:
        """Statistics (chain, draw) under ArviZ's names."""
        return {name: np.asarray(tree["sample_stats"][name].values) for name in _STATS}

    def draws(self, tree: Any, stats: dict[str, NDArray], sampler: str) -> Draws:
        """Draws on the unconstrained scale; the model's density is of the data as given, the target's of those standardised."""
        values = {v.name: tree["posterior"][v.name].values for v in self.model.value_vars}
        unconstrained = from_value_variables(self.model, self.target.coordinates, values)
        shift = self.target.log_jacobian
        own = {**stats, "lp": stats["lp"] - shift, "energy": stats["energy"] + shift}
        whole = unconstrained.shape[:2] == (self.settings.chains, self.settings.draws)
        return Draws(unconstrained, own, sampler, self.settings.tune, not whole)
