"""Sampling until chains have settled: a second, longer run where the first does not do; finished models are kept."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..em import Grid
from ..posterior.target import Target
from ..sampling.settings import Settings
from ..sampling.store import DrawStore, fingerprint_of
from ..sampling.sweep import sample_many
from .verdict import Diagnosis, diagnose

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["sampled_until_settled"]

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
    """Sample every model; those whose chains have not settled once more, more carefully and with eight times the draws.

    The longer run is thinned to the draws asked for; a model that still has not settled keeps its verdict.

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
    asked = {p.key: fingerprint_of(p, em[p.key], **decisive, **longer, most_work=_MOST_WORK) for p in wanted}
    found = {key: tree for key, value in asked.items() if (tree := store.find(key, value)) is not None}
    diagnoses = {key: diagnose(tree) for key, tree in found.items()}
    posteriors = dict(found)

    def first(key: str, tree: xr.DataTree) -> None:
        diagnoses[key], posteriors[key] = diagnose(tree), tree
        if not _worth_more(diagnoses[key], tree):
            store.keep(key, tree, asked[key])

    def second(key: str, tree: xr.DataTree) -> None:
        diagnoses[key], posteriors[key] = diagnose(tree), tree
        store.keep(key, tree, asked[key])

    missing = [p for p in wanted if p.key not in found]
    if missing:
        sample_many(missing, settings, em=em, finished=first, failed=failed)
    again = [p for p in missing if p.key in diagnoses and _worth_more(diagnoses[p.key], posteriors[p.key])]
    if again:
        sample_many(
            again, replace(settings, draws=_LONGER * settings.draws, **longer), em=em, finished=second, failed=failed
        )
    for key in failed or ():
        # A longer run that collapsed says of the shorter one that it had not seen the collapse yet.
        posteriors.pop(key, None)
    keys = [p.key for p in wanted if p.key in posteriors]
    return {k: posteriors[k] for k in keys}, {k: diagnoses[k] for k in keys}, tuple(found)


def _worth_more(diagnosis: Diagnosis, tree: xr.DataTree) -> bool:
    """Whether a longer run may settle the chains, in minutes."""
    if diagnosis.verdict != "not converged":
        return False
    n, d = tree["observed_data"].dataset["x"].shape
    terms = 1 + d + d * (d + 1) / 2
    gradients = float(tree["sample_stats"].dataset["n_steps"].sum())
    return gradients * (n * tree.attrs["n_components"] * terms + _WORK_PER_GRADIENT) < _MOST_WORK
