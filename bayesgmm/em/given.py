"""Starting values that users give, checked, in the words by which scikit-learn's errors are known."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data import InputError
from ..mixture import Mixture, Structure
from .prepare import Prepared
from .search.starts import KINDS, Rows, make_starts

__all__ = ["check_distinct", "given_starts"]

Array = NDArray[np.float64]


def given_starts(
    prepared: Prepared, n_components: int, count: int, kind: str, seed: int, given: tuple[Any, Any, Any]
) -> tuple[Mixture, ...]:
    """Starts of a kind, with what the user gave of weights, means and precisions put in their place.

    Parameters
    ----------
    prepared : Prepared
    n_components, count : int
        K; how many starts.
    kind : str
        A name in `KINDS`, or "auto" for k-means.
    seed : int
    given : (weights (K,), means (K, D), precisions (compact shape)), each or None
        In the units of the data.

    Returns
    -------
    tuple of single mixtures, in the units of the data

    Raises
    ------
    InputError
        What was given has another shape, or cannot be weights or precisions.
    """
    structure, design = prepared.structure, prepared.design
    kind = "kmeans" if kind == "auto" else kind
    if kind not in KINDS:
        raise InputError(f"init_params={kind!r} is unknown; choose auto or one of {', '.join(KINDS)}")
    k, d = n_components, design.n_features
    rows = Rows(design.values, design.sample_weight if design.sample_weight.size else None)
    weights = _given_array("weights_init", given[0], (k,), "weights")
    if weights is not None:
        _check_weights(weights)
    means = _given_array("means_init", given[1], (k, d), "means")
    precisions = _given_array("precisions_init", given[2], structure.shape(k, d), f"{structure.name} precision")
    if precisions is not None:
        _check_precisions(precisions, structure, (k, d))
    starts = []
    for made in make_starts(structure, rows, k, count, np.random.default_rng(seed), kind):
        own = made.in_data_units(prepared.scaling)
        starts.append(
            Mixture(
                structure,
                own.weights if weights is None else weights,
                own.means if means is None else means,
                own.covariances if precisions is None else structure.inverted(precisions),
            )
        )
    return tuple(starts)


def check_distinct(prepared: Prepared, n_components: int) -> None:
    """Refuse rows of which fewer are distinct than there are components: nothing then keeps components from collapsing.

    Raises
    ------
    InputError
    """
    if n_components == 1:
        return
    # A few rows tell nearly always, and all that are needed to count to K.
    values = prepared.values
    for rows in (values[: 4 * n_components], values):
        distinct = len(np.unique(rows, axis=0))
        if distinct >= n_components:
            return
    raise InputError(
        f"{n_components} components of {distinct} distinct rows collapse; give at most {distinct} components, or reg_covar. "
        "Fitting the mixture model failed because some components have ill-defined empirical covariance (for instance caused "
        "by singleton or collapsed samples). Try to decrease the number of components, increase reg_covar, or scale the input "
        "data."
    )


def _check_weights(weights: Array) -> None:
    if weights.min() < 0 or weights.max() > 1:
        # scikit-learn's words have the two numbers the other way round, and are matched so.
        raise InputError(
            f"weights_init reach from {weights.min():.5f} to {weights.max():.5f}; give shares. The parameter 'weights' should "
            f"be in the range [0, 1], but got max value {weights.min():.5f}, min value {weights.max():.5f}"
        )
    if not np.isclose(weights.sum(), 1):
        raise InputError(
            "weights_init must be positive and sum to one; divide them by their sum. The parameter 'weights' should be "
            f"normalized, but got sum(weights) = {weights.sum():.5f}"
        )


def _given_array(name: str, value: Any, shape: tuple[int, ...], known_as: str) -> Array | None:
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


def _check_precisions(precisions: Array, structure: Structure, shape: tuple[int, int]) -> None:
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
