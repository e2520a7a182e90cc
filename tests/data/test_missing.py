"""Rows with missing values: refused in one line by default, left out on request, in every function that takes data."""

from functools import partial

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import bayesgmm as bg
from bayesgmm.data import InputError, as_table

RNG = np.random.default_rng(3)
WHOLE = np.r_[RNG.normal(0, 1, (30, 2)), RNG.normal(6, 1, (30, 2))]
HOLES = WHOLE.copy()
HOLES[[3, 40], 0] = np.nan
HOLES[[7, 40, 50], 1] = np.nan
KEPT = ~np.isnan(HOLES).any(axis=1)
WEIGHT = RNG.integers(1, 4, 60).astype(float)
QUICK = {"draws": 20, "tune": 20, "chains": 1, "random_seed": 1, "progressbar": False}

# What each function makes of data: an answer that can be compared to the last digit.
ANSWERS = {
    "fit_mixture": lambda data, **o: bg.fit_mixture(data, 2, **o).log_likelihood,
    "fit_grid": lambda data, **o: bg.fit_grid(data, [1, 2], ["diag"], progressbar=False, **o).table["bic"].sum(),
    "find_map": lambda data, **o: bg.find_map(data, 2, **o).log_posterior,
    "build_model": lambda data, **o: bg.build_model(data, 2, **o).point_logps()["x"],
    "sample_posterior": lambda data, **o: float(bg.sample_posterior(data, 2, **QUICK, **o)["posterior"]["means"].sum()),
    "kmeans_contrast": lambda data, **o: bg.kmeans_contrast(data, 2, **o).inertia,
}
UNWEIGHTED = {
    "likelihood_ratio_test": lambda data, **o: (
        bg.likelihood_ratio_test(data, 1, n_boot=3, progressbar=False, **o).statistic
    ),
}


@pytest.mark.parametrize("name", [*ANSWERS, *UNWEIGHTED])
def test_dropping_is_leaving_out_beforehand(name) -> None:
    """The answer for rows dropped is that for the complete rows, weights going with their rows."""
    answer = {**ANSWERS, **UNWEIGHTED}[name]
    given = answer(HOLES, missing="drop")
    assert given == answer(WHOLE[KEPT])
    if name in ANSWERS:
        assert answer(HOLES, missing="drop", sample_weight=WEIGHT) == answer(WHOLE[KEPT], sample_weight=WEIGHT[KEPT])


@pytest.mark.parametrize("name", [*ANSWERS, *UNWEIGHTED])
def test_the_default_names_columns_counts_and_option(name) -> None:
    answer = {**ANSWERS, **UNWEIGHTED}[name]
    with pytest.raises(InputError, match=r"'x0' 2, 'x1' 3\), in 4 of 60 rows, the first in row 3.*missing='drop'"):
        answer(HOLES)
    with pytest.raises(InputError, match=r"missing='omit': give one of 'error', 'drop'"):
        answer(HOLES, missing="omit")


def test_analysis_refuses_and_takes_the_option() -> None:
    with pytest.raises(InputError, match="in 4 of 60 rows"):
        bg.analyze(HOLES, [1])
    with pytest.raises(InputError, match="missing=None: give"):
        bg.analyze(HOLES, [1], missing=None)


@pytest.mark.parametrize("fit", [partial(bg.fit_mixture, n_components=2), bg.GaussianMixture(2, random_state=0).fit])
def test_masks_are_honoured(fit) -> None:
    """A masked cell is a missing one, whatever number lies under the mask."""
    coded = np.ma.masked_equal(np.where(np.isnan(HOLES), -999.0, HOLES), -999.0)
    with pytest.raises(InputError, match="in 4 of 60 rows"):
        fit(coded)
    unmasked = np.ma.masked_equal(WHOLE, -999.0)
    reached = [fit(data) for data in (unmasked, WHOLE)]
    scores = [getattr(found, "result_", found).log_likelihood for found in reached]
    assert scores[0] == scores[1]


def test_masked_data_drop_and_masked_weights_are_refused() -> None:
    coded = np.ma.masked_invalid(HOLES)
    assert as_table(coded, missing="drop").fingerprint == as_table(WHOLE[KEPT]).fingerprint
    weight = np.ma.masked_greater(WEIGHT, 2.5)
    with pytest.raises(InputError, match=r"sample_weight of row \d+ is nan"):
        bg.fit_mixture(WHOLE, 2, sample_weight=weight)
    with pytest.raises(InputError, match=r"sample_weight of row \d+ is nan"):
        bg.find_map(WHOLE, 2, sample_weight=weight)


def test_labels_stay_with_their_rows() -> None:
    frame = pd.DataFrame(HOLES, columns=["a", "b"], index=[f"r{i}" for i in range(60)])
    table = as_table(frame, missing="drop")
    assert list(table.index) == [f"r{i}" for i in np.flatnonzero(KEPT)]
    np.testing.assert_array_equal(table.values, WHOLE[KEPT])


def test_lazy_frames_and_arrow_readers() -> None:
    frame = pl.DataFrame(WHOLE, schema=["a", "b"])
    wanted = as_table(pd.DataFrame(WHOLE, columns=["a", "b"])).fingerprint
    arrow = pa.table({"a": WHOLE[:, 0], "b": WHOLE[:, 1]})
    for data in (frame.lazy(), arrow.to_reader(), arrow.to_batches()[0], arrow):
        assert as_table(data).fingerprint == wanted
    duckdb = pytest.importorskip("duckdb")
    with duckdb.connect() as connection:
        connection.register("given", arrow)
        assert as_table(connection.sql("SELECT * FROM given")).fingerprint == wanted
