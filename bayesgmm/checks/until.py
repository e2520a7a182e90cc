"""Sampling until the answer can be believed: NUTS, jumps between the places it has seen, and tempering from the prior.

Each step is taken only where the one before left no good verdict, and costs more. What every step answers for:

    NUTS        slow nowhere, one mode
    jumps       modes that chains or searches have seen, and slow paths between them (`sampling.samplers.jumps`)
    longer NUTS chains that all but agree, in too many dimensions for jumps
    tempering   modes that nobody has seen (`sampling.samplers.tempering`)

Finished models are kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ..em import EMFit, Grid
from ..posterior import Target
from ..sampling import (
    MIN_ESS,
    DrawStore,
    Posterior,
    Prepared,
    Settings,
    fingerprint_of,
    is_settled,
    jump_seconds,
    sample_many,
    seconds_of,
)
from .verdict import Diagnosis, diagnose

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["sampled_until_settled"]

# Tempering is the last resort: core seconds, counted and not timed, that it may take for a model, and what it takes at least.
_TEMPERING_SECONDS, _LEAST_SCANS, _TEMPERATURES = 90.0, 4096, 12
# The same for jumps; their first two rounds, without which there is no verdict, are so many steps.
_JUMP_SECONDS, _LEAST_STEPS = 60.0, 48
# Chains that all but agree need more draws, not another sampler.
_NEAR_R_HAT, _NEAR_ESS = 1.03, 150
# A second run for them: smaller steps, more tuning, so many times the draws; not where the first run was so much work that
# the second would not end in minutes.
_LONGER, _LONGER_TUNE, _LONGER_ACCEPT = 8, 1000, 0.9
# Work: gradients x (rows x components x terms of a component's log density, and something per gradient). Counted, not
# timed, so that what is sampled does not depend on the machine's other work; about a minute of one core.
_MOST_WORK, _WORK_PER_GRADIENT = 5e10, 1e4
_CAREFUL: dict[str, Any] = {"thin": _LONGER, "tune": _LONGER_TUNE, "target_accept": _LONGER_ACCEPT}


def sampled_until_settled(
    wanted: list[Target],
    grid: Grid,
    settings: Settings,
    store: DrawStore | None = None,
    failed: dict[str, str] | None = None,
) -> tuple[dict[str, xr.DataTree], dict[str, Diagnosis], tuple[str, ...]]:
    """Sample every model by NUTS; where the verdict is not good, escalate.

    Chains that do not agree go on by jumps, if that can end within a minute of a core; chains that then all but agree run once
    more, more carefully and with eight times the draws, thinned to the draws asked for. What still has no good verdict is
    tempered from the prior, if that can end within some ninety seconds of a core. What a step brings is kept if its verdict is
    good; otherwise a model keeps its chains and their verdict. Nothing is tried where so few draws are asked for that
    no verdict on them could be good.

    Parameters
    ----------
    wanted : list of Target
    grid : Grid
        Where chains start.
    settings : Settings
        Of the first run. Of those that change numbers, ``draws``, ``chains`` and ``random_seed`` are the caller's.
    store : DrawStore, optional
        Where models are kept as soon as they are done, and looked for first.
    failed : dict of Target.key to str, optional
        As in `sample_many`: models noted here are in neither result.

    Returns
    -------
    posteriors, diagnoses : dict of Target.key to DataTree, Diagnosis
    reused : tuple of str
        Keys of the models that were found in the store.

    Raises
    ------
    KeyboardInterrupt
        After an interrupt. Models that were done are in the store.
    """
    em = {p.key: grid.fits[p.n_components, p.structure.name] for p in wanted}
    steps = _Steps(settings, em, DrawStore() if store is None else store, {} if failed is None else failed)
    missing = [p for p in wanted if not steps.find(p)]
    found = tuple(steps.posteriors)
    steps.first(missing)
    steps.jump(missing)
    steps.longer(missing)
    steps.temper(missing)
    steps.keep(missing)
    for key in steps.failed:
        # A longer run that collapsed says of the shorter one that it had not seen the collapse yet.
        steps.posteriors.pop(key, None)
    keys = [p.key for p in wanted if p.key in steps.posteriors]
    return {k: steps.posteriors[k] for k in keys}, {k: steps.diagnoses[k] for k in keys}, found


@dataclass
class _Steps:
    """The steps, and how far each model has come."""

    settings: Settings
    em: dict[str, EMFit]
    store: DrawStore
    failed: dict[str, str]
    posteriors: dict[str, xr.DataTree] = field(default_factory=dict)
    diagnoses: dict[str, Diagnosis] = field(default_factory=dict)
    prepared: dict[str, Prepared] = field(default_factory=dict)

    def _asked(self, target: Target) -> str:
        decisive = {name: getattr(self.settings, name) for name in ("draws", "chains", "random_seed")}
        limits = {"most_work": _MOST_WORK, "tempering": _TEMPERING_SECONDS, "jumps": _JUMP_SECONDS}
        return fingerprint_of(target, self.em[target.key], **decisive, **_CAREFUL, **limits)

    def find(self, target: Target) -> bool:
        """Whether the store has a model."""
        tree = self.store.find(target.key, self._asked(target))
        if tree is not None:
            self.posteriors[target.key], self.diagnoses[target.key] = tree, diagnose(tree)
        return tree is not None

    def first(self, targets: list[Target]) -> None:
        """NUTS; what it brings is kept whatever the verdict."""
        self._sample(targets, self.settings, any_verdict=True)

    def jump(self, targets: list[Target]) -> None:
        """Go on by jumps where chains do not agree."""
        slow = [p for p in self._hopeful(targets) if _may_jump(p, self.diagnoses[p.key], self.settings)]
        before = dict(self.prepared)
        for p in slow:
            view = Posterior.read(self.posteriors[p.key])
            draws = view.unconstrained.reshape(view.n_chains, view.n_draws, -1)
            self.prepared[p.key] = replace(before[p.key], draws=draws)
        self._sample(slow, replace(self.settings, sampler="jumps", jump_seconds=_JUMP_SECONDS))
        self.prepared = before

    def longer(self, targets: list[Target]) -> None:
        """A longer run of NUTS where chains all but agree."""
        near = [p for p in self._hopeful(targets) if _nearly_settled(self.diagnoses[p.key], self.posteriors[p.key])]
        settings = replace(self.settings, draws=_LONGER * self.settings.draws, **_CAREFUL)
        self._sample(near, settings, any_verdict=True)

    def temper(self, targets: list[Target]) -> None:
        """Temper from the prior."""
        last = [p for p in self._hopeful(targets) if _may_be_tempered(p, self.diagnoses[p.key], self.settings)]
        self._sample(last, replace(self.settings, sampler="tempering", tempering_seconds=_TEMPERING_SECONDS))

    def keep(self, targets: list[Target]) -> None:
        """Keep what has no good verdict too: a later call need not try it all again."""
        for p in self._bad(targets):
            self.store.keep(p.key, self.posteriors[p.key], self._asked(p))

    def _bad(self, targets: list[Target]) -> list[Target]:
        known = [p for p in targets if p.key in self.diagnoses and p.key not in self.failed]
        return [p for p in known if not self.diagnoses[p.key].ok]

    def _hopeful(self, targets: list[Target]) -> list[Target]:
        """Models without a good verdict that more work could get one: fewer draws than it asks for never do."""
        return self._bad(targets) if self.settings.draws * self.settings.chains > MIN_ESS else []

    def _sample(self, targets: list[Target], settings: Settings, any_verdict: bool = False) -> None:
        asked = {p.key: self._asked(p) for p in targets}

        def judged(key: str, tree: xr.DataTree) -> None:
            diagnosis = diagnose(tree)
            if any_verdict or diagnosis.ok:
                self.posteriors[key], self.diagnoses[key] = tree, diagnosis
            if diagnosis.ok:
                self.store.keep(key, tree, asked[key])

        if targets:
            sample_many(
                targets, settings, em=self.em, finished=judged, failed=self.failed, prepared=self.prepared
            )  # fmt: skip


def _may_jump(target: Target, diagnosis: Diagnosis, settings: Settings) -> bool:
    """Whether jumps can help, and two rounds of them end within their time."""
    if diagnosis.verdict == "degenerate" or is_settled(diagnosis.table):
        return False
    return jump_seconds(target, _LEAST_STEPS, settings.chains) < _JUMP_SECONDS


def _may_be_tempered(target: Target, diagnosis: Diagnosis, settings: Settings) -> bool:
    """Whether tempering can help, knows such rows, and has a chance to end within its time."""
    if diagnosis.verdict == "degenerate" or target.design.groups is not None:
        return False
    return seconds_of(target, _LEAST_SCANS, _TEMPERATURES, settings.chains) < _TEMPERING_SECONDS


def _nearly_settled(diagnosis: Diagnosis, tree: xr.DataTree) -> bool:
    """Whether a longer run may settle the chains, in minutes."""
    if diagnosis.verdict != "not converged" or "n_steps" not in tree["sample_stats"]:
        return False
    table = diagnosis.table
    if table["r_hat"].max() > _NEAR_R_HAT or table[["ess_bulk", "ess_tail"]].min(axis=None) < _NEAR_ESS:
        return False
    n, d = tree["observed_data"].dataset["x"].shape
    terms = 1 + d + d * (d + 1) / 2
    gradients = float(tree["sample_stats"].dataset["n_steps"].sum())
    return gradients * (n * tree.attrs["n_components"] * terms + _WORK_PER_GRADIENT) < _MOST_WORK
