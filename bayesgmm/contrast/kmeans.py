"""k-means beside the mixture: hard labels, implied spheres, and the rows that it forces into one cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..clusters import OPEN_BELOW, is_open, obs_index, summarise_rows, training_rows
from ..data import CI_PROB, InputError, Scaling, as_table, check_ci_prob, checked_with
from ..em import fit_mixture
from ..mixture import expected_values, responsibilities
from ..sampling import Posterior
from .matching import best_labels
from .words import named_rows, plural

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["KMeansContrast", "kmeans_contrast"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class KMeansContrast:
    """k-means, EM and, where given, the posterior on the same rows with the same number of clusters.

    Attributes
    ----------
    labels : Series
        k-means' hard labels over ``obs_id``, numbered as the components that they match best.
    centres : DataFrame
        ``cluster x feature``, in the units of the data.
    spheres : DataFrame
        Per cluster: ``n_rows`` (by case weight); ``radius``, the standard deviation per coordinate of its rows about
        the centre, on the standardised scale on which k-means works; and the same in the units of each feature.
    inertia : float
        k-means' objective: the sum over rows, by case weight, of the squared standardised distance to the centre.
    ari_em, ari_posterior : float
        Adjusted Rand index of k-means' labels with EM's and with the posterior's assignment (nan without a posterior).
    forced : DataFrame
        Rows that the mixture leaves open (no cluster has probability ``open_below``), most open first: ``kmeans`` (its
        label), ``probability`` (of that cluster), ``lb`` and ``ub`` (its interval; nan without a posterior),
        ``assignment`` (most probable cluster), ``assignment_probability`` (its probability) and ``sample_weight``
        (how many rows it counts for). Probabilities are the
        posterior's, or without one EM's.
    summary : str
        In words, with numbers.
    open_below, ci_prob : float
    """

    labels: pd.Series
    centres: pd.DataFrame
    spheres: pd.DataFrame
    ari_em: float
    ari_posterior: float
    forced: pd.DataFrame
    summary: str
    open_below: float
    ci_prob: float
    inertia: float

    def __repr__(self) -> str:
        return self.summary

    def _repr_html_(self) -> str:
        from html import escape

        return f"<pre>{escape(self.summary)}</pre>{self.spheres.to_html(float_format='{:.4g}'.format)}"


@dataclass(frozen=True)
class _Soft:
    """What the mixture says of the rows.

    Attributes
    ----------
    values : (N, D)
        Standardised.
    weight : (N,)
        Case weights.
    probability, lb, ub : (N, K)
        The posterior's, or EM's with nan for the interval.
    em : (N, K)
        EM's responsibilities, same labels.
    whose : {"posterior", "EM"}
    """

    values: Array
    weight: Array
    scaling: Scaling
    columns: tuple[str, ...]
    obs_id: NDArray[Any]
    probability: Array
    lb: Array
    ub: Array
    em: Array
    whose: str


@checked_with(post=lambda name, value: value)  # or data
def kmeans_contrast(
    post: xr.DataTree | Any,
    n_components: int | None = None,
    covariance_type: str = "full",
    *,
    open_below: float = OPEN_BELOW,
    ci_prob: float = CI_PROB,
    n_init: int = 20,
    random_seed: int = 0,
    sample_weight: Any = None,
    missing: str = "error",
) -> KMeansContrast:
    """Run k-means on the same standardised data with the same K, and compare.

    Missing values, without which it cannot do, are filled in by their means given the rest under EM's mixture.

    Parameters
    ----------
    post : DataTree or table
        From `sample_posterior`; or data, to compare with EM only.
    n_components : int, optional
        K; needed with data, taken from the posterior otherwise.
    covariance_type : str
        Of the mixture that EM fits to data.
    open_below : float
        A row is open if no cluster has at least this probability.
    ci_prob : float
        Mass of the equal-tailed intervals.
    n_init : int
        Starts of k-means.
    random_seed : int
    sample_weight : (N,), optional
        Case weights of data; a posterior brings its own. Weight 0 is a row left out, weight 2 a row given twice.
    missing : {"error", "drop", "marginalise"}
        What becomes of rows of data with a missing value: refused, left out, or filled in for k-means alone.

    Returns
    -------
    KMeansContrast

    Raises
    ------
    InputError
        Data without ``n_components``, a posterior with ``sample_weight``, or another argument is not fit for use.
    """
    import pandas as pd
    import xarray as xr
    from sklearn.cluster import KMeans

    check_ci_prob(ci_prob)
    check_ci_prob(open_below, "open_below")
    if isinstance(post, xr.DataTree):
        if sample_weight is not None:
            raise InputError("sample_weight is given with a posterior, which has its own; leave it out")
        soft = _from_posterior(post, n_components, ci_prob)
    else:
        soft = _from_data(post, n_components, covariance_type, random_seed, sample_weight, missing)
    k = soft.probability.shape[1]
    fit = KMeans(k, n_init=n_init, random_state=random_seed).fit(soft.values, sample_weight=soft.weight)
    order = best_labels(np.eye(k)[fit.labels_] * soft.weight[:, None], soft.probability)
    labels = np.argsort(order)[fit.labels_]
    centres = fit.cluster_centers_[order]
    index = obs_index(soft.obs_id)
    clusters = pd.RangeIndex(k, name="cluster")
    found = {
        "labels": pd.Series(labels, index=index, name="kmeans"),
        "centres": pd.DataFrame(soft.scaling.restore(centres), index=clusters, columns=list(soft.columns)),
        "spheres": _spheres(soft, labels, centres).set_index(clusters),
        "ari_em": adjusted_rand(soft.em.argmax(1), labels, soft.weight),
        "ari_posterior": (
            adjusted_rand(soft.probability.argmax(1), labels, soft.weight) if soft.whose == "posterior" else np.nan
        ),
        "forced": _forced(soft, labels, open_below),
        "inertia": float(fit.inertia_),
    }
    return KMeansContrast(**found, summary=_in_words(soft, found, open_below), open_below=open_below, ci_prob=ci_prob)


def adjusted_rand(a: NDArray[np.intp], b: NDArray[np.intp], weight: Array) -> float:
    """Adjusted Rand index (Hubert & Arabie 1985) of labels (N,) and (N,), a row of weight 2 counted as two rows.

    scikit-learn's knows no weights.
    """
    table = np.zeros((a.max() + 1, b.max() + 1))
    np.add.at(table, (a, b), weight)

    def pairs(n: Array) -> float:
        return float((n * (n - 1) / 2).sum())

    together, of_a, of_b, of_all = (pairs(n) for n in (table, table.sum(1), table.sum(0), table.sum(keepdims=True)))
    if of_all <= 0:  # less than two rows
        return np.nan
    expected, most = of_a * of_b / of_all, 0.5 * (of_a + of_b)
    return 1.0 if most == expected else (together - expected) / (most - expected)


def _from_posterior(post: xr.DataTree, n_components: int | None, ci_prob: float) -> _Soft:
    view = Posterior.read(post)
    if n_components not in (None, view.n_components):
        raise InputError(f"n_components={n_components} differs from the posterior's {view.n_components}; leave it out")
    rows = training_rows(view)
    found = summarise_rows(rows, ci_prob)
    em = responsibilities(rows.em, rows.values)[0]
    return _Soft(
        expected_values(rows.em, rows.values),
        view.sample_weight,
        view.scaling,
        view.columns,
        view.obs_id,
        found["probability"],
        found["probability_lb"],
        found["probability_ub"],
        em[:, best_labels(em * view.sample_weight[:, None], found["probability"])],
        "posterior",
    )


def _from_data(
    data: Any, n_components: int | None, covariance_type: str, seed: int, weight: Any, missing: str
) -> _Soft:
    if n_components is None:
        raise InputError("n_components is missing; say into how many clusters to divide the data")
    table = as_table(data, missing=missing)
    weight = table.of_kept(weight)
    fit = fit_mixture(table, n_components, covariance_type, random_state=seed, sample_weight=weight)
    weight = np.ones(table.n_obs) if weight is None else np.asarray(weight, dtype=np.float64)
    values = fit.scaling.standardise(table.values)
    em = responsibilities(fit.standardised, values)[0]
    nothing = np.full(em.shape, np.nan)
    values = expected_values(fit.standardised, values)
    return _Soft(values, weight, fit.scaling, table.columns, np.asarray(table.index), em, nothing, nothing, em, "EM")


def _spheres(soft: _Soft, labels: NDArray[np.intp], centres: Array) -> pd.DataFrame:
    import pandas as pd

    squared = ((soft.values - centres[labels]) ** 2).mean(1)
    k = len(centres)
    counts = np.bincount(labels, weights=soft.weight, minlength=k)
    radius = np.sqrt(np.bincount(labels, weights=soft.weight * squared, minlength=k) / np.maximum(counts, 1e-300))
    whole = (soft.weight == soft.weight.round()).all()
    table = pd.DataFrame({"n_rows": counts.astype(int) if whole else counts, "radius": radius})
    for name, scale in zip(soft.columns, soft.scaling.scale, strict=True):
        table[f"radius[{name}]"] = radius * scale
    return table


def _forced(soft: _Soft, labels: NDArray[np.intp], open_below: float) -> pd.DataFrame:
    import pandas as pd

    p = soft.probability
    rows = np.flatnonzero(is_open(p, open_below) & (soft.weight > 0))
    own = labels[rows]
    table = pd.DataFrame(
        {
            "kmeans": own,
            "probability": p[rows, own],
            "lb": soft.lb[rows, own],
            "ub": soft.ub[rows, own],
            "assignment": p[rows].argmax(1),
            "assignment_probability": p[rows].max(1),
            "sample_weight": soft.weight[rows],
        },
        index=obs_index(soft.obs_id[rows]),
    )
    return table.sort_values("assignment_probability", kind="stable")


def _in_words(soft: _Soft, found: dict[str, Any], open_below: float) -> str:
    n, k = soft.weight.sum(), soft.probability.shape[1]
    forced, spheres = found["forced"], found["spheres"]
    agreement = f"{found['ari_em']:.3f} with EM"
    if soft.whose == "posterior":
        agreement += f", {found['ari_posterior']:.3f} with the posterior's assignment"
    moved = soft.weight[found["labels"].to_numpy() != soft.probability.argmax(1)].sum()
    radii = ", ".join(f"{radius:.2f}" for radius in spheres["radius"])
    whose = "the posterior" if soft.whose == "posterior" else "EM"
    lines = [
        f"k-means against the mixture: {plural(k, 'cluster')}, {plural(n, 'row')}, standardised",
        f"Adjusted Rand index: {agreement}; {plural(moved, 'row')} in another cluster than {whose} holds most "
        "probable.",
        f"Implied spheres: radius {radii} (one standard deviation per coordinate, standardised); k-means divides as if "
        "these were equal and round.",
    ]
    if len(forced):
        first = forced.iloc[0]
        interval = f" [{first['lb']:.2f}, {first['ub']:.2f}]" if soft.whose == "posterior" else ""
        lines.append(
            f"k-means puts {plural(forced['sample_weight'].sum(), 'row')} into one cluster that {whose} leaves open "
            f"(no cluster has probability {open_below:g}): {named_rows(forced.index.tolist())}. The most open, row "
            f"{forced.index[0]}, it puts into cluster {int(first['kmeans'])}, which has probability "
            f"{first['probability']:.2f}{interval}."
        )
    else:
        lines.append(
            f"{whose[0].upper()}{whose[1:]} leaves no row open: each has a cluster of probability at least "
            f"{open_below:g}."
        )
    return "\n".join(lines)
