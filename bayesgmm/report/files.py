"""The output folder: what is written, and how it is read back.

``report.html``, ``criteria.csv`` (the EM grid), ``comparison.csv`` (the sampled models), ``sensitivity.csv`` (other priors),
``memberships.csv`` (one row per row of data), ``posterior-<K>-<structure>.nc`` (draws), and ``analysis.json`` (fits, settings,
provenance, digests of the files it goes with). A run that fails or is killed leaves these as they were: see `swap`. Until then
models that are done wait in ``.sampled/``, for a run that was interrupted to go on from.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..clusters import memberships_table
from ..data import InputError, Table, digest_of, disk_trouble, framed, inert
from ..em import Grid, fit_from_plain, fit_to_plain, json_digest, plain_value
from ..sampling import DrawStore, draws_file, is_kept, read_draws, write_draws
from ..selection import is_assessment
from .findings import Findings
from .sections.sensitivity import sensitivity_frame
from .swap import ANALYSIS, STAGING, check_room, finish, staged

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = [
    "SavedAnalysis",
    "draw_store",
    "member_rows",
    "prepare_file",
    "prepare_folder",
    "read_folder",
    "reserved",
    "write_folder",
]

_COMPARISON, _MEMBERSHIPS, _HOLDOUT = "comparison.csv", "memberships.csv", "holdout.csv"
_SENSITIVITY = "sensitivity.csv"
_SAMPLED = ".sampled"
_FORMAT = "bayesgmm analysis 2"
# The first had no digests.
_READABLE = ("bayesgmm analysis 1", _FORMAT)


@dataclass(frozen=True)
class SavedAnalysis:
    """What a folder holds, before the steps that follow from it are taken again."""

    table: Table
    grid: Grid
    posteriors: dict[str, xr.DataTree]
    comparison: pd.DataFrame
    provenance: dict[str, Any]
    holdout: Table | None
    headline: str
    names: tuple[str, ...]


def prepare_folder(folder: Path) -> Path:
    """Make sure that ``folder`` can be written to, and that nobody's files are in the way, before any work is done.

    Raises
    ------
    InputError
        If it cannot be made or written to, or holds what a report would overwrite and did not write.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        shown = str(folder) if len(str(folder)) <= 160 else f"{str(folder)[:120]}..."
        raise InputError(f"cannot write to the folder {shown!r} ({reason}): choose another with -o") from None
    sampled = folder / _SAMPLED
    if sampled.exists() and not sampled.is_dir():
        raise InputError(f"{str(sampled)!r} is in the way and no folder: move it, or choose another folder with -o")
    check_room(folder)
    return folder


def prepare_file(path: Path) -> Path:
    """Make sure that a file can be written, before any work is done.

    Raises
    ------
    InputError
    """
    with disk_trouble(path):
        path.absolute().parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise InputError(f"{str(path)!r} is a folder: name a file in it with -o")
        with tempfile.TemporaryFile(dir=path.absolute().parent):
            pass
    return path


@contextmanager
def reserved(folder: Path) -> Iterator[Path]:
    """A folder for this process alone, made if need be; what a killed run was writing is completed or cleared away.

    Raises
    ------
    InputError
        If it cannot be written to, another process has reserved it, or foreign files are in the way.
    """
    if folder.is_dir():
        with _locked(folder):
            finish(folder)
    prepare_folder(folder)
    with _locked(folder):
        for leftover in folder.glob(f"{STAGING}*"):
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
        _forget_sampled(folder)
    return DrawStore(folder / _SAMPLED, () if fresh else (folder,))


def _forget_sampled(folder: Path) -> None:
    """Delete the models that runs into ``folder`` have kept, and their folder where it holds nothing else."""
    sampled = folder / _SAMPLED
    if not sampled.is_dir():
        return
    for path in sampled.iterdir():
        if is_kept(path) or is_assessment(path):
            path.unlink(missing_ok=True)
    with suppress(OSError):  # a file of somebody else
        sampled.rmdir()


def _document(findings: Findings, staging: Path) -> dict[str, Any]:
    carried = findings.table.carried
    read_again = [_COMPARISON, _HOLDOUT, *(draws_file(key) for key in findings.posteriors)]
    digests = {path.name: digest_of(path.read_bytes()) if path.name in read_again else "" for path in staging.iterdir()}
    return {
        "format": _FORMAT,
        "files": dict(sorted(digests.items())),
        "carried": [] if carried is None else list(carried.columns),
        "headline": findings.headline,
        "rivals": findings.rivals,
        "names": findings.names,
        "reason": findings.reason,
        "verdicts": {key: d.verdict for key, d in findings.diagnoses.items()},
        "summary": findings.contrast.summary,
        "models": list(findings.posteriors),
        "comparison_attrs": dict(findings.comparison.attrs),
        "provenance": findings.provenance,
        "grid": _grid_document(findings.grid),
    }


def _grid_document(grid: Grid) -> dict[str, Any]:
    return {
        "fits": [{"cell": cell, **fit_to_plain(fit)} for cell, fit in grid.fits.items()],
        "failures": [{"cell": cell, "reason": why} for cell, why in grid.failures.items()],
        "aliases": [{"cell": cell, "is": own} for cell, own in grid.aliases.items()],
    }


