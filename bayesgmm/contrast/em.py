"""EM's point answer beside the posterior: parameters, memberships, prediction, and what EM alone would get wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..clusters.memberships import summarise_rows
from ..clusters.rows import ScoredRows, nowhere_empty, obs_index, scored_rows, training_rows
from ..data import InputError, Table
from ..data.intervals import CI_PROB, check_ci_prob, equal_tailed
from ..em.standard_errors import standard_errors
from ..mixture import Mixture, draw_responsibilities, log_density, responsibilities
from ..sampling.posterior import Posterior
from .matching import best_labels, em_mixture
from .words import contrast_in_words

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.figure import Figure

__all__ = ["CERTAIN", "Contrast", "em_vs_posterior", "log_predictive"]

Array = NDArray[np.float64]
# A probability from which a reader takes a membership for settled.
CERTAIN = 0.95


@dataclass(frozen=True, eq=False, repr=False)
class Contrast:
    """EM against the posterior of the same model on the same data.

    Attributes
    ----------
    parameters : DataFrame
        Index: the parameter, such as ``weights[0]``, ``means[0, eruptions]``, ``covariances[0, eruptions, waiting]``
        (tied: ``covariances[eruptions, waiting]``; spherical: ``covariances[0]``). Columns: ``em``, ``em_se`` (from the
        observed information; nan where that is not positive definite), ``mean``, ``sd``, ``lb``, ``ub`` (equal-tailed),
        ``z`` = (em - mean) / sd, ``inside``.
    memberships : DataFrame
        Index ``obs_id``. Columns: ``em_assignment``, ``em_probability`` (of that cluster), ``posterior_assignment``,
        ``posterior_modal_probability`` (of that one), ``posterior_probability``, ``lb`` and ``ub`` (the posterior's
        probability of EM's cluster, and its interval),
        ``total_variation`` (between EM's and the posterior's probabilities), ``flips`` (assignments differ),
        ``em_certain_posterior_not`` (EM's probability is at least ``certain``, the lower end of the interval is not),
        ``sample_weight`` (how many rows the row counts for in every sum: 1, or its case weight).
    prediction : DataFrame
        Index: ``in sample``, and ``holdout`` or ``cross-validated`` where asked for. Columns: ``n_rows``, ``em`` (log
        density at EM's point), ``posterior`` (log of the posterior mean density), ``difference`` (posterior - em), each
        summed over rows by their case weights (``n_rows`` is the sum of those; held-out rows count once), and ``se`` of
        the difference. In sample both are optimistic, EM the more.
    summary : str
        In words, with numbers.
    verdict : str
        Of `diagnose` on the posterior.
    ci_prob, certain : float
    """

    parameters: pd.DataFrame
    memberships: pd.DataFrame
    prediction: pd.DataFrame
    summary: str
    verdict: str
    ci_prob: float
    certain: float

    def __repr__(self) -> str:
        return self.summary

    def _repr_html_(self) -> str:
        from html import escape

        return f"<pre>{escape(self.summary)}</pre>{self.parameters.to_html(float_format='{:.4g}'.format)}"

    def plot(self) -> Figure:
        """Parameters (EM on the posterior's scale) and memberships (EM's probability against the posterior's)."""
        from .figure import plot_contrast

        return plot_contrast(self.parameters, self.memberships, self.verdict, self.ci_prob, self.certain)


def em_vs_posterior(
    gm: Any,
    post: xr.DataTree,
    *,
    ci_prob: float = CI_PROB,
    holdout: Any = None,
    folds: int | None = None,
    certain: float = CERTAIN,
    random_seed: int = 0,
    progressbar: bool = False,
) -> Contrast:
    """Set EM's answer beside the posterior's.

    Parameters
    ----------
    gm : GaussianMixture, EMFit or None
        Fitted to the same data; None for the EM fit kept in ``post``. Its components are matched to the posterior's.
    post : DataTree
        From `sample_posterior`.
    ci_prob : float
        Mass of the equal-tailed intervals.
    holdout : table, optional
        Rows that neither fit has seen, to compare predictions on.
    folds : int, optional
        Compare predictions by cross-validation as well: both paths are fitted anew to each part of the data.
    certain : float
        Probability from which a membership counts as certain.
    random_seed : int
        Of the folds and their fits.
    progressbar : bool

    Returns
    -------
    Contrast

    Raises
    ------
    InputError
        ``gm`` is of another model, or an argument is not fit for use.
    """
    check_ci_prob(ci_prob)
    check_ci_prob(certain, "certain")
    view = Posterior.read(post)
    rows = training_rows(view)
    if folds is not None and not 2 <= folds <= len(rows.values):
        raise InputError(f"folds={folds!r} cannot split {len(rows.values)} rows; give a number from 2 to that")
    em = nowhere_empty(em_mixture(gm, view))
    summaries = summarise_rows(rows, ci_prob, progressbar)
    r = responsibilities(em.standardised(view.scaling), rows.values)[0]
    weight = view.row_weight
    order = best_labels(r * weight[:, None], summaries["probability"])
    em, r = em.reordered(order), r[:, order]
    parameters = _parameters(em, view, ci_prob)
    members = _memberships(r, summaries, rows.obs_id, certain).assign(sample_weight=weight)
    predicted = {"in sample": (*_score(em, view, rows), weight)}
    if holdout is not None:
        unseen = scored_rows(view, holdout)
        predicted["holdout"] = (*_score(em, view, unseen), np.ones(len(unseen.values)))
    if folds is not None:
        predicted["cross-validated"] = (*_cross_validated(post, view, folds, random_seed), weight)
    prediction = _prediction(predicted)
    verdict = _verdict(post)
    words = contrast_in_words(
        parameters, members, prediction, verdict, ci_prob, certain, em.structure.name, em.n_components
    )
    return Contrast(parameters, members, prediction, words, verdict, ci_prob, certain)


def _verdict(post: xr.DataTree) -> str:
    from ..checks.verdict import diagnose

    return str(diagnose(post).verdict)


def _case_weight(view: Posterior) -> Array | None:
    """Case weights (N,), or None where every row counts once."""
    return None if (view.row_weight == 1).all() else view.row_weight


def _reported(weights: Array, means: Array, dense: Array, view: Posterior) -> dict[str, Array]:
    """The distinct parameters by name, each with the leading axes of the arrays."""
    k, d = means.shape[-2:]
    names = view.columns
    out = {f"weights[{c}]": weights[..., c] for c in range(k)}
    out |= {f"means[{c}, {names[j]}]": means[..., c, j] for c in range(k) for j in range(d)}
    return out | {entry.name(names): entry.of(dense) for entry in view.draws.structure.entries(k, d)}


def _parameters(em: Mixture, view: Posterior, ci_prob: float) -> pd.DataFrame:
    import pandas as pd

    draws, se = view.draws, standard_errors(em, view.values, view.scaling, sample_weight=_case_weight(view))
    points = _reported(em.weights, em.means, em.dense_covariances, view)
    errors = _reported(se.weights, se.means, se.covariances, view)
    sampled = _reported(draws.weights, draws.means, draws.dense_covariances, view)
    table = []
    for name, values in sampled.items():
        point, mean, sd = float(points[name]), float(values.mean()), float(values.std(ddof=1))
        lb, ub = equal_tailed(values, ci_prob)
        # The weight of a lone component does not vary.
        fixed = sd <= 1e-12 * abs(mean)
        table.append(
            {
                "em": point,
                "em_se": float(errors[name]),
                "mean": mean,
                "sd": 0.0 if fixed else sd,
                "lb": lb,
                "ub": ub,
                "z": 0.0 if fixed else (point - mean) / sd,
                "inside": bool(fixed or lb <= point <= ub),
            }
        )
    return pd.DataFrame(table, index=pd.Index(sampled, name="parameter"))


def _memberships(r: Array, summaries: dict[str, Array], obs_id: NDArray[Any], certain: float) -> pd.DataFrame:
    import pandas as pd

    own, at = r.argmax(1), np.arange(len(r))
    p = summaries["probability"]
    lb = summaries["probability_lb"][at, own]
    return pd.DataFrame(
        {
            "em_assignment": own,
            "em_probability": r[at, own],
            "posterior_assignment": summaries["assignment"],
            "posterior_probability": p[at, own],
            "lb": lb,
            "ub": summaries["probability_ub"][at, own],
            "posterior_modal_probability": p.max(1),
            "total_variation": 0.5 * np.abs(r - p).sum(1),
            "flips": own != summaries["assignment"],
            "em_certain_posterior_not": (r[at, own] >= certain) & (lb < certain),
        },
        index=obs_index(obs_id),
    )


def log_predictive(rows: ScoredRows) -> Array:
    """Log of the posterior mean density of each row (N,), in the units of the data."""
    from scipy.special import logsumexp

    result = np.empty(len(rows.values))
    for block in draw_responsibilities(rows.draws, rows.values):
        result[block.rows] = logsumexp(block.log_density, axis=0)
    return result - np.log(rows.n_draws) + rows.log_jacobian


def _score(em: Mixture, view: Posterior, rows: ScoredRows) -> tuple[Array, Array]:
    """Log scores (N,) of the plug-in and of the posterior predictive density."""
    plug_in = log_density(em.standardised(view.scaling), rows.values) + rows.log_jacobian
    return plug_in, log_predictive(rows)


def _cross_validated(post: xr.DataTree, view: Posterior, folds: int, seed: int) -> tuple[Array, Array]:
    """The same scores for each row, from fits to the folds that it is not in; a row of any weight is left out whole."""
    import pandas as pd

    from ..em import fit_mixture
    from ..sampling.sample import sample_posterior

    n, structure, k = len(view.values), view.draws.structure, view.n_components
    part, weight = np.random.default_rng(seed).permutation(n) % folds, _case_weight(view)
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
            Posterior.read(post).priors,
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
        scores[:, held] = _score(fit.mixture, own, scored_rows(own, test))
    return scores[0], scores[1]


def _prediction(scores: dict[str, tuple[Array, Array, Array]]) -> pd.DataFrame:
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
