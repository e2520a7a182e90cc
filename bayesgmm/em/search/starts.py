"""Where EM starts from: partitions, centres and responsibilities, each turned into a mixture.

All work is on standardised rows. A start need not be good: it must be different from the others and safe to iterate
from, so that the covariances of small groups are drawn towards the covariance of all rows.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy

import numpy as np
from numpy.typing import NDArray

from ...mixture import Mixture, Structure

__all__ = ["KINDS", "Rows", "from_moments", "from_partition", "make_starts"]

Array = NDArray[np.float64]
_HIERARCHY_ROWS = 1000
_LLOYD_ROUNDS = 15
# Rows for each of D + 1 that make a group's own covariance safe to iterate from.
_ENOUGH = 10


class Rows:
    """Standardised rows, their weights, and what all starts need of them.

    Attributes
    ----------
    values : (N, D)
    weight : (N,)
    mean : (D,)
    covariance : (D, D)
    whitened : (N, D)
        Rows in which all directions have variance one: mclust's "SVD" transformation.
    steady_below : float
        Groups of fewer rows than this have their covariance drawn towards that of all rows.
    """

    def __init__(self, values: Array, weight: Array | None = None) -> None:
        self.values = values
        self.weight = np.ones(len(values)) if weight is None else weight
        self.mean = np.average(values, axis=0, weights=self.weight)
        centred = values - self.mean
        self.covariance = (centred * self.weight[:, None]).T @ centred / self.weight.sum()
        eigenvalues, vectors = np.linalg.eigh(self.covariance)
        eigenvalues = np.maximum(eigenvalues, 1e-9 * max(eigenvalues[-1], 1e-300))
        self.whitened = centred @ (vectors / np.sqrt(eigenvalues))
        self.steady_below = np.inf

    def __len__(self) -> int:
        return len(self.values)


def from_moments(structure: Structure, weights: Array, means: Array, dense: Array) -> Mixture:
    """Mixture of a structure, from weights (..., K), means (..., K, D) and any covariances (..., K, D, D)."""
    second = structure.reduce(weights[..., None, None] * dense)
    covariances = structure.maximise(weights, np.zeros_like(means), second)
    return Mixture(structure, weights, means, covariances)


def from_responsibilities(structure: Structure, rows: Rows, responsibilities: Array) -> Mixture:
    """M-step (single mixture) from responsibilities (N, K), steadied for groups of few rows."""
    r = responsibilities * rows.weight[:, None]
    counts = np.maximum(r.sum(0), 1e-3 * rows.weight.sum() / r.shape[1])
    means = (r.T @ rows.values) / counts[:, None]
    n_features = rows.values.shape[1]
    dense = np.empty((len(counts), n_features, n_features))
    # The covariance of all rows, shrunk to one component's share of the volume, counts as D + 1 rows.
    prior = rows.covariance * len(counts) ** (-2.0 / n_features)
    per_row = rows.weight.sum() / len(rows)
    steadied = (counts < rows.steady_below * per_row) & (len(counts) > 1)
    strength = np.where(steadied, (n_features + 1) * per_row, 0.0)
    for k in range(len(counts)):
        centred = rows.values - means[k]
        dense[k] = ((centred * r[:, k, None]).T @ centred + strength[k] * prior) / (counts[k] + strength[k])
    return from_moments(structure, counts / counts.sum(), means, dense)


def from_partition(structure: Structure, rows: Rows, labels: NDArray[np.intp], n_components: int) -> Mixture:
    """Mixture (single) of the groups that labels (N,) form."""
    return from_responsibilities(structure, rows, np.eye(n_components)[labels])


def _nearest(points: Array, centres: Array) -> NDArray[np.intp]:
    distance = (centres**2).sum(1) - 2 * points @ centres.T
    return distance.argmin(1)


def _hierarchical(points: Array, k: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Ward's hierarchy of a subsample cut at K groups; all rows go to the nearest centre."""
    from scipy.cluster.hierarchy import fcluster, linkage

    if k == 1:
        return np.zeros(len(points), dtype=np.intp)
    few = len(points) <= _HIERARCHY_ROWS
    sample = points if few else points[np.sort(rng.choice(len(points), _HIERARCHY_ROWS, replace=False))]
    labels = fcluster(linkage(sample, method="ward"), k, criterion="maxclust") - 1
    if few:
        return labels.astype(np.intp)
    present = np.unique(labels)
    return _nearest(points, np.array([sample[labels == j].mean(0) for j in present]))


def _seeds(points: Array, k: int, rng: np.random.Generator) -> Array:
    """k-means++ centres (Arthur & Vassilvitskii 2007)."""
    from sklearn.cluster import kmeans_plusplus

    return kmeans_plusplus(points, k, random_state=int(rng.integers(2**31)))[0]


