"""Sampling until the answer can be believed: NUTS, a longer run where that nearly did, tempering where it did not.

Finished models are kept.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..em import Grid
from ..posterior import Target
from ..sampling import DrawStore, Settings, fingerprint_of, sample_many, seconds_of
from .verdict import Diagnosis, diagnose

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["sampled_until_settled"]

# Tempering is the last resort: core seconds, counted and not timed, that it may take for a model, and what it takes at least.
_TEMPERING_SECONDS, _LEAST_SCANS, _TEMPERATURES = 90.0, 4096, 12
# Chains that all but agree need more draws, not another sampler.
_NEAR_R_HAT, _NEAR_ESS = 1.03, 150
# A second run for chains that have not settled: smaller steps, more tuning, so many times the draws; not where the first
# run was so much work that the second would not end in minutes.
_LONGER, _LONGER_TUNE, _LONGER_ACCEPT = 8, 1000, 0.9
# Work: gradients x (rows x components x terms of a component's log density, and something per gradient). Counted, not
# timed, so that what is sampled does not depend on the machine's other work; about a minute of one core.
_MOST_WORK, _WORK_PER_GRADIENT = 5e10, 1e4


def sampled_until_settled(
    wanted: list[Target],
    grid: Grid,
    settings: Settings,
    store: DrawStore | None = None,
    failed: dict[str, str] | None = None,
) -> tuple[dict[str, xr.DataTree], dict[str, Diagnosis], tuple[str, ...]]:
    """Sample every model by NUTS; where the verdict is not good, escalate.

    Chains that all but agree run once more, more carefully and with eight times the draws, thinned to the draws asked for.
    What then still has no good verdict is tempered from the prior, if that can end within some ninety seconds of a core.
    The tempered draws are kept if their verdict is good; otherwise a model keeps its chains and their verdict.

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
    store = DrawStore() if store is None else store
    em = {p.key: grid.fits[p.n_components, p.structure.name] for p in wanted}
    decisive = {name: getattr(settings, name) for name in ("draws", "chains", "random_seed")}
    longer: dict[str, Any] = {"thin": _LONGER, "tune": _LONGER_TUNE, "target_accept": _LONGER_ACCEPT}
    asked = {
        p.key: fingerprint_of(p, em[p.key], **decisive, **longer, most_work=_MOST_WORK, tempering=_TEMPERING_SECONDS)
        for p in wanted
    }
    found = {key: tree for key, value in asked.items() if (tree := store.find(key, value)) is not None}
    diagnoses = {key: diagnose(tree) for key, tree in found.items()}
    posteriors = dict(found)

    def judged(key: str, tree: xr.DataTree) -> None:
        diagnoses[key], posteriors[key] = diagnose(tree), tree
        if diagnoses[key].ok:
            store.keep(key, tree, asked[key])

    def tempered(key: str, tree: xr.DataTree) -> None:
        diagnosis = diagnose(tree)
        if diagnosis.ok:
            diagnoses[key], posteriors[key] = diagnosis, tree
        store.keep(key, posteriors[key], asked[key])

    missing = [p for p in wanted if p.key not in found]
    if missing:
        sample_many(missing, settings, em=em, finished=judged, failed=failed)
    sampled = [p for p in missing if p.key in diagnoses]
    again = [p for p in sampled if _nearly_settled(diagnoses[p.key], posteriors[p.key])]
    if again:
        more = replace(settings, draws=_LONGER * settings.draws, **longer)
        sample_many(again, more, em=em, finished=judged, failed=failed)
    bad = [p for p in sampled if not diagnoses[p.key].ok and p.key not in (failed or ())]
    last = [p for p in bad if diagnoses[p.key].verdict != "degenerate" and _can_be_tempered(p, settings)]
    if last:
        how = replace(settings, sampler="tempering", tempering_seconds=_TEMPERING_SECONDS)
        sample_many(last, how, em=em, finished=tempered, failed=failed)
    for p in bad:
        if p not in last:
            store.keep(p.key, posteriors[p.key], asked[p.key])
    for key in failed or ():
        # A longer run that collapsed says of the shorter one that it had not seen the collapse yet.
        posteriors.pop(key, None)
    keys = [p.key for p in wanted if p.key in posteriors]
    return {k: posteriors[k] for k in keys}, {k: diagnoses[k] for k in keys}, tuple(found)


def _can_be_tempered(target: Target, settings: Settings) -> bool:
    """Whether tempering has a chance to end within its time."""
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
