"""Bootstrap likelihood-ratio test of K components against K + 1.

Twice the log likelihood ratio of mixtures has no chi-squared limit: under K components, the parameters of one more are
not identified. Its distribution is simulated instead (McLachlan 1987, Applied Statistics 36): samples are drawn from
the fitted K, and both models are fitted to each. The same search serves the data and every sample, so that an imperfect
search costs power and not the level.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data import InputError, checked
from ..mixture import Design, Mixture, Structure, drawn_rows, run_parallel, single_threaded_blas, structure_named
from ..progress import progress_display
from .fit import fit_prepared
from .prepare import prepare
from .result import EMFit
from .search.explore import explore
from .search.moves import splits
from .search.pool import Plan
from .search.scale import rows_to_start_from
from .search.starts import Rows, make_starts

__all__ = ["LikelihoodRatioTest", "likelihood_ratio_test"]

Array = NDArray[np.float64]
_STARTS = 6
_PLAN = Plan(tol=1e-8, max_iter=2000, ridge=0.0, short=30, kept=2).without_moves


@dataclass(frozen=True, eq=False, repr=False)
class LikelihoodRatioTest:
    """Test of K components against K + 1. Made by `likelihood_ratio_test`.

    Attributes
    ----------
    statistic : float
        Twice the difference of the two log likelihoods.
    p_value : float
        Share of the statistics, that of the data among them, that are at least as large.
    replicates : (B,)
        Statistics of samples from the fitted K components.
    null : EMFit
        The fit with K components.
    """

    statistic: float
    p_value: float
    replicates: Array
    null: EMFit

    @property
    def n_components(self) -> int:
        """K of the null hypothesis."""
        return self.null.n_components

    @property
    def covariance_type(self) -> str:
        return self.null.covariance_type

    def __repr__(self) -> str:
        k = self.n_components
        level = np.quantile(self.replicates, 0.95, method="higher")
        return "\n".join(
            [
                "Bootstrap likelihood-ratio test",
                f"  model           {self.covariance_type}, {k} component{'s' if k > 1 else ''} against {k + 1}",
                f"  statistic       {self.statistic:.3f}",
                f"  p value         {self.p_value:.4g} ({len(self.replicates)} samples from the {k}-component fit)",
                f"  under the null  median {np.median(self.replicates):.3f}, 95% {level:.3f}",
            ]
        )

    def _repr_html_(self) -> str:
        return f"<pre>{self!r}</pre>"


@checked
def likelihood_ratio_test(
    data: Any,
    n_components: int,
    covariance_type: str = "full",
    *,
    n_boot: int = 199,
    random_state: int | None = 0,
    progressbar: bool = True,
    missing: str = "error",
) -> LikelihoodRatioTest:
    """Test K components against K + 1 by the parametric bootstrap, on all cores.

    Parameters
    ----------
    data : Table, array (N, D) or data frame
    n_components : int
        K, of the null hypothesis.
    covariance_type : str
    n_boot : int
        Samples from the fitted K components. The smallest p value is 1 / (n_boot + 1).
    random_state : int or None
    progressbar : bool
    missing : {"error", "drop", "marginalise"}
        What becomes of rows with a missing value: refused, left out, or kept for what they have: their likelihood is the
        marginal density of what was observed.

    Returns
    -------
    LikelihoodRatioTest

    Raises
    ------
    InputError
        The data or an argument are not fit for use.
    """
    if isinstance(n_boot, bool) or not isinstance(n_boot, int | np.integer) or n_boot < 1:
        raise InputError(f"n_boot={n_boot!r} draws no samples; give a positive whole number")
    prepared = prepare(data, structure_named(covariance_type).name, missing=missing)
    n_rows = prepared.design.n_rows
    if n_rows <= n_components:
        raise InputError(f"n_components={n_components} against {n_components + 1} needs more than {n_rows} rows")
    rng = np.random.default_rng(random_state)
    with single_threaded_blas(), progress_display(progressbar) as progress:
        task = progress.add_task("likelihood-ratio test", total=n_boot + 1, detail="")
        null = fit_prepared(prepared, n_components, random_state=rng)
        truth = null.standardised
        statistic = _statistic(prepared.design, truth, rng)
        progress.advance(task)

        def replicate(own: np.random.Generator) -> float:
            labels = own.choice(n_components, n_rows, p=truth.weights / truth.weights.sum())
            values = drawn_rows(truth, (labels,), own)
            # A sample lacks what the data lack.
            values[np.isnan(prepared.design.source)] = np.nan
            found = _statistic(Design.of(values, truth.structure), truth, own)
            progress.advance(task)
            return found

        replicates = np.array(run_parallel(replicate, rng.spawn(n_boot)))
    p_value = (1 + int((replicates >= statistic).sum())) / (n_boot + 1)
    return LikelihoodRatioTest(statistic, p_value, replicates, null)


def _statistic(design: Design, near: Mixture, rng: np.random.Generator) -> float:
    """Twice the log likelihood ratio; ``near`` is where the search for the null model's optimum starts."""
    rows = rows_to_start_from(design, rng)
    null, lower = _best(design, [near], rng)
    if lower is None:
        return 0.0
    starts = splits(null) + _made(near.structure, rows, near.n_components + 1, rng)
    _, upper = _best(design, starts, rng)
    return 0.0 if upper is None else max(2.0 * (upper - lower), 0.0)


def _made(structure: Structure, rows: Rows, n_components: int, rng: np.random.Generator) -> list[Mixture]:
    return make_starts(structure, rows, n_components, _STARTS, rng)


def _best(design: Design, starts: list[Mixture], rng: np.random.Generator) -> tuple[Mixture, float | None]:
    """The best solution from some starts, and its log likelihood; None if all are spurious or degenerate."""
    pool = explore(design, starts, _PLAN, rng)
    sound = pool.is_sound(pool.best)
    return pool.single(pool.best), float(pool.run.log_likelihood[pool.best]) if sound else None
