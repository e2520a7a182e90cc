"""`sample_many`: several models in one sweep, which share the cores and one compilation."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..data import InputError
from ..em import EMFit
from ..mixture import align_labels, responsibilities
from ..posterior import Target
from .draws import Draws
from .memory import refuse_beyond_memory
from .predictive import posterior_predictive, prior_predictive
from .samplers import sampler_named
from .samplers.laplace import sample_by_laplace
from .schema import to_datatree
from .settings import Settings
from .starts import Prepared, prepare

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["sample_many"]

Finished = Callable[[str, "xr.DataTree"], None]
# Draws of a Laplace approximation with a Pareto k beyond this are not returned by method="auto".
PARETO_K_LIMIT = 0.7


def sample_many(
    targets: Sequence[Target],
    settings: Settings | None = None,
    *,
    em: Mapping[str, EMFit] | None = None,
    finished: Finished | None = None,
    failed: dict[str, str] | None = None,
    prepared: dict[str, Prepared] | None = None,
) -> dict[str, xr.DataTree]:
    """Sample several models, sharing the cores and one compilation among all their chains.

    Parameters
    ----------
    targets : sequence of Target
    settings : Settings, optional
        Of all models. Each model's numbers depend on ``random_seed`` and its own key alone, not on its company.
    em : mapping of Target.key to EMFit, optional
        Fits to start from; fitted here where absent.
    finished : function of Target.key and DataTree, optional
        Called with each model as soon as all its chains have run to their end, while others still run. After an interrupt
        there is then nothing but what it was called with: KeyboardInterrupt is raised.
    failed : dict of Target.key to str, optional
        Where models are noted, with the reason, whose draws have collapsed: components without a volume.
    prepared : dict of Target.key to Prepared, optional
        Modes that were found before; those found here are added.

    Returns
    -------
    dict of Target.key to DataTree

    Raises
    ------
    InputError
        If draws have collapsed and there is no ``failed`` to note it in.
    """
    settings = Settings() if settings is None else settings
    refuse_beyond_memory(targets, settings)
    sweep = _Sweep(settings, finished, failed, {} if prepared is None else prepared)
    for target in targets:
        sweep.add(target, (em or {}).get(target.key))
    sweep.run()
    return {target.key: sweep.trees[target.key] for target in targets if target.key in sweep.trees}


class _Sweep:
    """Models on their way: prepared, waiting for the sampler, their draws aligned."""

    def __init__(
        self,
        settings: Settings,
        finished: Finished | None,
        failed: dict[str, str] | None,
        prepared: dict[str, Prepared],
    ) -> None:
        self.settings, self.finished, self.failed = settings, finished, failed
        seed = settings.random_seed
        self.seed = int(np.random.default_rng().integers(2**63) if seed is None else seed)
        self.begun = time.perf_counter()
        self.prepared = prepared
        self.waiting: dict[str, Prepared] = {}
        self.k_hat: dict[str, float] = {}
        self.trees: dict[str, xr.DataTree] = {}

    def add(self, target: Target, em: EMFit | None) -> None:
        """Find a model's modes, and let it wait for the sampler where its Laplace approximation does not do."""
        settings, key = self.settings, target.key
        words = [self.seed & (2**64 - 1), target.n_components, *target.structure.name.encode()]
        if key not in self.prepared:
            self.prepared[key] = prepare(target, em, np.random.default_rng(words))
        prepared = self.prepared[key]
        if settings.method != "nuts":
            drawn = sample_by_laplace(prepared, settings)
            self.k_hat[key] = drawn.attrs["pareto_k"]
            if settings.method == "laplace" or self.k_hat[key] < PARETO_K_LIMIT:
                self.conclude(key, drawn)
                return
        self.waiting[key] = prepared

    def run(self) -> None:
        """Sample the models that wait, all together.

        Raises
        ------
        KeyboardInterrupt
            After an interrupt, if whole models were asked for.
        """
        sampler_named(self.settings.sampler)(self.waiting, self.settings, self._sampled)

    def _sampled(self, key: str, drawn: Draws) -> None:
        if drawn.interrupted and self.finished is not None:
            raise KeyboardInterrupt
        self.conclude(key, drawn.thinned(self.settings.thin))

    def _refuse(self, key: str) -> None:
        """Covariances that are singular to the last digit: likelihood without bound, which the prior does not outweigh."""
        reason = (
            f"the draws of {key} have collapsed, a component has no volume: look for repeated rows, use fewer components, a "
            "narrower structure, or a scale prior that keeps further away from zero"
        )
        if self.failed is None:
            raise InputError(reason) from None
        self.failed[key] = reason

    def conclude(self, key: str, drawn: Draws) -> None:
        """Align a model's draws and hand it over."""
        attrs: dict[str, Any] = {
            "seed": str(self.seed),
            "target_accept": self.settings.target_accept,
            "thin": self.settings.thin,
            "sampling_time": time.perf_counter() - self.begun,
        }
        if key in self.k_hat:
            attrs["pareto_k"] = self.k_hat[key]
        try:
            tree = _aligned_tree(self.prepared[key], drawn, attrs, self.settings.log_likelihood)
            if self.settings.predictive:
                _add_predictive(tree, self.prepared[key].target, self.seed)
        except np.linalg.LinAlgError:
            self._refuse(key)
            return
        if self.finished is not None:
            self.finished(key, tree)
        self.trees[key] = tree


