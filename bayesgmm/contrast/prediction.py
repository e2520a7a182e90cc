"""Log scores of EM's plug-in density and of the posterior predictive one: in sample, on rows held out, cross-validated."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..clusters import ScoredRows, scored_rows
from ..data import Table
from ..mixture import Mixture, draw_responsibilities, log_density
from ..sampling import Posterior

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["affordable_folds", "cross_validated", "given_weight", "log_predictive", "log_scores", "prediction_table"]

Array = NDArray[np.float64]
# Folds that a report makes by itself, the rows that it wants for them, and rows times parameters up to which they take
# a second or two.
_FOLDS, _FEWEST_ROWS, _AFFORDABLE = 5, 50, 10_000


def given_weight(view: Posterior) -> Array | None:
    """Case weights (N,), or None where every row counts once."""
    return None if (view.sample_weight == 1).all() else view.sample_weight


def log_predictive(rows: ScoredRows) -> Array:
    """Log of the posterior mean density of each row (N,), in the units of the data."""
    from scipy.special import logsumexp

    result = np.empty(len(rows.values))
    for block in draw_responsibilities(rows.draws, rows.values):
        result[block.rows] = logsumexp(block.log_density, axis=0)
    return result - np.log(rows.n_draws) + rows.log_jacobian


def log_scores(em: Mixture, view: Posterior, rows: ScoredRows) -> tuple[Array, Array]:
    """Log scores (N,) of the plug-in and of the posterior predictive density."""
    plug_in = log_density(em.standardised(view.scaling), rows.values) + rows.log_jacobian
    return plug_in, log_predictive(rows)


def affordable_folds(view: Posterior, seed: int) -> int | None:
    """Five where cross-validation takes seconds and every part can be fitted; None otherwise."""
    n, parameters = len(view.values), view.draws.structure.n_parameters(view.n_components, len(view.columns))
    if n < _FEWEST_ROWS or n * parameters > _AFFORDABLE:
        return None
    part = _parts(n, _FOLDS, seed)
    spread = (
        np.nanmax(kept, axis=0) - np.nanmin(kept, axis=0) for kept in (view.values[part != f] for f in range(_FOLDS))
    )
    varied = all((width > 0).all() for width in spread)
    return _FOLDS if varied else None


def _parts(n_rows: int, folds: int, seed: int) -> NDArray[np.intp]:
    """Which fold each row (N,) is in."""
    return np.random.default_rng(seed).permutation(n_rows) % folds


def cross_validated(view: Posterior, folds: int, seed: int) -> tuple[Array, Array]:
    """The same scores for each row, from fits to the folds that it is not in; a row of any weight is left out whole."""
    import pandas as pd

    from ..em import fit_mixture
    from ..sampling import sample_posterior

    n, structure, k = len(view.values), view.draws.structure, view.n_components
    part, weight = _parts(n, folds, seed), given_weight(view)
    scores = np.empty((2, n))
    for fold in range(folds):
        held = part == fold
        kept = np.ascontiguousarray(view.values[~held])
        train = Table(kept, view.columns, pd.RangeIndex(len(kept), name="obs_id"))
        own_weight = None if weight is None else weight[~held]
        fit = fit_mixture(train, k, structure, random_state=seed, sample_weight=own_weight)
        draws = max(100, min(500, view.n_draws))
        sampled = sample_posterior(
            train,
            k,
            structure.name,
            view.target.priors,
            draws=draws,
            chains=2,
            random_seed=seed,
            progressbar=False,
            em=fit,
            sample_weight=own_weight,
            log_likelihood=False,
        )
        test = pd.DataFrame(view.values[held], columns=list(view.columns))
        own = Posterior.read(sampled)
        scores[:, held] = log_scores(fit.mixture, own, scored_rows(own, test, "marginalise"))
    return scores[0], scores[1]


def prediction_table(scores: dict[str, tuple[Array, Array, Array]]) -> pd.DataFrame:
    """The table of `Contrast`, from log scores of both and case weights of the rows (n,), by name."""
    import pandas as pd

    table = []
    for plug_in, predictive, weight in scores.values():
        difference, n = predictive - plug_in, weight.sum()
        centred = difference - weight @ difference / n
        table.append(
            {
                "n_rows": n,
                "em": weight @ plug_in,
                "posterior": weight @ predictive,
                "difference": weight @ difference,
                "se": np.sqrt(n * (weight @ centred**2) / (n - 1)) if n > 1 else np.nan,
            }
        )
    return pd.DataFrame(table, index=pd.Index(scores, name="rows"))
