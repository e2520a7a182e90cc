"""Files of every kind, and what goes wrong with them."""

import gzip
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bayesgmm.data import InputError, as_table, read_table

FRAME = pd.DataFrame({"a": [1.0, 2.5, 4.0], "b": [10.0, 20.5, 15.0]})


def message(source, columns=None):
    with pytest.raises(InputError) as caught:
        read_table(source, columns)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("file", "separator"),
    [("d.csv", ","), ("d.CSV", ";"), ("d.tsv", "\t"), ("d.txt", " "), ("d.csv.gz", ","), ("d.txt.gz", "\t")],
)
def test_text_files(tmp_path, file, separator):
    FRAME.to_csv(tmp_path / file, sep=separator, index=False)
    for source in (tmp_path / file, str(tmp_path / file)):
        table = read_table(source)
        assert table.fingerprint == as_table(FRAME).fingerprint
        assert table.name == "d"


def test_parquet_keeps_row_labels(tmp_path):
    FRAME.set_axis(["p", "q", "r"]).to_parquet(tmp_path / "d.parquet")
    table = read_table(tmp_path / "d.parquet", columns=["b"])
    assert list(table.index) == ["p", "q", "r"]
    assert table.columns == ("b",)


def test_an_unnamed_first_column_is_the_row_labels(tmp_path):
    (tmp_path / "d.csv").write_text('"","a","b"\n"p",1,10\n"q",2.5,20.5\n"r",4,15\n')
    table = read_table(tmp_path / "d.csv")
    assert list(table.index) == ["p", "q", "r"]
    np.testing.assert_array_equal(table.values, FRAME)


def test_byte_order_mark_blank_lines_and_blanks_after_commas_are_passed_over(tmp_path):
    (tmp_path / "d.csv").write_text("\n\na, b\n1, 10\n2.5, 20.5\n\n4, 15\n", encoding="utf-8-sig")
    assert read_table(tmp_path / "d.csv").fingerprint == as_table(FRAME).fingerprint


@pytest.mark.parametrize("header", ["0,1", "2001,2002"])
def test_consecutive_integers_are_a_header(tmp_path, header):
    (tmp_path / "d.csv").write_text(f"{header}\n1,10\n2,30\n")
    assert read_table(tmp_path / "d.csv").columns == tuple(header.split(","))


def test_a_bundled_set_supplies_its_features():
    assert read_table("iris").columns == ("sepal_length", "sepal_width", "petal_length", "petal_width")
    assert read_table("iris").name == "iris"
    assert read_table("iris", "petal_width").columns == ("petal_width",)
    assert "'species' is not numeric" in message("iris", ["species"])


@pytest.mark.parametrize(
    ("file", "content", "parts"),
    [
        ("d.csv", "", ["d.csv", "is empty", "header line"]),
        ("d.csv", "\n \n", ["is empty"]),
        ("d.csv", "a,b\n", ["no rows"]),
        ("d.csv", "a,b\n1,2\n", ["one row only"]),
        ("d.csv", "a,b\n1,2\n3,4,5,6\n", ["d.csv", "cannot be read", "line 3"]),
        (
            "d.csv",
            "3.6,79\n1.8,54\n2,60\n",
            ["first line", "numbers where column names should be", "add a header"],
        ),
        ("d.csv", "9172\n9350\n9483\n", ["add a header"]),
        ("d.csv", "a,b,a\n1,2,3\n4,5,6\n", ["two columns", "'a'", "rename"]),
        ("d.csv", "a,b\n1,x\n2,y\n", ["'b' is not numeric", "--columns a"]),
        ("d.csv", "a,b\n1,2\n2,\n", ["'b'", "missing value, in row 1"]),
        ("d.docx", "a,b\n", ["no known kind", ".csv"]),
        ("d.parquet", "a,b\n", ["cannot be read as Parquet"]),
        ("d.csv.gz", "a,b\n", ["cannot be read as gzip"]),
    ],
)
def test_a_fault_is_named_with_its_remedy(tmp_path, file, content, parts):
    (tmp_path / file).write_text(content)
    text = message(tmp_path / file)
    for part in parts:
        assert part in text


def test_text_in_another_encoding(tmp_path):
    (tmp_path / "d.csv").write_bytes("größe,b\n1,2\n2,5\n".encode("latin-1"))
    table = read_table(tmp_path / "d.csv")
    assert table.columns == ("größe", "b")
    assert "Latin-1" in table.account.notes[0]
    (tmp_path / "d.csv").write_bytes("a,b\n1,2\n2,größe\n".encode("latin-1"))
    assert "'größe'" in message(tmp_path / "d.csv")


def test_a_gzip_file_cut_short(tmp_path):
    whole = gzip.compress(b"a,b\n" + os.urandom(500).hex().encode())
    (tmp_path / "d.csv.gz").write_bytes(whole[:-40])
    assert "cannot be read" in message(tmp_path / "d.csv.gz")


def test_missing_file_and_folder(tmp_path):
    text = message("no/such.csv")
    assert "no file 'no/such.csv'" in text
    assert "faithful" in text
    assert "is a folder" in message(tmp_path)
    assert "bundled set" in message("fathful")
    assert "no file" in message(Path("faithful"))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_may_not_be_read(tmp_path):
    FRAME.to_csv(tmp_path / "d.csv")
    (tmp_path / "d.csv").chmod(0)
    assert "cannot be read" in message(tmp_path / "d.csv")
