"""One table for how many components, and of which structure: every criterion side by side, with its error and its verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..data import InputError, checked
from ..em import aic, bic, check_same_data, classification_terms, icl
from ..mixture import ModelKey, log_density
from ..progress import progress_display
from ..sampling import Posterior
from .assessment import Assessment, AssessmentStore
from .loo import total
from .probabilities import PriorOnK, model_probabilities, prior_of, probabilities
from .screening import Cell, Screen, screened
from .sentence import sentence
from .stacking import stacking_weights

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from ..em import Grid

__all__ = ["COLUMNS", "compare"]

Array = NDArray[np.float64]
COLUMNS = (
    "n_components", "covariance_type", "log_likelihood", "aic", "bic", "icl", "elpd", "elpd_se", "elpd_diff",
    "elpd_diff_se", "p_loo", "n_high_k", "n_refitted", "weight", "log_evidence", "log_evidence_se", "p_k", "p_k_se",
    "p_structure", "p_structure_se", "p_model", "p_model_se", "verdict",
)  # fmt: skip


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
    store: AssessmentStore | None = None,
    screen: Screen | None = None,
    failed: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Compare models of the same data.

    Parameters
    ----------
    posts : mapping of str to DataTree
        Sampled models under the names to be shown. Of those that are one model under several names (with one column ``full``
        is ``diag``) the first is kept; ``attrs["aliases"]`` has its other names.
    grid : Grid, optional
        Where it has a cell for a model, the EM columns come from there; otherwise from the EM optimum that the posterior
        started from. With it the structures that share each K's prior are the grid's, and what its models that were not
        sampled could hold at most is in ``attrs["left_out"]``.
    prior_k : mapping or function from K to a positive weight, optional
        Prior of the number of components, shared equally by the structures compared. By default every K has the same.
    evidence : bool
        Whether to compute the log evidence, and from it the probabilities.
    refit : bool
        Whether to refit rows whose Pareto k exceeds 0.7.
    progressbar : bool
    random_seed : int
    store : AssessmentStore, optional
        Where what is computed of each model is kept as soon as it is done, and looked for first.
    screen : Screen, optional
        Approximate evidences of the grid's models, computed here if not given.
    failed : mapping of str to str, optional
        Models of the grid that could not be sampled, and why: withheld, too, and not counted among those left out.

    Returns
    -------
    DataFrame
        One row per model, best elpd first; columns `COLUMNS`. ``log_likelihood``, ``aic``, ``bic`` and ``icl`` are EM's, lower
        criteria better; ``elpd`` is by PSIS-LOO, ``elpd_diff`` to the first row and not positive; ``n_high_k`` counts the rows
        with Pareto k > 0.7, of which ``n_refitted`` were refitted; ``weight`` is by stacking. ``p_k`` is p(K | y) for the
        model's K, ``p_structure`` p(structure | K, y) and ``p_model`` their product, each with the Monte Carlo error that
        the evidences leave in it (`probabilities`). A model whose evidence no method settles to within a nat has none, and
        no probability: ``attrs["withheld"]`` says why, and the others' are theirs among themselves. Where chains keep to
        separate modes ``elpd`` is that of the stacked modes. ``attrs`` further holds ``prior``, ``sentence`` (where the
        criteria disagree), ``left_out`` and ``left_out_models``, ``aliases``, ``notes``, ``versions`` and ``seed``.

    Raises
    ------
    InputError
        If there is no model, the models are of different data, or ``prior_k`` gives a model no weight.
    """
    _check_same_data(posts)
    posts, aliases = _distinct(posts)
    store = AssessmentStore() if store is None else store
    models: dict[str, Assessment] = {}
    with progress_display(progressbar) as progress:
        task = progress.add_task("comparing", total=len(posts), detail="")
        for name, post in posts.items():
            progress.update(task, detail=name)

            def told(done: int, total: int, name: str = name) -> None:
                progress.update(task, detail=f"{name}: leaving out row {done + 1} of {total} that draws say little of")

            models[name] = store.of(name, post, evidence=evidence, refit=refit, random_seed=random_seed, told=told)
            progress.advance(task)
        progress.update(task, detail="")
    if evidence and grid is not None and screen is None:
        screen = _screened(next(iter(posts.values())), grid)
    cells = [_cell(m, grid) for m in models.values()]
    if screen is not None and failed:
        screen = screen.without(ModelKey.parse(key) for key in failed)
    table, attrs = _probable(models, cells, grid, prior_k, screen, random_seed)
    attrs["withheld"] |= failed or {}
    table = _table(models, {name: _criteria(Posterior.read(post), grid) for name, post in posts.items()}, table)
    table.attrs.update(
        **attrs,
        sentence=sentence(table),
        notes=[*_notes(models), *(f"{name}: not sampled, {why}" for name, why in (failed or {}).items())],
        aliases=aliases,
        versions=_versions(),
        seed=random_seed,
    )
    return table


def _cell(model: Assessment, grid: Grid | None) -> Cell:
    cell = model.n_components, model.covariance_type
    return cell if grid is None else grid.cell(cell)


def _screened(post: xr.DataTree, grid: Grid) -> Screen:
    target = Posterior.read(post).target
    return screened(target.table, grid, target.priors, target.sample_weight)


