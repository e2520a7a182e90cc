"""How many components are filled: the number of components as one more unknown, sampled with the rest.

Two priors. A *mixture of finite mixtures* gives K a prior and the weights a Dirichlet of ordinary concentration: its
p(K | data) is that of `compare` by another route, without any evidence. A *sparse finite mixture* fixes K too large and
gives the weights a small concentration, so that superfluous components empty themselves (Rousseau & Mengersen 2011;
Malsiner-Walli, Fruehwirth-Schnatter & Gruen 2016). Both report K+, the number of components that hold any row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..data import InputError, check_whole, checked_with
from ..mixture import Structure, run_parallel, single_threaded_blas
from ..posterior import CorrelationsTerm, Priors, ScalesTerm, Target, Term, numbers_of, terms_of_one
from .telescoping import telescope

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FilledComponents", "filled_components"]

Array = NDArray[np.float64]
_GRID = 2001
_MAX_R_HAT = 1.05
SPARSE_CONCENTRATION = 0.01


@dataclass(frozen=True, eq=False, repr=False)
class FilledComponents:
    """Posterior of the number of components, and of how many of them hold rows.

    Attributes
    ----------
    table : DataFrame
        Index k = 1..max_components; ``p_filled`` = p(K+ = k | data), ``p_k`` = p(K = k | data), ``prior_k``.
    n_filled, n_components : (chain, draw) int
    concentration : float
        Of the Dirichlet.
    prior : str
        In words.
    r_hat, ess : float
        Of the number of filled components.
    """

    table: pd.DataFrame = field(repr=False)
    n_filled: NDArray[np.int64]
    n_components: NDArray[np.int64]
    concentration: float
    prior: str
    r_hat: float
    ess: float

    @property
    def most_probable(self) -> int:
        """The number of filled components with the largest posterior probability."""
        return int(self.table["p_filled"].idxmax())

    def __repr__(self) -> str:
        best = self.most_probable
        doubt = "" if self.r_hat < _MAX_R_HAT else ": the chains disagree, sample longer or lower the concentration"
        head = (
            f"Filled components: {best} most probable, p = {self.table.loc[best, 'p_filled']:.3f}\n"
            f"  prior  {self.prior}\n  chains R-hat {self.r_hat:.3f}, effective draws {self.ess:.0f}{doubt}\n\n"
        )
        return head + self.table.round(4).to_string()

    def _repr_html_(self) -> str:
        return (
            f"<p>Filled components: {self.most_probable} most probable. {self.prior}</p>{self.table.round(4).to_html()}"
        )


@checked_with(tune=lambda name, value: check_whole(name, value, 0))  # sweeps, none of which adapt
def filled_components(
    data: Any,
    covariance_type: str | Structure = "full",
    priors: Priors | None = None,
    *,
    sparse: bool = True,
    max_components: int = 10,
    concentration: float | None = None,
    prior_k: Mapping[int, float] | Callable[[int], float] | None = None,
    draws: int = 5000,
    tune: int = 2000,
    thin: int = 4,
    chains: int = 4,
    random_seed: int = 0,
) -> FilledComponents:
    """Sample the number of filled components.

    Parameters
    ----------
    data : table or array (N, D)
    covariance_type : {"full", "tied", "diag", "spherical"}
    priors : Priors, optional
        As for `sample_posterior`.
    sparse : bool
        True: K = ``max_components`` with a small concentration. False: K unknown with prior ``prior_k``; with a concentration
        well above one filled components are hardly ever born or lost, and chains need long to agree.
    max_components : int
    concentration : float, optional
        Of the Dirichlet; by default that of ``priors``, and 0.01 where ``sparse``.
    prior_k : mapping or function from K to a weight, optional
        Uniform on 1..max_components by default; not used where ``sparse``.
    draws, tune, thin, chains : int
        Draws kept per chain, sweeps before, sweeps per draw, chains.

    Returns
    -------
    FilledComponents

    Raises
    ------
    InputError
        For data or priors that do not fit, a concentration that is not positive, or a prior without mass.
    """
    if max_components < 1 or draws < 4 or chains < 1 or thin < 1 or tune < 0:
        raise InputError("max_components, chains and thin must be at least 1, draws at least 4, tune not negative")
    target = Target.of(data, 1, covariance_type, priors)
    if not target.table.is_complete:
        raise InputError("the data have missing values, which filled_components has no moves for: leave those rows out")
    if concentration is None:
        concentration = SPARSE_CONCENTRATION if sparse else target.priors.weight_concentration
    if not concentration > 0:
        raise InputError(f"concentration={concentration!r}: give a positive number")
    prior = _prior(sparse, max_components, prior_k)
    arguments = _arguments(target, concentration, prior)
    seeds = np.random.SeedSequence(random_seed).generate_state(chains)
    starts = [max_components if sparse else min(max_components, 1 + 3 * c) for c in range(chains)]
    starts = [k if prior[k] > 0 else int(np.flatnonzero(prior)[-1]) for k in starts]

    def chain(c: int) -> tuple[Any, Any]:
        return telescope(seeds[c], tune, draws, thin, arguments[0], starts[c], *arguments[1:])

    with single_threaded_blas():
        runs = run_parallel(chain, list(range(chains)))
    n_components, n_filled = (np.stack([run[i] for run in runs]) for i in (0, 1))
    if sparse:
        of_k = f"K = {max_components}"
    else:
        of_k = f"K {'uniform on' if prior_k is None else 'with the prior given on'} 1..{max_components}"
    words = f"{of_k}, weights ~ Dirichlet({concentration:g})"
    r_hat, ess = _diagnostics(n_filled)
    return FilledComponents(
        _table(n_components, n_filled, prior), n_filled, n_components, float(concentration), words, r_hat, ess
    )


def _prior(sparse: bool, largest: int, prior_k: Mapping[int, float] | Callable[[int], float] | None) -> Array:
    """Prior probabilities of K = 0..largest (M + 1,)."""
    prior = np.zeros(largest + 1)
    if sparse:
        prior[largest] = 1.0
        return prior
    for k in range(1, largest + 1):
        prior[k] = 1.0 if prior_k is None else (prior_k(k) if callable(prior_k) else prior_k.get(k, 0.0))
    if not (np.isfinite(prior).all() and (prior >= 0).all() and prior.sum() > 0):
        raise InputError(f"prior_k has no mass on 1..{largest}, or a negative one: give weights, at least one positive")
    return prior / prior.sum()


def _arguments(target: Target, concentration: float, prior: Array) -> tuple[Any, ...]:
    """What the compiled sampler takes, from ``values`` on, less ``start``."""
    values = np.ascontiguousarray(target.scaling.standardise(target.table.values))
    d = values.shape[1]
    shared = _is_shared(target.structure, d)
    of_each = [terms_of_one(target.structure, max(k, 1), d, target.own_priors) for k in range(len(prior))]
    described = [numbers_of(terms) for terms in of_each]
    model = [1, d, 1, *target.structure.addresses, *described[0][0]]
    scales, *others = of_each[0]
    assert isinstance(scales, ScalesTerm)
    location, spread = target.own_priors.mean_vectors(d)
    with np.errstate(divide="ignore"):
        log_prior = np.log(prior)
    return (
        values, float(concentration), log_prior, np.array(model, dtype=np.int64),
        np.array([numbers for _, numbers in described]), np.stack([_distribution(terms) for terms in of_each]),
        np.concatenate([np.empty(0), *(term.exponents for term in others if isinstance(term, CorrelationsTerm))]),
        location, spread**-2.0, np.array(scales.gamma), scales.part.size, shared,
    )  # fmt: skip


def _distribution(terms: Sequence[Term]) -> Array:
    """That of the log standard deviation (2, Q)."""
    scales = next(term for term in terms if isinstance(term, ScalesTerm))
    return scales.distribution(_GRID)


def _is_shared(structure: Structure, n_features: int) -> bool:
    """Whether all components share one covariance.

    Raises
    ------
    InputError
        For a structure with parts that the sampler has no move for.
    """
    parts = {part.name: part for part in structure.parts(2, n_features)}
    if not parts.keys() <= {"scales", "correlations"} or len({part.own for part in parts.values() if part.size}) > 1:
        raise InputError(
            f"covariance_type={structure.name!r}: filled_components has no moves for its {', '.join(parts)}; "
            "choose 'full', 'tied', 'diag' or 'spherical'"
        )
    return not parts["scales"].own


def _diagnostics(n_filled: NDArray[np.int64]) -> tuple[float, float]:
    from arviz_stats.base import array_stats

    draws = n_filled.astype(float)
    if not np.ptp(draws) > 0:
        return 1.0, float(draws.size)
    split = draws if len(draws) > 1 else draws[:, : draws.shape[1] // 2 * 2].reshape(2, -1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(array_stats.rhat(split)), float(array_stats.ess(split, method="mean"))


def _table(n_components: NDArray[np.int64], n_filled: NDArray[np.int64], prior: Array) -> pd.DataFrame:
    import pandas as pd

    size = len(prior)
    return pd.DataFrame(
        {
            "p_filled": np.bincount(n_filled.ravel(), minlength=size)[1:] / n_filled.size,
            "p_k": np.bincount(n_components.ravel(), minlength=size)[1:] / n_components.size,
            "prior_k": prior[1:],
        },
        index=pd.RangeIndex(1, size, name="k"),
    )
