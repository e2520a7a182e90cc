"""nutpie's NUTS on the fused log density: the chains of all models in one sweep, which shares the cores."""

from __future__ import annotations

from collections.abc import Mapping

from ..settings import Settings
from ..starts import Prepared
from . import Conclude
from .chains import Chain, gather, run_chains

__all__ = ["sample_with_nutpie"]


def sample_with_nutpie(models: Mapping[str, Prepared], settings: Settings, conclude: Conclude) -> None:
    """Run every chain of every model, and conclude each model as soon as its own have run to their end.

    Raises
    ------
    KeyboardInterrupt
        If interrupted before a model had any draws.
    """
    s, waiting = settings, {}
    for key, prepared in models.items():
        dealt = prepared.dealt(s.chains)
        waiting[key] = [Chain(prepared.target, at, s.draws, s.tune, s.target_accept, key) for at in dealt]
    concluded: set[str] = set()

    def whole(key: str, done: list) -> None:
        concluded.add(key)
        conclude(key, gather(done, s.tune, False))

    every = [chain for own in waiting.values() for chain in own]
    results, interrupted = run_chains(every, s.n_cores, s.progressbar, whole)
    for i, key in enumerate(waiting):
        if key not in concluded:
            conclude(key, gather(results[i * s.chains : (i + 1) * s.chains], s.tune, interrupted))
