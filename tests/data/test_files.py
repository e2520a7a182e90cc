"""Sixty files as people have them: each gives the right table, or one line that names culprit and remedy.

The right table is known because each file is written here from ``FRAME``: fingerprints (shape, names, values) are equal.
"""

import bz2
import gzip
import io
import json
import lzma
import os
import sqlite3
import sys
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bayesgmm.cli import main
from bayesgmm.data import InputError, as_table, read_table

FRAME = pd.DataFrame(
    {
        "height": [171.5, 1180.25, 165.0, 158.75, 190.5, 177.0, 169.25, 182.5, 1174.0, 161.5, 186.25, 173.75],
        "weight": [70.25, 81.5, 60.0, 52.75, 95.5, 77.25, 64.5, 88.0, 72.5, 55.25, 90.75, 71.0],
    }
)
WANTED = as_table(FRAME).fingerprint
NAMES = [f"K{i}" for i in range(12)]


def text(separator=",", decimal=".", thousands="", header="height,weight", above="", end="\n", extra=()) -> str:
    """FRAME as text; ``extra`` are columns (name, values) that stand before it."""

    def number(value: float) -> str:
        shown = f"{value:,.2f}" if thousands else f"{value:.2f}"
        return shown.translate({ord(","): thousands, ord("."): decimal})

    lines = [separator.join([*(name for name, _ in extra), *header.split(",")])]
    for i, row in enumerate(FRAME.itertuples(index=False)):
        lines.append(separator.join([*(str(values[i]) for _, values in extra), *map(number, row)]))
    return above + end.join(lines) + end


def zipped(**files: str) -> bytes:
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name.replace("_", "."), content)
    return into.getvalue()


def packed_frame(write: str, **options) -> bytes:
    into = io.BytesIO()
    getattr(FRAME, write)(into, **options)
    return into.getvalue()


def workbook(*sheets: tuple[str, pd.DataFrame, int]) -> bytes:
    """Sheets (name, frame, lines above the header)."""
    into = io.BytesIO()
    with pd.ExcelWriter(into, engine="xlsxwriter") as book:
        for name, frame, above in sheets:
            frame.to_excel(book, sheet_name=name, index=False, startrow=above)
            if above:
                book.sheets[name].write(0, 0, "Patients of 2020")
    return into.getvalue()


def database(path: Path) -> None:
    connection = sqlite3.connect(path)
    FRAME.assign(site=["north"] * 6 + ["south"] * 6).to_sql("people", connection, index=False)
    connection.execute("CREATE TABLE notes (line TEXT)")
    connection.commit()
    connection.close()


