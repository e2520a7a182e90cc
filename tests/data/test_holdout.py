"""Rows set aside: which, with what, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bayesgmm.data import InputError, as_table
from bayesgmm.data.holdout import framed, set_aside


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(50, 2)), columns=["a", "b"], index=[f"r{i}" for i in range(50)])
    frame.iloc[3, 0] = np.nan
    return as_table(frame, missing="drop")


def test_a_share_divides_the_rows(table):
    kept, held = set_aside(table, 0.2, 1)
    assert (kept.n_obs, held.n_obs) == (39, 10)
    together = pd.concat([framed(kept), framed(held)]).loc[list(table.index)]
    pd.testing.assert_frame_equal(together, framed(table))
    # Each part says which rows of the data it is made of: row r3 of none.
    assert (kept.kept | held.kept).sum() == 49
    assert not (kept.kept & held.kept).any()
    assert [f"r{i}" for i in np.flatnonzero(held.kept)] == list(held.index)
    again, other = set_aside(table, 0.2, 1)[1], set_aside(table, 0.2, 2)[1]
    assert list(again.index) == list(held.index) != list(other.index)


def test_further_rows_are_taken_by_name(table):
    more = pd.DataFrame({"b": [1.0, 2.0], "a": [3.0, 4.0]}, index=["x", "y"])
    kept, held = set_aside(table, more)
    assert kept is table
    np.testing.assert_array_equal(held.values, [[3.0, 1.0], [4.0, 2.0]])
    assert set_aside(table, None) == (table, None)


@pytest.mark.parametrize("share", [0, 1, 1.5, 0.01, 0.99, -0.2, 20])
def test_a_share_that_leaves_nothing_is_refused(table, share):
    with pytest.raises(InputError, match=f"holdout={share!r} does not leave two of the 49 rows"):
        set_aside(table, share)
