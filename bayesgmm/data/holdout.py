"""Rows set aside before anything is fitted, to compare predictions on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesgmm.data.errors import InputError
from bayesgmm.data.table import Table, rows_to_score

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["framed", "set_aside"]


def set_aside(table: Table, holdout: Any, random_seed: int = 0, missing: str = "error") -> tuple[Table, Table | None]:
    """What is fitted, and what is held out.

    Parameters
    ----------
    table : Table
    holdout : float, table or None
        A share of the rows, between 0 and 1, drawn at random; or further rows, with the columns of ``table``.
    random_seed : int
        Of the draw.
    missing : {"error", "marginalise"}
        What becomes of missing values in further rows.

    Raises
    ------
    InputError
        A share that leaves fewer than two rows on either side, or rows that lack a column.
    """
    if holdout is None:
        return table, None
    if not isinstance(holdout, int | float | np.number):
        values, index = rows_to_score(holdout, table.columns, missing)
        return table, Table(values, table.columns, index, f"{table.name}, held out")
    share = float(holdout)
    count = round(share * table.n_obs) if 0 < share < 1 else 0
    if not 2 <= count <= table.n_obs - 2:
        raise InputError(
            f"holdout={holdout!r} does not leave two of the {table.n_obs} rows on each side: give a share such as 0.2, or "
            "further rows"
        )
    held = np.zeros(table.n_obs, dtype=bool)
    held[np.random.default_rng(random_seed).permutation(table.n_obs)[:count]] = True
    return table.without(held), replace(table.without(~held), name=f"{table.name}, held out")


def framed(table: Table) -> pd.DataFrame:
    """The numbers of a table with their names and labels."""
    import pandas as pd

    return pd.DataFrame(table.values, index=table.index, columns=list(table.columns))
