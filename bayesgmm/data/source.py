"""What a user names as data: a file, a part of one, or standard input; found and told apart before it is read.

A part follows two colons: the sheet of a workbook (``DATA.xlsx::Sheet2``), a query or table of a database
(``DATA.duckdb::SELECT ...``), a file in an archive (``DATA.zip::inner.csv``).
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import stat
import sys
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from bayesgmm.data.datasets import bundled_names
from bayesgmm.data.errors import InputError
from bayesgmm.data.memory import refuse_if_too_large

__all__ = ["Source", "find_source", "one_line", "unreadable"]

_KINDS = {
    "text": (".csv", ".tsv", ".txt", ".tab", ".dat"),
    "JSON lines": (".jsonl", ".ndjson", ".json"),
    "Parquet": (".parquet", ".pq"),
    "Feather": (".feather", ".arrow", ".ipc"),
    "Excel": (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"),
    "DuckDB": (".duckdb", ".ddb"),
    "SQLite": (".sqlite", ".sqlite3", ".db"),
}
_PACKED = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zip": "zip"}
# Kinds that may be packed; the others are packed in themselves.
_PLAIN = ("text", "JSON lines")
_SUFFIXES = {suffix: kind for kind, suffixes in _KINDS.items() for suffix in suffixes}
_CHUNK = 2**20


@dataclass(frozen=True)
class Source:
    """A file or standard input, found but not read.

    Attributes
    ----------
    shown : str
        What messages call it.
    name : str
        What reports call the data: the file's name without its ending.
    kind : str
        "text", "JSON lines", "Parquet", "Feather", "Excel", "DuckDB" or "SQLite".
    packed : str or None
        "gzip", "bzip2", "xz" or "zip".
    part : str or None
        What followed the two colons.
    path : Path or None
    content : bytes or None
        All that standard input gave.
    """

    shown: str
    name: str
    kind: str
    packed: str | None
    part: str | None
    path: Path | None
    content: bytes | None = None

    def raw(self) -> IO[bytes]:
        """The bytes as they are stored."""
        if self.content is not None:
            return io.BytesIO(self.content)
        assert self.path is not None
        return self.path.open("rb")

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """The bytes, unpacked.

        Raises
        ------
        InputError
            An archive does not hold just one file, or not the one named.
        OSError, EOFError, zipfile.BadZipFile, RuntimeError
            As the standard library raises them for damaged or encrypted files, while reading at the latest.
        """
        with ExitStack() as stack:
            stream = stack.enter_context(self.raw())
            if self.packed == "zip":
                archive = stack.enter_context(zipfile.ZipFile(stream))
                stream = stack.enter_context(archive.open(self._member(archive)))
            elif self.packed is not None:
                unpack: Any = {"gzip": gzip.open, "bzip2": bz2.open, "xz": lzma.open}[self.packed]
                stream = stack.enter_context(unpack(stream, "rb"))
            yield stream

    def _member(self, archive: zipfile.ZipFile) -> str:
        hidden = ("__MACOSX", ".")
        names = [n for n in archive.namelist() if not n.endswith("/") and not n.startswith(hidden)]
        if self.part is not None:
            if self.part not in names:
                raise InputError(f"{self.shown!r} holds no file {self.part!r}; it holds {_few(names)}")
            return self.part
        if len(names) != 1:
            raise InputError(
                f"{self.shown!r} holds {len(names)} files ({_few(names)}); name one, as in "
                f"'{self.shown}::{names[0] if names else 'data.csv'}'"
            )
        return names[0]


def find_source(given: str | Path) -> Source:
    """Find what was named, and what kind it is by its ending; standard input (``-``) by its content.

    Raises
    ------
    InputError
        There is no such file, or it is a folder, a pipe, a device, unreadable, or of no known kind.
    """
    if isinstance(given, str) and given == "-":
        return _standard_input()
    path, part = _split(given)
    _check_file(path, str(given))
    lower = path.name.lower()
    ending = next((s for s in _PACKED if lower.endswith(s)), "")
    packed = _PACKED.get(ending)
    inner = lower.removesuffix(ending)
    if packed == "zip" and not any(inner.endswith(s) for s in _SUFFIXES):
        suffix, kind = ending, _kind_in_archive(path, part)
    else:
        suffix = next((s for s in _SUFFIXES if inner.endswith(s)), "")
        kind = _SUFFIXES.get(suffix, "")
        suffix += ending
    if not kind or (packed and kind not in _PLAIN):
        raise InputError(
            f"file {str(path)!r} is of no known kind; save it as CSV or Parquet with one of the endings "
            f"{', '.join(_SUFFIXES)}" + ("; only text and JSON lines may be packed" if packed and kind else "")
        )
    if part is not None and kind in ("text", "JSON lines", "Parquet", "Feather") and packed != "zip":
        raise InputError(f"{str(path)!r} has no parts; leave out '::{part}'")
    source = Source(str(path), path.name[: -len(suffix)] or path.name, kind, packed, part, path)
    _check_content(source)
    return source


def unreadable(source: Source, error: Exception | str, kind: str | None = None) -> InputError:
    """The error for a file that a library could not read."""
    kind = kind or source.packed or source.kind
    return InputError(f"file {source.shown!r} cannot be read as {kind} ({one_line(error)}); save it anew in that form")


def one_line(error: Exception | str) -> str:
    """A library's message in one line."""
    return " ".join(str(error).split())[:160] or type(error).__name__