def write_folder(findings: Findings, folder: Path) -> Path:
    """Write everything; the folder's own results are replaced only once all of the new ones are on the disk.

    Raises
    ------
    InputError
        The disk is full, the folder cannot be written to, or foreign files are in the way.
    """
    from .page import render_report

    with disk_trouble(folder):
        folder.mkdir(parents=True, exist_ok=True)
    finish(folder)
    with staged(folder) as staging, disk_trouble(folder / "report.html"):
        (staging / "report.html").write_text(render_report(findings), encoding="utf-8")
        findings.grid.table.to_csv(staging / "criteria.csv", index=False)
        findings.comparison.to_csv(staging / _COMPARISON, index_label="model")
        sensitivity_frame(findings).to_csv(staging / _SENSITIVITY)
        inert(member_rows(findings)).to_csv(staging / _MEMBERSHIPS)
        if findings.holdout is not None:
            write_holdout(findings.holdout, staging / _HOLDOUT)
        for key, post in findings.posteriors.items():
            write_draws(post, staging / draws_file(key))
        document = json.loads(json.dumps(_document(findings, staging), default=plain_value))
        document["digest"] = json_digest(document)
        (staging / ANALYSIS).write_text(json.dumps(document, indent=1), encoding="utf-8")
    _forget_sampled(folder)
    return folder


def member_rows(findings: Findings) -> pd.DataFrame:
    """Memberships, with the columns that were carried along before them."""
    table, carried = memberships_table(findings.memberships), findings.table.carried
    groups = findings.groups.memberships
    names, assigned = findings.group_names, groups["assignment"].values
    table["group"] = np.asarray(names, dtype=object)[assigned] if findings.names else assigned
    for g in groups["group"].values:
        for end in ("", "_lb", "_ub"):
            table[f"group_probability{end}[{names[g]}]"] = groups[f"probability{end}"].sel(group=g).values
    if carried is None:
        return table
    apart = carried.rename(columns={name: f"{name} (data)" for name in carried.columns if name in table.columns})
    return apart.set_axis(table.index).join(table)


def write_holdout(table: Table, path: Path) -> None:
    """Rows that nothing was fitted to, as CSV that is read back digit for digit."""
    inert(framed(table)).to_csv(path)


def _read_holdout(path: Path, table: Table) -> Table:
    import pandas as pd

    # As text first: pandas' own reader may miss the last digit.
    frame = pd.read_csv(path, index_col=0, dtype=str)
    return Table(
        np.ascontiguousarray(frame.to_numpy(dtype=float)), table.columns, frame.index, f"{table.name}, held out"
    )


def _required(path: Path) -> Path:
    if not path.is_file():
        raise InputError(f"{str(path.parent)!r} is not a saved analysis: it has no {path.name}; write one with save()")
    return path


def read_folder(folder: Path) -> SavedAnalysis:
    """Read what `write_folder` wrote.

    Raises
    ------
    InputError
        If a file is missing, damaged, edited, of another analysis or not of this format.
    """
    finish(folder)
    document = _read_document(folder)
    try:
        return _restored(folder, document)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, StopIteration) as error:
        if isinstance(error, InputError):
            raise
        raise _damaged(folder / ANALYSIS) from None


def _read_document(folder: Path) -> dict[str, Any]:
    path = _required(folder / ANALYSIS)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        written = document.get("format")
    except OSError as error:
        raise InputError(f"{str(path)!r} cannot be read ({error.strerror}): ask for permission to read it") from None
    except (ValueError, AttributeError, RecursionError):
        raise _damaged(path) from None
    if written not in _READABLE:
        raise InputError(f"{str(path)!r} was not written by this version of bayesgmm: run the report again")
    if written == _FORMAT and document.get("digest") != json_digest(document):
        raise _damaged(path)
    return dict(document)


def _damaged(path: Path) -> InputError:
    return InputError(f"{str(path)!r} is damaged or was edited: run the report again")


def _restored(folder: Path, document: dict[str, Any]) -> SavedAnalysis:
    import pandas as pd

    digests = document.get("files", {})
    for name in (_COMPARISON, *(draws_file(key) for key in document["models"])):
        path = _required(folder / name)
        if digests.get(name) and digest_of(path.read_bytes()) != digests[name]:
            raise InputError(
                f"{str(path)!r} is not the file that {ANALYSIS} beside it goes with (edited, damaged, or of another analysis): "
                "run the report again"
            )
    comparison = pd.read_csv(folder / _COMPARISON, index_col="model")
    comparison.attrs.update(document["comparison_attrs"])
    posteriors = {key: read_draws(folder / draws_file(key)) for key in document["models"]}
    grid = document["grid"]
    fits = {}
    for saved in grid["fits"]:
        k, name = saved.pop("cell")
        fits[int(k), str(name)] = fit_from_plain(saved)
    failures = {(int(f["cell"][0]), str(f["cell"][1])): f["reason"] for f in grid["failures"]}
    aliases = {tuple(a["cell"]): tuple(a["is"]) for a in grid.get("aliases", [])}
    observed = next(iter(posteriors.values()))["observed_data"].dataset["x"]
    index = pd.Index(observed["obs_id"].values, name="obs_id")
    columns = tuple(str(c) for c in observed["feature"].values)
    table = Table(
        np.ascontiguousarray(observed.values),
        columns,
        index,
        document["provenance"]["data"],
        carried=_carried(folder, document, index),
    )
    holdout = _read_holdout(_required(folder / _HOLDOUT), table) if _HOLDOUT in document.get("files", ()) else None
    names = tuple(document.get("names", ()))
    own = Grid(fits, failures, aliases)
    return SavedAnalysis(
        table, own, posteriors, comparison, document["provenance"], holdout, document["headline"], names
    )


def _carried(folder: Path, document: dict[str, Any], index: pd.Index) -> pd.DataFrame | None:
    """The columns carried along, as text: they are written again and not used."""
    import pandas as pd

    names = document.get("carried", [])
    if not names:
        return None
    rows = pd.read_csv(_required(folder / _MEMBERSHIPS), dtype=str, keep_default_na=False)
    # They stand first, after the rows' names.
    return rows.iloc[:, 1 : len(names) + 1].set_axis(names, axis="columns").set_axis(index)
