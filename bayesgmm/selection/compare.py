"""One table for how many components, and of which structure: every criterion side by side, with its error and its verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..checks.verdict import Diagnosis, diagnose
from ..data import InputError
from ..data.arguments import checked
from ..em.criteria import aic, bic, classification_terms, icl
from ..em.same_data import check_same_data
from ..mixture import log_density
from ..progress import progress_display
from ..sampling.posterior import Posterior
from .evidence import LogEvidence, log_evidence
from .loo import leave_one_out, total
from .separate_modes import Modes, separate_modes
from .stacking import stacking_weights

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from ..em.grid import Grid

__all__ = ["COLUMNS", "compare", "model_probabilities"]

Array = NDArray[np.float64]
PriorOnK = Mapping[int, float] | Callable[[int], float]
COLUMNS = (
    "n_components", "covariance_type", "log_likelihood", "aic", "bic", "icl", "elpd", "elpd_se", "elpd_diff",
    "elpd_diff_se", "p_loo", "n_high_k", "n_refitted", "weight", "log_evidence", "log_evidence_se", "p_k", "verdict",
)  # fmt: skip


@dataclass(frozen=True)
class _Model:
    """What one row of the table is made of."""

    n_components: int
    covariance_type: str
    criteria: tuple[float, float, float, float]
    elpd_rows: Array
    row_weight: Array
    p_loo: float
    n_high_k: int
    n_refitted: int
    evidence: LogEvidence | None
    diagnosis: Diagnosis
    modes: Modes | None


@checked
def compare(
    posts: Mapping[str, xr.DataTree],
    *,
    grid: Grid | None = None,
    prior_k: PriorOnK | None = None,
    evidence: bool = True,
    refit: bool = True,
    progressbar: bool = False,
    random_seed: int = 0,
) -> pd.DataFrame:
    """Compare models of the same data.

    Parameters
    ----------
    posts : mapping of str to DataTree
        Sampled models under the names to be shown. Of those that are one model under several names (with one column ``full``
        is ``diag``) the first is kept; ``attrs["aliases"]`` has its other names.
    grid : Grid, optional
        Where it has a cell for a model, the EM columns come from there; otherwise from the EM optimum that the posterior
        started from.
    prior_k : mapping or function from K to a positive weight, optional
        Prior of the number of components, shared equally by the models that have it. By default every model has the same.
    evidence : bool
        Whether to compute the log evidence (bridge sampling) and p_k.
    refit : bool
        Whether to refit rows whose Pareto k exceeds 0.7.
    progressbar : bool
    random_seed : int

    Returns
    -------
    DataFrame
        One row per model, best elpd first; columns `COLUMNS`. ``log_likelihood``, ``aic``, ``bic`` and ``icl`` are EM's, lower
        criteria better; ``elpd`` is by PSIS-LOO, ``elpd_diff`` to the first row and not positive; ``n_high_k`` counts the rows
        with Pareto k > 0.7, of which ``n_refitted`` were refitted; ``weight`` is by stacking; ``p_k`` is the posterior
        probability of the model. Where chains keep to separate modes ``elpd`` is that of the stacked modes.
        ``attrs`` holds ``prior``, ``sentence`` (where the criteria disagree), ``notes``, ``versions`` and ``seed``.

    Raises
    ------
    InputError
        If there is no model, the models are of different data, or ``prior_k`` gives a model no weight.
    """
    import pandas as pd

    _check_same_data(posts)
    posts, aliases = _distinct(posts)
    models: dict[str, _Model] = {}
    with progress_display(progressbar) as progress:
        task = progress.add_task("comparing", total=len(posts), detail="")
        for name, post in posts.items():
            progress.update(task, detail=name)
            models[name] = _assess(post, grid, evidence, refit, random_seed)
            progress.advance(task)
        progress.update(task, detail="")
    prior = _prior(models, prior_k)
    log_z = np.array([np.nan if m.evidence is None else m.evidence.value for m in models.values()])
    p_k = model_probabilities(log_z, prior)
    row_weight = next(iter(models.values())).row_weight
    weights = stacking_weights(np.stack([m.elpd_rows for m in models.values()], axis=1), row_weight)
    best = max(models.values(), key=lambda m: total(m.elpd_rows, row_weight)[0])
    rows = {
        name: _row(m, best, weight, p)
        for (name, m), weight, p in zip(models.items(), weights.tolist(), p_k.tolist(), strict=True)
    }
    table = pd.DataFrame.from_dict(rows, orient="index", columns=list(COLUMNS))
    table.index.name = "model"
    table = table.sort_values("elpd", ascending=False, kind="stable")
    table.attrs.update(
        prior="equal for all models" if prior_k is None else _described(models, prior),
        sentence=sentence(table),
        notes=_notes(models),
        aliases=aliases,
        versions=_versions(),
        seed=random_seed,
    )
    return table


def _check_same_data(posts: Mapping[str, xr.DataTree]) -> None:
    if not posts:
        raise InputError("there is nothing to compare: give at least one sampled model, as {'2': post2, '3': post3}")
    prints = {name: post.attrs.get("data_fingerprint") for name, post in posts.items()}
    first = next(iter(prints))
    weights = {name: post["constant_data"].dataset.get("sample_weight") for name, post in posts.items()}
    for name, value in prints.items():
        if value != prints[first]:
            raise InputError(
                f"models {first!r} and {name!r} are of different data and cannot be compared: sample both on one table"
            )
        if not _same(weights[name], weights[first]):
            raise InputError(
                f"models {first!r} and {name!r} have different case weights and cannot be compared: sample both with one "
                "sample_weight"
            )


def _distinct(posts: Mapping[str, xr.DataTree]) -> tuple[dict[str, xr.DataTree], dict[str, list[str]]]:
    """Each model once, under the first of its names, and the further names of each."""
    own: dict[tuple[int, str], str] = {}
    aliases: dict[str, list[str]] = {}
    for name, post in posts.items():
        view = Posterior.read(post)
        size = view.n_components, len(view.columns)
        first = own.setdefault((view.n_components, view.draws.structure.identity(*size)), name)
        if first != name:
            aliases.setdefault(first, []).append(name)
    return {name: posts[name] for name in own.values()}, aliases


def _same(a: xr.DataArray | None, b: xr.DataArray | None) -> bool:
    return (a is None) == (b is None) and (a is None or b is None or bool((a.values == b.values).all()))


def _assess(post: xr.DataTree, grid: Grid | None, evidence: bool, refit: bool, seed: int) -> _Model:
    view = Posterior.read(post)
    diagnosis = diagnose(post)
    modes = None
    if diagnosis.verdict == "multimodal":
        modes = separate_modes(post, refit=refit, random_seed=seed)
        elpd_rows = modes.elpd_rows
        # Of the modes that carry the prediction.
        p_loo = float(np.average([m.p_loo for m in modes.loo], weights=modes.weights))
        used = [m for m, w in zip(modes.loo, modes.weights, strict=True) if w > 0.01]
        n_high_k, n_refitted = max(m.n_high_k for m in used), max(len(m.refitted) for m in used)
    else:
        loo = leave_one_out(view, view.target if refit else None, seed)
        elpd_rows, p_loo, n_high_k, n_refitted = loo.elpd_rows, loo.p_loo, loo.n_high_k, len(loo.refitted)
    return _Model(
        view.n_components,
        view.draws.structure.name,
        _criteria(view, grid),
        elpd_rows,
        view.row_weight,
        p_loo,
        n_high_k,
        n_refitted,
        log_evidence(post, random_seed=seed) if evidence else None,
        diagnosis,
        modes,
    )


def _criteria(view: Posterior, grid: Grid | None) -> tuple[float, float, float, float]:
    """EM's log likelihood, AIC, BIC and ICL."""
    if grid is not None and (cell := grid.cell((view.n_components, view.draws.structure.name))) in grid.fits:
        fit = grid.fits[cell]
        check_same_data(fit, view.values, view.row_weight, "grid")
        return fit.log_likelihood, fit.aic, fit.bic, fit.icl
    standard = view.em.standardised(view.scaling)
    values, weight = view.scaling.standardise(view.values), view.row_weight
    n_rows, n_parameters = float(weight.sum()), view.em.n_parameters
    log_likelihood = float(weight @ log_density(standard, values)) + n_rows * view.scaling.log_jacobian
    b = bic(log_likelihood, n_parameters, n_rows)
    terms = classification_terms(standard, values, weight)
    return log_likelihood, aic(log_likelihood, n_parameters), b, icl(b, terms[0])


