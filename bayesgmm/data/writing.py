"""Files are written beside their place, brought to the disk, and renamed into it: the old one or the new one is there.

Text from tables that a spreadsheet would run as a formula is made inert, as OWASP advises (CSV injection): such a cell gets a
single quotation mark before it.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayesgmm.data.errors import InputError
from bayesgmm.data.memory import size

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["digest_of", "disk_trouble", "inert", "sync", "write_bytes", "write_text", "written_beside"]

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def disk_trouble(path: Path, needed: int | None = None) -> Iterator[None]:
    """What the system says about a disk or path, as an `InputError`: a full disk, no permission, too long a name."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise InputError(_full(path, needed)) from None
        reason = error.strerror or str(error)
        raise InputError(f"cannot write {_shown(path)} ({reason}): choose another place with -o") from None
    except ValueError as error:  # a NUL in a name
        if isinstance(error, InputError) or "null" not in str(error):
            raise
        raise InputError(f"cannot write {_shown(path)} ({error}): choose another place with -o") from None


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    """Write a file whole or not at all; an earlier one stays until the new one is on the disk.

    Raises
    ------
    InputError
        The disk is full, or the path cannot be written to.
    """
    beside = path.with_name(f".{uuid.uuid4().hex[:12]}.writing")
    needed = len(content)
    with disk_trouble(path, needed):
        if path.is_dir():
            raise InputError(f"cannot write {_shown(path)}: it is a folder; name a file in it")
        if needed > shutil.disk_usage(path.absolute().parent).free:
            raise InputError(_full(path, needed))
        try:
            with beside.open("xb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(beside, path)
            sync(path.parent)
        finally:
            with suppress(OSError):
                beside.unlink(missing_ok=True)


@contextmanager
def written_beside(path: Path) -> Iterator[Path]:
    """A place beside a file to write to in pieces; at the end it takes the file's place, after an error there is nothing."""
    if path.is_dir():
        raise InputError(f"cannot write {_shown(path)}: it is a folder; name a file in it")
    beside = path.with_name(f".{uuid.uuid4().hex[:12]}.writing")
    try:
        yield beside
        with beside.open("rb") as stream:
            os.fsync(stream.fileno())
        os.replace(beside, path)
        sync(path.parent)
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """As `write_bytes`, in UTF-8."""
    write_bytes(path, text.encode())


def digest_of(content: bytes | memoryview) -> str:
    """SHA-256, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def sync(folder: Path) -> None:
    """Bring what was renamed in a folder to the disk; where the system knows no such thing, nothing is done."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def inert(frame: pd.DataFrame) -> pd.DataFrame:
    """A table whose texts, names of rows and columns included, are no formulas in a spreadsheet; numbers stay as they are."""
    result = frame.set_axis([_inert(name) for name in frame.columns], axis="columns")
    for j, name in enumerate(frame.columns):
        if frame[name].dtype.kind not in "biufcmM":
            result.isetitem(j, [_inert(value) for value in frame[name]])
    if frame.index.dtype.kind not in "biufcmM":
        result.index = frame.index.map(_inert)
    return result.rename_axis(frame.index.name)


def _inert(value: Any) -> Any:
    if not isinstance(value, str) or not value.startswith(_FORMULA):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value


def _full(path: Path, needed: int | None) -> str:
    """How much there is, and how much there should be."""
    folder = path.absolute().parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    free = size(shutil.disk_usage(folder).free)
    wanted = "" if needed is None else f"{size(needed)} are needed and "
    return f"the disk is full: cannot write {_shown(path)}, {wanted}{free} are free; make room or choose another place with -o"


def _shown(path: Path) -> str:
    text = str(path)
    return repr(text if len(text) <= 160 else f"{text[:80]}...{text[-60:]}")