def _aligned_tree(prepared: Prepared, drawn: Draws, attrs: dict[str, Any], log_likelihood: bool | None) -> xr.DataTree:
    target, c = prepared.target, prepared.target.coordinates
    flat = drawn.unconstrained.reshape(-1, drawn.unconstrained.shape[-1])
    standard = c.mixture(flat)
    values = target.scaling.rows(target.table.values)
    # The pivot is the mode, whose labels are EM's; where EM has emptied a component the mode still has it.
    order = prepared.em.canonical_order()
    pivot = prepared.em.reordered(order).standardised(target.scaling).rounded()
    if target.table.n_obs and not np.all(np.isfinite(responsibilities(pivot, values[:1])[0])):
        pivot = c.mixture(prepared.modes[0].point)
    alignment = align_labels(standard, values, pivot)
    attrs = {
        **attrs,
        "sampler": drawn.sampler,
        "tune": drawn.tune,
        "interrupted": int(drawn.interrupted),
        "n_modes": len(prepared.modes),
        "mode_log_density": np.array([m.value for m in prepared.modes]),
        "mode_searches": np.array(prepared.found_by),
        "n_searches": prepared.n_searches,
        **({"unseen": prepared.unseen} if np.isfinite(prepared.unseen) else {}),
        "relabelled_share": float(alignment.moved.mean()),
        "relabelling_ambiguity": alignment.ambiguity,
        "relabelling_agreement_with_ecr": alignment.agreement,
        **drawn.attrs,
    }
    return to_datatree(
        drawn.unconstrained,
        _stats_of_data_as_given(drawn, target),
        table=target.table,
        scaling=target.scaling,
        coordinates=c,
        priors=target.priors,
        order=alignment.order,
        moved=alignment.moved,
        em=prepared.em.reordered(order),
        attrs=attrs,
        log_likelihood=log_likelihood,
        sample_weight=target.sample_weight,
    )


def _stats_of_data_as_given(drawn: Draws, target: Target) -> dict[str, NDArray]:
    """Sampler statistics with the log density of the data as given, as PyMC's own model has it."""
    shift = target.log_jacobian
    signs = {"lp": 1.0, "energy": -1.0}
    return {name: value + signs[name] * shift if name in signs else value for name, value in drawn.stats.items()}


def _add_predictive(tree: xr.DataTree, target: Target, seed: int) -> None:
    import xarray as xr

    groups = {"posterior_predictive": posterior_predictive(tree, seed), **prior_predictive(target, random_seed=seed)}
    for name, group in groups.items():
        tree[name] = xr.DataTree(group)
