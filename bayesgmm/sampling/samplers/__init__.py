"""One file per sampler, and one call for all: ``sample(models, settings, conclude)``.

A new sampler is a file here and its line in `SAMPLERS`. `one_by_one` serves those that take one model at a time, `model_nuts`
those that run the PyMC model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..draws import Draws
    from ..settings import Settings
    from ..starts import Prepared

__all__ = ["SAMPLERS", "Conclude", "Sampler", "one_by_one", "sampler_named"]

# Takes the key of a model and its draws, as soon as they are whole; after an interrupt, what there is of them.
Conclude = Callable[[str, "Draws"], None]
# Of models by key, with their starts and their source of random numbers.
Sampler = Callable[[Mapping[str, "Prepared"], "Settings", Conclude], None]

# Name that users give to module and function; modules are imported when first wanted.
SAMPLERS = {
    "nutpie": ("nuts", "sample_with_nutpie"),
    "pymc": ("pymc_nuts", "sample_with_pymc"),
    "numpyro": ("numpyro_nuts", "sample_with_numpyro"),
    "jumps": ("jumps", "sample_by_jumps"),
    "tempering": ("tempering", "sample_by_tempering"),
}


def sampler_named(name: str) -> Sampler:
    """The sampler of a name in `SAMPLERS`."""
    module, function = SAMPLERS[name]
    sampler: Sampler = getattr(import_module(module if "." in module else f".{module}", __name__), function)
    return sampler


def one_by_one(sample: Callable[[Prepared, Settings], Draws]) -> Sampler:
    """The common call, from a function that samples one model."""

    def sample_each(models: Mapping[str, Prepared], settings: Settings, conclude: Conclude) -> None:
        for key, model in models.items():
            conclude(key, sample(model, settings))

    sample_each.__doc__ = sample.__doc__
    return sample_each