def _probable(
    models: Mapping[str, Assessment],
    cells: list[Cell],
    grid: Grid | None,
    prior_k: PriorOnK | None,
    screen: Screen | None,
    seed: int,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Evidences and probabilities (one row per model), and what is to be said of them."""
    import pandas as pd

    every = list(dict.fromkeys([*cells, *(() if grid is None else grid.fits)]))
    structures = Counter(k for k, _ in every)
    # Over all models, of which the sampled ones come first.
    prior = prior_of([k for k, _ in every], structures, prior_k)
    own = prior[: len(cells)] / prior[: len(cells)].sum()
    log_z = np.array([np.nan if m.evidence is None else m.evidence.value for m in models.values()])
    errors = np.array([np.nan if m.evidence is None else m.evidence.se for m in models.values()])
    p = probabilities(log_z, errors, [k for k, _ in cells], own, seed)
    table = pd.DataFrame(
        {
            "log_evidence": log_z, "log_evidence_se": errors, "p_k": p.k, "p_k_se": p.k_se, "p_structure": p.structure,
            "p_structure_se": p.structure_se, "p_model": p.model, "p_model_se": p.model_se,
        },
        index=list(models),
    )  # fmt: skip
    known = {cell: value for cell, value in zip(cells, log_z.tolist(), strict=True) if np.isfinite(value)}
    shares = {} if screen is None or not known else _shares(screen, known, dict(zip(every, prior, strict=True)))
    return table, {
        "prior": _described(models, own, structures, prior_k),
        "withheld": {name: m.evidence.reason for name, m in models.items() if m.evidence and m.evidence.reason},
        "left_out": None if screen is None or not known else float(sum(shares.values())),
        "left_out_models": [
            [str(ModelKey(*cell)), share] for cell, share in sorted(shares.items(), key=lambda item: -item[1])
        ],
    }


def _shares(screen: Screen, known: Mapping[Cell, float], prior: Mapping[Cell, float]) -> dict[Cell, float]:
    """Upper bounds of the posterior probabilities of the models without an evidence of their own."""
    bounds = screen.bounds(known)
    values = np.array([*known.values(), *bounds.values()])
    p = model_probabilities(values, np.array([prior[cell] for cell in (*known, *bounds)]))
    return dict(zip(bounds, p[len(known) :].tolist(), strict=True))


def _described(
    models: Mapping[str, Assessment], prior: Array, structures: Mapping[int, int], prior_k: PriorOnK | None
) -> str:
    if prior_k is not None:
        return ", ".join(f"{name}: {p:.3g}" for name, p in zip(models, prior.tolist(), strict=True))
    return "uniform on K" + (" and, within K, on its structures" if max(structures.values()) > 1 else "")


def _table(
    models: Mapping[str, Assessment], criteria: Mapping[str, tuple[float, float, float, float]], probable: pd.DataFrame
) -> pd.DataFrame:
    """One row per model, best elpd first."""
    import pandas as pd

    sample_weight = next(iter(models.values())).sample_weight
    weights = stacking_weights(np.stack([m.elpd_rows for m in models.values()], axis=1), sample_weight)
    best = max(models.values(), key=lambda m: total(m.elpd_rows, sample_weight)[0])
    rows = {}
    for (name, m), weight in zip(models.items(), weights.tolist(), strict=True):
        rows[name] = (
            m.n_components, m.covariance_type, *criteria[name], *total(m.elpd_rows, sample_weight),
            *total(m.elpd_rows - best.elpd_rows, sample_weight), m.p_loo, m.n_high_k, m.n_refitted, weight,
            *probable.loc[name], m.verdict,
        )  # fmt: skip
    table = pd.DataFrame.from_dict(rows, orient="index", columns=list(COLUMNS))
    table.index.name = "model"
    return table.sort_values("elpd", ascending=False, kind="stable")


def _check_same_data(posts: Mapping[str, xr.DataTree]) -> None:
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


def _criteria(view: Posterior, grid: Grid | None) -> tuple[float, float, float, float]:
    """EM's log likelihood, AIC, BIC and ICL."""
    if grid is not None and (cell := grid.cell((view.n_components, view.draws.structure.name))) in grid.fits:
        fit = grid.fits[cell]
        check_same_data(fit, view.values, view.sample_weight, "grid")
        return fit.log_likelihood, fit.aic, fit.bic, fit.icl
    standard = view.em.standardised(view.scaling)
    values, weight = view.scaling.standardise(view.values), view.sample_weight
    n_rows, n_parameters = float(weight.sum()), view.em.n_parameters
    log_likelihood = float(weight @ (log_density(standard, values) + view.scaling.log_jacobians(view.values)))
    b = bic(log_likelihood, n_parameters, n_rows)
    terms = classification_terms(standard, values, weight)
    return log_likelihood, aic(log_likelihood, n_parameters), b, icl(b, terms[0])


def _notes(models: Mapping[str, Assessment]) -> list[str]:
    """What a reader must know of single rows of the table."""
    notes = []
    for name, m in models.items():
        if not m.trusted:
            notes.append(f"{name}: {m.verdict} ({m.finding}); {m.remedy}")
        if m.mode_weights:
            shares = ", ".join(f"{w:.2f}" for w in m.mode_weights)
            notes.append(
                f"{name}: {len(m.mode_weights)} modes, stacked with weights {shares}; elpd is of their mixture"
            )
        if m.evidence is not None and m.evidence.reason:
            notes.append(f"{name}: evidence withheld, {m.evidence.reason}")
        if m.n_high_k > m.n_refitted:
            notes.append(f"{name}: {m.n_high_k - m.n_refitted} rows with Pareto k > 0.7 were not refitted")
    return notes


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("bayesgmm", "arviz-stats", "numpy", "scipy")}
