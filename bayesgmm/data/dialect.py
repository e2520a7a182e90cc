"""How a text lays out its table: where the header is, what separates, which lines above belong to no table.

A separator is judged by whether it cuts most lines into one number of fields, two or more, and the header into as many.
Lines above the header (titles, comments) are passed over and told.
"""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass

from bayesgmm.data.errors import InputError

__all__ = ["BLANKS", "Dialect", "find_dialect"]

BLANKS = r"\s+"
_SEPARATORS = ("\t", ";", "|", ",")
_NAMES = {"\t": "tabs", ";": "semicolons", "|": "bars", ",": "commas", BLANKS: "blanks"}
_GIVEN = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "bar": "|", "blank": BLANKS, "space": BLANKS}
# A text in one column has none of this.
_NO_SEPARATOR = "\x1f"
_LOOKED_AT = 200
_COMMENT = ("#", "%", "//")


@dataclass(frozen=True)
class Dialect:
    """The layout of a table in a text.

    Attributes
    ----------
    separator : str
        One character, or a pattern for blanks.
    names : tuple of str
        The fields of the header.
    skipped : tuple of str
        The lines above the header that are no part of the table.
    above : int
        Number of lines above the header; above the data where a comment holds the header.
    commented : bool
        Whether the header is a comment.
    row_names : bool
        Whether lines have one field more than the header: the row names that R writes.
    trailing : bool
        Whether every line of data ends with a separator that the header has not.
    """

    separator: str
    names: tuple[str, ...]
    skipped: tuple[str, ...]
    above: int
    commented: bool = False
    row_names: bool = False
    trailing: bool = False

    @property
    def shown(self) -> str:
        """The separator in words."""
        return _NAMES.get(self.separator, repr(self.separator))


@dataclass(frozen=True)
class _Record:
    """A line of the table: its fields, the number of lines before it, and its text."""

    fields: list[str]
    start: int
    text: str


def find_dialect(head: str, shown: str, separator: str | None = None) -> Dialect:
    """The layout that the first lines of a text show.

    Parameters
    ----------
    head : str
        Whole lines.
    shown : str
        What messages call the text.
    separator : str, optional
        A character, or tab, comma, semicolon, bar, blank; by default it is found.

    Raises
    ------
    InputError
        No line, a header of numbers or of another length than the lines below, two columns of one name.
    """
    lines = head.split("\n")
    comments, start = _comments(lines)
    if start == len(lines):
        raise InputError(f"file {shown!r} is empty; give a file with a header line and rows of numbers")
    if separator is None and lines[start].lower().startswith("sep=") and len(lines[start].strip()) == 5:
        separator = lines[start].strip()[4]  # what Excel understands
        start += 1
    mark = _find_separator(lines, start) if separator is None else _given(separator)
    records = _records(lines, start, mark)
    width = _width(records)
    at = next((i for i, record in enumerate(records) if _may_be_header(record, width, mark, records)), 0)
    titles = [record.text for record in records[:at]]
    header = records[at]
    names = [name.strip() for name in header.fields]
    if at and len(records[at - 1].fields) > 1 and all(_is_number(name) for name in names):
        raise InputError(
            f"the header of {shown!r} names {len(records[at - 1].fields)} columns and the lines below have {width} fields, "
            f"cut at {_NAMES.get(mark, repr(mark))}; correct the header, or give another --separator"
        )
    commented = _commented_header(comments, mark, names)
    if commented is not None:
        names, comments = commented, comments[:-1]
    below = records[at + 1 :] if commented is None else records[at:]
    _check_header(names, shown)
    longer = bool(below) and _width(below, 0) == len(names) + 1
    trailing = longer and all(not r.fields[-1].strip() for r in below if len(r.fields) == len(names) + 1)
    skipped = tuple(text.strip() for text in (*comments, *titles))
    named = commented is not None
    return Dialect(mark, tuple(names), skipped, header.start, named, longer and not trailing, trailing)


def _comments(lines: list[str]) -> tuple[list[str], int]:
    """Lines of comment at the top, and the number of the first line that is neither comment nor blank."""
    found: list[str] = []
    for i, line in enumerate(lines):
        if line.strip() and not line.lstrip().startswith(_COMMENT):
            return found, i
        if line.strip():
            found.append(line)
    # Nothing but comments: the last may be a header that begins with a hash.
    return found, len(lines)