def _k_means(points: Array, k: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Lloyd's algorithm, a few rounds from k-means++ centres.

    scikit-learn's `KMeans` adds up on several threads in any order, so that its last bits differ from run to run.
    """
    centres = _seeds(points, k, rng)
    labels = _nearest(points, centres)
    for _ in range(_LLOYD_ROUNDS):
        groups = np.eye(k)[labels]
        counts = groups.sum(0)
        centres = np.where(counts[:, None] > 0, groups.T @ points / np.maximum(counts, 1)[:, None], centres)
        new = _nearest(points, centres)
        if np.array_equal(new, labels):
            break
        labels = new
    return labels


def _ward_whitened(structure: Structure, rows: Rows, k: int, rng: np.random.Generator) -> Mixture:
    return from_partition(structure, rows, _hierarchical(rows.whitened, k, rng), k)


def _ward(structure: Structure, rows: Rows, k: int, rng: np.random.Generator) -> Mixture:
    return from_partition(structure, rows, _hierarchical(rows.values, k, rng), k)


def _k_means_start(structure: Structure, rows: Rows, k: int, rng: np.random.Generator) -> Mixture:
    return from_partition(structure, rows, _k_means(rows.values, k, rng), k)


def _k_means_whitened(structure: Structure, rows: Rows, k: int, rng: np.random.Generator) -> Mixture:
    return from_partition(structure, rows, _k_means(rows.whitened, k, rng), k)


def _seeded(structure: Structure, rows: Rows, k: int, rng: np.random.Generator) -> Mixture:
    return from_partition(structure, rows, _nearest(rows.values, _seeds(rows.values, k, rng)), k)


def _random_partition(structure: Structure, rows: Rows, k: int, rng: np.random.Generator) -> Mixture:
    return from_responsibilities(structure, rows, rng.dirichlet(np.full(k, 0.3), size=len(rows)))


def _random_rows(structure: Structure, rows: Rows, k: int, rng: np.random.Generator) -> Mixture:
    """K rows as centres, each with one component's share of the covariance of all rows."""
    share = rows.weight / rows.weight.sum()
    replace = int((share > 0).sum()) < k
    means = rows.values[rng.choice(len(rows), k, replace=replace, p=share)]
    dense = np.broadcast_to(rows.covariance * k ** (-2.0 / means.shape[1]), (k, *rows.covariance.shape))
    return from_moments(structure, np.full(k, 1.0 / k), means, dense)


def _random_slices(structure: Structure, rows: Rows, k: int, rng: np.random.Generator) -> Mixture:
    """Groups between quantiles along a random direction: what partitions by distance never propose."""
    direction = rng.standard_normal(rows.values.shape[1])
    order = np.argsort(np.argsort(rows.whitened @ direction, kind="stable"), kind="stable")
    cuts = np.sort(rng.uniform(size=k - 1)) * 0.8 + 0.1
    return from_partition(structure, rows, np.searchsorted(cuts, order / len(rows)), k)


Kind = Callable[[Structure, Rows, int, np.random.Generator], Mixture]
KINDS: dict[str, Kind] = {
    "ward_whitened": _ward_whitened,
    "ward": _ward,
    "kmeans": _k_means_start,
    "kmeans_whitened": _k_means_whitened,
    "k-means++": _seeded,
    "random_from_data": _random_rows,
    "slices": _random_slices,
    "random": _random_partition,
}
_ONCE = ("ward_whitened", "ward")
_REPEATED = ("k-means++", "random_from_data", "kmeans_whitened", "slices", "kmeans", "random_from_data")


def make_starts(
    structure: Structure, rows: Rows, n_components: int, n_starts: int, rng: np.random.Generator, kind: str = "auto"
) -> list[Mixture]:
    """Make different starting mixtures.

    Parameters
    ----------
    structure : Structure
    rows : Rows
        N standardised rows.
    n_components, n_starts : int
    rng : numpy.random.Generator
    kind : str
        A name in `KINDS`, or "auto" for a mixture of them, the hierarchical ones first. Groups of a kind asked for by name are
        taken as they are where they have rows enough.

    Returns
    -------
    list of single mixtures, ``n_starts`` long
    """
    if n_components == 1:
        return [_random_partition(structure, rows, 1, rng)]
    kinds = [kind] * n_starts
    if kind != "auto":
        rows = copy(rows)
        rows.steady_below = _ENOUGH * (rows.values.shape[1] + 1)
    else:
        kinds = [*_ONCE, *(_REPEATED[i % len(_REPEATED)] for i in range(n_starts))][:n_starts]
    return [KINDS[name](structure, rows, n_components, rng) for name in kinds]
