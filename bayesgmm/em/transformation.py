"""Which transformation of a column makes its mixture simpler: by BIC of the data as given, Jacobian included.

A skewed group is drawn by several Gaussians, and a logarithm may leave one. Each column by itself is fitted with one to three
Gaussians as it is, after a logarithm, a root, and Yeo and Johnson's transformation at the power that profiles the
likelihood of one Gaussian; a transformation is suggested where its lowest BIC is smaller by more than ten. Two groups that are
Gaussian stay as they are: no monotone transformation makes them simpler by that much.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..data import InputError, Table, Transform
from .fit import fit_mixture

__all__ = ["suggest_transforms"]

Array = NDArray[np.float64]
_MOST_COMPONENTS = 3
# "Very strong" evidence (Kass & Raftery 1995).
_MARGIN = 10.0
# Rows that are looked at: more say no more about a shape.
_MOST_ROWS = 5_000


def suggest_transforms(table: Table, random_state: int = 0) -> dict[str, Transform]:
    """Columns that a transformation makes simpler, and which."""
    step = max(1, table.n_obs // _MOST_ROWS)
    found = {}
    for column, x in zip(table.columns, table.values[::step].T, strict=True):
        if len(np.unique(x)) < 10:
            continue
        scores = {t: _score(np.array(x), t, random_state) for t in _candidates(x)}
        best = min(scores, key=lambda t: scores[t])
        if scores[Transform()] - scores[best] > _MARGIN:
            found[column] = best
    return found


def _candidates(x: Array) -> list[Transform]:
    from scipy.stats import yeojohnson_normmax

    tried = [t for t in (Transform(), Transform("log"), Transform("root")) if t.fits(x)]
    if len(tried) == 1:
        # Its power depends on the unit: for columns that the others cannot take.
        power = float(yeojohnson_normmax(x))
        if np.isfinite(power):
            tried.append(Transform("yeo-johnson", round(float(np.clip(power, -3.0, 3.0)), 2)))
    return tried


def _score(x: Array, transform: Transform, random_state: int) -> float:
    """The lowest BIC of one to three Gaussians, of the data as given."""
    y = transform.of(x)
    extra = float(np.log(len(x))) if transform.name == "yeo-johnson" else 0.0
    best = np.inf
    for k in range(1, _MOST_COMPONENTS + 1):
        try:
            fit = fit_mixture(y[:, None], k, "full", n_starts=4, moves=False, random_state=random_state)
        except InputError:
            continue
        best = min(best, fit.bic)
    return best - 2.0 * float(transform.log_slope(x).sum()) + extra
