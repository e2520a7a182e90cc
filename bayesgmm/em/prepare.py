"""Data in: checked, and laid out for one structure without a copy of what is large."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data import MOST_COLUMNS, Scaling, as_table, checked_weight
from ..mixture import Design, Rows, Structure, structure_named

__all__ = [
    "COLLINEAR", "Prepared", "checked_rows", "collinear_columns", "prepare", "prepare_values", "scaling_of",
    "used_rows",
]  # fmt: skip

Array = NDArray[np.float64]

# Smallest eigenvalue of the correlation matrix below which columns are collinear.
COLLINEAR = 1e-10
# Rows standardised at a time.
_BLOCK = 2**15


@dataclass(frozen=True)
class Prepared:
    """Checked data, standardised for one structure.

    Attributes
    ----------
    columns : tuple of str
    design : Design
        Of the standardised rows (`Scaling.rows`); rows of weight zero are left out.
    scaling : Scaling
        From the units of the data to the scale of those rows.
    values : (N, D)
        The rows as given, none of weight zero.
    """

    columns: tuple[str, ...]
    design: Design
    scaling: Scaling
    values: Array

    @property
    def structure(self) -> Structure:
        return self.design.structure

    @cached_property
    def log_jacobian(self) -> float:
        """What the log likelihood of the data as given has more than that of the standardised data."""
        if self.design.groups is None:
            return self.design.total * self.scaling.log_jacobian
        each = self.scaling.log_jacobians(self.values)
        return float(self.design.sample_weight @ each if self.design.sample_weight.size else each.sum())


def _table(data: Any, sample_weight: Any = None, missing: str = "error") -> tuple[Array, tuple[str, ...], Any]:
    """Values (N, D), column names and weights of the rows kept; a plain float64 array is taken as it is, without a copy."""
    plain = isinstance(data, np.ndarray) and not isinstance(data, np.ma.MaskedArray)
    if not (plain and data.dtype == np.float64 and data.ndim == 2 and missing == "error"):
        table = as_table(data, missing=missing)
        return table.values, table.columns, table.of_kept(sample_weight)
    names = tuple(f"x{j}" for j in range(data.shape[1]))
    if not data.size or not np.isfinite(data).all():
        as_table(data)  # raises the error that names the culprit
    return data, names, sample_weight


def prepare(data: Any, structure: str | Structure, sample_weight: Any = None, missing: str = "error") -> Prepared:
    """Check data and lay them out, standardised, for one structure; ``missing`` as in `as_table`.

    Raises
    ------
    InputError
        The data or the weights are not fit for use (`as_table`).
    """
    values, columns, weight = _table(data, sample_weight, missing)
    return prepare_values(values, columns, structure_named(structure), checked_weight(weight, len(values)))


def prepare_values(values: Array, columns: tuple[str, ...], structure: Structure, weight: Array | None) -> Prepared:
    """As `prepare`, from values (N, D), finite or nan where missing, and checked weights (N,)."""
    values, weight = used_rows(values, weight)
    if len(values) < 2 or any(_is_constant(values[:, j]) for j in range(values.shape[1])):
        import pandas as pd

        # raises the error that names the culprit
        as_table(pd.DataFrame(values, columns=list(columns)), missing="marginalise")
    with np.errstate(over="ignore", invalid="ignore"):  # refused below
        scaling = scaling_of(values, structure, weight)
    if values.shape[1] > MOST_COLUMNS or not _in_range(scaling):
        import pandas as pd

        # raises the error that names the culprit
        as_table(pd.DataFrame(values, columns=list(columns)), missing="marginalise")
    if len(values) <= _BLOCK:
        return Prepared(columns, Design.of(scaling.rows(values), structure, weight), scaling, values)
    return Prepared(columns, Design.of(values, structure, weight, scaling), scaling, values)


def used_rows(values: Array, weight: Array | None) -> tuple[Array, Array | None]:
    """Values (N, D) and weights (N,) without the rows of weight zero."""
    if weight is None or weight.all():
        return values, weight
    return values[weight > 0], weight[weight > 0]


def checked_rows(data: Any, sample_weight: Any = None, missing: str = "error") -> tuple[Array, Array | None]:
    """Values (N, D) of data and weights (N,), checked, without the rows of weight zero; not standardised.

    Raises
    ------
    InputError
        The data or the weights are not fit for use.
    """
    values, _, weight = _table(data, sample_weight, missing)
    return used_rows(values, checked_weight(weight, len(values)))


def _in_range(scaling: Scaling) -> bool:
    """Whether variances are numbers, with some room."""
    return bool(((scaling.scale > 1e-150) & (scaling.scale < 1e150) & (np.abs(scaling.location) < 1e150)).all())


def _is_constant(column: Array) -> bool:
    if np.isnan(column[0]) or np.isnan(column[-1]):
        column = column[~np.isnan(column)]
    return not column.size or bool(column[0] == column[-1] and (column == column[0]).all())


def scaling_of(values: Array, structure: Structure, weight: Array | None) -> Scaling:
    """`Structure.scaling`, block by block and on all cores: nothing of the size of the data is made.

    Moments are taken on the scale of the first block, so that no digits are lost; where that does not represent the
    others, the whole has to be taken.
    """
    if len(values) <= _BLOCK:
        return structure.scaling(values, weight)
    pilot = Scaling.of(values[:_BLOCK], sample_weight=None if weight is None else weight[:_BLOCK])

    rows = Rows.of_values(values, pilot, weight)

    def moments(block: slice) -> tuple[float, Array, Array]:
        z, own = rows.values_of(block), rows.weight_of(block)
        return own.sum(), own @ z, np.einsum("n,nd,nd->d", own, z, z)

    with np.errstate(all="ignore"):
        count, first, second = rows.sum(moments, _BLOCK)
        shift = first / count
        sd = np.sqrt(np.maximum(second / count - shift**2, 0.0))
        alike = bool(((np.abs(shift) < 10 * sd) & (sd > 1e-3) & (sd < 1e3)).all())
    if not alike:
        return structure.scaling(values, weight)
    return structure.admitted(Scaling(pilot.restore(shift), pilot.scale * sd))


def collinear_columns(prepared: Prepared) -> tuple[str, ...]:
    """The columns of a linear relation that all rows obey; none where there is no such relation.

    That is, where the smallest eigenvalue of the correlation matrix is below 1e-10 and the structure has correlations.
    """
    structure, scatter = prepared.structure, prepared.design.scatter
    d = len(scatter)
    # The scatter as one component of the structure has it: without correlations there is none to be close to one.
    own = structure.dense(structure.compact(scatter[None]), 1, d)[0]
    spread = np.sqrt(np.diagonal(own))
    eigenvalues, vectors = np.linalg.eigh(own / spread / spread[:, None])
    if eigenvalues[0] >= COLLINEAR:
        return ()
    return tuple(prepared.columns[j] for j in np.flatnonzero(np.abs(vectors[:, 0]) > 1e-3))
