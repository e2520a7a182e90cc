"""The coordinates in which EM's estimate is judged, and the scores of rows in them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..mixture import Mixture, embedded, tangent, whitening

__all__ = ["Layout", "component_scores", "whitened"]

Array = NDArray[np.float64]


class Layout:
    """Where the coordinates of a mixture lie in a vector of P: K - 1 logits, means, distinct covariance entries.

    Attributes
    ----------
    n_parameters : int
        P.
    directions : (Q, D, D) or (K, Q, D, D)
        Change of one covariance matrix when one of its distinct entries grows; of each, where they are no linear space,
        when one of the coordinates of the structure's parts does (`tangent`).
    blocks : (K,)
        Which block of Q coordinates is each component's.
    """

    def __init__(self, mixture: Mixture) -> None:
        self.k, self.d = mixture.means.shape
        structure = mixture.structure
        self.curved = structure.linear is not structure
        if self.curved:
            moves = tangent(structure, mixture.dense_covariances)
            self.directions, self.blocks = moves.swapaxes(0, 1), np.zeros(self.k, dtype=np.intp)
        else:
            self.directions, self.blocks = structure.directions(self.k, self.d)
        self.n_entries = self.directions.shape[-3]
        self.n_blocks = int(self.blocks.max()) + 1
        self.first_covariance = self.k - 1 + self.k * self.d
        self.n_parameters = self.first_covariance + self.n_blocks * self.n_entries

    def of_component(self, k: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Where the mean (D,) and the covariance entries (Q,) of component ``k`` are."""
        q = self.n_entries
        return self.k - 1 + k * self.d + np.arange(self.d), self.first_covariance + self.blocks[k] * q + np.arange(q)


def component_scores(
    mixture: Mixture, layout: Layout, inverse: Array, along: Array, x: Array, k: int
) -> tuple[Array, NDArray[np.intp], Array]:
    """Scores s_ik of rows ``x`` (B, D) had they come from component ``k``, weights' part not centred.

    Parameters
    ----------
    inverse, along : (K, D, D), (K, Q, D, D)
        Inverse Cholesky factors, and the layout's directions in whitened coordinates.

    Returns
    -------
    own : (B, 1 + D + Q), or one column less for the last component, whose logit is fixed
    where : which of the P coordinates these are
    z : (B, D)
        Whitened rows.
    """
    z = (x - mixture.means[k]) @ inverse[k].T
    products = (z[:, :, None] * z[:, None, :]).reshape(len(x), -1)
    flat = along[k].reshape(layout.n_entries, -1)
    entries = 0.5 * (products @ flat.T - np.trace(along[k], axis1=-2, axis2=-1))
    own = np.concatenate([np.ones((len(x), 1)), z @ inverse[k], entries], axis=1)
    where = np.concatenate([[k], *layout.of_component(k)])
    if k == mixture.n_components - 1:
        return own[:, 1:], where[1:], z
    return own, where, z


def whitened(mixture: Mixture, layout: Layout, features: NDArray[np.intp] | None = None) -> tuple[Array, Array]:
    """What `component_scores` takes: inverse Cholesky factors (K, D, D), and directions (K, Q, D, D) in their scale.

    Of some ``features`` alone they are zero elsewhere, and scores in what belongs to other features come out as zero.
    """
    if features is None:
        inverse, _ = whitening(mixture)
    else:
        inverse = embedded(whitening(mixture.marginal(features))[0], features, mixture.n_features)
    return inverse, inverse[:, None] @ layout.directions @ inverse[:, None].swapaxes(-1, -2)
