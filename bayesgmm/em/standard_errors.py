"""Standard errors of a maximum-likelihood mixture: observed information, sandwich, bootstrap.

Coordinates are linear in what is reported: logits of the weights with the last fixed, means, distinct entries of the
covariances. With s_ik the score of row i had it come from component k, r_ik its responsibility and
s_i = sum_k r_ik s_ik, Louis' identity (Louis 1982, JRSS B 44) gives the observed information as what complete data
would hold less what the labels take away::

    I = -E[Hessian of the complete log likelihood] - sum_i (sum_k r_ik s_ik s_ik' - s_i s_i')

Where covariances are no linear space (mclust's VEI and others), the coordinates are those of the structure's parts, the
Hessian counts their second derivatives, and what is reported follows by the delta method.

Both parts are exact and need one pass over the data. The sandwich (White 1982, Econometrica 50) is
I^-1 (sum_i s_i s_i') I^-1: it holds where the model is wrong, too. The bootstrap draws rows with replacement and runs
EM from the estimate (McLachlan & Peel 2000, Finite Mixture Models, section 2.16).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..data import InputError, Scaling, checked
from ..mixture import (
    Design,
    Mixture,
    curvature,
    each_pattern,
    responsibilities,
    run_parallel,
    single_threaded_blas,
    whitening,
)
from .algorithm.iterate import run_em
from .scores import Layout, component_scores, whitened

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["METHODS", "Layout", "StandardErrors", "component_scores", "standard_errors", "whitened"]

Array = NDArray[np.float64]
# Numbers in the arrays of one block of rows.
_BLOCK = 2**20
# The information matrix of more parameters than this would take a gigabyte and hours.
_MOST_PARAMETERS = 8000


@dataclass(frozen=True, eq=False, repr=False)
class StandardErrors:
    """Standard errors of a maximum-likelihood mixture, in the units of the data.

    All are nan where there is no asymptotic answer: a weight of zero, or an observed information that is not positive
    definite, as where two components are one.

    Attributes
    ----------
    weights : (K,)
    means : (K, D)
    covariances : (K, D, D)
    method : str
        "information", "sandwich" or "bootstrap".
    estimate : Mixture
        What they are the standard errors of, in the units of the data.
    columns : tuple of str
    n_boot : int
        Bootstrap fits that they rest on; 0 for the other methods.
    covariance : (P, P) or None
        Of the estimate on the standardised scale, in logits of the weights with the last fixed, means, and distinct
        covariance entries; None for the bootstrap, and where there is no answer.
    scaling : Scaling
        To that scale.
    """

    weights: Array
    means: Array
    covariances: Array
    method: str
    estimate: Mixture
    columns: tuple[str, ...]
    scaling: Scaling
    n_boot: int = 0
    covariance: Array | None = None

    @property
    def table(self) -> pd.DataFrame:
        """Columns ``estimate`` and ``se``, a row per distinct parameter, such as ``covariances[0, width, height]``."""
        import pandas as pd

        m = self.estimate
        rows = zip(
            _distinct_parameters(m, m.weights, m.means, m.dense_covariances, self.columns),
            _distinct_parameters(m, self.weights, self.means, self.covariances, self.columns),
            strict=True,
        )
        found = [(name, value, se) for (name, value), (_, se) in rows]
        index = pd.Index([name for name, _, _ in found], name="parameter")
        return pd.DataFrame([row[1:] for row in found], index=index, columns=["estimate", "se"])

    def _heading(self) -> str:
        return f"Standard errors ({self.method}{f', {self.n_boot} fits' if self.n_boot else ''})"

    def __repr__(self) -> str:
        return f"{self._heading()}\n{self.table.to_string()}"

    def _repr_html_(self) -> str:
        return f"<pre>{self._heading()}</pre>{self.table.to_html(escape=True)}"


def _distinct_parameters(
    mixture: Mixture, weights: Array, means: Array, dense: Array, columns: Sequence[str]
) -> list[tuple[str, float]]:
    """Name and value of each parameter, none twice."""
    k, d = mixture.means.shape
    found = [(f"weights[{c}]", float(weights[c])) for c in range(k)]
    found += [(f"means[{c}, {columns[j]}]", float(means[c, j])) for c in range(k) for j in range(d)]
    found += [(entry.name(columns), float(entry.of(dense))) for entry in mixture.structure.entries(k, d)]
    return found


@checked
def standard_errors(
    mixture: Mixture,
    values: Array,
    scaling: Scaling | None = None,
    method: str = "information",
    *,
    sample_weight: Array | None = None,
    n_boot: int = 200,
    random_state: int | np.random.Generator | None = 0,
    columns: Sequence[str] | None = None,
) -> StandardErrors:
    """Standard errors of a mixture fitted to ``values`` by maximum likelihood.

    Parameters
    ----------
    mixture : Mixture
        Single, in the units of the data.
    values : (N, D)
        In the units of the data.
    scaling : Scaling, optional
        To the scale on which the computation is done; that of the values by default.
    method : {"information", "sandwich", "bootstrap"}
        Observed information (the model is right), sandwich (it need not be), or nonparametric bootstrap.
    sample_weight : (N,), optional
        Case weights: weight 2 is a row given twice. The bootstrap draws as many rows as they sum to.
    n_boot : int
        Bootstrap fits, at least 2.
    random_state : int, Generator or None
        Of the bootstrap.
    columns : sequence of str, optional
        Names for the table.

    Raises
    ------
    InputError
        The method is unknown, n_boot is too small, or the parameters are too many for an information matrix.
    """
    if method not in METHODS:
        raise InputError(f"method={method!r} is unknown; choose one of {', '.join(METHODS)}")
    if n_boot < 2:
        raise InputError(f"n_boot={n_boot!r} gives no spread; draw at least 2 samples")
    k, d = mixture.means.shape
    names = tuple(f"x{j}" for j in range(d)) if columns is None else tuple(map(str, columns))
    values = np.asarray(values, dtype=np.float64)
    if scaling is None:
        scaling = mixture.structure.scaling(values, sample_weight)
    standard = mixture.standardised(scaling)
    design = Design.of(values, mixture.structure, sample_weight, scaling)
    found = covariance = None
    count = n_boot if method == "bootstrap" else 0
    if mixture.weights.min() > 1e-12:  # otherwise on the edge of the parameter space
        if method == "bootstrap":
            found, count = _by_bootstrap(standard, design, n_boot, np.random.default_rng(random_state))
        else:
            covariance = _covariance(standard, design, sandwich=method == "sandwich")
            found = None if covariance is None else _by_information(standard, covariance)
    if found is None:
        found = np.full(k, np.nan), np.full((k, d), np.nan), np.full((k, d, d), np.nan)
    weights, means, covariances = found
    return StandardErrors(
        weights, means * scaling.scale, scaling.covariances_to_data(covariances), method, mixture, names, scaling, count,
        covariance,
    )  # fmt: skip


METHODS = ("information", "sandwich", "bootstrap")
_Found = tuple[Array, Array, Array]


class _Moments:
    """Sums over rows that the information and the sandwich are made of.

    Attributes
    ----------
    counts (K,), first (K, D), second (K, D, D)
        Expected statistics in each component's whitened coordinates z.
    within : (P, P)
        Sum of r_ik s_ik s_ik', weights' part of the score not centred.
    total : (P,)
        Sum of s_i, the same.
    between : (P, P)
        Sum of s_i s_i', the same.
    """

    def __init__(self, layout: Layout, n_features: int) -> None:
        k, p = layout.k, layout.n_parameters
        self.counts, self.first = np.zeros(k), np.zeros((k, n_features))
        self.second = np.zeros((k, n_features, n_features))
        self.within, self.between, self.total = np.zeros((p, p)), np.zeros((p, p)), np.zeros(p)

    @classmethod
    def of(cls, mixture: Mixture, design: Design, layout: Layout, inverse: Array, along: Array) -> _Moments:
        """One pass over the data; ``inverse`` (K, D, D) whitens, ``along`` (K, Q, D, D) are whitened directions."""
        sums = cls(layout, mixture.n_features)
        n_components, d = mixture.means.shape
        size = max(32, _BLOCK // (layout.n_parameters + d * d))
        for part in design.blocks(size):
            x, weight = design.values_of(part), design.weight_of(part)
            r, _ = responsibilities(mixture, x)
            # What is missing is multiplied by zero.
            x = x if design.groups is None else np.nan_to_num(x)
            scores = np.zeros((len(x), layout.n_parameters))
            for k in range(n_components):
                own, where, z = component_scores(mixture, layout, inverse, along, x, k)
                mine = r[:, k] * weight
                sums.counts[k] += mine.sum()
                sums.first[k] += mine @ z
                sums.second[k] += (z * mine[:, None]).T @ z
                sums.within[np.ix_(where, where)] += (own * mine[:, None]).T @ own
                scores[:, where] += own * r[:, k, None]
            sums.total += weight @ scores
            sums.between += (scores * weight[:, None]).T @ scores
        return sums


def _complete_information(mixture: Mixture, layout: Layout, sums: _Moments, inverse: Array, along: Array) -> Array:
    """Information (P, P) that rows with labels would hold, at the expected statistics."""
    k = mixture.n_components
    result = np.zeros((layout.n_parameters, layout.n_parameters))
    w = mixture.weights
    result[: k - 1, : k - 1] = sums.counts.sum() * (np.diag(w) - np.outer(w, w))[: k - 1, : k - 1]
    for c in range(k):
        mean, entries = layout.of_component(c)
        e = along[c]
        flat = e.reshape(len(e), -1)
        result[np.ix_(mean, mean)] += sums.counts[c] * inverse[c].T @ inverse[c]
        cross = inverse[c].T @ (e @ sums.first[c]).T
        result[np.ix_(mean, entries)] += cross
        result[np.ix_(entries, mean)] += cross.T
        # tr(E F M) of symmetric E, F, M.
        weighted = flat @ (e @ sums.second[c]).swapaxes(-1, -2).reshape(len(e), -1).T
        result[np.ix_(entries, entries)] += 0.5 * (weighted + weighted.T) - 0.5 * sums.counts[c] * flat @ flat.T
    if layout.curved:
        excess = sums.second - sums.counts[:, None, None] * np.eye(layout.d)
        slope = 0.5 * inverse.swapaxes(-1, -2) @ excess @ inverse
        first = layout.first_covariance
        result[first:, first:] -= curvature(mixture.structure, mixture.dense_covariances, slope)
    return result


def _covariance(mixture: Mixture, design: Design, sandwich: bool) -> Array | None:
    """Covariance (P, P) of the standardised parameters; None where the information is not positive definite."""
    layout = Layout(mixture)
    if layout.n_parameters > _MOST_PARAMETERS:
        raise InputError(
            f"the information matrix of {layout.n_parameters} parameters is too large; use method='bootstrap', "
            "or a structure with fewer parameters"
        )
    k = mixture.n_components
    information, between, total, count = _information(mixture, design, layout)
    covariance = _inverted(information)
    if covariance is None:
        return None
    if sandwich:
        centre = np.zeros(layout.n_parameters)
        centre[: k - 1] = mixture.weights[:-1]
        outer = np.outer(centre, total)
        meat = between - outer - outer.T + count * np.outer(centre, centre)
        covariance = covariance @ meat @ covariance
    return covariance


def _information(mixture: Mixture, design: Design, layout: Layout) -> tuple[Array, Array, Array, float]:
    """Observed information (P, P), sums of s_i s_i' (P, P) and s_i (P,), and of the weights.

    Rows that see some features only have the information of a mixture of those: pattern by pattern, the same formulas.
    """
    p = layout.n_parameters
    information, between, total, count = np.zeros((p, p)), np.zeros((p, p)), np.zeros(p), 0.0
    for part, features in _by_pattern(design):
        inverse, along = whitened(mixture, layout, features)
        sums = _Moments.of(mixture, part, layout, inverse, along)
        information += _complete_information(mixture, layout, sums, inverse, along) - sums.within + sums.between
        between += sums.between
        total += sums.total
        count += sums.counts.sum()
    return information, between, total, count


def _by_pattern(design: Design) -> Iterator[tuple[Design, NDArray[np.intp] | None]]:
    """Rows that see the same features, and which: None for all."""
    if design.groups is None:
        yield design, None
        return
    for rows, features in each_pattern(design.source):
        yield design.subset(rows), features


def _by_information(mixture: Mixture, covariance: Array) -> _Found:
    """Standard errors of the standardised parameters, from their covariance (P, P)."""
    layout, (k, d) = Layout(mixture), mixture.means.shape
    w = mixture.weights
    jacobian = (np.diag(w) - np.outer(w, w))[:, : k - 1]
    weights = np.sqrt(np.einsum("ki,ij,kj->k", jacobian, covariance[: k - 1, : k - 1], jacobian))
    se = np.sqrt(np.diagonal(covariance))
    means = se[k - 1 : layout.first_covariance].reshape(k, d)
    if layout.curved:
        own = covariance[layout.first_covariance :, layout.first_covariance :]
        spread = np.einsum(
            "kqij,kqij->kij", layout.directions, np.tensordot(own, layout.directions, (1, 1)).swapaxes(0, 1)
        )
        return weights, means, np.sqrt(np.maximum(spread, 0.0))
    entries = se[layout.first_covariance :].reshape(layout.n_blocks, -1)[layout.blocks]
    return weights, means, np.einsum("kq,qij->kij", entries, layout.directions)


def _inverted(information: Array) -> Array | None:
    """Inverse of a matrix that should be positive definite, or None."""
    information = 0.5 * (information + information.T)
    spread = np.sqrt(np.maximum(np.diagonal(information), 1e-300))
    correlation = information / spread / spread[:, None]
    if not np.isfinite(correlation).all() or np.linalg.eigvalsh(correlation)[0] < 1e-10:
        return None
    return np.asarray(np.linalg.inv(correlation) / spread / spread[:, None])


def _by_bootstrap(mixture: Mixture, design: Design, n_boot: int, rng: np.random.Generator) -> tuple[_Found | None, int]:
    """Spread of EM's answer, in standardised parameters, over samples of the rows; and how many had an answer."""
    n = round(design.total)
    share = design.sample_weight / design.total if design.sample_weight.size else np.full(n, 1.0 / n)

    def refitted(own: np.random.Generator) -> Mixture | None:
        run = run_em(design.reweighted(own.multinomial(n, share).astype(float)), mixture[None], tol=1e-8)
        return None if run.degenerate[0] else _matched(run.mixture[0], mixture)

    with single_threaded_blas():
        tried: list[Any] = run_parallel(refitted, rng.spawn(n_boot))
    found = [m for m in tried if m is not None]
    if len(found) < 2:
        return None, len(found)
    parts = (np.stack([getattr(m, a) for m in found]) for a in ("weights", "means", "dense_covariances"))
    weights, means, covariances = (part.std(0, ddof=1) for part in parts)
    return (weights, means, covariances), len(found)


def _matched(mixture: Mixture, reference: Mixture) -> Mixture:
    """The components in the order of those of ``reference`` that they are closest to, in Mahalanobis distance."""
    from scipy.optimize import linear_sum_assignment

    inverse, _ = whitening(reference)
    apart = np.einsum("kij,kcj->kci", inverse, mixture.means - reference.means[:, None])
    _, order = linear_sum_assignment((apart**2).sum(-1))
    return mixture.reordered(order)
