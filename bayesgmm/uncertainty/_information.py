"""EM's own standard errors: the inverse of the observed information at the maximum.

The information is the Jacobian of the exact score (`em.score`), by central differences, in coordinates that are linear
in what is reported: logits of the weights with the last fixed, means, and the distinct entries of the covariances. The
standard errors of the weights follow by the delta method (McLachlan & Peel 2000, Finite Mixture Models, section 2.15).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..em.score import score
from ..mixture import Design, Mixture, single_threaded_blas
from ..tables import Scaling

__all__ = ["StandardErrors", "standard_errors"]

Array = NDArray[np.float64]
_STEP = 1e-5


@dataclass(frozen=True)
class StandardErrors:
    """Asymptotic standard errors of a maximum-likelihood mixture, in the units of the data.

    All are nan where the observed information is not positive definite: there is then no asymptotic answer.

    Attributes
    ----------
    weights : (K,)
    means : (K, D)
    covariances : (K, D, D)
    """

    weights: Array
    means: Array
    covariances: Array


@dataclass(frozen=True)
class _Layout:
    """Coordinates of the information matrix: where the compact covariances keep their distinct entries."""

    mixture: Mixture

    @property
    def distinct(self) -> tuple[NDArray[np.intp], ...]:
        """Indices into the compact covariances; below the diagonal of each matrix where they are matrices."""
        shape = self.mixture.covariances.shape
        if not self.mixture.structure.free(1, 2).correlated:
            return tuple(np.indices(shape).reshape(len(shape), -1))
        lower = np.broadcast_to(np.tri(shape[-1], dtype=bool), shape)
        return np.nonzero(lower)

    def moved(self, step: Array) -> Mixture:
        """The mixture a small step (P,) away."""
        m = self.mixture
        k, d = m.means.shape
        logits = np.log(m.weights) + np.append(step[: k - 1], 0.0)
        weights = np.exp(logits - logits.max())
        covariances = np.array(m.covariances)
        at = self.distinct
        shift = np.zeros_like(covariances)
        shift[at] = step[k - 1 + k * d :]
        if m.structure.free(1, 2).correlated:
            shift = shift + np.tril(shift, -1).swapaxes(-1, -2)
        means = m.means + step[k - 1 : k - 1 + k * d].reshape(k, d)
        return Mixture(m.structure, weights / weights.sum(), means, covariances + shift)

    def gradient(self, mixture: Mixture, design: Design) -> Array:
        """Of the log likelihood, in these coordinates (P,)."""
        found = score(mixture, design)
        covariances = np.array(found.covariances)
        if mixture.structure.free(1, 2).correlated:
            # An entry off the diagonal stands for two.
            covariances = covariances + np.tril(covariances, -1)
        return np.concatenate([found.logits[:-1], found.means.ravel(), covariances[self.distinct]])


def standard_errors(mixture: Mixture, values: Array, scaling: Scaling) -> StandardErrors:
    """Standard errors of a mixture fitted to ``values`` by maximum likelihood.

    Parameters
    ----------
    mixture : Mixture
        Single, in the units of the data.
    values : (N, D)
        In the units of the data.
    scaling : Scaling
        To the scale on which the computation is done.
    """
    k, d = mixture.means.shape
    nothing = StandardErrors(np.full(k, np.nan), np.full((k, d), np.nan), np.full((k, d, d), np.nan))
    if mixture.weights.min() < 1e-12:
        return nothing  # on the edge of the parameter space
    standard = mixture.standardised(scaling)
    design = Design.of(scaling.standardise(values), mixture.structure)
    layout = _Layout(standard)
    size = k - 1 + k * d + len(layout.distinct[0])
    with single_threaded_blas():
        columns = []
        for i in range(size):
            step = np.zeros(size)
            step[i] = _STEP * _scale(standard, i)
            above, below = (layout.gradient(layout.moved(sign * step), design) for sign in (1.0, -1.0))
            columns.append((below - above) / (2 * step[i]))
    information = np.stack(columns)
    information = 0.5 * (information + information.T)
    spread = np.sqrt(np.maximum(np.diagonal(information), 1e-300))
    correlation = information / spread / spread[:, None]
    if not np.isfinite(correlation).all() or np.linalg.eigvalsh(correlation)[0] < 1e-10:
        return nothing
    covariance = np.linalg.inv(correlation) / spread / spread[:, None]
    w = standard.weights
    jacobian = (np.diag(w) - np.outer(w, w))[:, : k - 1]
    weights = np.sqrt(np.einsum("ki,ij,kj->k", jacobian, covariance[: k - 1, : k - 1], jacobian))
    se = np.sqrt(np.diagonal(covariance))
    compact = np.zeros(standard.covariances.shape)
    compact[layout.distinct] = se[k - 1 + k * d :]
    if standard.structure.free(1, 2).correlated:
        compact = compact + np.tril(compact, -1).swapaxes(-1, -2)
    means = se[k - 1 : k - 1 + k * d].reshape(k, d) * scaling.scale
    return StandardErrors(weights, means, scaling.covariances_to_data(standard.structure.dense(compact, k, d)))


def _scale(mixture: Mixture, i: int) -> float:
    """Size of a step in coordinate ``i``: relative to the narrowest component where it could leave the cone."""
    k, d = mixture.means.shape
    variance = float(np.diagonal(mixture.dense_covariances, axis1=-2, axis2=-1).min())
    if i < k - 1:
        return 1.0
    if i < k - 1 + k * d:
        return variance**0.5
    return float(np.linalg.eigvalsh(mixture.dense_covariances)[..., 0].min())
