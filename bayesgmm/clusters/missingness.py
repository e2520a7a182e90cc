"""Whether what is missing goes with the cluster: how far data can question the assumption that it is missing at random.

Given its cluster a row lacks feature j with probability q_kj. Under one draw of the parameters the expected rows of cluster k
that lack j, m, and that have it, n - m, are worked out from the responsibilities, which know nothing of the mask; with a
uniform prior q_kj is then Beta(1 + m, 1 + n - m). One q_j for all clusters against one for each is compared by

    prod_k B(1 + m_k, 1 + n_k - m_k)  /  B(1 + sum m_k, 1 + sum (n_k - m_k))

with equal prior probability for both. Where they differ the mask says something of the cluster (missing not at random given
the cluster alone, MNARz: Sportisse, Marbac, Laporte, Celeux, Boyer, Josse & Biernacki 2024, Statistics and Computing 34), which
the model does not use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..data import CI_PROB, check_ci_prob, checked, equal_tailed
from ..mixture import draw_responsibilities
from ..sampling import Posterior
from .rows import training_rows

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["missingness"]

Array = NDArray[np.float64]


@checked
def missingness(post: xr.DataTree, *, ci_prob: float = CI_PROB, random_seed: int = 0) -> pd.DataFrame:
    """How often each cluster lacks each feature, and whether clusters differ in that.

    Parameters
    ----------
    post : DataTree
        From `sample_posterior` with ``missing="marginalise"``.
    ci_prob : float
        Mass of the equal-tailed intervals.
    random_seed : int

    Returns
    -------
    DataFrame
        Index (feature, cluster), features that are missing somewhere: ``rows`` that lack it in all clusters together,
        ``share`` of the cluster's rows that lack it (posterior mean), ``lb``, ``ub``, and ``p_differs``, the posterior
        probability that clusters differ, one half before the data. Empty where nothing is missing.

    Raises
    ------
    InputError
        For a ``ci_prob`` that is not between 0 and 1.
    """
    import pandas as pd

    check_ci_prob(ci_prob)
    view = Posterior.read(post)
    absent = np.isnan(view.values)
    features = np.flatnonzero(absent.any(0))
    counts, lacking = _expected_counts(view, absent[:, features])
    rng = np.random.default_rng(random_seed)
    shares = rng.beta(1.0 + lacking, 1.0 + np.maximum(counts[:, None] - lacking, 0.0))
    differs = _probability_of_difference(counts, lacking)
    lb, ub = equal_tailed(shares, ci_prob)
    k = view.n_components
    index = pd.MultiIndex.from_product([[view.columns[j] for j in features], range(k)], names=["feature", "cluster"])
    table = pd.DataFrame(
        {
            "rows": np.repeat(absent[:, features].sum(0), k),
            "share": shares.mean(0).ravel(),
            "lb": lb.ravel(),
            "ub": ub.ravel(),
            "p_differs": np.repeat(differs, k),
        },
        index=index,
    )
    table.attrs.update(interval="equal-tailed", ci_prob=ci_prob, seed=random_seed)
    return table


def _expected_counts(view: Posterior, absent: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Expected rows of each cluster (S, K), and those of them that lack each feature (S, F, K)."""
    rows = training_rows(view)
    weight = view.sample_weight
    counts = np.zeros(rows.draws.weights.shape)
    lacking = np.zeros((len(counts), absent.shape[1], counts.shape[1]))
    for block in draw_responsibilities(rows.draws, rows.values):
        own, r = weight[block.rows], block.responsibilities
        counts += r @ own
        lacking += np.einsum("skb,bf->sfk", r, absent[block.rows] * own[:, None])
    return counts, lacking


def _probability_of_difference(counts: Array, lacking: Array) -> Array:
    """Posterior probability (F,) that clusters differ in how often they lack a feature, averaged over draws."""
    from scipy.special import betaln, expit

    have = np.maximum(counts[:, None] - lacking, 0.0)
    apart = betaln(1.0 + lacking, 1.0 + have).sum(-1)
    together = betaln(1.0 + lacking.sum(-1), 1.0 + have.sum(-1))
    return np.asarray(expit(apart - together).mean(0))
