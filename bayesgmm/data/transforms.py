"""Monotone transformations of columns, with the log Jacobian by which criteria before and after compare.

With y = t(x) in each column the density of x is that of y times t'(x): log likelihoods of the data as given are those of the
transformed plus sum_i log t'(x_i), and BIC falls by twice that. Yeo & Johnson (2000), A new family of power
transformations, Biometrika 87.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import InputError
from .table import Table

__all__ = ["Transform", "parse_transforms", "transformed"]

Array = NDArray[np.float64]
_YEO_JOHNSON = re.compile(r"yeo-johnson\((-?\d+(?:\.\d+)?)\)")


@dataclass(frozen=True)
class Transform:
    """One column's transformation.

    Attributes
    ----------
    name : {"none", "log", "root", "yeo-johnson"}
    power : float
        Yeo and Johnson's lambda.
    """

    name: str = "none"
    power: float = 1.0

    @classmethod
    def named(cls, text: str) -> Transform:
        """From "none", "log", "root" or "yeo-johnson(0.3)".

        Raises
        ------
        InputError
            For another name.
        """
        if text in ("none", "log", "root"):
            return cls(text)
        if found := _YEO_JOHNSON.fullmatch(text):
            return cls("yeo-johnson", float(found[1]))
        raise InputError(f"transform={text!r} is unknown: choose 'none', 'log', 'root' or 'yeo-johnson(0.5)'")

    def __str__(self) -> str:
        return f"yeo-johnson({self.power:g})" if self.name == "yeo-johnson" else self.name

    def fits(self, x: ArrayLike) -> bool:
        """Whether it is defined, with a finite Jacobian, on all of ``x`` (N,)."""
        return self.name not in ("log", "root") or bool(np.asarray(x, dtype=float).min() > 0)

    def of(self, x: Array) -> Array:
        """Transformed values (N,)."""
        if self.name == "log":
            return np.log(x)
        if self.name == "root":
            return np.sqrt(x)
        if self.name == "yeo-johnson":
            from scipy.stats import yeojohnson

            return np.asarray(yeojohnson(x, self.power))
        return x

    def log_slope(self, x: Array) -> Array:
        """Log of the derivative at each value (N,)."""
        if self.name == "log":
            return -np.log(x)
        if self.name == "root":
            return -np.log(2.0) - 0.5 * np.log(x)
        if self.name == "yeo-johnson":
            return (self.power - 1.0) * np.sign(x) * np.log1p(np.abs(x))
        return np.zeros_like(x)


def parse_transforms(asked: object, columns: tuple[str, ...]) -> dict[str, Transform]:
    """Transformations by column, from a mapping or from "height=log, weight=root".

    Raises
    ------
    InputError
        For a column that there is not, or an unknown transformation.
    """
    if isinstance(asked, str):
        pairs = [part.rpartition("=") for part in asked.split(",") if part.strip()]
        if any(not sign for _, sign, _ in pairs):
            raise InputError(f"transform={asked!r}: give 'auto', 'none', or column=log, column=root")
        asked = {column.strip(): name.strip() for column, _, name in pairs}
    if not isinstance(asked, Mapping):
        raise InputError(f"transform={asked!r}: give 'auto', 'none', or column=log, column=root")
    for column in asked:
        if column not in columns:
            raise InputError(
                f"transform names {column!r}, which is no column that is fitted: choose among {', '.join(columns)}"
            )
    return {column: Transform.named(name) for column, name in asked.items()}


def transformed(table: Table, transforms: Mapping[str, Transform]) -> Table:
    """The table with some columns transformed, and renamed after what was done: "log(income)".

    Raises
    ------
    InputError
        Where a transformation is not defined on a column, naming its smallest value.
    """
    values, names = table.values.copy(), list(table.columns)
    for column, transform in transforms.items():
        j = table.columns.index(column)
        if transform.name == "none":
            continue
        if not transform.fits(values[:, j]):
            raise InputError(
                f"transform {transform} needs positive values and {column!r} begins at {values[:, j].min():.6g}: choose "
                "'yeo-johnson(0.5)' or leave the column as it is"
            )
        values[:, j] = transform.of(values[:, j])
        names[j] = f"{transform}({column})"
    return replace(table, values=values, columns=tuple(names))