def duck(path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    with duckdb.connect(str(path)) as connection:
        connection.register("given", FRAME)
        connection.execute("CREATE TABLE people AS SELECT * FROM given")


JSON_LINES = "".join(json.dumps(row) + "\n" for row in FRAME.to_dict("records"))
TIMES = [f"2020-01-{day:02d}T10:00:00Z" for day in range(1, 13)]
DATES = [f"{i + 1:02d}.02.2020" for i in range(12)]

# name -> (file, content, options, what the account says)
GOOD = {
    "plain": ("d.csv", text(), {}, []),
    "utf-8 with a mark": ("d.csv", text().encode("utf-8-sig"), {}, []),
    "utf-16 with a mark": ("d.csv", text().encode("utf-16"), {}, ["UTF-16"]),
    "utf-16 without": ("d.csv", text().encode("utf-16-le"), {}, ["UTF-16-LE"]),
    "utf-16, big end first": ("d.txt", text("\t").encode("utf-16-be"), {}, ["UTF-16-BE"]),
    "utf-32": ("d.csv", text().encode("utf-32"), {}, ["UTF-32"]),
    "latin-1 told": ("d.csv", text(extra=[("Gruß", ["Müller"] * 6 + ["Özil"] * 6)]).encode("latin-1"),
                     {"columns": ["height", "weight"]}, ["Latin-1", "--encoding"]),
    "latin-1 given": ("d.csv", text(extra=[("é", ["x"] * 12)]).encode("latin-1"),
                      {"columns": ["height", "weight"], "encoding": "latin-1"}, []),
    "latin-1 at the end": ("d.csv", (text(extra=[("who", ["Zoe"] * 11 + ["Zoé"])])).encode("latin-1"),
                           {"columns": ["height", "weight"]}, ["Latin-1"]),
    "windows lines": ("d.csv", text(end="\r\n").encode(), {}, []),
    "old mac lines": ("d.csv", text(end="\r").encode(), {}, []),
    "semicolons": ("d.csv", text(";"), {}, ["semicolons"]),
    "bars": ("d.csv", text("|"), {}, ["bars"]),
    "tabs": ("d.tsv", text("\t"), {}, []),
    "tabs in csv": ("d.csv", text("\t"), {}, []),
    "blanks": ("d.dat", text("  "), {}, ["blanks"]),
    "a separator given": ("d.csv", text("~"), {"separator": "~"}, []),
    "a separator by name": ("d.csv", text("\t"), {"separator": "tab"}, []),
    "decimal commas": ("d.csv", text(";", ","), {}, ["decimal comma"]),
    "decimal commas, tabs": ("d.tsv", text("\t", ","), {}, ["decimal comma"]),
    "decimal commas, quoted": ("d.csv", "height,weight\n" + "".join(
        f'"{h:.2f}","{w:.2f}"\n'.replace(".", ",") for h, w in FRAME.itertuples(index=False)), {}, []),
    "german thousands": ("d.csv", text(";", ",", "."), {}, ["decimal comma", "height: '.' taken as the mark of thousands"]),
    "english thousands": ("d.csv", text(";", ".", ","), {}, ["height: ',' taken as the mark of thousands"]),
    "swiss thousands": ("d.csv", text(";", ".", "'"), {}, ["thousands"]),
    "french thousands": ("d.csv", text(";", ",", "\u202f"), {}, ["thousands"]),
    "decimal given": ("d.csv", text(";", ","), {"decimal": ","}, ["decimal comma"]),
    "quoted fields": ("d.csv", "\n".join(",".join(f'"{x}"' for x in line.split(",")) for line in text().split("\n") if line),
                      {}, []),
    "a comment": ("d.csv", text(above="# from the lab, 2020\n# second line\n"), {}, ["2 lines", "from the lab"]),
    "a title": ("d.csv", text(above="Patients of 2020\n\n"), {}, ["one line", "Patients of 2020"]),
    "a commented header": ("d.txt", "# " + text(" "), {}, ["blanks"]),
    "sep= as Excel has it": ("d.csv", text(";", above="sep=;\n"), {}, ["semicolons"]),
    "separators at the ends": ("d.csv", text().replace("\n", ",\n"), {}, []),
    "separators at the ends of data": ("d.csv", text().replace("\n", ",\n").replace("weight,", "weight", 1), {}, []),
    "blank lines": ("d.csv", "\n\n" + text(end="\n\n"), {}, []),
    "row names by R": ("d.csv", text(extra=[('""', [f'"r{i}"' for i in range(12)])]), {}, []),
    "row names by write.table": ("d.txt", "\n".join(
        [text(" ").split("\n")[0]] + [f'"{i + 1}" {x}' for i, x in enumerate(text(" ").split("\n")[1:13])]), {}, ["blanks"]),
    "an identifier": ("d.csv", text(extra=[("customer", NAMES)]), {}, ["customer: left out: an identifier"]),
    "a numeric identifier": ("d.csv", text(extra=[("CustomerID", [7 * i * i + 1001 for i in range(12)])]), {},
                             ["CustomerID: left out: an identifier"]),
    "row numbers": ("d.csv", text(extra=[("x", range(1, 13))]), {}, ["x: left out: row numbers"]),
    "dates": ("d.csv", text(";", ",", extra=[("when", DATES)]), {}, ["when: left out: dates"]),
    "iso times": ("d.csv", text(extra=[("t", TIMES)]), {}, ["t: left out: dates"]),
    "an empty column": ("d.csv", text(extra=[("comment", [""] * 12)]), {}, ["comment: left out: empty"]),
    "an id asked for": ("d.csv", text(extra=[("who", NAMES)]), {"id": "who"}, []),
    "a condition": ("d.csv", text() + "999,50.5\n999,51.5\n", {"where": "height != 999"}, ["12 of 14 rows meet"]),
    "missing dropped": ("d.csv", text() + ",55.5\nNA,56.5\n", {"missing": "drop"}, ["2 rows with missing values left out"]),
    "marks for missing": ("d.csv", text() + "?,55.5\n-,56.5\n", {"missing": "drop"}, ["'-', '?' taken as missing, in 2 rows"]),
    "gzip": ("d.csv.gz", gzip.compress(text().encode()), {}, []),
    "bzip2": ("d.csv.bz2", bz2.compress(text().encode()), {}, []),
    "xz": ("d.txt.xz", lzma.compress(text("\t").encode()), {}, []),
    "zip": ("d.zip", zipped(people_csv=text()), {}, []),
    "zip of one of two": ("d.zip::people.csv", zipped(people_csv=text(), notes_txt="nothing"), {}, []),
    "json lines": ("d.jsonl", JSON_LINES, {}, []),
    "json lines, packed": ("d.jsonl.gz", gzip.compress(JSON_LINES.encode()), {}, []),
    "a json list": ("d.json", FRAME.to_json(orient="records"), {}, []),
    "parquet": ("d.parquet", packed_frame("to_parquet"), {}, []),
    "feather": ("d.feather", packed_frame("to_feather"), {}, []),
    "sqlite": ("d.sqlite::people", database, {"columns": ["height", "weight"]}, ["table 'people'"]),
    "sqlite query": ("d.db::SELECT height, weight FROM people WHERE site IN ('north', 'south')", database, {}, ["query"]),
    "duckdb": ("d.duckdb", duck, {}, ["table 'people'"]),
    "duckdb query": ("d.duckdb::SELECT height, weight FROM people", duck, {}, ["query"]),
    "excel": ("d.xlsx", lambda path: path.write_bytes(workbook(("Sheet1", FRAME, 0))), {}, ["sheet 'Sheet1'"]),
    "excel by sheet, with a title": (
        "d.xlsx::People", lambda path: path.write_bytes(workbook(("Notes", FRAME * 2, 0), ("People", FRAME, 3))), {},
        ["sheet 'People'; the others are Notes", "3 lines above the header"],
    ),
}  # fmt: skip


def put(folder: Path, file: str, content) -> str:
    """The file, and what a user calls it."""
    name, mark, part = file.partition("::")
    path = folder / name
    if callable(content):
        content(path)
    else:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return f"{path}{mark}{part}"


@pytest.mark.parametrize("case", GOOD)
def test_the_right_table(case, tmp_path) -> None:
    file, content, options, said = GOOD[case]
    if "xlsx" in file:
        pytest.importorskip("fastexcel")
    source = put(tmp_path, file, content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = read_table(source, **options)
    assert table.fingerprint == WANTED, (table.columns, table.values[:3])
    told = "\n".join(table.account.sentences)
    for part in said:
        assert part in told
    assert table.name == "d"
    if not said and "columns" not in options:
        assert not table.account.notes


PARQUET = packed_frame("to_parquet")
COMMA = "x;y\n1,234;2,345\n3,456;4,567\n5,678;6,789\n"
BAD = {
    "decimal or thousand": ("d.csv", COMMA, [], ["'x'", "1,234", "1.234 or 1234", "--decimal"]),
    "both marks in a column": ("d.csv", "x;y\n1,5;1\n2.5;2\n3,5;4\n", [], ["'x'", "'2.5'", "'1,5'", "alike"]),
    "two columns of one name": ("d.csv", "a,b,a\n1,2,3\n4,5,6\n", [], ["two columns", "'a'", "rename"]),
    "no header": ("d.csv", "1.5,2\n3.5,4\n", [], ["first line", "add a header"]),
    "header too short": ("d.csv", "a,b\n1,2,3,4\n5,6,7,8\n", [], ["names 2 columns", "4 fields"]),
    "a longer line": ("d.csv", "a,b\n1,2\n3,4,5,6\n7,8\n", [], ["line 3", "commas"]),
    "empty": ("d.csv", "", [], ["empty", "header"]),
    "only a comment": ("d.csv", "# nothing\n", [], ["empty"]),
    "zero bytes": ("d.csv", b"\0" * 5000, [], ["not text", "zero bytes"]),
    "an image": ("d.csv", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256)), [], ["not text"]),
    "excel named csv": ("d.csv", workbook(("Sheet1", FRAME, 0)), [], ["Excel", "rename it", ".xlsx"]),
    "parquet named csv": ("d.csv", packed_frame("to_parquet"), [], ["Parquet", "rename it"]),
    "gzip named csv": ("d.csv", gzip.compress(text().encode()), [], ["gzip", "rename it"]),
    "not the encoding given": ("d.csv", "a,b\n1,é\n".encode("latin-1"), ["--encoding", "utf-8"],
                               ["is not utf-8", "--encoding"]),
    "no such encoding": ("d.csv", text(), ["--encoding", "klingon"], ["klingon", "utf-8"]),
    "no such separator": ("d.csv", text(), ["--separator", "::"], ["--separator ::", "one character"]),
    "no such decimal": ("d.csv", text(), ["--decimal", ";"], ["--decimal ;", "give . or ,"]),
    "separator for parquet": ("d.parquet", packed_frame("to_parquet"), ["--separator", ";"], ["--separator", "leave it out"]),
    "cut gzip": ("d.csv.gz", gzip.compress(text().encode() * 50)[:-20], [], ["cannot be read as gzip"]),
    "damaged xz": ("d.csv.xz", b"\xfd7zXZ\0garbage", [], ["cannot be read as xz"]),
    "damaged zip": ("d.zip", b"PK\x03\x04garbage", [], ["cannot be read as zip"]),
    "zip of two": ("d.zip", zipped(a_csv=text(), b_csv=text()), [], ["2 files", "a.csv, b.csv", "::a.csv"]),
    "zip without": ("d.zip::c.csv", zipped(a_csv=text()), [], ["no file 'c.csv'", "a.csv"]),
    "damaged parquet": ("d.parquet", packed_frame("to_parquet")[:-30], [], ["cannot be read as Parquet"]),
    "parquet with a damaged page": ("d.parquet", PARQUET[:4] + b"\xff" * 60 + PARQUET[64:], [],
                                    ["cannot be read as Parquet"]),
    "damaged feather": ("d.feather", b"ARROW1garbage", [], ["cannot be read as Feather"]),
    "damaged json": ("d.jsonl", '{"a": 1}\n{"a": \n', [], ["cannot be read as JSON lines"]),
    "json without objects": ("d.json", "[1, 2, 3]", [], ["record 0", "object"]),
    "damaged excel": ("d.xlsx", b"PK\x03\x04garbage", [], ["cannot be read as an Excel workbook"]),
    "no such sheet": ("d.xlsx::People", workbook(("Sheet1", FRAME, 0)), [], ["no sheet 'People'", "Sheet1"]),
    "damaged sqlite": ("d.sqlite", b"SQLite format 3\0garbage" * 100, [], ["cannot be read as SQLite"]),
    "which table": ("d.sqlite", database, [], ["2 tables", "people, notes", "SELECT"]),
    "no such table": ("d.sqlite::persons", database, [], ["no table 'persons'", "people"]),
    "a query that fails": ("d.sqlite::SELECT size FROM people", database, [], ["fails", "no such column"]),
    "a query that writes": ("d.sqlite::DELETE FROM people", database, [], ["fails", "SELECT"]),
    "a query that reaches out": ("d.sqlite::ATTACH 'other.db' AS o", database, [], ["fails", "SELECT"]),
    "duckdb that writes": ("d.duckdb::DROP TABLE people", duck, [], ["fails", "SELECT"]),
    "duckdb that reaches out": ("d.duckdb::SELECT * FROM read_csv('/etc/passwd')", duck, [], ["fails", "SELECT"]),
    "a label": ("d.csv", text(extra=[("class", [1, 2] * 6)]), [], ["'class'", "known groups", "--columns height,weight"]),
    "a date asked for": ("d.csv", text(extra=[("when", DATES)]), ["--columns", "when,height"],
                         ["'when' holds dates", "count days"]),
    "only names and dates": ("d.csv", "\n".join(["who,when", *(f"{a},{b}" for a, b in zip(NAMES, DATES, strict=True))]), [],
                             ["no numeric column", "an identifier", "dates"]),
    "missing": ("d.csv", text() + ",55.5\n1.5,\n,\n", [], ["'height' 2", "'weight' 2", "3 of 15 rows", "--missing drop"]),
    "missing everywhere": ("d.csv", "a,b\n1,\n2,\n,3\n,4\n", ["--missing", "drop"], ["0 of 4", "leave out column"]),
    "no such id": ("d.csv", text(), ["--id", "who"], ["no column 'who'"]),
    "id twice": ("d.csv", text(extra=[("who", ["a"] * 12)]), ["--id", "who"], ["rows 0 and 1", "'a'"]),
    "condition on nothing": ("d.csv", text(), ["--where", "size > 3"], ["no column 'size'", "height, weight"]),
    "condition that calls": ("d.csv", text(), ["--where", "__import__('os').system('true')"], ["not allowed"]),
    "condition of nonsense": ("d.csv", text(), ["--where", "height >"], ["cannot be read"]),
    "condition that none meets": ("d.csv", text(), ["--where", "height > 1e9"], ["no row meets it"]),
    "a part of a csv": ("d.csv::Sheet2", text(), [], ["has no parts"]),
    "packed parquet": ("d.parquet.gz", b"", [], ["no known kind"]),
    "unknown kind": ("d.docx", b"", [], ["no known kind"]),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_one_line_with_culprit_and_remedy(case, tmp_path, monkeypatch, capfd) -> None:
    file, content, options, parts = BAD[case]
    if "xlsx" in file:
        pytest.importorskip("fastexcel")
    source = put(tmp_path, file, content)
    monkeypatch.setattr(sys, "argv", ["bayesgmm", "em", source, "-k", "1", *options])
    with pytest.raises(SystemExit) as stop:
        main()
    out, err = capfd.readouterr()
    assert (stop.value.code, out, err.count("\n")) == (2, "", 1), err
    for part in parts:
        assert part in err
    if "::" in file and "sqlite" in file:  # nothing was changed
        assert len(read_table(f"{tmp_path / 'd.sqlite'}::people", ["height"]).values) == 12


@pytest.mark.parametrize("packing", ["plain", "gzip", "parquet", "excel"])
def test_standard_input(packing, tmp_path, monkeypatch) -> None:
    content = {
        "plain": text(";", ",").encode(),
        "gzip": gzip.compress(text().encode()),
        "parquet": packed_frame("to_parquet"),
        "excel": workbook(("Sheet1", FRAME, 0)),
    }[packing]
    if packing == "excel":
        pytest.importorskip("fastexcel")
    (tmp_path / "piped").write_bytes(content)
    with (tmp_path / "piped").open() as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        table = read_table("-")
    assert table.fingerprint == WANTED
    assert table.name == "stdin"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with a name on this system")
def test_a_pipe_and_a_device_do_not_hang(tmp_path) -> None:
    os.mkfifo(tmp_path / "d.csv")
    with pytest.raises(InputError, match=r"pipe or device.*standard input"):
        read_table(tmp_path / "d.csv")
    with pytest.raises(InputError, match="pipe or device"):
        read_table("/dev/zero")
    with pytest.raises(InputError, match="too long"):
        read_table("x" * 5000)


def test_rows_keep_their_names_and_carry_their_columns(tmp_path) -> None:
    lines = text(extra=[("who", NAMES), ("site", ["north", "south"] * 6)]) + "K99,north,,5\n"
    source = put(tmp_path, "d.csv", lines)
    table = read_table(source, ["height", "weight"], id="who", carry=["site"], missing="drop", where="site == 'north'")
    assert list(table.index) == NAMES[::2]
    assert list(table.carried["site"]) == ["north"] * 6
    assert list(table.carried.index) == list(table.index)
    whole = read_table(source, ["height", "weight"], carry="all", missing="drop")
    assert list(whole.carried.columns) == ["who", "site", "height", "weight"]
    assert list(whole.index) == list(range(12))


def test_whole_and_heaped_columns_are_named(tmp_path) -> None:
    rng = np.random.default_rng(0)
    ages = np.where(rng.random(300) < 0.6, 10 * rng.integers(2, 8, 300), rng.integers(18, 80, 300))
    spent = np.where(rng.random(300) < 0.3, 0.0, rng.gamma(2.0, 50.0, 300).round(2))
    frame = pd.DataFrame({"age": ages, "spent": spent, "plain": rng.normal(size=300)})
    frame.to_csv(tmp_path / "d.csv", index=False)
    remarks = {c.name: c.remark for c in read_table(tmp_path / "d.csv").account.columns}
    assert "heaped" in remarks["age"]
    assert "multiples of 10" in remarks["age"]
    assert "whole numbers" in remarks["age"]
    assert "% of rows at 0" in remarks["spent"]
    assert remarks["plain"] == ""


def test_memory_is_estimated_before_it_is_taken(tmp_path, monkeypatch) -> None:
    """Two million lines of one zero take 4 kB packed, 4 MB unpacked, and 40 MB or more as a table being read."""
    path = tmp_path / "d.csv.gz"
    path.write_bytes(gzip.compress(b"x\n" + b"0\n" * 2_000_000))
    monkeypatch.setattr("bayesgmm.data.memory.available_memory", lambda: 20_000_000)
    with pytest.raises(InputError, match=r"needs about .* of memory and 20 MB are free"):
        read_table(path)
