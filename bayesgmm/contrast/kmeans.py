"""k-means beside the mixture: hard labels, implied spheres, and the rows that it forces into one cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..clusters.memberships import summarise_rows
from ..clusters.rows import check_mass, obs_index, training_rows
from ..data import InputError, Scaling, as_table
from ..em import fit_mixture
from ..mixture import responsibilities
from ..sampling.posterior import view_of
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
        Per cluster: ``n_rows``; ``radius``, the standard deviation per coordinate of its rows about the centre, on the
        standardised scale on which k-means works; and the same in the units of each feature.
    ari_em, ari_posterior : float
        Adjusted Rand index of k-means' labels with EM's and with the posterior's assignment (nan without a posterior).
    forced : DataFrame
        Rows that the mixture leaves open (no cluster has probability ``open_below``), most open first: ``kmeans`` (its
        label), ``probability`` (of that cluster), ``lb`` and ``ub`` (its interval; nan without a posterior),
        ``assignment`` (most probable cluster) and ``assignment_probability`` (its probability). Probabilities are the
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
    probability, lb, ub : (N, K)
        The posterior's, or EM's with nan for the interval.
    em : (N, K)
        EM's responsibilities, same labels.
    whose : {"posterior", "EM"}
    """

    values: Array
    scaling: Scaling
    columns: tuple[str, ...]
    obs_id: NDArray[Any]
    probability: Array
    lb: Array
    ub: Array
    em: Array
    whose: str


def kmeans_contrast(
    post: xr.DataTree | Any,
    n_components: int | None = None,
    covariance_type: str = "full",
    *,
    open_below: float = 0.9,
    ci_prob: float = 0.89,
    n_init: int = 20,
    random_seed: int = 0,
) -> KMeansContrast:
    """Run k-means on the same standardised data with the same K, and compare.

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

    Returns
    -------
    KMeansContrast

    Raises
    ------
    InputError
        Data without ``n_components``, or another argument is not fit for use.
    """
    import pandas as pd
    import xarray as xr
    from sklearn.cluster import KMeans
    from sklearn.metrics import adjusted_rand_score

    check_mass(ci_prob)
    check_mass(open_below, "open_below")
    if isinstance(post, xr.DataTree):
        soft = _from_posterior(post, n_components, ci_prob)
    else:
        soft = _from_data(post, n_components, covariance_type, random_seed)
    k = soft.probability.shape[1]
    fit = KMeans(k, n_init=n_init, random_state=random_seed).fit(soft.values)
    order = best_labels(np.eye(k)[fit.labels_], soft.probability)
    labels = np.argsort(order)[fit.labels_]
    centres = fit.cluster_centers_[order]
    index = obs_index(soft.obs_id)
    clusters = pd.RangeIndex(k, name="cluster")
    found = {
        "labels": pd.Series(labels, index=index, name="kmeans"),
        "centres": pd.DataFrame(soft.scaling.restore(centres), index=clusters, columns=list(soft.columns)),
        "spheres": _spheres(soft, labels, centres).set_index(clusters),
        "ari_em": float(adjusted_rand_score(soft.em.argmax(1), labels)),
        "ari_posterior": (
            float(adjusted_rand_score(soft.probability.argmax(1), labels)) if soft.whose == "posterior" else np.nan
        ),
        "forced": _forced(soft, labels, open_below),
    }
    return KMeansContrast(**found, summary=_in_words(soft, found, open_below), open_below=open_below, ci_prob=ci_prob)


def _from_posterior(post: xr.DataTree, n_components: int | None, ci_prob: float) -> _Soft:
    view = view_of(post)
    if n_components not in (None, view.n_components):
        raise InputError(f"n_components={n_components} differs from the posterior's {view.n_components}; leave it out")
    rows = training_rows(view)
    found = summarise_rows(rows, ci_prob)
    em = responsibilities(rows.em, rows.values)[0]
    return _Soft(
        rows.values,
        view.scaling,
        view.columns,
        view.obs_id,
        found["probability"],
        found["probability_lb"],
        found["probability_ub"],
        em[:, best_labels(em, found["probability"])],
        "posterior",
    )


def _from_data(data: Any, n_components: int | None, covariance_type: str, seed: int) -> _Soft:
    if n_components is None:
        raise InputError("n_components is missing; say into how many clusters to divide the data")
    table = as_table(data)
    fit = fit_mixture(table, n_components, covariance_type, random_state=seed)
    values = fit.scaling.standardise(table.values)
    em = responsibilities(fit.standardised, values)[0]
    nothing = np.full(em.shape, np.nan)
    return _Soft(values, fit.scaling, table.columns, np.asarray(table.index), em, nothing, nothing, em, "EM")


def _spheres(soft: _Soft, labels: NDArray[np.intp], centres: Array) -> pd.DataFrame:
    import pandas as pd

    squared = ((soft.values - centres[labels]) ** 2).mean(1)
    k = len(centres)
    counts = np.bincount(labels, minlength=k)
    radius = np.sqrt(np.bincount(labels, weights=squared, minlength=k) / np.maximum(counts, 1))
    table = pd.DataFrame({"n_rows": counts, "radius": radius})
    for name, scale in zip(soft.columns, soft.scaling.scale, strict=True):
        table[f"radius[{name}]"] = radius * scale
    return table


def _forced(soft: _Soft, labels: NDArray[np.intp], open_below: float) -> pd.DataFrame:
    import pandas as pd

    p = soft.probability
    is_open = np.flatnonzero(p.max(1) < open_below)
    own = labels[is_open]
    table = pd.DataFrame(
        {
            "kmeans": own,
            "probability": p[is_open, own],
            "lb": soft.lb[is_open, own],
            "ub": soft.ub[is_open, own],
            "assignment": p[is_open].argmax(1),
            "assignment_probability": p[is_open].max(1),
        },
        index=obs_index(soft.obs_id[is_open]),
    )
    return table.sort_values("assignment_probability", kind="stable")


def _in_words(soft: _Soft, found: dict[str, Any], open_below: float) -> str:
    n, k = soft.probability.shape
    forced, spheres = found["forced"], found["spheres"]
    agreement = f"{found['ari_em']:.3f} with EM"
    if soft.whose == "posterior":
        agreement += f", {found['ari_posterior']:.3f} with the posterior's assignment"
    moved = int((found["labels"].to_numpy() != soft.probability.argmax(1)).sum())
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
            f"k-means puts {plural(len(forced), 'row')} into one cluster that {whose} leaves open (no cluster "
            f"has probability {open_below:g}): {named_rows(forced.index.tolist())}. The most open, row "
            f"{forced.index[0]}, it puts into cluster {int(first['kmeans'])}, which has probability "
            f"{first['probability']:.2f}{interval}."
        )
    else:
        lines.append(
            f"{whose[0].upper()}{whose[1:]} leaves no row open: each has a cluster of probability at least "
            f"{open_below:g}."
        )
    return "\n".join(lines)
