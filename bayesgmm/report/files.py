"""The output folder: what is written, and how it is read back.

``report.html``, ``criteria.csv`` (the EM grid), ``comparison.csv`` (the sampled models), ``memberships.csv`` (one row per
row of data), ``posterior-<K>-<structure>.nc`` (draws), and ``analysis.json`` (fits, settings, provenance). A run that
fails leaves the folder as it was: everything is written beside it first and moved in at the end.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..em import EMFit, Grid
from ..em.result import Optimum
from ..mixture import Mixture, structure_named
from ..posterior.convert import log_likelihood_group
from ..tables import InputError, Scaling, Table
from ..uncertainty.memberships import memberships_table
from .findings import Findings

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["SavedAnalysis", "prepare_folder", "read_folder", "write_folder"]

_ANALYSIS = "analysis.json"
_COMPARISON = "comparison.csv"
# Files that an earlier analysis may have left and a new one replaces.
_OURS = ("report.html", "criteria.csv", _COMPARISON, "memberships.csv", _ANALYSIS)


@dataclass(frozen=True)
class SavedAnalysis:
    """What a folder holds, before the steps that follow from it are taken again."""

    table: Table
    grid: Grid
    posteriors: dict[str, xr.DataTree]
    comparison: pd.DataFrame
    provenance: dict[str, Any]


def prepare_folder(folder: Path) -> Path:
    """Make sure that ``folder`` can be written to, before any work is done.

    Raises
    ------
    InputError
        If it cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"cannot write to the folder {str(folder)!r} ({reason}): choose another with -o") from None
    return folder


def _plain(value: Any) -> Any:
    """For json: arrays and NumPy scalars as lists and numbers."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"cannot write {type(value).__name__} as JSON")


def _mixture_to_dict(mixture: Mixture) -> dict[str, Any]:
    return {
        "structure": mixture.structure.name,
        "weights": mixture.weights,
        "means": mixture.means,
        "covariances": mixture.covariances,
    }


def _mixture_from_dict(saved: dict[str, Any]) -> Mixture:
    arrays = (np.asarray(saved[name], dtype=float) for name in ("weights", "means", "covariances"))
    return Mixture(structure_named(saved["structure"]), *arrays)


def _fit_to_dict(fit: EMFit) -> dict[str, Any]:
    """Every field of the fit; nested objects as dictionaries."""
    result = {f.name: getattr(fit, f.name) for f in fields(fit)}
    result["mixture"] = _mixture_to_dict(fit.mixture)
    result["standardised"] = _mixture_to_dict(fit.standardised)
    result["scaling"] = {"location": fit.scaling.location, "scale": fit.scaling.scale}
    result["optima"] = [
        {"log_likelihood": o.log_likelihood, "hits": o.hits, "spurious": o.spurious, **_mixture_to_dict(o.mixture)}
        for o in fit.optima
    ]
    return result


def _fit_from_dict(saved: dict[str, Any]) -> EMFit:
    values = dict(saved)
    for name in ("mixture", "standardised"):
        values[name] = _mixture_from_dict(saved[name])
    values["scaling"] = Scaling(np.asarray(saved["scaling"]["location"]), np.asarray(saved["scaling"]["scale"]))
    values["optima"] = tuple(
        Optimum(o["log_likelihood"], o["hits"], o["spurious"], _mixture_from_dict(o)) for o in saved["optima"]
    )
    for name in ("columns", "collinear"):
        values[name] = tuple(saved[name])
    for name in ("map_counts", "trace"):
        values[name] = np.asarray(saved[name], dtype=float)
    return EMFit(**values)


def _posterior_file(key: str) -> str:
    return f"posterior-{key.replace(' ', '-')}.nc"


def _document(findings: Findings) -> dict[str, Any]:
    return {
        "format": "bayesgmm analysis 1",
        "headline": findings.headline,
        "rivals": findings.rivals,
        "reason": findings.reason,
        "verdicts": {key: d.verdict for key, d in findings.diagnoses.items()},
        "summary": findings.contrast.summary,
        "models": list(findings.posteriors),
        "comparison_attrs": dict(findings.comparison.attrs),
        "provenance": findings.provenance,
        "grid": {
            "fits": [{"cell": cell, **_fit_to_dict(fit)} for cell, fit in findings.grid.fits.items()],
            "failures": [{"cell": cell, "reason": why} for cell, why in findings.grid.failures.items()],
        },
    }


def _write_draws(post: xr.DataTree, path: Path) -> None:
    """Draws without the pointwise log likelihood: it is nine tenths of the file, and `_read_draws` makes it again."""
    import xarray as xr

    kept = {name: node.dataset for name, node in post.children.items() if name != "log_likelihood"}
    tree = xr.DataTree.from_dict({f"/{name}": group for name, group in kept.items()})
    tree.attrs = {**post.attrs, "has_log_likelihood": int("log_likelihood" in post.children)}
    packed = {f"/{n}": {v: {"compression": "gzip", "shuffle": True} for v in g.data_vars} for n, g in kept.items()}
    tree.to_netcdf(path, engine="h5netcdf", encoding=packed)


def _read_draws(path: Path) -> xr.DataTree:
    import xarray as xr

    with xr.open_datatree(path, engine="h5netcdf") as opened:
        tree = opened.load()
    if tree.attrs.pop("has_log_likelihood", 0):
        tree["log_likelihood"] = xr.DataTree(log_likelihood_group(tree))
    return tree


def write_folder(findings: Findings, folder: Path) -> Path:
    """Write everything; the folder's own results are replaced only once all of the new ones exist."""
    from .page import render_report

    prepare_folder(folder)
    # The same file system, so that moving is renaming.
    staging = Path(tempfile.mkdtemp(prefix=".writing-", dir=folder))
    try:
        (staging / "report.html").write_text(render_report(findings), encoding="utf-8")
        findings.grid.table.to_csv(staging / "criteria.csv", index=False)
        findings.comparison.to_csv(staging / _COMPARISON, index_label="model")
        memberships_table(findings.memberships).to_csv(staging / "memberships.csv")
        for key, post in findings.posteriors.items():
            _write_draws(post, staging / _posterior_file(key))
        text = json.dumps(_document(findings), default=_plain, indent=1, allow_nan=True)
        (staging / _ANALYSIS).write_text(text, encoding="utf-8")
        for old in [*(folder / name for name in _OURS), *folder.glob("posterior-*.nc")]:
            old.unlink(missing_ok=True)
        for new in staging.iterdir():
            os.replace(new, folder / new.name)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return folder


