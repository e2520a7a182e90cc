"""Maximum likelihood for one number of components and one structure: prepare, search, finish, judge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data import InputError, check_components, checked
from ..mixture import Mixture, Structure, expected_statistics, single_threaded_blas
from .algorithm.iterate import MAX_ITER, TOL
from .criteria import aic, bic, classification_terms, icl
from .prepare import COLLINEAR, Prepared, collinear_columns, prepare
from .repeats import most_repeated
from .result import EMFit, Optimum
from .score import score
from .search.pool import Plan, Pool
from .search.scale import Sources, searched
from .search.starts import KINDS

__all__ = ["fit_mixture", "fit_prepared", "standardised_start"]

Array = NDArray[np.float64]

# Optima that are kept: sound ones, and others.
_MOST_OPTIMA, _MOST_OTHERS = 12, 6


@checked
def fit_mixture(
    data: Any,
    n_components: int,
    structure: str | Structure = "full",
    *,
    sample_weight: Any = None,
    n_starts: int | str = "auto",
    tol: float = TOL,
    max_iter: int = MAX_ITER,
    ridge: float = 0.0,
    random_state: int | np.random.Generator | None = 0,
    extra_starts: Sequence[Mixture] = (),
    init: str = "auto",
    moves: bool = True,
    missing: str = "error",
) -> EMFit:
    """Fit a Gaussian mixture by maximum likelihood, looking for the best optimum without a spurious component.

    Parameters
    ----------
    data : Table, array (N, D) or data frame
    n_components : int
        K.
    structure : str or Structure
        scikit-learn's ``covariance_type``.
    sample_weight : (N,), optional
        Case weights: 0 is a row left out, 2 a row given twice.
    n_starts : int or "auto"
        Starts besides ``extra_starts``; 0 for none.
    tol : float
        Stop when the log likelihood still to gain, per row, is estimated to be below this.
    max_iter : int
        E-steps for each start.
    ridge : float
        Added to all variances of standardised data at each M-step. The default adds nothing: collapse is prevented by
        a constraint that moves no regular optimum.
    random_state : int, Generator or None
    extra_starts : sequence of Mixture
        Single mixtures in the units of the data, to start from as well.
    init : str
        Kind of starts: "auto" or a name in `KINDS`.
    moves : bool
        Whether to leave the best optimum by split-and-merge moves, and saddles by perturbation.
    missing : {"error", "drop", "marginalise"}
        What becomes of rows with a missing value: refused, left out, or kept for what they have: their likelihood is the
        marginal density of what was observed.

    Returns
    -------
    EMFit

    Raises
    ------
    InputError
        Data, weights or arguments are not fit for use. Collinear columns are no error: the outcome is then
        "degenerate", and names them.
    """
    prepared = prepare(data, structure, sample_weight, missing)
    with single_threaded_blas():
        return fit_prepared(
            prepared, n_components, n_starts=n_starts, tol=tol, max_iter=max_iter, ridge=ridge,
            random_state=random_state, extra_starts=extra_starts, init=init, moves=moves,
        )  # fmt: skip


def fit_prepared(
    prepared: Prepared,
    n_components: int,
    *,
    n_starts: int | str = "auto",
    tol: float = TOL,
    max_iter: int = MAX_ITER,
    ridge: float = 0.0,
    random_state: int | np.random.Generator | None = 0,
    extra_starts: Sequence[Mixture] = (),
    init: str = "auto",
    moves: bool = True,
    reorder: bool = True,
    standardised_starts: Sequence[Mixture] = (),
    resumed: bool = False,
) -> EMFit:
    """As `fit_mixture`, on data already prepared; the caller limits the BLAS threads.

    With ``reorder=False`` the components keep the order in which they were started. ``standardised_starts`` are more starts, on
    the scale of the prepared rows. ``resumed`` says that starts are where an earlier run stopped.
    """
    check_components(n_components, prepared.design.n_rows)
    starts = [*(standardised_start(mixture, prepared) for mixture in extra_starts), *standardised_starts]
    _check_options(n_starts, tol, max_iter, ridge, init, starts)
    collinear = collinear_columns(prepared) if ridge < COLLINEAR else ()
    plan = Plan(tol, max_iter, ridge, singular=bool(collinear), resumed=resumed)
    if not moves or collinear:
        plan = plan.without_moves
    sources = Sources(
        n_components, tuple(_own(mixture, prepared.structure) for mixture in starts),
        None if isinstance(n_starts, str) else int(n_starts), init,
    )  # fmt: skip
    pool = searched(prepared.design, sources, plan, np.random.default_rng(random_state))
    return _judged(pool, prepared, reorder, collinear)


def _check_options(
    n_starts: int | str, tol: float, max_iter: int, ridge: float, init: str, extra_starts: Sequence[Mixture]
) -> None:
    if n_starts != "auto" and (isinstance(n_starts, str) or n_starts < (0 if extra_starts else 1)):
        raise InputError(f"n_starts={n_starts!r} starts nothing; give a positive number or 'auto'")
    if not tol >= 0:
        raise InputError(f"tol={tol!r} is not a tolerance; give a number that is not negative")
    if max_iter < 1:
        raise InputError(f"max_iter={max_iter!r} allows no iteration; give at least 1")
    if not (0 <= ridge < np.inf):
        raise InputError(f"ridge={ridge!r} cannot be added to variances; give a finite number that is not negative")
    if init != "auto" and init not in KINDS:
        raise InputError(f"init={init!r} is unknown; choose auto or one of {', '.join(KINDS)}")


def standardised_start(mixture: Mixture, prepared: Prepared) -> Mixture:
    """A mixture in data units, of this structure or one that it contains, on the scale of the prepared rows."""
    dense = prepared.scaling.covariances_from_data(mixture.dense_covariances)
    means = prepared.scaling.means_from_data(mixture.means)
    return Mixture.from_dense(prepared.structure, mixture.weights, means, dense)


def _own(mixture: Mixture, structure: Structure) -> Mixture:
    """A start of this structure from a mixture of it, or of one that it contains, on the same scale."""
    weights = np.maximum(mixture.weights, 1e-12)
    return Mixture.from_dense(structure, weights / weights.sum(), mixture.means, mixture.dense_covariances)


def _outcome(pool: Pool, best: int) -> str:
    if pool.run.degenerate[best]:
        return "degenerate"
    if pool.spurious[best]:
        return "spurious"
    if pool.saddle[best]:
        return "saddle"
    if not pool.run.converged[best]:
        return "not converged"
    return "converged" if pool.escaped else "saddle"


def _judged(pool: Pool, prepared: Prepared, reorder: bool, collinear: tuple[str, ...]) -> EMFit:
    """The account of the best solution of a pool."""
    best, run = pool.best, pool.run
    design, jacobian = prepared.design, prepared.log_jacobian
    found = pool.single(best)
    standardised = found.reordered(found.canonical_order()) if reorder else found
    mixture = standardised.in_data_units(prepared.scaling)
    p, n = mixture.n_parameters, design.total
    # Of what is returned, on the data as given: rounding tells, where a component is very narrow.
    weight = design.sample_weight if design.sample_weight.size else None
    log_max, entropy, counts, log_likelihood = classification_terms(
        mixture.standardised(prepared.scaling), prepared.values, weight, prepared.scaling
    )
    log_likelihood += jacobian
    bic_value = bic(log_likelihood, p, n)
    trace = run.trace[:, best]
    return EMFit(
        mixture=mixture,
        standardised=standardised,
        scaling=prepared.scaling,
        columns=prepared.columns,
        log_likelihood=log_likelihood,
        n_rows=n,
        n_parameters=p,
        aic=aic(log_likelihood, p),
        bic=bic_value,
        icl=icl(bic_value, log_max),
        entropy=entropy,
        map_counts=counts,
        n_starts=pool.tried,
        n_hits=pool.hits(best),
        optima=tuple(_optimum(pool, i, prepared) for i in pool.optima(_MOST_OPTIMA, _MOST_OTHERS)),
        n_iter=int(run.n_iter[best]),
        trace=trace[np.isfinite(trace)] + jacobian,
        outcome="degenerate" if collinear else _outcome(pool, best),
        collinear=collinear,
        repeated=_repeated(prepared),
        n_independent=pool.tried,
        n_once=pool.once,
        gradient_norm=score(standardised, expected_statistics(standardised, design)).norm,
        smallest_eigenvalue=float(run.smallest[best].min()),
        smallest_count=float(run.counts[best].min()),
    )


def _repeated(prepared: Prepared) -> str:
    """The row that comes far more often than others, in the units of the data; empty where none does."""
    design, scale = prepared.design, prepared.scaling.scale
    found = most_repeated(design.source, design.sample_weight if design.sample_weight.size else None)
    if found is None:
        return ""
    count, row = found
    values = prepared.scaling.restore(design.scaling.standardise(design.source[row]))
    # Standardising and back leaves a zero that is none.
    shown = [f"{value:.4g}" for value in np.round(values / scale, 9) * scale + 0.0]
    return f"{count:g} equal rows ({', '.join(shown[:6])}{', ...' if len(shown) > 6 else ''})"


def _optimum(pool: Pool, i: int, prepared: Prepared) -> Optimum:
    single = pool.single(i)
    mixture = single.reordered(single.canonical_order()).in_data_units(prepared.scaling)
    spurious = bool(pool.spurious[i] or pool.run.degenerate[i])
    return Optimum(float(pool.run.log_likelihood[i]) + prepared.log_jacobian, pool.hits(i), spurious, mixture)
