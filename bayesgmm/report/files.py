"""The output folder: what is written, and how it is read back.

``report.html``, ``criteria.csv`` (the EM grid), ``comparison.csv`` (the sampled models), ``memberships.csv`` (one row per
row of data), ``posterior-<K>-<structure>.nc`` (draws), and ``analysis.json`` (fits, settings, provenance). A run that
fails leaves these as they were: everything is written beside them first and moved in at the end, ``analysis.json`` last,
so that what can be read is always of one run. Until then models that are done wait in ``.sampled/``, for a run that was
interrupted to go on from.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..clusters.memberships import memberships_table
from ..data import InputError, Scaling, Table
from ..em import EMFit, Grid
from ..em.result import Optimum
from ..mixture import Mixture, structure_named
from ..sampling.store import DrawStore, draws_file, read_draws, write_draws
from .findings import Findings

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["SavedAnalysis", "draw_store", "prepare_folder", "read_folder", "reserved", "write_folder"]

_ANALYSIS = "analysis.json"
_COMPARISON = "comparison.csv"
# Files that an earlier analysis may have left and a new one replaces.
_OURS = (_ANALYSIS, "report.html", "criteria.csv", _COMPARISON, "memberships.csv")
_SAMPLED, _STAGING = ".sampled", ".writing-"


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


@contextmanager
def reserved(folder: Path) -> Iterator[Path]:
    """A folder for this process alone, made if need be; what a killed run was writing is cleared away.

    Raises
    ------
    InputError
        If it cannot be written to, or another process has reserved it.
    """
    prepare_folder(folder)
    with _locked(folder):
        for leftover in folder.glob(f"{_STAGING}*"):
            shutil.rmtree(leftover, ignore_errors=True)
        yield folder


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """A lock that ends with the process, however that ends. Where the system has none, nothing is locked."""
    try:
        import fcntl
    except ImportError:  # pragma: no cover
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise InputError(
            f"another run is writing to the folder {str(folder)!r}: wait for its end or choose another with -o"
        ) from None
    except OSError:  # a file system without locks
        pass
    try:
        yield
    finally:
        with suppress(OSError):
            os.close(handle)


def draw_store(folder: Path, fresh: bool = False) -> DrawStore:
    """Where models of a report into ``folder`` are kept, and found: those of an interrupted run, and of the report there.

    With ``fresh`` what an interrupted run left is deleted, and nothing is found.
    """
    if fresh:
        shutil.rmtree(folder / _SAMPLED, ignore_errors=True)
    return DrawStore(folder / _SAMPLED, () if fresh else (folder,))


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
            "aliases": [{"cell": cell, "is": own} for cell, own in findings.grid.aliases.items()],
        },
    }


def write_folder(findings: Findings, folder: Path) -> Path:
    """Write everything; the folder's own results are replaced only once all of the new ones exist."""
    from .page import render_report

    prepare_folder(folder)
    # The same file system, so that moving is renaming.
    staging = Path(tempfile.mkdtemp(prefix=_STAGING, dir=folder))
    try:
        (staging / "report.html").write_text(render_report(findings), encoding="utf-8")
        findings.grid.table.to_csv(staging / "criteria.csv", index=False)
        findings.comparison.to_csv(staging / _COMPARISON, index_label="model")
        memberships_table(findings.memberships).to_csv(staging / "memberships.csv")
        for key, post in findings.posteriors.items():
            write_draws(post, staging / draws_file(key))
        text = json.dumps(_document(findings), default=_plain, indent=1, allow_nan=True)
        (staging / _ANALYSIS).write_text(text, encoding="utf-8")
        for old in [*(folder / name for name in _OURS), *folder.glob("posterior-*.nc")]:
            old.unlink(missing_ok=True)
        for new in sorted(staging.iterdir(), key=lambda path: path.name == _ANALYSIS):
            os.replace(new, folder / new.name)
        shutil.rmtree(folder / _SAMPLED, ignore_errors=True)
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
        If a file is missing, damaged or not of this format.
    """
    import pandas as pd

    try:
        document = json.loads(_required(folder / _ANALYSIS).read_text(encoding="utf-8"))
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{str(folder / _ANALYSIS)!r} is damaged: run the report again") from None
    if document.get("format") != "bayesgmm analysis 1":
        raise InputError(
            f"{str(folder / _ANALYSIS)!r} was not written by this version of bayesgmm: run the report again"
        )
    comparison = pd.read_csv(_required(folder / _COMPARISON), index_col="model")
    comparison.attrs.update(document["comparison_attrs"])
    posteriors = {}
    for key in document["models"]:
        posteriors[key] = read_draws(_required(folder / draws_file(key)))
    fits = {}
    for saved in document["grid"]["fits"]:
        k, name = saved.pop("cell")
        fits[int(k), str(name)] = _fit_from_dict(saved)
    failures = {(int(f["cell"][0]), str(f["cell"][1])): f["reason"] for f in document["grid"]["failures"]}
    aliases = {tuple(a["cell"]): tuple(a["is"]) for a in document["grid"].get("aliases", [])}
    observed = next(iter(posteriors.values()))["observed_data"].dataset["x"]
    index = pd.Index(observed["obs_id"].values, name="obs_id")
    columns = tuple(str(c) for c in observed["feature"].values)
    table = Table(np.ascontiguousarray(observed.values), columns, index, document["provenance"]["data"])
    return SavedAnalysis(table, Grid(fits, failures, aliases), posteriors, comparison, document["provenance"])