def _row(model: _Model, best: _Model, weight: float, p_k: float) -> tuple[Any, ...]:
    z = model.evidence
    return (
        model.n_components,
        model.covariance_type,
        *model.criteria,
        *total(model.elpd_rows, model.row_weight),
        *total(model.elpd_rows - best.elpd_rows, model.row_weight),
        model.p_loo,
        model.n_high_k,
        model.n_refitted,
        weight,
        np.nan if z is None else z.value,
        np.nan if z is None else z.se,
        p_k,
        model.diagnosis.verdict,
    )


def _prior(models: dict[str, _Model], prior_k: PriorOnK | None) -> Array:
    """Prior probability of each model (M,)."""
    counts = [m.n_components for m in models.values()]
    if prior_k is None:
        return np.full(len(counts), 1.0 / len(counts))
    weights = []
    for k in counts:
        value = prior_k(k) if callable(prior_k) else prior_k.get(k, 0.0)
        if not value > 0:
            raise InputError(f"prior_k gives K={k} the weight {value!r}: give every K compared a positive weight")
        weights.append(value / counts.count(k))
    prior = np.array(weights, dtype=float)
    return prior / prior.sum()


def model_probabilities(log_evidences: Array, prior: Array | None = None) -> Array:
    """Posterior probabilities (M,) of models with log evidences (M,), under prior probabilities (M,), equal by default."""
    log_evidences = np.asarray(log_evidences, dtype=float)
    if np.isnan(log_evidences).any():
        return np.full(len(log_evidences), np.nan)
    prior = np.ones(len(log_evidences)) if prior is None else np.asarray(prior, dtype=float)
    mass = np.log(prior) + log_evidences
    p = np.exp(mass - mass.max())
    return p / p.sum()


