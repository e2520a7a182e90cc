"""Every kind of data that users pass becomes the same table; every fault is named with its remedy."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from bayesgmm.data import InputError, Table, as_table

VALUES = np.array([[1.0, 10.0], [2.0, 20.5], [4.0, 15.0]])


def frame(**columns):
    return pd.DataFrame({"a": [1.0, 2.0, 4.0], "b": [10.0, 20.5, 15.0], **columns})


def message(data, columns=None):
    with pytest.raises(InputError) as caught:
        as_table(data, columns=columns)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "data",
    [
        frame(),
        frame().convert_dtypes(),
        frame().convert_dtypes(dtype_backend="pyarrow"),
        frame().astype(object),
        pl.from_pandas(frame()),
        pl.from_pandas(frame()).lazy(),
        pa.Table.from_pandas(frame()),
        pa.RecordBatch.from_pandas(frame()),
        {"a": VALUES[:, 0], "b": VALUES[:, 1]},
        np.rec.fromarrays(VALUES.T, names="a,b"),
    ],
    ids=lambda data: f"{type(data).__module__.split('.')[0]}.{type(data).__name__}",
)
def test_every_kind_of_frame_gives_the_same_table(data):
    table = as_table(data, name="abc")
    np.testing.assert_array_equal(table.values, VALUES)
    assert table.columns == ("a", "b")
    assert table.name == "abc"
    assert table.fingerprint == as_table(frame()).fingerprint


@pytest.mark.parametrize(
    "data",
    [VALUES, VALUES.tolist(), np.asfortranarray(VALUES), VALUES.astype(object), np.ma.masked_array(VALUES)],
    ids=["array", "lists", "fortran", "object", "masked"],
)
def test_arrays_get_numbered_columns(data):
    table = as_table(data)
    assert table.columns == ("x0", "x1")
    np.testing.assert_array_equal(table.values, VALUES)


def test_labelled_arrays_are_arrays():
    xarray = pytest.importorskip("xarray")
    np.testing.assert_array_equal(as_table(xarray.DataArray(VALUES, dims=("obs_id", "feature"))).values, VALUES)


def test_one_dimensional_data_is_one_column():
    assert as_table([1, 2, 4]).columns == ("x0",)
    assert as_table(pd.Series([1, 2, 4])).columns == ("x0",)
    assert as_table(pd.Series([1, 2, 4], name="speed")).columns == ("speed",)
    assert as_table(pl.Series("speed", [1, 2, 4])).columns == ("speed",)
    assert as_table(pl.Series([1, 2, 4])).values.shape == (3, 1)


def test_values_are_float64_contiguous_read_only_and_its_own():
    data = np.asfortranarray(VALUES.astype(np.float32))
    table = as_table(data)
    assert table.values.dtype == np.float64
    assert table.values.flags.c_contiguous
    data[0, 0] = 99
    assert table.values[0, 0] == 1
    with pytest.raises(ValueError, match="read-only"):
        table.values[0, 0] = 3
    assert (table.n_obs, table.n_features) == (3, 2)
    assert "3 rows" in repr(table)
    assert "a, b" in repr(as_table(frame()))


def test_columns_are_chosen_in_the_order_asked_for():
    data = frame(species=["x", "y", "z"])
    table = as_table(data, columns=["b", "a"])
    assert table.columns == ("b", "a")
    np.testing.assert_array_equal(table.values, VALUES[:, ::-1])
    assert as_table(table, columns="a").columns == ("a",)
    assert as_table(table) is table
    assert as_table(table, name="new").name == "new"
    assert as_table(pd.DataFrame(VALUES), columns=[1]).columns == ("1",)


def test_fingerprint_knows_values_columns_and_shape():
    prints = {
        as_table(data).fingerprint
        for data in (
            frame(),
            frame()[["b", "a"]],
            frame().rename(columns={"a": "c"}),
            frame() + 1e-12,
            VALUES.ravel(),
        )
    }
    assert len(prints) == 5
    assert as_table(frame().set_axis(list("pqr"))).fingerprint in prints


@pytest.mark.parametrize(
    ("index", "labels"),
    [
        (["p", "q", "r"], ["p", "q", "r"]),
        ([5, 3, 9], [5, 3, 9]),
        (["p", "q", "q"], [0, 1, 2]),
        (["p", "q", None], [0, 1, 2]),
        (pd.MultiIndex.from_tuples([("p", 1), ("p", 2), ("q", 1)]), ["('p', 1)", "('p', 2)", "('q', 1)"]),
        (pd.Index(["p", 1, 2.5], dtype=object), ["p", "1", "2.5"]),
        (pd.Index(["p", 1, "1"], dtype=object), [0, 1, 2]),
        (pd.CategoricalIndex(["p", "q", "r"]), ["p", "q", "r"]),
    ],
)
def test_row_labels_are_kept_where_they_can_serve(index, labels):
    table = as_table(frame().set_axis(index))
    assert list(table.index) == labels
    assert table.index.name == "obs_id"


def test_dates_are_kept_as_row_labels():
    dates = pd.date_range("2020-01-01", periods=3)
    assert as_table(frame().set_axis(dates)).index.equals(dates)


def test_a_column_of_text_is_named_with_its_first_value_and_the_remedy():
    assert message(frame(species=["x", "y", "z"])) == (
        "column 'species' is not numeric: it holds 'x' in row 0 (counted from 0); "
        "choose numeric columns with columns=['a', 'b'] (--columns a,b)"
    )
    assert "it holds 'n/a?' in row 'q'" in message(frame(c=["1.5", "n/a?", "2"]).set_axis(["p", "q", "r"]))
    assert "stored as text, such as '1.5'" in message(frame(c=["1.5", "3", "2"]))
    assert "it holds True" in message(frame(c=[True, False, True]))
    assert "it holds True" in message(pl.DataFrame({"a": [1, 2, 3], "c": [True, False, True]}))
    assert "Timestamp" in message(frame(c=pd.date_range("2020-01-01", periods=3)))
    assert "all its values are missing" in message(frame(c=[None, None, None]))
    assert "it holds 'x'" in message(frame(c=pd.Categorical(["x", "y", "x"])))


def test_a_long_list_of_columns_is_cut_short():
    wide = pd.DataFrame(np.arange(300.0).reshape(2, 150)).assign(t="x")
    assert len(message(wide)) < 300
    assert "140 more" in message(wide.drop(columns="t"), columns=["no"])


@pytest.mark.parametrize(
    ("data", "columns", "parts"),
    [
        (frame()[[]].assign(s="x", t="y"), None, ["no numeric column among s, t"]),
        (["x", "y"], None, ["no numeric column"]),
        ([True, False], None, ["no numeric column"]),
        (frame(), ["a", "z"], ["no column 'z'", "the data has a, b"]),
        (frame(), ["a", "a"], ["'a' was asked for twice"]),
        (frame(), [], ["no column was asked for", "a, b"]),
        (frame(s="x"), ["s"], ["column 's' is not numeric", "--columns a,b"]),
        (
            frame(c=[1.0, np.nan, np.nan]),
            None,
            ["'c'", "2 missing values, the first in row 1", "drop or impute"],
        ),
        (frame(c=[1.0, 3.0, None]), None, ["'c'", "one missing value, in row 2"]),
        (pl.DataFrame({"c": [1, None, 3]}), None, ["'c'", "one missing value, in row 1"]),
        (np.ma.masked_array([1, 2, 3], [0, 1, 0]), None, ["'x0'", "one missing value, in row 1"]),
        (frame(c=[1.0, -np.inf, 2.0]), None, ["'c'", "one infinite value, in row 1"]),
        (frame(c=7.0), None, ["'c' is constant: every value is 7", "drop it"]),
        (frame(c=[1j, 2, 3]), None, ["'c' is complex", "real and imaginary"]),
        (frame(c=pd.Series([10**400, 2, 3], dtype=object)), None, ["'c' cannot be read as floating-point numbers"]),
        (frame().iloc[:0], None, ["no rows", "at least two"]),
        (frame().iloc[:1], None, ["one row only", "at least two"]),
        (pd.DataFrame(), None, ["empty"]),
        (np.empty((4, 0)), None, ["no columns"]),
        ([], None, ["no rows"]),
        (frame().set_axis(["a", "a"], axis=1), None, ["two columns are named 'a'", "rename"]),
        (pd.DataFrame(VALUES, columns=[1, "1"]), None, ["two columns are named '1'"]),
        (pa.table([[1, 2], [3, 4]], names=["a", "a"]), None, ["'a'", "rename"]),
        (np.zeros((2, 2, 2)), None, ["3 dimensions"]),
        (3.0, None, ["single float"]),
        ([[1, 2], [3]], None, ["rows of one length"]),
        ({"a": [1, 2], "b": [1]}, None, ["lists of one length"]),
        ("faithful", None, ["string 'faithful'", "read_table"]),
    ],
)
def test_a_fault_is_named_with_its_remedy(data, columns, parts):
    text = message(data, columns)
    for part in parts:
        assert part in text


def test_faults_in_columns_not_asked_for_do_not_matter():
    data = frame(c=[1.0, np.nan, 2.0], d=1.0, s=["x", "y", "z"])
    assert as_table(data, columns=["a", "b"]).fingerprint == as_table(frame()).fingerprint


def test_a_sparse_matrix_is_refused():
    sparse = pytest.importorskip("scipy.sparse")
    assert "toarray()" in message(sparse.csr_array(VALUES))


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="do not match"):
        Table(VALUES, ("a",), pd.RangeIndex(3))
