"""One answer over all models: what is concluded under each, averaged by how probable the model is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..clusters import (
    LOSSES,
    Climbs,
    Consensus,
    GroupDraws,
    count,
    group_draws,
    number_of,
    obs_index,
    probability,
    reference_partition,
    with_ball,
)
from ..data import CI_PROB, InputError, checked
from ..mixture import Mixture, draw_responsibilities, drawn_labels, drawn_rows
from ..sampling import Posterior

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["Average", "average", "model_weights"]

Array = NDArray[np.float64]
Integers = NDArray[np.integer[Any]]
# The matrix of 2,000 rows takes 32 MB, and three of them are kept.
_MAX_ROWS = 2000
_MAX_DRAWS = 1000
_REPLICATES = 4000
# A model below this weight changes no figure that is shown.
_NEGLIGIBLE = 1e-4


def model_weights(comparison: pd.DataFrame, names: list[str], by: str) -> Array:
    """Weights (M,) of some models, normalised over these: ``p_model`` or stacking weights from `compare`.

    Raises
    ------
    InputError
        A model was not compared, or the weights are not known.
    """
    missing = [name for name in names if name not in comparison.index]
    if missing:
        raise InputError(f"comparison has no model {missing[0]!r}; compare the models that are to be averaged")
    column = {"probability": "p_model", "stacking": "weight"}.get(by)
    if column is None or column not in comparison:
        raise InputError(f"by={by!r} is no kind of weight; give 'probability' or 'stacking'")
    weights = comparison.loc[names, column].to_numpy(dtype=float)
    if not np.isfinite(weights).all() or not weights.sum() > 0:
        raise InputError(
            f"comparison has no {column} for every model; give by='stacking', or compare with evidence=True"
        )
    return weights / weights.sum()


@dataclass(frozen=True, eq=False, repr=False)
class Average:
    """What the models say together.

    Attributes
    ----------
    weights : Series
        Of the models.
    number_of_clusters : DataArray
        Over ``n_groups``: probability of that many groups, with its Monte Carlo standard error as the coordinate ``mcse``.
    number_by_model : DataFrame
        The same under each model, model by number.
    entropy : dict
        Of the number of groups, in nats: ``total`` = ``within`` models + ``between`` them.
    coclustering : Dataset
        Over ``obs_id x obs_id_bis``: ``probability`` that two rows climb to the same mode, and the variance of "they do":
        ``within`` (mean over the models of p (1 - p)) and ``between`` (variance of p over the models), which add up to
        that of the average.
    consensus : Consensus
        Over draws taken from the models in proportion to their weights.
    outlyingness : Series
        Over ``obs_id``: probability that a new observation is where the averaged density is lower still. Small for rows
        that are far out.
    """

    weights: pd.Series
    number_of_clusters: xr.DataArray
    number_by_model: pd.DataFrame
    entropy: dict[str, float]
    coclustering: xr.Dataset
    consensus: Consensus
    outlyingness: pd.Series
    _posteriors: tuple[tuple[float, Mixture], ...]

    def density(self, values: Any) -> Array:
        """Averaged predictive density at values (N, D), in the units of the data (N,)."""
        return _density(self._posteriors, np.atleast_2d(np.asarray(values, dtype=float)))

    @property
    def n_groups(self) -> int:
        """The most probable number of groups."""
        return int(self.number_of_clusters["n_groups"].values[self.number_of_clusters.values.argmax()])

    def summary(self) -> str:
        """In words and figures."""
        best = float(self.number_of_clusters.max())
        used = count(int((self.weights > _NEGLIGIBLE).sum()), "model")
        said = f"{count(self.n_groups, 'group')} (probability {probability(best)}), averaged over {used}."
        lines = [said[0].upper() + said[1:], "", f"  {'model':<12} weight   p({self.n_groups} groups)"]
        for name, weight in self.weights.items():
            p = probability(float(self.number_by_model.loc[name, self.n_groups]))
            lines.append(f"  {name!s:<12} {probability(weight):<8} {p}")
        share = self.entropy["between"] / self.entropy["total"] if self.entropy["total"] > 1e-12 else 0.0
        lines += [
            "",
            f"  entropy of the number of groups {self.entropy['total']:.3f} nats, {100 * share:.0f}% of it between models",
            f"  rows in the tail (below 0.01): {int((self.outlyingness < 0.01).sum())}",
        ]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        from html import escape

        return f"<pre>{escape(self.summary())}</pre>"


def _density(posteriors: tuple[tuple[float, Mixture], ...], values: Array) -> Array:
    total = np.zeros(len(values))
    for weight, draws in posteriors:
        for block in draw_responsibilities(draws, values):
            total[block.rows] += weight * np.exp(block.log_density).mean(0)
    return total


def _replicates(posteriors: tuple[tuple[float, Mixture], ...], rng: np.random.Generator) -> Array:
    """Observations from the averaged predictive distribution."""
    parts = []
    counts = rng.multinomial(_REPLICATES, [weight for weight, _ in posteriors])
    for size, (_, draws) in zip(counts, posteriors, strict=True):
        s = rng.integers(len(draws.weights), size=size)
        k = drawn_labels(draws.weights[s], (size,), rng)
        parts.append(drawn_rows(draws, (s, k), rng))
    return np.concatenate(parts)


def _together(labels: Integers) -> Array:
    """Share of draws in which two rows have the same label, (N, N), from labels (S, N)."""
    total = np.zeros((labels.shape[1],) * 2)
    for m in range(int(labels.max()) + 1):
        is_in = (labels == m).astype(float)
        total += is_in.T @ is_in
    return total / len(labels)


def _coclustering(labels: list[Integers], weights: Array, obs_id: Any) -> xr.Dataset:
    import xarray as xr

    p = [_together(part) for part in labels]
    mean = sum((w * part for w, part in zip(weights, p, strict=True)), np.zeros_like(p[0]))
    within = sum((w * part * (1 - part) for w, part in zip(weights, p, strict=True)), np.zeros_like(p[0]))
    between = sum((w * (part - mean) ** 2 for w, part in zip(weights, p, strict=True)), np.zeros_like(p[0]))
    dims = ("obs_id", "obs_id_bis")
    variables = {
        name: (dims, value) for name, value in (("probability", mean), ("within", within), ("between", between))
    }
    return xr.Dataset(variables, {"obs_id": obs_id, "obs_id_bis": obs_id})


def _pooled(found: list[GroupDraws], weights: Array) -> Climbs:
    """Climbs of draws taken from the models in proportion to their weights, spread evenly over each."""
    size = min(_MAX_DRAWS, *(len(f.climbs.n_modes) for f, w in zip(found, weights, strict=True) if w == weights.max()))
    taken = np.floor(weights * size).astype(int)
    rest = np.argsort(-(weights * size - taken), kind="stable")[: size - taken.sum()]
    taken[rest] += 1
    parts = [(f.climbs, np.linspace(0, len(f.climbs.n_modes) - 1, n).round().astype(int))
             for f, n in zip(found, taken, strict=True)]  # fmt: skip
    # Components have no common number over the models, and positions are not asked for.
    return Climbs(
        np.concatenate([c.n_modes[at] for c, at in parts]),
        np.empty((size, 0), dtype=np.int64),
        np.concatenate([c.labels[at] for c, at in parts]),
        np.empty((size, max(c.modes.shape[1] for c, _ in parts), 0)),
    )


def _entropy(p: Array) -> float:
    return float(-(p * np.log(np.where(p > 0, p, 1.0))).sum())


@checked
def average(
    posts: Mapping[str, xr.DataTree],
    comparison: pd.DataFrame,
    *,
    by: str = "probability",
    ci_prob: float = CI_PROB,
    min_rows: float = 1.0,
    max_rows: int = _MAX_ROWS,
    random_seed: int = 0,
    progressbar: bool = False,
) -> Average:
    """Average groups, density and outlyingness over models of the same data.

    Parameters
    ----------
    posts : mapping of str to DataTree
        Sampled models, as for `compare`.
    comparison : DataFrame
        From `compare`, of these models or more; weights are normalised over those in ``posts``.
    by : {"probability", "stacking"}
        Weight models by p(M given y), or by their stacking weights.
    ci_prob : float
        Mass of the credible ball.
    min_rows : float
        As in `clusters`.
    max_rows : int
        Rows whose co-clustering is given; of more, a random sample.
    random_seed : int
    progressbar : bool

    Returns
    -------
    Average

    Raises
    ------
    InputError
        A model was not compared, its weight is not known, or an argument is not fit for use.

    Notes
    -----
    By the law of total variance, var 1{i and j together} = E_M[p_M (1 - p_M)] + var_M p_M; by that of entropy,
    H(number) = E_M[H(number given M)] + I(number; M).
    """
    import pandas as pd

    names = list(posts)
    weights = model_weights(comparison, names, by)
    used = [i for i in range(len(names)) if weights[i] > _NEGLIGIBLE]
    share = weights[used] / weights[used].sum()
    read = [Posterior.read(posts[names[i]]) for i in used]
    if any(not np.array_equal(r.obs_id, read[0].obs_id) or r.values.shape != read[0].values.shape for r in read):
        raise InputError("posts are of different data and cannot be averaged: sample all on one table")
    options = {"min_rows": min_rows, "max_rows": max_rows, "random_seed": random_seed, "progressbar": progressbar}
    found = [group_draws(view, **options) for view in read]  # type: ignore[arg-type]
    numbers = [number_of(f.climbs.n_modes.reshape(f.n_chains, -1)) for f in found]
    number, table, entropy = _numbers(numbers, share, [names[i] for i in used])
    obs_id = read[0].obs_id
    climbed = found[0].climbed
    climbs = _pooled(found, share)
    labels, expected = reference_partition(climbs, read[0].sample_weight[climbed], np.random.default_rng(random_seed))
    ball = with_ball(
        labels, expected, np.ascontiguousarray(climbs.labels.T), int(climbs.n_modes.max()),
        LOSSES["VI"](climbed.size), ci_prob, obs_id[climbed],
    )  # fmt: skip
    posteriors = tuple((float(w), _thinned(view.draws)) for w, view in zip(share, read, strict=True))
    return Average(
        pd.Series(weights, index=pd.Index(names, name="model"), name="weight"),
        number,
        table.reindex(names),
        entropy,
        _coclustering([f.climbs.labels for f in found], share, obs_id[climbed]),
        ball,
        _outlyingness(posteriors, read[0], random_seed),
        posteriors,
    )


def _thinned(draws: Mixture) -> Mixture:
    return draws[np.linspace(0, len(draws.weights) - 1, min(len(draws.weights), _MAX_DRAWS)).round().astype(int)]


def _numbers(
    numbers: list[xr.DataArray], share: Array, names: list[str]
) -> tuple[xr.DataArray, pd.DataFrame, dict[str, float]]:
    """The number of groups averaged, by model, and its entropy split."""
    import pandas as pd
    import xarray as xr

    size = max(n.sizes["n_groups"] for n in numbers)
    p, se = np.zeros((2, len(numbers), size))
    for i, n in enumerate(numbers):
        p[i, : n.sizes["n_groups"]], se[i, : n.sizes["n_groups"]] = n.values, n["mcse"].values
    at = np.arange(1, size + 1)
    mean, error = share @ p, np.sqrt(share**2 @ se**2)
    within = float(share @ [_entropy(row) for row in p])
    total = _entropy(mean)
    entropy = {"total": total, "within": within, "between": max(total - within, 0.0)}
    coords = {"n_groups": at, "mcse": ("n_groups", error)}
    table = pd.DataFrame(p, index=pd.Index(names, name="model"), columns=pd.Index(at, name="n_groups"))
    return xr.DataArray(mean, coords, ("n_groups",), name="probability"), table, entropy


def _outlyingness(posteriors: tuple[tuple[float, Mixture], ...], view: Posterior, seed: int) -> pd.Series:
    import pandas as pd

    lower = np.sort(_density(posteriors, _replicates(posteriors, np.random.default_rng(seed))))
    below = np.searchsorted(lower, _density(posteriors, view.values)) / lower.size
    return pd.Series(below, index=obs_index(view.obs_id), name="outlyingness")
