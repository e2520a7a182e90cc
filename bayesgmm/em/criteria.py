"""Information criteria in scikit-learn's sign: lower is better.

With l the maximised log likelihood, p free parameters, n rows (the sum of the case weights) and z the responsibilities:

- AIC = -2 l + 2 p (Akaike 1974), BIC = -2 l + p log n (Schwarz 1978);
- ICL = BIC - 2 sum_i log max_k z_ik (Biernacki, Celeux & Govaert 2000, with the most probable labels, as in mclust);
- entropy = -sum_ik z_ik log z_ik.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..data import Scaling
from ..mixture import Mixture, Rows, block_size, log_terms, single_threaded_blas, softmax_mixture, terms_of

__all__ = ["aic", "bic", "classification_terms", "icl", "map_labels"]

Array = NDArray[np.float64]


def aic(log_likelihood: float, n_parameters: int) -> float:
    """Akaike's criterion."""
    return -2.0 * log_likelihood + 2.0 * n_parameters


def bic(log_likelihood: float, n_parameters: int, n_rows: float) -> float:
    """Schwarz's criterion."""
    return -2.0 * log_likelihood + n_parameters * float(np.log(n_rows))


def icl(bic_value: float, log_max: float) -> float:
    """Integrated completed likelihood, from BIC and sum_i log max_k z_ik (`classification_terms`)."""
    return bic_value - 2.0 * log_max


def classification_terms(
    mixture: Mixture, values: Array, sample_weight: Array | None = None, scaling: Scaling | None = None
) -> tuple[float, float, Array, float]:
    """What the most probable labels say, in blocks of rows.

    Parameters
    ----------
    mixture : Mixture
        Single.
    values : (N, D)
        In the units of the mixture, or brought to them by ``scaling``.
    sample_weight : (N,), optional
    scaling : Scaling, optional

    Returns
    -------
    log_max : float
        sum_i log max_k z_ik.
    entropy : float
        -sum_ik z_ik log z_ik.
    map_counts : (K,)
        Rows whose most probable component is k (sums of case weights).
    log_likelihood : float
        Of the rows in the units of the mixture.
    """
    wide = mixture.widened()

    def of_block(part: slice) -> tuple[float, float, Array, float]:
        terms = terms_of(wide, values[part], scaling)
        weight = np.ones(terms.shape[1]) if sample_weight is None else sample_weight[part]
        labels = terms.argmax(0)
        log_likelihood = float(weight @ softmax_mixture(terms))
        log_max = float(weight @ np.log(terms.max(0)))
        logs = np.log(np.maximum(terms, 1e-300))
        entropy = -float(np.einsum("kb,kb,b->", terms, logs, weight))
        counts = np.bincount(labels, weights=weight, minlength=mixture.n_components)
        return log_max, entropy, counts, log_likelihood

    with single_threaded_blas():
        log_max, entropy, counts, log_likelihood = Rows.of_values(values).sum(of_block, block_size(mixture))
    return log_max, max(entropy, 0.0), counts, log_likelihood


def map_labels(mixture: Mixture, values: Array, scaling: Scaling | None = None) -> NDArray[np.intp]:
    """Most probable component of each row (N,), without an array of N x K (scaling: `classification_terms`)."""
    labels = np.empty(len(values), dtype=np.intp)
    with single_threaded_blas():
        for part, terms in log_terms(mixture, values, scaling):
            labels[part] = terms.argmax(0)
    return labels
