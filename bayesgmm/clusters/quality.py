"""How well groups are told apart, in the figures that users of latent profiles report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..data import CI_PROB, equal_tailed
from ..mixture import draw_responsibilities, responsibilities
from ..sampling import Posterior
from .rows import ScoredRows

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Quality", "entropy_r2", "quality_of", "sabic"]

Array = NDArray[np.float64]


def entropy_r2(shares: Array, weight: Array) -> float:
    """1 - sum_i H(r_i) / (N log G), from probabilities (N, G): 1 where every row is sure, 0 where none says anything.

    Ramaswamy, V., DeSarbo, W. S., Reibstein, D. J. & Robinson, W. T. (1993). An empirical pooling approach for estimating
    marketing mix elasticities with PIMS data. Marketing Science 12, 103-124.
    """
    if shares.shape[1] == 1:
        return 1.0
    entropy = -(shares * np.log(np.where(shares > 0, shares, 1.0))).sum(1)
    return float(1.0 - weight @ entropy / (weight.sum() * np.log(shares.shape[1])))


def sabic(log_likelihood: float, n_parameters: int, n_rows: float) -> float:
    """BIC with the sample size (n + 2) / 24 (Sclove 1987, Psychometrika 52, 333-343); lower is better."""
    return -2.0 * log_likelihood + n_parameters * float(np.log((n_rows + 2) / 24))


@dataclass(frozen=True)
class Quality:
    """Classification quality and criteria of a mixture.

    Attributes
    ----------
    entropy_r2 : float
        At EM's estimate, as other programs report it.
    entropy_r2_posterior : float
        Mean over draws, with the ends of its interval: ``entropy_r2_lb``, ``entropy_r2_ub``.
    average_probability : DataFrame
        Row: most probable group; column: group; mean probability of the column's group in the row's rows, at EM's estimate.
        The diagonal is the average posterior probability of each class.
    log_likelihood, bic, sabic : float
        At EM's estimate; lower criteria are better.
    n_parameters : int
    """

    entropy_r2: float
    entropy_r2_posterior: float
    entropy_r2_lb: float
    entropy_r2_ub: float
    average_probability: pd.DataFrame
    log_likelihood: float
    bic: float
    sabic: float
    n_parameters: int

    def summary(self) -> str:
        """In words and figures."""
        own = np.diagonal(self.average_probability.to_numpy())
        return (
            f"entropy R2 {self.entropy_r2:.3f} at EM's estimate, {self.entropy_r2_posterior:.3f} "
            f"[{self.entropy_r2_lb:.3f}, {self.entropy_r2_ub:.3f}] over draws; average posterior probability "
            f"{', '.join('-' if np.isnan(p) else f'{p:.3f}' for p in own)}; SABIC {self.sabic:.2f}, BIC {self.bic:.2f}"
        )


def quality_of(
    view: Posterior, rows: ScoredRows, union: Array, em_union: Array, labels: list[str], ci_prob: float = CI_PROB
) -> Quality:
    """From thinned draws, their groups ``union`` (S, G, K) and those of EM's components ``em_union`` (G, K)."""
    import pandas as pd

    weight, structure = view.sample_weight, view.target.structure
    r, log_density = responsibilities(rows.em, rows.values)
    shares = r @ em_union.T
    assigned = np.eye(len(labels))[shares.argmax(1)] * weight[:, None]
    size = assigned.sum(0)[:, None]
    average = np.divide(assigned.T @ shares, size, out=np.full((len(labels),) * 2, np.nan), where=size > 0)
    total, n = float(weight @ (log_density + rows.log_jacobian)), float(weight.sum())
    free = structure.n_parameters(view.n_components, len(view.columns))
    over_draws = _entropy_over_draws(rows, union, weight)
    lb, ub = equal_tailed(over_draws, ci_prob)
    return Quality(
        entropy_r2(shares, weight),
        float(over_draws.mean()),
        float(lb),
        float(ub),
        pd.DataFrame(average, pd.Index(labels, name="most probable"), pd.Index(labels, name="group")),
        total,
        -2.0 * total + free * float(np.log(n)),
        sabic(total, free, n),
        free,
    )


def _entropy_over_draws(rows: ScoredRows, union: Array, weight: Array) -> Array:
    """Entropy R2 of each draw (S,)."""
    n_groups = union.shape[1]
    if n_groups == 1:
        return np.ones(len(union))
    total = np.zeros(len(union))
    for block in draw_responsibilities(rows.draws, rows.values):
        shares = np.matmul(union, block.responsibilities)
        logs = np.log(np.where(shares > 0, shares, 1.0))
        total -= np.einsum("sgn,sgn,n->s", shares, logs, weight[block.rows])
    return 1.0 - total / (weight.sum() * np.log(n_groups))
