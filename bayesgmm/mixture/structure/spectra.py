"""Eigenvalues of covariances as products of volumes and shapes: ``lambda_k a_ki``, the a_ki of one component with product one.

The letters say which of the two are shared: volume E or V, shape E or V. Symbols: counts n_k (..., K), spectra (..., K, D).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["fit_products", "nearest_spectra", "raised_spectra", "to_common_volume", "volumes", "volumes_and_shapes"]

Array = NDArray[np.float64]
# Rounds of `fit_products`, and the change of log shapes below which it ends.
_ROUNDS, _CLOSE = 200, 1e-12
_TINY = 1e-300


def volumes(spectra: Array) -> Array:
    """Geometric means lambda_k (..., K) of spectra (..., K, D)."""
    return np.exp(np.log(np.maximum(spectra, _TINY)).mean(-1))


def to_common_volume(own: Array, counts: Array) -> Array:
    """Factors (..., K) that bring scatters of volumes ``own`` to the average of their volumes per row."""
    return np.asarray(own.sum(-1, keepdims=True) / counts.sum(-1, keepdims=True) / own)


def fit_products(counts: Array, spreads: Array, start: Array | None = None) -> Array:
    """Spectra lambda_k a_i (..., K, D) of one shape for all components, by maximum likelihood.

    What is minimised, sum_k n_k D log lambda_k + sum_ki w_ki / (lambda_k a_i), is convex in the logarithms; each round
    minimises it exactly in one of the two (Celeux & Govaert 1995, section 3, model VEI), which is Sinkhorn's balancing of
    w_ki / (lambda_k a_i) to row sums D n_k and equal column sums.

    Parameters
    ----------
    counts : (..., K)
    spreads : (..., K, D)
        Scatter w_ki of each component along each of its axes.
    start : (..., D), optional
        A shape to begin with.
    """
    spreads = np.maximum(spreads, _TINY)
    rows = spreads.shape[-1] * counts
    shape = _without_volume(spreads.sum(-2) if start is None else start)
    for _ in range(_ROUNDS):
        sizes = (spreads / shape[..., None, :]).sum(-1) / rows
        new = _without_volume((spreads / sizes[..., None]).sum(-2))
        change = np.abs(np.log(new / shape)).max() if new.size else 0.0
        shape = new
        if not change > _CLOSE:
            break
    return ((spreads / shape[..., None, :]).sum(-1) / rows)[..., None] * shape[..., None, :]


def _without_volume(spectrum: Array) -> Array:
    """A spectrum (..., D) over its geometric mean."""
    return np.asarray(spectrum / volumes(spectrum)[..., None])


def nearest_spectra(letters: str, logs: Array) -> Array:
    """Log spectra (..., K, D) that have the shared parts of a structure, nearest to those given in least squares."""
    sizes = logs.mean(-1, keepdims=True)
    shapes = logs - sizes
    if letters[0] == "E":
        sizes = sizes.mean(-2, keepdims=True)
    if letters[1] == "E":
        shapes = shapes.mean(-2, keepdims=True)
    return np.asarray(np.broadcast_to(sizes + shapes, logs.shape))


def volumes_and_shapes(letters: str, spectra: Array) -> dict[str, Array]:
    """Volumes (..., V, 1) and shapes (..., H, D) of spectra (..., K, D) near the structure; V and H are one where shared."""
    logs = nearest_spectra(letters, np.log(spectra))
    sizes = logs.mean(-1, keepdims=True)
    shapes = logs - sizes
    return {
        "volume": np.exp(sizes if letters[0] == "V" else sizes[..., :1, :]),
        "shape": np.exp(shapes if letters[1] == "V" else shapes[..., :1, :]),
    }


def raised_spectra(letters: str, spectra: Array, floor: float) -> Array:
    """Spectra (..., K, D) without a value below ``floor``, the shared parts still shared."""
    sizes = volumes(spectra)[..., None]
    if letters[1] == "E":
        shape = np.maximum(spectra / sizes, floor / np.maximum(sizes.min(-2, keepdims=True), _TINY))
        return np.asarray(sizes * shape.max(-2, keepdims=True))
    raised = np.maximum(spectra, floor)
    if letters[0] == "V":
        return raised
    sizes = volumes(raised)[..., None]
    return np.asarray(raised * (sizes.max(-2, keepdims=True) / sizes))
