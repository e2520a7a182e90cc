"""EM's answer, alone and with its intervals, beside the posterior: parameters, memberships, prediction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..clusters import OPEN_BELOW, is_open, nowhere_empty, obs_index, scored_rows, summarise_rows, training_rows
from ..data import CI_PROB, InputError, check_ci_prob, checked, equal_tailed, tails
from ..em import MembershipIntervals, StandardErrors
from ..em.membership_intervals import membership_intervals
from ..em.standard_errors import standard_errors
from ..mixture import Mixture, responsibilities
from ..sampling import Posterior
from .claims import added, good_enough
from .matching import best_labels, em_mixture
from .prediction import affordable_folds, cross_validated, given_weight, log_scores, prediction_table
from .result import Contrast
from .words import SOUND, contrast_in_words

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["em_vs_posterior"]

Array = NDArray[np.float64]


@checked
def em_vs_posterior(
    gm: Any,
    post: xr.DataTree,
    *,
    ci_prob: float = CI_PROB,
    holdout: Any = None,
    folds: int | Literal["auto"] | None = None,
    open_below: float = OPEN_BELOW,
    certain: float | None = None,
    random_seed: int = 0,
    progressbar: bool = False,
) -> Contrast:
    """Set EM's answer, as people use it and with its own intervals, beside the posterior's.

    Parameters
    ----------
    gm : GaussianMixture, EMFit or None
        Fitted to the same data; None for the EM fit kept in ``post``. Its components are matched to the posterior's.
    post : DataTree
        From `sample_posterior`; its case weights count in every number.
    ci_prob : float
        Mass of the equal-tailed intervals.
    holdout : table, optional
        Rows that neither fit has seen, to compare predictions on.
    folds : int or "auto", optional
        Compare predictions by cross-validation as well: both paths are fitted anew to each part of the data. "auto" is
        5 where that takes seconds.
    open_below : float
        A row is open if no cluster has at least this probability, by whichever answer.
    certain : float, optional
        An older name of ``open_below``.
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
    open_below = open_below if certain is None else certain
    check_ci_prob(open_below, "open_below" if certain is None else "certain")
    view = Posterior.read(post)
    rows = training_rows(view)
    if folds == "auto":
        folds = affordable_folds(view, random_seed)
    if folds is not None and not 2 <= folds <= len(rows.values):
        raise InputError(f"folds={folds!r} cannot split {len(rows.values)} rows; give a number from 2 to that")
    weight, summaries = view.sample_weight, summarise_rows(rows, ci_prob, progressbar)
    em, errors, delta = _em_with_intervals(nowhere_empty(em_mixture(gm, view)), view, summaries["probability"], ci_prob)
    parameters = _parameters(em, errors, view, ci_prob)
    members = _memberships(delta, summaries, rows.obs_id, open_below).assign(sample_weight=weight)
    predicted = {"in sample": (*log_scores(em, view, rows), weight)}
    if holdout is not None:
        unseen = scored_rows(view, holdout, view.target.missing)
        predicted["holdout"] = (*log_scores(em, view, unseen), np.ones(len(unseen.values)))
    if folds is not None:
        predicted["cross-validated"] = (*cross_validated(view, folds, random_seed), weight)
    prediction = prediction_table(predicted)
    claims = added(parameters, members, prediction)
    verdict = _verdict(post)
    enough = good_enough(claims, weight.sum()) if verdict in SOUND else ""
    contrast = {
        "parameters": parameters,
        "memberships": members,
        "answers": _answers(members),
        "added": claims,
        "prediction": prediction,
        "verdict": verdict,
        "good_enough": enough,
        "ci_prob": ci_prob,
        "open_below": open_below,
    }
    title = (em.structure.name, em.n_components)
    return Contrast(**contrast, summary=contrast_in_words(*title, **contrast))


def _em_with_intervals(
    em: Mixture, view: Posterior, reference: Array, ci_prob: float
) -> tuple[Mixture, StandardErrors, MembershipIntervals]:
    """The mixture with its components in the order of ``reference`` (N, K), its errors, and its rows' intervals."""
    r, _ = responsibilities(em.standardised(view.scaling), view.scaling.standardise(view.values))
    em = em.reordered(best_labels(r * view.sample_weight[:, None], reference))
    errors = standard_errors(em, view.values, view.scaling, sample_weight=given_weight(view))
    return em, errors, membership_intervals(errors, view.values, ci_prob)