def _given(separator: str) -> str:
    mark = _GIVEN.get(separator.lower(), separator)
    if mark == " ":
        return BLANKS
    if (len(mark) != 1 and mark != BLANKS) or mark in "\"'\n\r.0123456789+-":
        raise InputError(f"--separator {separator} is none: give one character, or tab, comma, semicolon, bar or blank")
    return mark


def _records_by_blanks(lines: list[str], start: int, most: int) -> list[_Record]:
    records: list[_Record] = []
    for i, line in enumerate(lines[start:], start):
        if line.strip():
            fields = next(csv.reader([" ".join(line.split())], delimiter=" ", skipinitialspace=True), [])
            records.append(_Record(fields, i, line))
        if len(records) == most:
            break
    return records


def _records(lines: list[str], start: int, mark: str, most: int = _LOOKED_AT) -> list[_Record]:
    """The first lines that are not blank, cut into fields."""
    if mark == BLANKS:
        return _records_by_blanks(lines, start, most)
    records: list[_Record] = []
    reader = csv.reader((f"{line}\n" for line in lines[start:]), delimiter=mark, skipinitialspace=True)
    before = 0
    try:
        for fields in reader:
            text = "\n".join(lines[start + before : start + reader.line_num])
            if text.strip():
                records.append(_Record(fields, start + before, text))
            before = reader.line_num
            if len(records) == most:
                break
    except csv.Error:  # a field too long for any table
        pass
    return records or [_Record([lines[start]], start, lines[start])]


def _width(records: list[_Record], skip: int = 1) -> int:
    """The most common number of fields, below the header if there is more."""
    below = records[skip:] or records
    (width, _), *_ = Counter(len(record.fields) for record in below).most_common(1)
    return width


def _find_separator(lines: list[str], start: int) -> str:
    """The mark that cuts the lines into one number of fields, header included."""
    best, best_share = _NO_SEPARATOR, 0.0
    for mark in _SEPARATORS:
        records = _records(lines, start, mark)
        width = _width(records)
        fit = [len(record.fields) == width for record in records]
        headed = any(_may_be_header(record, width, mark, records) for record in records[:20])
        if width > 1 and headed and sum(fit) / len(fit) > best_share:
            best, best_share = mark, sum(fit) / len(fit)
    if best_share >= 0.5:
        return best
    records = _records(lines, start, BLANKS)
    width = _width(records)
    n_fit = sum(len(record.fields) == width for record in records[1:])
    if width > 1 and n_fit >= 0.9 * (len(records) - 1) and len(records[0].fields) in (width, width - 1):
        return BLANKS
    return best


def _may_be_header(record: _Record, width: int, mark: str, records: list[_Record]) -> bool:
    """Whether a line has a field for each of the lines below, or one fewer where those begin with row names."""
    if len(record.fields) == width:
        return True
    one_fewer = len(record.fields) == width - 1 and (width > 2 or mark == BLANKS)
    below = [r for r in records if r.start > record.start and len(r.fields) == width]
    return one_fewer and len(below) > 0 and not all(_is_number(f) for f in record.fields)


def _commented_header(comments: list[str], mark: str, names: list[str]) -> list[str] | None:
    """The fields of the last comment, where the first line below holds numbers and the comment as many fields."""
    if not comments or not all(_is_number(name) for name in names if name):
        return None
    text = comments[-1].lstrip().lstrip("#%/").strip()
    fields = _records([text], 0, mark)[0].fields if text else []
    return [field.strip() for field in fields] if len(fields) == len(names) else None


def _check_header(names: list[str], shown: str) -> None:
    """Refuse what pandas passes over in silence: two columns of one name, data in place of the header."""
    named = [name for name in names if name]
    if all(_is_number(name) for name in named) and not _counts_up(named):
        raise InputError(f"the first line of {shown!r} holds numbers where column names should be; add a header line")
    twice = next((name for j, name in enumerate(named) if name in named[:j]), None)
    if twice is not None:
        raise InputError(f"two columns of {shown!r} are named {twice!r}; rename one of them")


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", "."))
    except ValueError:
        return False
    return True


def _counts_up(names: list[str]) -> bool:
    """Whether the names are consecutive integers, which are true headers: 0, 1, 2, ... or a run of years."""
    if not all(name.isdecimal() for name in names):
        return False
    numbers = [int(name) for name in names]
    start = numbers[0] if len(numbers) > 1 else 0
    return numbers == list(range(start, start + len(numbers)))
