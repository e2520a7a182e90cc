"""The one place that knows the order of the steps: table, EM grid, posteriors, verdicts, comparison, memberships, contrast."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .checks import diagnose
from .checks.predictive_checks import predictive_checks
from .clusters import checked_names
from .clusters.consensus import consensus
from .clusters.memberships import memberships
from .contrast import em_vs_posterior, kmeans_contrast
from .data import (
    InputError,
    Table,
    as_table,
    check_counts,
    checked,
    checked_with,
    framed,
    parse_transforms,
    set_aside,
    transformed,
    write_text,
)
from .em import Grid, fit_grid, suggest_transforms
from .mixture import COVARIANCE_TYPES, ModelKey, structures_named
from .posterior import Priors, Target
from .report.files import draw_store, prepare_folder, read_folder, write_folder
from .report.findings import Findings
from .report.provenance import provenance_of
from .sampling import DrawStore, Settings, refuse_beyond_memory
from .selection import Search, best_model

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from .checks import Diagnosis

__all__ = ["Analysis", "analyze", "load_analysis"]

Cells = Literal["bic", "all"] | Sequence[tuple[int, str]]
# Differences of BIC beyond this are "very strong" evidence (Kass & Raftery 1995).
_BIC_MARGIN = 10.0
# Probability or ELPD difference (in standard errors) within which another model remains a rival.
_RIVAL_PROBABILITY = 0.05
_RIVAL_ERRORS = 2.0
# Components looked at by default, how far that goes on, and how many models are sampled because they might matter.
_FIRST_COUNTS, _LAST_COUNT = range(1, 7), 10
_MOST_MORE = 6


@dataclass(frozen=True)
class Analysis(Findings):
    """Everything `analyze` found, and how to write it down.

    The attributes are those of `report.findings.Findings`.
    """

    def report(self, path: str | Path) -> Path:
        """Write the self-contained HTML report to ``path``."""
        from .report.page import render_report

        path = Path(path)
        write_text(path, render_report(self))
        return path

    def save(self, folder: str | Path) -> Path:
        """Write the report and every table and draw into ``folder``: see `report.files`."""
        return write_folder(self, Path(folder))

    def __repr__(self) -> str:
        return (
            f"Analysis of {self.table.name!r} ({self.table.n_obs} rows, {self.table.n_features} features)\n"
            f"  headline: {self.headline} ({self.diagnosis.verdict}); rivals: {', '.join(self.rivals) or 'none'}\n"
            f"  {self.reason}\n"
            f"  {self.contrast.summary}"
        )


def chosen_cells(grid: Grid, posterior: Cells) -> tuple[list[tuple[int, str]], str]:
    """Which cells of the grid are sampled, and why, in words.

    Raises
    ------
    InputError
        If a cell asked for is not in the grid, or EM failed everywhere.
    """
    usable = grid.table[np.isfinite(grid.table["bic"])]
    best_k, favourite = grid.best_cell("bic")
    if isinstance(posterior, str) and posterior == "all":
        cells = list(zip(usable["n_components"], usable["covariance_type"], strict=True))
        return [(int(k), str(c)) for k, c in cells], "every cell of the grid was sampled"
    if not isinstance(posterior, str):
        asked = [(int(k), str(c)) for k, c in posterior]
        for cell in asked:
            if grid.cell(cell) not in grid.fits:
                raise InputError(f"posterior={cell!r} is not in the grid: add it to n_components and covariance_types")
        return list(dict.fromkeys(map(grid.cell, asked))), "the sampled models are those asked for"
    if posterior != "bic":
        raise InputError(f"posterior={posterior!r} is unknown: choose 'bic', 'all', or a list such as [(2, 'full')]")
    best_bic = grid.fits[best_k, favourite].bic
    favourite = _best_elsewhere(grid, best_k, favourite)
    ks = sorted({k for k, _ in grid.fits})
    cells = [cell for k in ks if (cell := grid.cell((k, favourite))) in grid.fits]
    others = []
    sound = usable[usable["outcome"] == "converged"]
    sound = sound[[cell not in cells for cell in zip(sound["n_components"], sound["covariance_type"], strict=True)]]
    for name, rows in sound.groupby("covariance_type", sort=False):
        top = rows.loc[rows["bic"].idxmin()]
        if top["bic"] - best_bic < _BIC_MARGIN:
            others.append((int(top["n_components"]), str(name)))
    why = (
        f"BIC prefers the structure {favourite!r} ({best_k} component{'s' if best_k > 1 else ''}), sampled for every K"
    )
    if others:
        named = ", ".join(str(ModelKey(*cell)) for cell in others)
        why += f"; within {_BIC_MARGIN:g} BIC points of it and therefore sampled too: {named}"
    return cells + others, why


def _best_elsewhere(grid: Grid, k: int, name: str) -> str:
    """Of the structures that are one model at this K, the one with the lowest BIC at another."""

    def at_other_counts(structure: str) -> float:
        others = (grid.cell((j, structure)) for j, _ in grid.fits if j != k)
        return min((grid.fits[cell].bic for cell in others if cell in grid.fits), default=np.inf)

    return min((name, *grid.aliases_of((k, name))), key=at_other_counts)


def choose_headline(comparison: pd.DataFrame, diagnoses: dict[str, Diagnosis]) -> tuple[str, tuple[str, ...], str]:
    """The model that the comparison supports, its rivals, and the reason in words.

    The question is how many components the data support, so p(K | y) decides, and then p(structure | K, y), among models whose
    sampling can be trusted. A rival has more than 5% probability, or an ELPD within two standard errors of the best.
    """
    sound = [key for key in comparison.index if diagnoses[key].ok]
    pool = comparison.loc[sound] if sound else comparison
    probable = best_model(pool)
    headline = str(pool["elpd"].idxmax()) if probable is None else probable
    others = comparison.drop(index=headline)
    # Not below: the best differs from itself by nothing, without error.
    close = others["elpd_diff"].abs() <= _RIVAL_ERRORS * others["elpd_diff_se"]
    likely = others["p_model"].fillna(0.0) > _RIVAL_PROBABILITY
    rivals = tuple(str(k) for k in others.index[(close | likely).to_numpy()])
    if not sound:
        return headline, rivals, "no sampled model has a verdict that can be trusted; the best of them is shown"
    return headline, rivals, _reason(comparison, headline, probable is not None)


def _reason(comparison: pd.DataFrame, headline: str, is_probable: bool) -> str:
    """Why a model is the headline, in words."""
    if not is_probable:
        return f"{headline} has the best estimated out-of-sample log density among the sampled models"
    k, name = ModelKey.parse(headline)
    p, own = comparison.loc[headline, ["p_k", "p_structure"]]
    why = f"K={k} has the largest posterior probability of the numbers compared, {p:.2f}"
    return f"{why}, and with {k} the structure {name!r}, {own:.2f}"


def concluded(
    table: Table,
    grid: Grid,
    posteriors: dict[str, xr.DataTree],
    comparison: pd.DataFrame,
    diagnoses: dict[str, Diagnosis],
    sampled_because: str,
    provenance: dict[str, Any],
    seed: int,
    holdout: Table | None = None,
    names: tuple[str, ...] = (),
) -> Analysis:
    """The steps after the comparison: headline, memberships, consensus, contrasts, predictive checks."""
    headline, rivals, reason = choose_headline(comparison, diagnoses)
    post = posteriors[headline]
    return Analysis(
        table=table,
        grid=grid,
        posteriors=posteriors,
        diagnoses=diagnoses,
        comparison=comparison,
        headline=headline,
        rivals=rivals,
        reason=f"{reason}. Of the EM grid, {sampled_because}.",
        memberships=memberships(post),
        consensus=consensus(post, random_seed=seed),
        contrast=em_vs_posterior(
            grid[ModelKey.parse(headline)],
            post,
            holdout=None if holdout is None else framed(holdout),
            folds="auto" if holdout is None else None,
            random_seed=seed,
        ),
        kmeans=kmeans_contrast(post, random_seed=seed),
        checks=predictive_checks(post, random_seed=seed),
        provenance=provenance,
        holdout=holdout,
        names=names,
    )


def _transformed(table: Table, asked: str | Mapping[str, str], seed: int) -> tuple[Table, dict[str, Any]]:
    """The table with its columns transformed as asked, and what the provenance says of it."""
    if asked == "auto":
        chosen = suggest_transforms(table, seed)
    else:
        chosen = {} if asked == "none" else parse_transforms(asked, table.columns)
    if not chosen:
        return table, {}
    slopes = [t.log_slope(table.values[:, table.columns.index(column)]).sum() for column, t in chosen.items()]
    told = {"columns": {column: str(t) for column, t in chosen.items()}, "log_jacobian": float(sum(slopes))}
    return transformed(table, chosen), {"transform": told}


@checked_with(n_components=check_counts)
def analyze(
    data: Any,
    n_components: Iterable[int] | None = None,
    covariance_types: str | Sequence[str] = COVARIANCE_TYPES,
    *,
    columns: Sequence[str] | None = None,
    posterior: Cells = "bic",
    priors: Priors | None = None,
    draws: int = Settings.draws,
    chains: int = Settings.chains,
    cores: int | None = Settings.cores,
    random_seed: int = 0,
    progressbar: bool = True,
    holdout: Any = None,
    group_names: Sequence[str] = (),
    command: str | None = None,
    folder: str | Path | None = None,
    fresh: bool = False,
    missing: str = "error",
    transform: str | Mapping[str, str] = "none",
) -> Analysis:
    """Everything, in order: EM over a grid, posteriors, verdicts, comparison, memberships, EM against posterior.

    Parameters
    ----------
    data : table or array (N, D)
        Anything that `data.as_table` reads.
    n_components : iterable of int, optional
        By default 1 to 6, and further, up to 10, for as long as the largest is the most probable.
    covariance_types : sequence of str, or "all"
        As in `fit_grid`.
    columns : sequence of str, optional
        Columns to use; all by default.
    posterior : {"bic", "all"} or list of (K, covariance type)
        Which cells are sampled. By default every K for the structure that BIC prefers, the best cell of every other structure
        whose BIC is within 10 of the best, and up to six more, so that by their Laplace approximations those left out hold
        less than 1% of the posterior probability.
    priors, draws, chains, cores, random_seed, progressbar
        As in `sample_posterior`.
    group_names : sequence of str
        What the groups are called in the report and its files, in their order, the largest group first. There are as many as
        are found: names beyond their number are not used, and groups beyond the names keep their numbers.
    holdout : float or table, optional
        Rows to compare the predictions of EM and of the posterior on, which neither sees: a share of the rows, drawn at
        random and fitted by nothing, or further rows. By default the two are cross-validated where that takes seconds.
    command : str, optional
        What made the analysis, for its provenance.
    folder : str or Path, optional
        Each sampled model, and what the comparison computes of it, is kept here, in ``.sampled/``, as soon as it is done. A
        later call with the same data, model,
        priors, starts, seed, settings and versions takes it from there, or from an analysis saved in ``folder``, instead
        of sampling it again; ``provenance["reused"]`` names those. `Analysis.save` into ``folder`` finishes the matter.
    fresh : bool
        Whether to sample everything anew, whatever is in ``folder``.
    missing : {"error", "drop", "marginalise"}
        What becomes of rows with a missing value: refused, left out, or kept for what they have: their likelihood is the
        marginal density of what was observed.
    transform : {"none", "auto"}, text or mapping of column to text
        What is done to columns first: "income=log, age=root", or "auto" for what `em.transformation` finds to make the
        mixture simpler. Everything afterwards is of the transformed columns, which are renamed: "log(income)".
        ``provenance["transform"]`` has what was done, and the log Jacobian that brings log likelihoods to the data as given.

    Returns
    -------
    Analysis

    Raises
    ------
    InputError
        For data or options that cannot be used, before anything is fitted.
    KeyboardInterrupt
        After an interrupt: there is no analysis of half the draws. Models that were done are in ``folder``.
    """
    begun = time.perf_counter()
    called = checked_names(group_names)
    table, changed = _transformed(as_table(data, columns=columns, missing=missing), transform, random_seed)
    table, held = set_aside(table, holdout, random_seed, "marginalise" if missing == "marginalise" else "error")
    priors = Priors() if priors is None else priors
    ks = list(_FIRST_COUNTS) if n_components is None else sorted({int(k) for k in n_components})
    names = [structure.name for structure in structures_named(covariance_types)]
    ks = [k for k in ks if k <= table.n_obs] if n_components is None else ks
    # Every request is checked before the first fit.
    targets = {(k, name): Target.of(table, k, name, priors) for k in ks for name in names}
    if not targets:
        raise InputError("n_components and covariance_types must each name at least one value")
    how = Settings(draws=draws, chains=chains, cores=cores, random_seed=random_seed, progressbar=progressbar)
    smallest = min(targets.values(), key=lambda p: p.structure.n_parameters(p.n_components, table.n_features))
    refuse_beyond_memory(targets.values() if posterior == "all" else [smallest], how)
    store = DrawStore() if folder is None else draw_store(prepare_folder(Path(folder)), fresh)
    grid = fit_grid(table, ks, names, random_state=random_seed, progressbar=progressbar)
    cells, why = chosen_cells(grid, posterior)
    search = Search(table, priors, grid, how, store)
    search.sample(cells)
    if n_components is None:
        search.look_further(_LAST_COUNT)
    if posterior == "bic":
        search.look_closer(_MOST_MORE)
    settings = {
        "n_components": ks,
        "covariance_types": names,
        "posterior": posterior if isinstance(posterior, str) else [list(c) for c in posterior],
        "draws": draws,
        "chains": chains,
        "random_seed": random_seed,
        "holdout": None if held is None else f"{held.n_obs} rows",
        "command": command,
    }
    provenance = provenance_of(table, settings, priors, time.perf_counter() - begun) | changed
    if table.account is not None:
        provenance["read"] = {
            "rows": table.account.rows_read, "decided": list(table.account.sentences), "missing": missing
        }  # fmt: skip
    why = "; ".join([why, *search.said])
    provenance |= {"sampled_because": why, "reused": search.reused}
    return concluded(
        table, search.grid, search.posteriors, search.comparison, search.diagnoses, why, provenance, random_seed, held,
        called,
    )  # fmt: skip


@checked
def load_analysis(folder: str | Path) -> Analysis:
    """Read back what `Analysis.save` wrote. What follows from the draws is computed again from them.

    Raises
    ------
    InputError
        If ``folder`` does not hold a saved analysis, naming the file that is missing.
    """
    saved = read_folder(Path(folder))
    diagnoses = {key: diagnose(post) for key, post in saved.posteriors.items()}
    return concluded(
        saved.table,
        saved.grid,
        saved.posteriors,
        saved.comparison,
        diagnoses,
        saved.provenance["sampled_because"],
        saved.provenance,
        saved.provenance["settings"]["random_seed"],
        saved.holdout,
        saved.names,
    )
