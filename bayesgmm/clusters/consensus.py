"""One partition that stands for the posterior, and the ball of partitions that are as credible."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..data import CI_PROB, InputError, check_ci_prob, checked
from ..mixture import Mixture, draw_responsibilities, responsibilities
from ..progress import progress_display
from ..sampling import Posterior
from .losses import LOSSES, PartitionLoss, descend, distances
from .rows import ScoredRows, obs_index, training_rows

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["Consensus", "consensus", "draw_partitions", "improve", "with_ball"]

Array = NDArray[np.float64]
Labels = NDArray[np.integer[Any]]
# Draws x rows of sampled labels, one byte each (held twice), and what one pass of the search may look at.
_MAX_LABELS = 2 * 10**8
_MAX_DRAWS = 1000
# Sampled partitions compared as candidates, and those from which the search starts.
_CANDIDATES = 40
_STARTS = 6


@dataclass(frozen=True, eq=False, repr=False)
class Consensus:
    """The partition of least posterior expected loss, with its credible ball.

    Attributes
    ----------
    labels : Series
        Over ``obs_id``; clusters carry the numbers of the components that they share most rows with.
    loss : {"VI", "binder"}
    expected_loss : float
        Mean distance to the sampled partitions: in nats (VI), or share of pairs of rows (Binder).
    ci_prob : float
        Share of the sampled partitions that the ball must hold.
    radius : float
        Of the credible ball.
    bounds : DataFrame
        Over ``obs_id``, three sampled partitions at the edge of the ball: ``vertical_upper`` (fewest clusters, then
        farthest), ``vertical_lower`` (most clusters, then farthest), ``horizontal`` (farthest).
    bound_table : DataFrame
        For each of the three: ``n_clusters``, ``distance`` and ``n_rows_different`` (rows in another cluster).
    n_draws : int
        Sampled partitions.
    unit : str
        What distances are measured in.
    """

    labels: pd.Series
    loss: str
    expected_loss: float
    ci_prob: float
    radius: float
    bounds: pd.DataFrame
    bound_table: pd.DataFrame
    n_draws: int
    unit: str = field(default="")

    @property
    def n_clusters(self) -> int:
        """Clusters that have rows."""
        return int(self.labels.nunique())

    def summary(self) -> str:
        """The partition and its ball, in words."""
        sizes = "  ".join(f"{label}: {count}" for label, count in self.labels.value_counts().sort_index().items())
        lines = [
            "Consensus partition",
            f"  loss            {self.loss} ({self.unit})",
            f"  clusters        {self.n_clusters}",
            f"  rows            {sizes}",
            f"  expected loss   {self.expected_loss:.4f}, over {self.n_draws} sampled partitions",
            f"  credible ball   {100 * self.ci_prob:g}% of them are within {self.radius:.4f}",
        ]
        if self.n_clusters == 1:
            lines.append("                  all rows together lose least: too uncertain for any split to pay")
        for name, row in self.bound_table.iterrows():
            count = int(row["n_clusters"])
            lines.append(
                f"    {str(name).replace('_', ' '):<15} {count} cluster{'s' if count > 1 else ''}, distance "
                f"{row['distance']:.4f}, {int(row['n_rows_different'])} rows elsewhere"
            )
        return "\n".join(lines)

    def __repr__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        from html import escape

        return f"<pre>{escape(self.summary())}</pre>"


def draw_partitions(draws: Mixture, values: Array, rng: np.random.Generator) -> NDArray[np.int8]:
    """One label for each row under each draw, (N, S), from its responsibilities.

    Parameters
    ----------
    draws : Mixture
        One leading axis of S draws, in the units of ``values``.
    values : (N, D)
    """
    n_draws, k = draws.weights.shape
    labels = np.empty((len(values), n_draws), dtype=np.int8 if k < 128 else np.int32)
    for block in draw_responsibilities(draws, values):
        cumulative = np.cumsum(block.responsibilities, axis=1)
        u = rng.uniform(size=(n_draws, 1, cumulative.shape[2]))
        # The last edge is one up to rounding; it is not asked.
        labels[block.rows] = (u > cumulative[:, :-1]).sum(1).T
    return labels


@checked
def consensus(
    post: xr.DataTree,
    loss: str = "VI",
    ci_prob: float = CI_PROB,
    *,
    max_clusters: int | None = None,
    max_draws: int = _MAX_DRAWS,
    random_seed: int = 0,
    progressbar: bool = False,
) -> Consensus:
    """The one partition that loses least, on average over the posterior, and how far the others are from it.

    Partitions are sampled from the posterior (labels drawn from the responsibilities of each draw). The best of the
    sampled partitions, the most probable assignment and the trivial partition are improved by moving single rows until
    no move lowers the mean loss. Needs no N x N matrix; beyond 200,000 rows fewer draws are used, so that draws x rows
    stay below 2e8 (``n_draws`` says how many).

    Parameters
    ----------
    post : DataTree
        From `sample_posterior`.
    loss : {"VI", "binder"}
        Variation of information, or Binder's loss, which tends to make more and smaller clusters.
    ci_prob : float
        Share of the sampled partitions in the credible ball.
    max_clusters : int, optional
        Of the partition sought; by default K, the most that a sampled partition can have.
    max_draws : int
        Sampled partitions, spread evenly over the draws.
    random_seed : int
    progressbar : bool

    Returns
    -------
    Consensus

    Raises
    ------
    InputError
        ``loss`` is unknown, or ``ci_prob`` or ``max_clusters`` not fit for use.

    Notes
    -----
    Wade, S. & Ghahramani, Z. (2018). Bayesian cluster analysis: point estimation and credible balls. Bayesian Analysis
    13, 559-626: the ball in section 4, its bounds in definitions 4 to 6; here the bounds are looked for among the
    sampled partitions, as there.
    """
    if loss not in LOSSES:
        raise InputError(f"loss={loss!r} is unknown; choose one of {', '.join(LOSSES)}")
    check_ci_prob(ci_prob)
    rows = training_rows(Posterior.read(post))
    k = rows.n_components
    if max_clusters is not None and max_clusters < 1:
        raise InputError(f"max_clusters={max_clusters!r} allows no cluster; give at least 1")
    rng = np.random.default_rng(random_seed)
    n = len(rows.values)
    kept = max(1, min(rows.n_draws, max_draws, _MAX_LABELS // n))
    chosen = np.linspace(0, rows.n_draws - 1, kept).round().astype(int)
    by_row = draw_partitions(rows.draws[chosen], rows.values, rng)
    function = LOSSES[loss](n)
    labels, expected = best_partition(rows, by_row, max_clusters or k, function, rng, progressbar)
    labels = _numbered(labels, by_row, k)
    return with_ball(labels, expected, by_row, k, function, ci_prob, rows.obs_id)


def best_partition(
    rows: ScoredRows,
    by_row: Labels,
    max_clusters: int,
    loss: PartitionLoss,
    rng: np.random.Generator,
    progressbar: bool = False,
) -> tuple[Labels, float]:
    """The partition (N,) of least mean loss that the search finds, and that loss."""
    n, n_draws = by_row.shape
    k = rows.n_components
    picked = np.linspace(0, n_draws - 1, min(n_draws, _CANDIDATES)).round().astype(int)
    counts = np.stack([(by_row == c).sum(1) for c in range(k)], axis=1)
    candidates = [
        counts.argmax(1),
        responsibilities(rows.em, rows.values)[0].argmax(1),
        np.zeros(n, dtype=np.int64),
        *(by_row[:, s].astype(np.int64) for s in picked),
    ]
    return improve(candidates, (0, 2), by_row, k, max_clusters, loss, rng, progressbar)


def improve(
    candidates: Sequence[Labels],
    always: Sequence[int],
    by_row: Labels,
    n_labels: int,
    max_clusters: int,
    loss: PartitionLoss,
    rng: np.random.Generator,
    progressbar: bool = False,
) -> tuple[Labels, float]:
    """The partition (N,) of least mean loss that single-row moves find from the best of the candidates.

    Parameters
    ----------
    candidates : sequence of (N,)
    always : sequence of int
        Candidates from which the search starts however good they are.
    by_row : (N, S)
        Drawn labels, below ``n_labels``.
    """
    picked = np.linspace(0, by_row.shape[1] - 1, min(by_row.shape[1], _CANDIDATES)).round().astype(int)
    draws = np.ascontiguousarray(by_row[:, picked].T)
    candidates = [c if c.max() < max_clusters else np.minimum(c, max_clusters - 1) for c in candidates]
    # Comparing candidates on some of the draws is enough: the search itself uses all.
    values = [float(distances(c, draws, n_labels, loss).mean()) for c in candidates]
    best: tuple[Labels, float] = (candidates[0], np.inf)
    starts = sorted({*always, *np.argsort(values)[:_STARTS].tolist()})
    with progress_display(progressbar) as display:
        task = display.add_task("Consensus", total=len(starts), detail="starts")
        for at in starts:
            labels, value = descend(candidates[at], by_row, n_labels, max_clusters, loss, rng)
            if value < best[1] - 1e-12:
                best = (labels, value)
            display.advance(task)
    return best


def _numbered(labels: Labels, by_row: Labels, n_components: int) -> Labels:
    """The same partition, each cluster numbered as the component that it shares most rows with over the draws."""
    from scipy.optimize import linear_sum_assignment

    used, compact = np.unique(labels, return_inverse=True)
    shared = np.zeros((used.size, max(n_components, used.size)))
    for c in range(used.size):
        counts = np.bincount(by_row[compact == c].ravel(), minlength=n_components)
        shared[c, :n_components] = counts
    _, number = linear_sum_assignment(-shared)
    return number[compact]


def with_ball(
    labels: Labels, expected: float, by_row: Labels, k: int, loss: PartitionLoss, ci_prob: float, obs_id: Any
) -> Consensus:
    """The credible ball around a partition, and its bounds among the sampled partitions."""
    import pandas as pd

    draws = np.ascontiguousarray(by_row.T)
    distance = distances(labels, draws, k, loss)
    # The smallest radius whose ball holds the mass: an order statistic, not an interpolation.
    radius = float(np.sort(distance)[int(np.ceil(ci_prob * distance.size - 1e-9)) - 1])
    inside = np.flatnonzero(distance <= radius)
    n_clusters = np.array([np.unique(draws[s]).size for s in inside])
    within = distance[inside]
    picks = {
        "vertical_upper": np.lexsort((-within, n_clusters))[0],
        "vertical_lower": np.lexsort((-within, -n_clusters))[0],
        "horizontal": np.argmax(within),
    }
    index = obs_index(obs_id)
    bounds = pd.DataFrame({name: draws[inside[at]].astype(np.int64) for name, at in picks.items()}, index=index)
    table = pd.DataFrame(
        {
            "n_clusters": [int(n_clusters[at]) for at in picks.values()],
            "distance": [float(within[at]) for at in picks.values()],
            "n_rows_different": [int((bounds[name].to_numpy() != labels).sum()) for name in picks],
        },
        index=pd.Index(picks, name="bound"),
    )
    series = pd.Series(labels, index=index, name="consensus")
    return Consensus(series, loss.name, expected, ci_prob, radius, bounds, table, distance.size, loss.label)
