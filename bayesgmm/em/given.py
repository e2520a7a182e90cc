"""Starting values that users give, checked, in the words by which scikit-learn's errors are known."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data import InputError
from ..mixture import Structure

__all__ = ["check_precisions", "given_array"]

Array = NDArray[np.float64]


def given_array(name: str, value: Any, shape: tuple[int, ...], known_as: str) -> Array | None:
    """A starting value that the user gave, checked for its shape; ``known_as`` is scikit-learn's name in its messages."""
    if value is None:
        return None
    array = np.asarray(value, dtype=np.float64)
    if array.shape != shape or not np.isfinite(array).all():
        raise InputError(
            f"{name} has shape {array.shape}; give finite numbers of shape {shape}. The parameter '{known_as}' should have "
            f"the shape of {shape}, but got {array.shape}"
        )
    return array


def check_precisions(precisions: Array, structure: Structure, shape: tuple[int, int]) -> None:
    """Refuse precisions that no mixture has.

    Raises
    ------
    InputError
    """
    dense = structure.dense(precisions, *shape)
    symmetric = np.allclose(dense, np.swapaxes(dense, -1, -2))
    if symmetric and (np.linalg.eigvalsh(dense) > 0).all():
        return
    name = structure.name
    off_diagonal = not np.array_equal(structure.dense(structure.compact(np.ones((1, 2, 2))), 1, 2)[0], np.eye(2))
    wanted = "symmetric, positive-definite" if off_diagonal else "positive"
    raise InputError(
        f"precisions_init are no precisions; give inverse covariances. '{name} precision' should be {wanted}"
    )