def _described(models: dict[str, _Model], prior: Array) -> str:
    return ", ".join(f"{name}: {p:.3g}" for name, p in zip(models, prior.tolist(), strict=True))


def _notes(models: dict[str, _Model]) -> list[str]:
    """What a reader must know of single rows of the table."""
    notes = []
    for name, m in models.items():
        if not m.diagnosis.ok:
            notes.append(f"{name}: {m.diagnosis.verdict} ({m.diagnosis.evidence}); {m.diagnosis.remedy}")
        if m.modes is not None:
            shares = ", ".join(f"{w:.2f}" for w in m.modes.weights)
            notes.append(
                f"{name}: {len(m.modes.chains)} modes, stacked with weights {shares}; elpd is of their mixture"
            )
        if m.n_high_k > m.n_refitted:
            notes.append(f"{name}: {m.n_high_k - m.n_refitted} rows with Pareto k > 0.7 were not refitted")
    return notes


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("bayesgmm", "arviz-stats", "numpy", "scipy")}


def sentence(table: pd.DataFrame) -> str:
    """One or two plain sentences: which model each criterion chooses, and why they may differ."""
    chosen = {name: str(table[column].idxmin()) for name, column in (("BIC", "bic"), ("AIC", "aic"), ("ICL", "icl"))}
    chosen["ELPD"] = str(table["elpd"].idxmax())
    has_evidence = bool(table["p_k"].notna().all())
    if has_evidence:
        chosen["the evidence"] = str(table["p_k"].idxmax())
    groups: dict[str, list[str]] = {}
    for criterion, model in chosen.items():
        groups.setdefault(model, []).append(criterion)
    parts = [
        f"{_listed(criteria)} {'choose' if len(criteria) > 1 else 'chooses'} {model}"
        for model, criteria in groups.items()
    ]
    if len(groups) == 1:
        text = f"All criteria choose {next(iter(groups))}."
    else:
        text = "; ".join(parts) + "."
        text = text[0].upper() + text[1:] + " " + _why(groups, has_evidence)
    return text + _rivals(table, has_evidence)


def _why(groups: dict[str, list[str]], has_evidence: bool) -> str:
    together = {c: model for model, criteria in groups.items() for c in criteria}
    reasons = []
    measured = "BIC and the evidence measure" if has_evidence else "BIC measures"
    if together["ELPD"] != together["BIC"] or (has_evidence and together["the evidence"] != together["ELPD"]):
        reasons.append(
            f"ELPD measures prediction of new rows, {measured} the whole model and charge for every parameter"
        )
    if together["ICL"] != together["BIC"]:
        reasons.append("ICL wants clusters that do not overlap")
    if together["AIC"] != together["BIC"] and not reasons:
        reasons.append("AIC charges less for a parameter than BIC")
    if has_evidence and together["the evidence"] != together["BIC"] and not reasons:
        reasons.append("BIC approximates the evidence for large data and knows no prior")
    return (_capital("; ".join(reasons)) + ".") if reasons else ""


def _rivals(table: pd.DataFrame, has_evidence: bool) -> str:
    """How settled the choice is."""
    rest = table.iloc[1:]
    close = [str(i) for i in rest.index[rest["elpd_diff"] > -2 * rest["elpd_diff_se"]]]
    text = ""
    if close:
        text = f" In prediction {_listed(close)} cannot be told from {table.index[0]} (within two standard errors)."
    if has_evidence and table["p_k"].max() < 0.9:
        text += f" No model has more than {table['p_k'].max():.0%} of the posterior probability."
    bad = [str(i) for i in table.index[~table["verdict"].isin(["converged", "label switching"])]]
    if bad:
        text += f" Not to be trusted as sampled: {_listed(bad)}."
    return text


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
