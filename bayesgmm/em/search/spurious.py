"""Spurious components: few rows on a narrow strip, which chance alone puts there.

The likelihood of mixtures is unbounded where components have covariances of their own, and has local maxima at any few
rows that lie close together or close to a line (Day 1969, Biometrika 56; McLachlan & Peel 2000, Finite Mixture Models,
section 3.10). A component is called spurious where it is narrow *and* few:

- Narrow: in some direction its variance is below 1/100 of the components' average variance there. This is the eigenvalue
  ratio by which Garcia-Escudero, Gordaliza, Matran & Mayo-Iscar (2008, Annals of Statistics 36; 2015, Statistics and
  Computing 25) keep spurious maxima out, taken relative to the pooled covariance, so that units and correlations that all
  components share do not matter.
- Few: it has no row to spare beyond those that span it; or the expected number of sets of rows as large and as close
  together, among rows of the other components, is above 0.05 (the scan statistic: Naus 1965, JASA 60; Glaz, Naus &
  Wallenstein 2001); or its variance is even below 1/10,000 and it has at most twice as many rows as span it: near-copies.

Equal rows count once: copies are no support. A narrow component with many distinct rows is no chance and not spurious,
and neither are few rows far from all others.

With N distinct rows, n of them in a component that is narrow in m of D directions, and an expectation of ``c`` others among
them (the sum of (1 - r) / r over its rows, with r their responsibilities): D - m + 1 rows determine where the strip is (one,
where components are parallel to the axes), and the others must fall into it, so that the expected number of such sets is
at most C(N, D - m + 1) P(Poisson(c) >= n - (D - m + 1)).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...mixture import Design, Mixture, Structure, block_size, softmax_mixture, terms_of
from ..algorithm.run import Run
from ..repeats import distinct_rows

__all__ = ["narrow_directions", "spurious_components"]

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

# Variance, relative to the components' average, below which a direction is narrow, and so narrow that few rows are copies.
NARROW, NEAR_COPIES = 1e-2, 1e-4
# Expected number of sets of rows by chance above which a set needs no other explanation.
CHANCE = 0.05


def spurious_components(run: Run, design: Design, represents: float = 1.0) -> Flags:
    """Whether each component of S solutions is spurious (S, K).

    None is where all share one covariance: then none is narrower than the others, and the likelihood is bounded.

    Parameters
    ----------
    run : Run
    design : Design
        The rows that the solutions are of.
    represents : float
        Rows of all the data that each of these rows stands for.
    """
    result = np.zeros(run.counts.shape, dtype=bool)
    smallest, narrow = narrow_directions(run.mixture)
    suspects = np.flatnonzero((narrow > 0).any(1))
    if not suspects.size:
        return result
    distinct = distinct_rows(design.source)
    span = _span(design.structure, design.n_features)
    for s in suspects:
        rows, company = (represents * part for part in _support(run.mixture[s], design, distinct))
        fixed = np.maximum(span - narrow[s], 0) + 1
        chance = _expected_sets(represents * distinct.sum(), rows, company, fixed) > CHANCE
        copies = (smallest[s] < NEAR_COPIES) & (rows <= 5 * (span + 1))
        result[s] = (narrow[s] > 0) & ((rows < span + 1.5) | chance | copies)
    return result


def narrow_directions(mixture: Mixture) -> tuple[Array, NDArray[np.intp]]:
    """Smallest relative variance of each component (S, K), and in how many directions it is narrow (S, K).

    Variances relative to the pooled covariance W = sum_k w_k S_k are the eigenvalues of W^-1 S_k.
    """
    dense = mixture.dense_covariances
    pooled = np.einsum("sk,skij->sij", mixture.weights, dense)
    values, vectors = np.linalg.eigh(pooled)
    whiten = vectors / np.sqrt(np.maximum(values, np.finfo(float).tiny))[:, None, :]
    relative = np.linalg.eigvalsh(np.swapaxes(whiten, -1, -2)[:, None] @ dense @ whiten[:, None])
    return relative[..., 0], (relative < NARROW).sum(-1)


def _span(structure: Structure, n_features: int) -> int:
    """Rows, less one, that a component needs for a width in all directions: one where it is parallel to the axes."""
    tilted = np.eye(n_features) + 0.5
    own = structure.dense(structure.compact(tilted[None]), 1, n_features)[0]
    return n_features if n_features > 1 and own[0, 1] != 0 else 1


def _support(mixture: Mixture, design: Design, distinct: Flags) -> tuple[Array, Array]:
    """Distinct rows of each component (K,), and the expected number of others among those that are mostly its own (K,)."""
    wide = mixture.widened()

    def of_block(part: slice) -> Array:
        terms = terms_of(wide, design.source[part], design.scaling)
        softmax_mixture(terms)
        r = terms[:, distinct[part]]
        own = np.maximum(r, 0.5)
        return np.stack([r.sum(1), np.where(r >= 0.5, (1.0 - own) / own, 0.0).sum(1)])

    rows, company = np.sum(design.map(of_block, block_size(mixture)), axis=0)
    return rows, company


def _expected_sets(total: float, rows: Array, company: Array, fixed: Array) -> Array:
    """Expected number, by chance, of sets of ``rows`` (K,) among ``total``, in strips that ``fixed`` (K,) rows determine."""
    from scipy.special import gammainc, gammaln

    rest = rows - fixed
    fixed = np.minimum(fixed, total)
    log_ways = gammaln(total + 1) - gammaln(fixed + 1) - gammaln(total - fixed + 1)
    # P(Poisson(c) >= a) = P(a, c), the regularised incomplete gamma function.
    at_least = np.where(rest > 0, gammainc(np.maximum(rest, 1e-9), company), 1.0)
    with np.errstate(over="ignore"):
        return np.exp(log_ways) * at_least
