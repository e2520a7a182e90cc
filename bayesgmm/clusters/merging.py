"""The tree by which components merge into groups, by how much they overlap: the other road to groups.

Hennig (2010) merges, step by step, the two clusters that are mistaken for each other most: with responsibilities r and
every row assigned to its most probable cluster, the share of cluster i that goes to j is

    q_ij = sum_x r_i(x) 1{x assigned to j} / sum_x r_i(x),     overlap = max(q_ij, q_ji).

Beside it stands the Bhattacharyya coefficient of the Gaussians that have the clusters' moments, 1 for equal ones. Both
are means over the draws.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..mixture import Mixture, draw_responsibilities

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["bhattacharyya", "merging_tree", "misclassification", "moments"]

Array = NDArray[np.float64]
Integers = NDArray[np.integer[Any]]
_MAX_DRAWS = 200
_MAX_ROWS = 2000


def moments(draws: Mixture, members: list[int]) -> tuple[Array, Array, Array]:
    """Weight (S,), mean (S, D) and covariance (S, D, D) of the union of some components."""
    weights = draws.weights[:, members]
    total = weights.sum(1)
    share = weights / total[:, None]
    means = draws.means[:, members]
    mean = np.einsum("sk,skd->sd", share, means)
    apart = means - mean[:, None]
    covariance = np.einsum("sk,skde->sde", share, draws.dense_covariances[:, members])
    return total, mean, covariance + np.einsum("sk,skd,ske->sde", share, apart, apart)


def bhattacharyya(first: tuple[Array, Array, Array], second: tuple[Array, Array, Array]) -> Array:
    """Bhattacharyya coefficient (S,) of Gaussians with given moments: the integral of the root of their product."""
    _, mean, covariance = first
    _, other_mean, other = second
    middle = 0.5 * (covariance + other)
    apart = mean - other_mean
    squared = np.einsum("sd,sd->s", apart, np.linalg.solve(middle, apart[..., None])[..., 0])
    log_det = [np.linalg.slogdet(c)[1] for c in (middle, covariance, other)]
    return np.exp(-squared / 8 - 0.5 * (log_det[0] - 0.5 * (log_det[1] + log_det[2])))


def misclassification(shares: Array, sample_weight: Array) -> Array:
    """q_ij, mean over draws (G, G), from responsibilities (S, G, N)."""
    n_draws, g, _ = shares.shape
    assigned = shares.argmax(1)
    result = np.zeros((g, g))
    for s in range(n_draws):
        weighted = shares[s] * sample_weight
        gone = np.stack([weighted[:, assigned[s] == j].sum(1) for j in range(g)], axis=1)
        total = weighted.sum(1, keepdims=True)
        # An empty cluster is nobody's: it is mistaken for nothing.
        result += np.divide(gone, total, out=np.eye(g), where=total > 0)
    return result / n_draws


def merging_tree(draws: Mixture, values: Array, sample_weight: Array, component: Integers) -> pd.DataFrame:
    """Merge components until one cluster is left.

    Parameters
    ----------
    draws : Mixture
        Aligned, one leading axis of S draws, in the units of ``values``; beyond 200, evenly spaced ones are used.
    values : (N, D)
        Beyond 2,000, evenly spaced rows are used.
    sample_weight : (N,)
    component : (S, K)
        The mode to which each component's mean climbs.

    Returns
    -------
    DataFrame
        One row per merger, by the number of clusters after it: ``first`` and ``second`` (what is merged, components
        joined by +), ``overlap`` (Hennig's), ``bhattacharyya``, and ``same_group`` (probability that all their
        components climb to one mode).

    Notes
    -----
    Hennig, C. (2010). Methods for merging Gaussian mixture components. Advances in Data Analysis and Classification 4,
    3-34, section 4.2.
    """
    import pandas as pd

    picked = np.linspace(0, len(component) - 1, min(len(component), _MAX_DRAWS)).round().astype(int)
    chosen = np.linspace(0, len(values) - 1, min(len(values), _MAX_ROWS)).round().astype(int)
    some, rows, weight = draws[picked], values[chosen], sample_weight[chosen]
    k = draws.n_components
    shares = np.empty((picked.size, k, chosen.size))
    for block in draw_responsibilities(some, rows):
        shares[:, :, block.rows] = block.responsibilities
    clusters = [[c] for c in range(k)]
    steps: dict[int, tuple[str, str, float, float, float]] = {}
    while len(clusters) > 1:
        q = misclassification(shares, weight)
        overlap = np.maximum(q, q.T)
        np.fill_diagonal(overlap, -1.0)
        i, j = sorted(np.unravel_index(overlap.argmax(), overlap.shape))
        likeness = float(bhattacharyya(moments(some, clusters[i]), moments(some, clusters[j])).mean())
        union = sorted(clusters[i] + clusters[j])
        together = float((component[:, union] == component[:, union[:1]]).all(1).mean())
        names = ("+".join(map(str, clusters[c])) for c in (i, j))
        steps[len(clusters) - 1] = (*names, float(overlap[i, j]), likeness, together)  # type: ignore[assignment]
        shares[:, i] += shares[:, j]
        shares = np.delete(shares, j, axis=1)
        clusters[i] = union
        del clusters[j]
    table = pd.DataFrame.from_dict(
        steps, orient="index", columns=["first", "second", "overlap", "bhattacharyya", "same_group"]
    )
    table.index.name = "n_clusters"
    return table
