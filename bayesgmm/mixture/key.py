"""The short name of a model, such as "2 full": made and read here alone."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["ModelKey"]


class ModelKey(NamedTuple):
    """Number of components and covariance type; as a pair it is the key of `Grid.fits`, as text that of results.

    >>> str(ModelKey(2, "full")), ModelKey.parse("2 full")
    ('2 full', ModelKey(n_components=2, covariance_type='full'))
    """

    n_components: int
    covariance_type: str

    def __str__(self) -> str:
        return f"{self.n_components} {self.covariance_type}"

    @classmethod
    def parse(cls, text: str) -> ModelKey:
        """Read what `str` wrote."""
        k, covariance_type = text.split(" ", 1)
        return cls(int(k), covariance_type)
