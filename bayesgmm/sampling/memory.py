"""What a posterior will take of memory, said before it is taken.

With P parameters, K components, D features and S draws: P x P matrices for the curvature at a mode, its factor and what finding
them needs; the draws on the unconstrained scale; and dense covariances (S, K, D, D), with the copies that aligning the labels
and the result make.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..data import refuse_if_too_large
from ..posterior import Target
from .settings import Settings

__all__ = ["memory_needed", "refuse_beyond_memory"]

_CURVATURES, _UNCONSTRAINED, _DENSE = 4, 3, 4
_FEWER = "use fewer columns, components or draws"


def memory_needed(n_parameters: int, n_components: int, n_features: int, n_draws: int) -> float:
    """Bytes."""
    dense = n_components * n_features**2
    return 8.0 * (_CURVATURES * n_parameters**2 + n_draws * (_UNCONSTRAINED * n_parameters + _DENSE * dense))


def refuse_beyond_memory(targets: Iterable[Target], settings: Settings) -> None:
    """Refuse models that would not fit, before anything is sampled.

    Raises
    ------
    InputError
        Naming the model, what it needs, and the remedy.
    """
    for target in targets:
        k, d = target.n_components, target.table.n_features
        p = target.structure.n_parameters(k, d)
        narrower = "" if d == 1 or not target.structure.contains else "use the structure 'diag' or 'spherical', or "
        kept = settings.chains * max(settings.draws, settings.tune)
        refuse_if_too_large(
            memory_needed(p, k, d, kept),
            f"the posterior of {target.key!r} ({p:,} parameters, {settings.chains} chains of {settings.draws:,} draws)",
            narrower + (_FEWER if not narrower else _FEWER.removeprefix("use ")),
        )