def _verdict(post: xr.DataTree) -> str:
    from ..checks import diagnose

    return str(diagnose(post).verdict)


def _reported(weights: Array, means: Array, dense: Array, view: Posterior) -> dict[str, Array]:
    """The distinct parameters by name, each with the leading axes of the arrays."""
    k, d = means.shape[-2:]
    names = view.columns
    out = {f"weights[{c}]": weights[..., c] for c in range(k)}
    out |= {f"means[{c}, {names[j]}]": means[..., c, j] for c in range(k) for j in range(d)}
    return out | {entry.name(names): entry.of(dense) for entry in view.draws.structure.entries(k, d)}


def _parameters(em: Mixture, errors: StandardErrors, view: Posterior, ci_prob: float) -> pd.DataFrame:
    import pandas as pd
    from scipy.special import ndtri

    draws, reach = view.draws, float(ndtri(tails(ci_prob)[1]))
    points = _reported(em.weights, em.means, em.dense_covariances, view)
    se = _reported(errors.weights, errors.means, errors.covariances, view)
    sampled = _reported(draws.weights, draws.means, draws.dense_covariances, view)
    table = []
    for name, values in sampled.items():
        point, error, mean, sd = float(points[name]), float(se[name]), float(values.mean()), float(values.std(ddof=1))
        lb, ub = equal_tailed(values, ci_prob)
        # The weight of a lone component does not vary.
        fixed = sd <= 1e-12 * abs(mean)
        table.append(
            {
                "em": point,
                "em_se": error,
                "em_lb": point - reach * error,
                "em_ub": point + reach * error,
                "mean": mean,
                "sd": 0.0 if fixed else sd,
                "lb": lb,
                "ub": ub,
                "z": 0.0 if fixed else (point - mean) / sd,
                "inside": bool(fixed or lb <= point <= ub),
            }
        )
    return pd.DataFrame(table, index=pd.Index(sampled, name="parameter"))


def _memberships(
    delta: MembershipIntervals, summaries: dict[str, Array], obs_id: NDArray[Any], open_below: float
) -> pd.DataFrame:
    import pandas as pd

    r, p = delta.plug_in, summaries["probability"]
    own, at = r.argmax(1), np.arange(len(r))
    return pd.DataFrame(
        {
            "em_assignment": own,
            "em_probability": r[at, own],
            "em_open": is_open(r, open_below),
            "delta_assignment": delta.probability.argmax(1),
            "delta_probability": delta.probability[at, own],
            "delta_lb": delta.lb[at, own],
            "delta_ub": delta.ub[at, own],
            "delta_modal_probability": delta.probability.max(1),
            "delta_open": is_open(delta.probability, open_below),
            "posterior_assignment": summaries["assignment"],
            "posterior_probability": p[at, own],
            "lb": summaries["probability_lb"][at, own],
            "ub": summaries["probability_ub"][at, own],
            "posterior_modal_probability": p.max(1),
            "posterior_open": is_open(p, open_below),
            "total_variation": 0.5 * np.abs(r - p).sum(1),
            "flips": own != summaries["assignment"],
        },
        index=obs_index(obs_id),
    )


def _answers(members: pd.DataFrame) -> pd.DataFrame:
    """The three side by side, rows counted by their weights."""
    import pandas as pd

    weight = members["sample_weight"]
    total = weight.sum()
    modal = {
        "em": "em_probability",
        "em_intervals": "delta_modal_probability",
        "posterior": "posterior_modal_probability",
    }
    ends = {"em_intervals": "delta_", "posterior": ""}
    known = members["delta_lb"].notna().all()
    table = {
        name: {
            "open rows": weight @ members[f"{'delta' if name == 'em_intervals' else name}_open"],
            "expected misallocations": weight @ (1 - members[column]),
            "interval width": weight @ (members[f"{ends[name]}ub"] - members[f"{ends[name]}lb"]) / total
            if name in ends
            else np.nan,
        }
        for name, column in modal.items()
    }
    frame = pd.DataFrame(table, dtype=float)
    if not known:
        frame["em_intervals"] = np.nan
    return frame
