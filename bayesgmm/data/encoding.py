"""Which encoding a text has, and how much of it there is: found by reading it once, in pieces."""

from __future__ import annotations

import codecs
from dataclasses import dataclass

from bayesgmm.data.errors import InputError
from bayesgmm.data.memory import refuse_if_too_large
from bayesgmm.data.source import Source

__all__ = ["Survey", "survey"]

_CHUNK = 2**20
# What is looked at more closely: the beginning.
_HEAD = 2**18
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# A number takes eight bytes, and a table that is being read a few copies of it.
_BYTES_PER_CELL = 8 * 2.5


@dataclass(frozen=True)
class Survey:
    """What a first reading of a text finds.

    Attributes
    ----------
    encoding : str
        A codec's name.
    guessed : bool
        Whether it was neither given nor follows from the bytes.
    head : str
        The first lines, whole, of at most 256 kB.
    n_bytes : int
        Unpacked.
    """

    encoding: str
    guessed: bool
    head: str
    n_bytes: int


def survey(source: Source, encoding: str | None = None, *, whole: bool = True) -> Survey:
    """Read a text once; what is then read in pieces, not ``whole``, may be larger than memory.

    A byte order mark decides; then zero bytes at every second place (UTF-16); then whether all is UTF-8; what is not is
    taken as Latin-1, in Microsoft's form of it where that has a character for every byte.

    Raises
    ------
    InputError
        An unknown encoding, or one that the text does not follow; a text with zero bytes; one too large for memory.
    """
    given = None if encoding is None else _known(encoding)
    utf8: codecs.IncrementalDecoder | None = codecs.getincrementaldecoder("utf-8")()
    windows: codecs.IncrementalDecoder | None = codecs.getincrementaldecoder("cp1252")()
    checked = None if given is None else codecs.getincrementaldecoder(given)()
    head, n_bytes = b"", 0
    with source.open() as stream:
        while chunk := stream.read(_CHUNK):
            if not n_bytes:
                head = chunk[:_HEAD]
                from_marks = given or _from_marks(head, source)
            utf8, windows = _still_valid(utf8, chunk), _still_valid(windows, chunk)
            if checked is not None and _still_valid(checked, chunk) is None:
                raise InputError(f"{source.shown!r} is not {encoding}; give another --encoding, or leave it out")
            n_bytes += len(chunk)
            cells = sum(head.count(mark) for mark in b",;\t|\n ")
            refuse_if_too_large(
                n_bytes * (1 + _BYTES_PER_CELL * cells / len(head)) if whole else 0,
                f"{source.shown!r} ({n_bytes / 1e6:,.0f} MB unpacked so far)",
                "read a part of its rows or columns, or save it as Parquet with the columns needed",
            )
    if not n_bytes:
        raise InputError(f"file {source.shown!r} is empty; give a file with a header line and rows of numbers")
    found = from_marks
    if found is None:
        found = "utf-8" if _ends_well(utf8) else "cp1252" if windows is not None else "latin-1"
    guessed = given is None and found in ("cp1252", "latin-1")
    return Survey(found, guessed, _whole_lines(head, found, n_bytes > len(head)), n_bytes)


def _known(encoding: str) -> str:
    try:
        name = codecs.lookup(encoding).name
        "".encode(name)  # some codecs are no encodings of text
    except (LookupError, ValueError, TypeError):
        raise InputError(
            f"--encoding {encoding} is unknown: give utf-8, utf-16, latin-1, cp1252 or another of Python's names"
        ) from None
    return "utf-8-sig" if name == "utf-8" else name


def _from_marks(head: bytes, source: Source) -> str | None:
    """The encoding that a byte order mark or zero bytes show.

    Raises
    ------
    InputError
        Zero bytes without the order of UTF-16: no text.
    """
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name
    if b"\0" not in head:
        return None
    even, odd = head[0::2], head[1::2]
    zeros = (even.count(0) / max(1, len(even)), odd.count(0) / max(1, len(odd)))
    if zeros[0] < 0.1 and zeros[1] > 0.5:
        return "utf-16-le"
    if zeros[1] < 0.1 and zeros[0] > 0.5:
        return "utf-16-be"
    raise InputError(f"file {source.shown!r} is not text: it holds zero bytes; save it as CSV or Parquet")


def _still_valid(decoder: codecs.IncrementalDecoder | None, chunk: bytes) -> codecs.IncrementalDecoder | None:
    try:
        if decoder is not None:
            decoder.decode(chunk)
    except UnicodeDecodeError:
        return None
    return decoder


def _ends_well(decoder: codecs.IncrementalDecoder | None) -> bool:
    try:
        if decoder is not None:
            decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return decoder is not None


def _whole_lines(head: bytes, encoding: str, cut: bool) -> str:
    text = codecs.getincrementaldecoder(encoding)().decode(head, final=False)
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if cut and "\n" in text:
        text = text[: text.rindex("\n") + 1]
    return text
