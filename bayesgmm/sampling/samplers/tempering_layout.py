"""What the tempered scans need to know of a structure and its priors: the only place that knows how these are stored.

A `Layout` says of each covariance coordinate which component owns it; `fill_factors` and `covariance_log_prior` call the
structure's map to covariance factors and the terms of the prior by address, so that scans are compiled once for all of them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ...mixture import add_term, call_constrain
from ...posterior import MeansTerm, Target

__all__ = ["Layout", "covariance_log_prior", "fill_factors", "layout_of"]

Array = NDArray[np.float64]
# Steps of the coordinates of a part, relative to those of logarithms of scales; about as precise as the data make them.
_STRETCH = {"correlations": 2.0}
# Terms of the prior before those of the covariances: weights and means.
_BEFORE = np.int64(2)


class Layout(NamedTuple):
    """Where coordinates lie and what they obey; compiled code takes it as it is.

    Attributes
    ----------
    n_components : int
    concentration : float
        Of the Dirichlet prior of the weights.
    location, precision : (D,)
        Of the normal prior of the means.
    owner : (C,) int64
        Component that owns each covariance coordinate; -1 for all.
    stretch : (C,)
        Relative length of steps.
    n_hyper : int
        Coordinates after those of the covariances, which only the prior knows.
    model, numbers : (...) int64, (...)
        As `density.log_density_and_gradient` takes them.
    """

    n_components: int
    concentration: float
    location: Array
    precision: Array
    owner: NDArray[np.int64]
    stretch: Array
    n_hyper: int
    model: NDArray[np.int64]
    numbers: Array


def layout_of(target: Target) -> Layout:
    """The layout of a target's coordinates."""
    k = target.n_components
    parts = target.coordinates.parts
    owner = [np.repeat(np.arange(k), p.size) if p.own else np.full(p.length, -1) for p in parts]
    stretch = [np.full(p.length, _STRETCH.get(p.name, 1.0)) for p in parts]
    means = next(term for term in target.terms if isinstance(term, MeansTerm))
    model, numbers = target.arguments[:2]
    return Layout(
        k,
        float(target.own_priors.weight_concentration),
        np.ascontiguousarray(means.location, dtype=float),
        np.ascontiguousarray(means.spread, dtype=float) ** -2.0,
        np.concatenate(owner).astype(np.int64),
        np.concatenate(stretch),
        target.coordinates.sizes["rate"],
        model,
        numbers,
    )


@njit(nogil=True, cache=True, error_model="numpy")
def fill_factors(u, layout, factors):
    """Covariance factors (K, D, D), lower triangular, at the coordinates ``u`` (P,)."""
    n_components, n_features = layout.n_components, layout.location.size
    at = n_components - 1 + n_components * n_features
    own = layout.numbers.ctypes.data + 8 * layout.model[6 + 2 * layout.model[5]]
    call_constrain(layout.model[3], u.ctypes.data + 8 * at, n_components, n_features, own, factors.ctypes.data)
    for k in range(layout.model[2], n_components):
        for a in range(n_features):
            for b in range(n_features):
                factors[k, a, b] = factors[0, a, b]


@njit(nogil=True, cache=True, error_model="numpy")
def covariance_log_prior(u, layout, unused):
    """Log prior density of covariance coordinates and hyperparameters at ``u`` (P,), up to a constant.

    The terms add their gradient to ``unused`` (P,), which nobody reads.
    """
    value = 0.0
    for t in range(_BEFORE, layout.model[5]):
        numbers = layout.numbers.ctypes.data + 8 * layout.model[7 + 2 * t]
        value += add_term(layout.model[6 + 2 * t], u.ctypes.data, numbers, unused.ctypes.data)
    return value
