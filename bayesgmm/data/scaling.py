"""Standardising a table, and carrying what was estimated on the standardised scale back to the user's units.

With ``z = (x - location) / scale`` per column, a Gaussian with mean m and covariance S in x has mean
``(m - location) / scale`` and covariance ``S / (scale scale')`` in z, and the log density of x is that of z
plus ``-sum(log(scale))``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from bayesgmm.data.checks import checked_weight

# The grid of `Scaling.rows`: 2^-30, or 2^-20 of the narrowest range of nine distinct values if that is finer.
_GRID_ROWS, _GRID_DIGITS, _GRID_FINER, _GRID_COMPANY = 20_000, 30, 20, 8


@dataclass(frozen=True, eq=False)
class Scaling:
    """Location and scale per column.

    Attributes
    ----------
    location : ndarray (D,)
    scale : ndarray (D,)
        Positive.
    """

    location: np.ndarray
    scale: np.ndarray

    def __post_init__(self) -> None:
        for name in ("location", "scale"):
            array = np.array(getattr(self, name), dtype=np.float64, ndmin=1)
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        if self.location.ndim != 1 or self.location.shape != self.scale.shape:
            raise ValueError(f"location {self.location.shape} and scale {self.scale.shape} must both have shape (D,)")
        if not (np.all(np.isfinite(self.location)) and np.all(np.isfinite(self.scale)) and np.all(self.scale > 0)):
            raise ValueError("location must be finite and scale finite and positive")

    @classmethod
    def of(cls, values: ArrayLike, common: bool = False, sample_weight: ArrayLike | None = None) -> Scaling:
        """Mean and population standard deviation of each column.

        Parameters
        ----------
        values : array (N, D)
            Finite, or nan where missing: moments are those of what is there.
        common : bool
            One scale for all columns, the root of the mean of their variances: what is spherical in the data
            then is spherical on the standardised scale too.
        sample_weight : array (N,), optional
            Weight 0 is a row left out, weight 2 a row given twice.

        Notes
        -----
        A constant column gets the scale 1 (with `common`, where all are constant). Columns are brought near
        one by a power of two before anything is squared, and moments are taken about the mean, so neither
        1e-300, nor 1e300, nor a large offset costs digits that the data has.
        """
        values = np.asarray(values, dtype=np.float64)
        weight = checked_weight(sample_weight, len(values))
        if np.isnan(values).any():
            return cls._of_incomplete(values, common, weight)
        if weight is None:
            share = np.full(len(values), 1.0 / len(values))
        else:
            share = weight / weight.max()
            share /= share.sum()
            values, share = values[share > 0], share[share > 0]

        # Exact: only exponents change.
        exponent = np.frexp(np.abs(values).max(axis=0))[1]
        near_one = np.ldexp(values, -exponent)
        centre = share @ near_one
        deviation = near_one - centre
        # The centre is rounded to the digits of the offset; what the rounding left out is found in the
        # deviations.
        rest = share @ deviation
        deviation -= rest
        widest = np.abs(deviation).max(axis=0)
        constant = near_one.min(axis=0) == near_one.max(axis=0)
        widest[constant] = 1.0
        sd = widest * np.sqrt(share @ (deviation / widest) ** 2)
        sd[constant] = 0.0

        location = np.ldexp(np.where(constant, near_one[0], centre + rest), exponent)
        scale = np.ldexp(sd, exponent)
        if common:
            largest = scale.max()
            scale[:] = largest * np.sqrt(np.mean((scale / largest) ** 2)) if largest > 0 else 1.0
        return cls(location, np.where(scale > 0, scale, 1.0))

    @classmethod
    def _of_incomplete(cls, values: np.ndarray, common: bool, weight: np.ndarray | None) -> Scaling:
        own = []
        for column in values.T:
            there = ~np.isnan(column)
            counts = None if weight is None else weight[there]
            own.append(cls.of(column[there, None], sample_weight=counts))
        each = cls(*(np.concatenate([getattr(s, part) for s in own]) for part in ("location", "scale")))
        return each.common() if common else each

    @classmethod
    def identity(cls, n_features: int) -> Scaling:
        """The scaling that changes nothing."""
        return cls(np.zeros(n_features), np.ones(n_features))

    def common(self) -> Scaling:
        """One scale for all columns: the root of the mean of their variances."""
        largest = self.scale.max()
        one = largest * np.sqrt(np.mean((self.scale / largest) ** 2))
        return Scaling(self.location, np.full_like(self.scale, one))

    def standardise(self, values: ArrayLike) -> np.ndarray:
        """Values (..., D) of the data on the standardised scale."""
        return (np.asarray(values) - self.location) / self.scale

    def rows(self, values: ArrayLike) -> np.ndarray:
        """Rows (N, D) of the data on the standardised scale, on a grid: what both paths estimate from.

        A change of units or origin changes the last digits of standardised data, and chains and searches that begin with such
        a difference end far apart. On the grid data and their shifted and rescaled copy are the same, digit for digit (but
        for a value that lies within rounding of the middle of two grid points: about one in 50,000). The grid is 1e-9
        standard deviations wide, and a millionth of where rows are densest if that is less. More than 20,000 rows stay as they
        are, and so does what is not standardised.
        """
        standard = self.standardise(values)
        if len(standard) > _GRID_ROWS or (not self.location.any() and (self.scale == 1).all()):
            return standard
        return np.column_stack([_on_grid(column) for column in standard.T])

    def restore(self, values: ArrayLike) -> np.ndarray:
        """Standardised values (..., D) in the units of the data: the inverse of :meth:`standardise`."""
        return np.asarray(values) * self.scale + self.location

    def means_from_data(self, means: ArrayLike) -> np.ndarray:
        """Means (..., D) in the units of the data, on the standardised scale."""
        return self.standardise(means)

    def means_to_data(self, means: ArrayLike) -> np.ndarray:
        """Standardised means (..., D) in the units of the data."""
        return self.restore(means)

    def covariances_from_data(self, covariances: ArrayLike) -> np.ndarray:
        """Covariances (..., D, D) in the units of the data, on the standardised scale."""
        # One factor after the other: the product of two scales may over- or underflow where the result does
        # not.
        return np.asarray(covariances) / self.scale[:, np.newaxis] / self.scale

    def covariances_to_data(self, covariances: ArrayLike) -> np.ndarray:
        """Standardised covariances (..., D, D) in the units of the data."""
        return np.asarray(covariances) * self.scale[:, np.newaxis] * self.scale

    @property
    def log_jacobian(self) -> float:
        """``-sum(log(scale))``: N times this plus a standardised log likelihood is that of the data."""
        return -float(np.log(self.scale).sum())

    def log_jacobians(self, values: np.ndarray) -> np.ndarray:
        """``log_jacobian`` of each row (N,): of the features that it has."""
        if not np.isnan(values).any():
            return np.full(len(values), self.log_jacobian)
        return -(~np.isnan(values) @ np.log(self.scale))


def _on_grid(column: np.ndarray) -> np.ndarray:
    """Values (N,) rounded to a multiple of a power of two."""
    distinct = np.unique(column[~np.isnan(column)])
    company = min(_GRID_COMPANY, len(distinct) - 1)
    width = (distinct[company:] - distinct[: len(distinct) - company]).min() if company else 1.0
    digits = max(_GRID_DIGITS, _GRID_FINER - int(np.floor(np.log2(width))))
    return np.ldexp(np.round(np.ldexp(column, digits)), -digits)