def _required(path: Path) -> Path:
    if not path.is_file():
        raise InputError(f"{str(path.parent)!r} is not a saved analysis: it has no {path.name}; write one with save()")
    return path


def read_folder(folder: Path) -> SavedAnalysis:
    """Read what `write_folder` wrote.

    Raises
    ------
    InputError
        If a file is missing or not of this format.
    """
    import pandas as pd

    document = json.loads(_required(folder / _ANALYSIS).read_text(encoding="utf-8"))
    if document.get("format") != "bayesgmm analysis 1":
        raise InputError(f"{str(folder / _ANALYSIS)!r} was not written by this version of bayesgmm: run the report again")
    comparison = pd.read_csv(_required(folder / _COMPARISON), index_col="model")
    comparison.attrs.update(document["comparison_attrs"])
    posteriors = {}
    for key in document["models"]:
        posteriors[key] = _read_draws(_required(folder / _posterior_file(key)))
    fits = {}
    for saved in document["grid"]["fits"]:
        k, name = saved.pop("cell")
        fits[int(k), str(name)] = _fit_from_dict(saved)
    failures = {(int(f["cell"][0]), str(f["cell"][1])): f["reason"] for f in document["grid"]["failures"]}
    observed = next(iter(posteriors.values()))["observed_data"].dataset["x"]
    index = pd.Index(observed["obs_id"].values, name="obs_id")
    columns = tuple(str(c) for c in observed["feature"].values)
    table = Table(np.ascontiguousarray(observed.values), columns, index, document["provenance"]["data"])
    return SavedAnalysis(table, Grid(fits, failures), posteriors, comparison, document["provenance"])