def _split(given: str | Path) -> tuple[Path, str | None]:
    path = Path(given)
    if isinstance(given, Path) or "::" not in given or _exists(path):
        return path, None
    file, _, part = given.partition("::")
    if not part.strip():
        raise InputError(f"{given!r} names no part after the two colons; give a sheet, table, query or file")
    return Path(file), part.strip()


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # too long a name, or one with a NUL
        return False


def _check_file(path: Path, given: str) -> None:
    """Refuse what is no ordinary file that may be read."""
    if "\0" in given or not given.strip():
        raise InputError(f"{given!r} is no name of a file; give a CSV or Parquet file")
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise InputError(
            f"there is no file {str(path)!r}, nor a bundled set of that name; give a CSV or Parquet file "
            f"or one of {', '.join(bundled_names())}"
        ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"file {_short(path)} cannot be read ({reason}); check its name and permissions") from None
    if stat.S_ISDIR(mode):
        raise InputError(f"{str(path)!r} is a folder; give a CSV or Parquet file in it")
    if not stat.S_ISREG(mode):
        raise InputError(
            f"{str(path)!r} is a pipe or device and no file; give its content to standard input and - as data, as in "
            "bayesgmm em - < FILE"
        )
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise InputError(
            f"file {str(path)!r} cannot be read ({error.strerror or error}); ask for permission to read it"
        ) from None


def _short(path: Path) -> str:
    text = str(path)
    return repr(text if len(text) <= 100 else f"{text[:60]}...{text[-30:]}")


def _standard_input() -> Source:
    """All of standard input, its kind told from its first bytes."""
    stream = getattr(sys.stdin, "buffer", None)
    if stream is None or sys.stdin.isatty():
        raise InputError("- is standard input, and nothing is piped into it; give a file or pipe one in")
    parts, total = [], 0
    while chunk := stream.read(_CHUNK):
        parts.append(chunk)
        total += len(chunk)
        if total % (64 * _CHUNK) < _CHUNK:
            refuse_if_too_large(4.0 * total, "standard input", "pipe in fewer rows, or give a file")
    content = b"".join(parts)
    kind, packed = _by_content(content[:512])
    if kind == "zip":
        kind, packed = "text", "zip"
    if kind in ("DuckDB", "SQLite"):
        raise InputError(f"standard input is a {kind} database, which has to be a file; save it and give its name")
    return Source("standard input", "stdin", kind or "text", packed, None, None, content)


# With what files begin.
_MARKS = (
    (b"PAR1", "Parquet"),
    (b"ARROW1", "Feather"),
    (b"FEA1", "Feather"),
    (b"SQLite format 3\0", "SQLite"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "Excel"),
)


def _by_content(head: bytes) -> tuple[str | None, str | None]:
    """Kind and packing that the first bytes show; None where they show none."""
    for mark, packed in ((b"\x1f\x8b", "gzip"), (b"BZh", "bzip2"), (b"\xfd7zXZ\0", "xz")):
        if head.startswith(mark):
            return None, packed
    if head.startswith(b"PK\x03\x04"):
        # A workbook is an archive, and its first file is one of these.
        name = head[30 : 30 + int.from_bytes(head[26:28], "little")]
        office = name in (b"[Content_Types].xml", b"mimetype") or name.startswith((b"xl/", b"_rels/", b"docProps/"))
        return ("Excel" if office else "zip"), None
    for mark, kind in _MARKS:
        if head.startswith(mark):
            return kind, None
    if head[8:12] == b"DUCK":
        return "DuckDB", None
    return ("JSON lines" if head.lstrip()[:1] in (b"{", b"[") else None), None


def _kind_in_archive(path: Path, part: str | None) -> str:
    """The kind of the one file in an archive."""
    source = Source(str(path), path.name, "text", "zip", part, path)
    try:
        with source.raw() as stream, zipfile.ZipFile(stream) as archive:
            member = source._member(archive).lower()
    except (OSError, zipfile.BadZipFile) as error:
        raise unreadable(source, error) from None
    return next((kind for suffix, kind in _SUFFIXES.items() if member.endswith(suffix)), "text")


def _check_content(source: Source) -> None:
    """Refuse a file whose ending says text and whose first bytes say otherwise."""
    if source.kind not in _PLAIN or source.packed:
        return
    with source.raw() as stream:
        kind, packed = _by_content(stream.read(512))
    found = kind if kind != "JSON lines" else None
    if found or packed:
        what = packed or found
        endings = [s for s, p in _PACKED.items() if p == what] or list(_KINDS.get(str(what), ()))
        raise InputError(
            f"{source.shown!r} is by its content a {what} file and not text; rename it, with the ending {endings[0]}"
        )


def _few(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "") if names else "none"
