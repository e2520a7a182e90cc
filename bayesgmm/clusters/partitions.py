"""Several partitions that stand for the posterior, with weights: one optimum can lie between two that are both credible."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..data import checked
from ..sampling import Posterior
from .clusters import group_draws
from .consensus import improve
from .losses import LOSSES, PartitionLoss, distances
from .rows import obs_index
from .words import count, probability

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["Partitions", "jaccard", "partitions", "representatives"]

Array = NDArray[np.float64]
Integers = NDArray[np.integer[Any]]
_MAX_DRAWS = 300
_MAX_REPRESENTATIVES = 5
_MAX_ITER = 20
# A further partition must take away this share of the expected loss of the single best one.
_GAIN = 0.1
# Hennig's reading of the mean Jaccard similarity: a group that is found again.
_FOUND_AGAIN = 0.75


@dataclass(frozen=True, eq=False, repr=False)
class Partitions:
    """Representative partitions of the rows into groups.

    Attributes
    ----------
    labels : DataFrame
        Over ``obs_id``, one column for each partition, the weightiest first; groups numbered by size.
    weights : Series
        Share of the draws that are nearest to each.
    expected_loss : Series
        By number of representatives: mean variation of information, in nats, from a draw to the nearest of them.
    stability : DataFrame
        For each ``partition`` and ``group``: ``rows``, ``jaccard`` (mean over draws of the greatest Jaccard similarity to
        a group of the draw) and ``recurs`` (share of draws in which it is at least 0.75).
    n_draws : int
    """

    labels: pd.DataFrame
    weights: pd.Series
    expected_loss: pd.Series
    stability: pd.DataFrame
    n_draws: int

    def summary(self) -> str:
        """In words and figures."""
        said = count(len(self.weights), "representative partition")
        lines = [f"{said[0].upper()}{said[1:]} of {self.n_draws} draws", ""]
        for name, weight in self.weights.items():
            of = self.stability.loc[name]
            groups = ", ".join(
                f"{int(row.rows)} rows (recurs {probability(float(row.recurs))})" for row in of.itertuples()
            )
            lines.append(f"  {name}: weight {probability(float(weight))}; {count(len(of), 'group')}: {groups}")
        kept = float(self.expected_loss[len(self.weights)])
        lines += ["", f"  expected loss {self.expected_loss[1]:.4f} nats with one, {kept:.4f} with these"]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        from html import escape

        return f"<pre>{escape(self.summary())}</pre>"


def representatives(
    draws: Integers, n: int, loss: PartitionLoss, rng: np.random.Generator, between: Array
) -> tuple[list[Integers], Integers, float]:
    """The n partitions with least mean loss from a draw to the nearest of them that the search finds.

    Medoids are chosen greedily, each the draw that lowers the mean most; then draws go to the nearest representative and
    each representative moves to the partition of least expected loss for its draws, until nothing changes.

    Parameters
    ----------
    draws : (S, N)
    between : (S, S)
        Losses between draws.

    Returns
    -------
    partitions : list of (N,)
    nearest : (S,)
    expected_loss : float
    """
    n_labels = int(draws.max()) + 1
    least = np.full(len(draws), np.inf)
    found: list[Integers] = []
    for _ in range(n):
        at = int(np.minimum(least, between).mean(1).argmin())
        found.append(draws[at].astype(np.int64))
        least = np.minimum(least, between[at])
    distance = np.stack([distances(c, draws, n_labels, loss) for c in found])
    value = np.inf
    for _ in range(_MAX_ITER):
        nearest, value = distance.argmin(0), float(distance.min(0).mean())
        moved: list[Integers] = []
        for c, partition in enumerate(found):
            own = draws[nearest == c]
            if not len(own):
                moved.append(partition)
                continue
            by_row = np.ascontiguousarray(own.T)
            candidates = [partition, own[0].astype(np.int64), own[len(own) // 2].astype(np.int64)]
            moved.append(improve(candidates, (0,), by_row, n_labels, n_labels, loss, rng)[0])
        again = np.stack([distances(c, draws, n_labels, loss) for c in moved])
        if float(again.min(0).mean()) >= value - 1e-12:
            break
        found, distance = moved, again
    return found, distance.argmin(0), float(distance.min(0).mean())


def jaccard(partition: Integers, draws: Integers) -> Array:
    """Greatest Jaccard similarity of each group of a partition (N,) to a group of each draw, (S, G)."""
    n_labels, n_groups = int(draws.max()) + 1, int(partition.max()) + 1
    result = np.empty((len(draws), n_groups))
    own = np.bincount(partition, minlength=n_groups)
    for s, labels in enumerate(draws):
        both = np.bincount(partition * n_labels + labels, minlength=n_groups * n_labels).reshape(n_groups, n_labels)
        result[s] = (both / (own[:, None] + both.sum(0) - both)).max(1)
    return result


def _by_size(labels: Integers) -> Integers:
    """The same partition with groups numbered by size, the largest first."""
    used, compact = np.unique(labels, return_inverse=True)
    rank = np.empty(used.size, dtype=np.int64)
    rank[np.argsort(-np.bincount(compact), kind="stable")] = np.arange(used.size)
    return rank[compact]


@checked
def partitions(
    post: xr.DataTree,
    *,
    min_rows: float = 1.0,
    max_draws: int = _MAX_DRAWS,
    random_seed: int = 0,
    progressbar: bool = False,
) -> Partitions:
    """A few partitions into groups that stand for all draws, with weights, and how often each group recurs.

    Of one to five partitions, the fewest are returned after which a further one would take away less than a tenth of the
    expected loss of the best single partition.

    Parameters
    ----------
    post : DataTree
        From `sample_posterior`.
    min_rows : float
        As in `clusters`.
    max_draws : int
        Draws used, spread evenly over the chains.
    random_seed : int
    progressbar : bool

    Returns
    -------
    Partitions

    Notes
    -----
    Balocchi, C. & Wade, S. (2025). Understanding uncertainty in Bayesian cluster analysis. arXiv:2506.16295: the weighted
    partitions nearest to the posterior in Wasserstein distance are those with least mean loss from a draw to the nearest.
    Hennig, C. (2007). Cluster-wise assessment of cluster stability. Computational Statistics & Data Analysis 52, 258-271:
    here with posterior draws in place of the bootstrap.
    """
    import pandas as pd

    found = group_draws(
        Posterior.read(post), min_rows=min_rows, max_draws=max_draws, random_seed=random_seed, progressbar=progressbar
    )
    draws = found.climbs.labels
    n_labels, loss = int(draws.max()) + 1, LOSSES["VI"](draws.shape[1])
    between = np.stack([distances(z.astype(np.int64), draws, n_labels, loss) for z in draws])
    rng = np.random.default_rng(random_seed)
    tried = [representatives(draws, n, loss, rng, between) for n in range(1, _MAX_REPRESENTATIVES + 1)]
    # Searches are greedy: more representatives never do worse than fewer.
    losses = np.minimum.accumulate([value for _, _, value in tried])
    gains = -np.diff(losses)
    enough = np.flatnonzero(gains < _GAIN * max(losses[0], 1e-12))
    chosen, nearest, _ = tried[int(enough[0]) if enough.size else len(tried) - 1]
    share = np.bincount(nearest, minlength=len(chosen)) / len(draws)
    order = [int(c) for c in np.argsort(-share, kind="stable") if share[c] > 0]
    labels = pd.DataFrame(
        {i: _by_size(chosen[c]) for i, c in enumerate(order)}, index=obs_index(found.rows.obs_id[found.climbed])
    )
    labels.columns.name = "partition"
    rows = []
    for i in labels.columns:
        own = labels[i].to_numpy()
        similar = jaccard(own, draws)
        again = (similar >= _FOUND_AGAIN).mean(0)
        rows += [(i, g, int((own == g).sum()), similar[:, g].mean(), again[g]) for g in range(similar.shape[1])]
    stability = pd.DataFrame(rows, columns=["partition", "group", "rows", "jaccard", "recurs"])
    return Partitions(
        labels,
        pd.Series(share[order], index=labels.columns, name="weight"),
        pd.Series(losses, index=pd.RangeIndex(1, len(tried) + 1, name="n_partitions"), name="expected_loss"),
        stability.set_index(["partition", "group"]),
        len(draws),
    )
