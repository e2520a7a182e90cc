"""A folder's old results replaced by new ones, as one step: after a kill at any moment one or the other is whole.

New files are made in ``.writing-...``, brought to the disk, and the folder renamed to ``.new-report``: from then on they count.
What follows, moving them into place and taking away what they replace, is done again by whoever finds ``.new-report`` there.
What may be taken away or replaced is what the folder's own ``analysis.json`` names, and nothing else: other files are the
user's.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..data import InputError, disk_trouble, sync
from ..sampling import draws_file

__all__ = ["ANALYSIS", "FIXED", "STAGING", "check_room", "finish", "named_by", "staged"]

ANALYSIS = "analysis.json"
# Files of every report, besides the draws.
FIXED = (ANALYSIS, "report.html", "criteria.csv", "comparison.csv", "memberships.csv", "sensitivity.csv", "holdout.csv")
STAGING = ".writing-"
_NEW, _REPLACED = ".new-report", ".replaced.json"
_DRAWS = re.compile(r"posterior-\d+-\w+\.nc")
_FORMATS = ("bayesgmm analysis 1", "bayesgmm analysis 2")


def named_by(folder: Path) -> frozenset[str]:
    """The files that a folder's own ``analysis.json`` names as its report's; none where there is no such document."""
    try:
        document = json.loads((folder / ANALYSIS).read_text(encoding="utf-8"))
        if document["format"] not in _FORMATS:
            return frozenset()
        listed = document.get("files") or [*FIXED, *(draws_file(str(key)) for key in document["models"])]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return frozenset()
    return frozenset(str(name) for name in listed if Path(str(name)).name == str(name)) | {ANALYSIS}


def check_room(folder: Path) -> None:
    """Refuse a folder in which a report would overwrite what is not a report's.

    Raises
    ------
    InputError
        Naming the file.
    """
    ours = named_by(folder)
    with disk_trouble(folder):
        present = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    for name in present:
        if name in FIXED or _DRAWS.fullmatch(name):
            if not (folder / name).is_file():
                raise InputError(
                    f"{str(folder / name)!r} is in the way and no file: move it, or choose another folder with -o"
                )
            if name not in ours:
                raise InputError(
                    f"{str(folder / name)!r} is not of a report of bayesgmm and would be overwritten: move it, or "
                    "choose another folder with -o"
                )


@contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """An empty folder for new files; at the end they take the place of the old, or after an error nothing has changed.

    Raises
    ------
    InputError
        The disk is full, or foreign files are in the way.
    """
    with disk_trouble(folder):
        # The same file system, so that moving is renaming.
        staging = Path(tempfile.mkdtemp(prefix=STAGING, dir=folder))
    try:
        yield staging
        check_room(folder)
        with disk_trouble(folder):
            replaced = sorted(named_by(folder))
            (staging / _REPLACED).write_text(json.dumps(replaced), encoding="utf-8")
            for path in staging.iterdir():
                with path.open("rb") as written:
                    os.fsync(written.fileno())
            sync(staging)
            os.rename(staging, folder / _NEW)
            sync(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    finish(folder)


def finish(folder: Path) -> None:
    """Move new results into their place, if a folder has any that are not; begun by another run or not.

    Raises
    ------
    InputError
        The folder cannot be written to.
    """
    new = folder / _NEW
    if not (new / _REPLACED).is_file():
        return
    with disk_trouble(folder):
        replaced = set(json.loads((new / _REPLACED).read_text(encoding="utf-8")))
        arriving = sorted((p for p in new.iterdir() if p.name != _REPLACED), key=lambda path: path.name == ANALYSIS)
        if any(path.name == ANALYSIS for path in arriving):
            staying = set(json.loads((new / ANALYSIS).read_text(encoding="utf-8"))["files"]) | {ANALYSIS}
            for name in replaced - staying:
                (folder / name).unlink(missing_ok=True)
        for path in arriving:
            os.replace(path, folder / path.name)
        sync(folder)
        done = folder / f"{STAGING}{uuid.uuid4().hex[:8]}"
        os.rename(new, done)
        shutil.rmtree(done, ignore_errors=True)
