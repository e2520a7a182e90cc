"""`update`: next month's rows. The old model as the prior, groups that keep their labels, and what moved."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..data import CI_PROB, InputError, Table, as_table, check_ci_prob, checked_with
from ..em import EMFit, GaussianMixture, fit_grid, fit_mixture
from ..mixture import Mixture, responsibilities
from ..sampling import sample_posterior
from ..selection.evidence import log_evidence
from .drift import Matching, drift_table, match
from .files import save_model
from .model import KeptFit, KeptPosterior
from .sequential import Tempered, tempered_into

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["Update", "update"]

Array = NDArray[np.float64]
# Numbers of components looked at beside the old one, and what BIC must gain for an EM fit to change its number.
_BESIDE, _STRONG = 2, 10.0
# How often chance alone may say of some quantity that it surely moved.
_BY_CHANCE = 0.05


@dataclass(frozen=True, eq=False, repr=False)
class Update:
    """A model brought up to date, and what changed.

    Attributes
    ----------
    model : KeptFit or KeptPosterior
        To go on with: old and new rows together where the evidence speaks for one population (where it is withheld: where
        every group was kept) and nothing moved beyond chance, otherwise the new rows alone. Its components are in the order of
        ``labels``.
    old, alone, together : KeptFit or KeptPosterior
        The model given; of the new rows alone; of both, the old posterior as the prior (None for an EM fit, which has no
        spread).
    labels : tuple of int
        Of the components of ``alone``: the old labels where a group was found again.
    groups : DataFrame
        For each label: ``fate`` (kept, split, merged, vanished, new), ``old_weight``, ``new_weight``.
    drift : DataFrame
        What moved, for each group found again (`drift.drift_table`).
    log_bayes_factor : float
        log p(new | the old population) - log p(new | one of its own, of as many components as BIC prefers). NaN for an EM fit,
        and where the evidence is withheld.
    ci_prob : float
        Of the intervals.
    posterior : DataTree or None
        Of the new rows alone, for everything else of this package.
    """

    model: KeptFit | KeptPosterior
    old: KeptFit | KeptPosterior
    alone: KeptFit | KeptPosterior
    together: KeptPosterior | None
    labels: tuple[int, ...]
    groups: pd.DataFrame
    drift: pd.DataFrame
    log_bayes_factor: float
    ci_prob: float
    posterior: xr.DataTree | None = field(default=None)

    @property
    def p_same(self) -> float:
        """Probability that the new rows are of the old population, at even odds before."""
        return float(1.0 / (1.0 + np.exp(-np.clip(self.log_bayes_factor, -700, 700))))

    @property
    def unchanged(self) -> bool:
        """Whether every group was kept."""
        return bool((self.groups["fate"] == "kept").all())

    @property
    def moved(self) -> pd.DataFrame:
        """The rows of ``drift`` that moved, the surest first."""
        found = self.drift[self.drift["moved"]]
        return found.sort_values("probability", ascending=False, kind="stable")

    def save(self, path: str | Path) -> Path:
        """Keep ``model`` in a file (`save_model`)."""
        return save_model(self.model, path)

    @property
    def heading(self) -> str:
        """What became of the groups, what moved, and which rows the model rests on, in words."""
        changed = self.groups[self.groups["fate"] != "kept"]
        fates = (
            "; ".join(f"group {label}: {fate}" for label, fate in changed["fate"].items())
            or "every group was found again"
        )
        lines = [f"Groups: {fates}"]
        if np.isfinite(self.log_bayes_factor):
            shown = (
                "above 0.999" if self.p_same > 0.999 else "below 0.001" if self.p_same < 0.001 else f"{self.p_same:.3f}"
            )
            factor = f"log Bayes factor {self.log_bayes_factor:.1f}"
            lines.append(f"New rows from the old population: probability {shown} at even odds ({factor})")
        n, mass = len(self.drift), f"{self.ci_prob:.0%}"
        sure = int(_surely_moved(self.drift).sum())
        chance = f"{n * (1 - self.ci_prob):.1f} would by chance, and {sure} beyond what chance makes of {n}"
        lines.append(f"Moved: {len(self.moved)} of {n} quantities have {mass} intervals off zero; {chance}")
        if not _believed(self.alone):
            lines.append(
                f"Verdict on the new rows alone: {self.alone.provenance['verdict']}; do not rely on what moved"
            )
        which = "old and new rows together" if self.model is self.together else "the new rows alone"
        lines.append(f"Model: {which}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        shown = self.moved if len(self.moved) else self.drift
        return f"{self.heading}\n\n{self.groups.round(4).to_string()}\n\n{shown.round(4).to_string()}"

    def _repr_html_(self) -> str:
        shown = self.moved if len(self.moved) else self.drift
        return f"<pre>{escape(self.heading)}</pre>{self.groups.round(4).to_html()}{shown.round(4).to_html()}"


@checked_with(model=lambda name, value: value)
def update(
    model: Any,
    new_data: Any,
    *,
    n_components: int | None = None,
    missing: str = "error",
    draws: int = 1000,
    chains: int = 4,
    ci_prob: float = CI_PROB,
    random_seed: int = 0,
) -> Update:
    """Bring a fitted model up to date with new rows, and say what changed.

    Parameters
    ----------
    model : a loaded model, DataTree of `sample_posterior`, fitted PosteriorMixture; or EMFit, fitted GaussianMixture
        With a posterior, the old posterior is the prior of the updated one; with an EM fit, the old fit is a start.
    new_data : table or array (N, D)
        With the columns of the model.
    n_components : int, optional
        Of the new rows. By default as many as before, unless the evidence (of an EM fit BIC, by more than 10) speaks for a
        population of their own: then what BIC prefers among those near the old number.
    missing : {"error", "drop"}
    draws, chains : int
        Of the posterior of the new rows alone.
    ci_prob : float
    random_seed : int

    Returns
    -------
    Update

    Raises
    ------
    InputError
        The model is none, or columns are missing or of another kind.
    """
    check_ci_prob(ci_prob)
    old = _kept(model)
    table = as_table(_only(new_data, old.columns), missing=missing)
    rng = np.random.default_rng(random_seed)
    same, best = _fitted(table, old.mixture, n_components, random_seed)
    if isinstance(old, KeptFit):
        fit, matching = _matched(old, same, table)
        if n_components or best.bic < same.bic - (_STRONG if matching.unchanged else 0):
            fit, matching = _matched(old, best, table)
        estimated = KeptFit(fit.columns, fit.scaling, {"kind": "em", "updated": True}, fit)
        return _update(old, estimated, None, matching, _estimated(fit, table, rng), np.nan, ci_prob, rng, None)

    def sampled(fit: EMFit) -> tuple[Matching, xr.DataTree]:
        own, matching = _matched(old, fit, table)
        options: dict[str, Any] = {"draws": draws, "chains": chains, "progressbar": False, "log_likelihood": False}
        k, structure = own.n_components, own.mixture.structure
        return matching, sample_posterior(table, k, structure, em=own, random_seed=random_seed, **options)

    tempered = tempered_into(old.draws, table, old.scaling, rng)
    matching, post = sampled(best)
    factor = tempered.log_predictive - log_evidence(post, random_seed=random_seed).value
    if best is not same and not n_components and factor >= 0 and _matched(old, same, table)[1].unchanged:
        matching, post = sampled(same)
    alone = KeptPosterior.of(post)
    return _update(old, alone, tempered, matching, _moments(alone.draws), factor, ci_prob, rng, post)


def _update(
    old: KeptFit | KeptPosterior,
    alone: KeptFit | KeptPosterior,
    tempered: Tempered | None,
    matching: Matching,
    after: dict[str, Array],
    log_bayes_factor: float,
    ci_prob: float,
    rng: np.random.Generator,
    post: xr.DataTree | None,
) -> Update:
    import pandas as pd

    found = np.flatnonzero(matching.old >= 0)
    of = _moments(old.draws) if isinstance(old, KeptPosterior) else _moments(_batch(old.mixture))
    before = {name: values[:, matching.old[found]] for name, values in of.items()}
    labels = [int(label) for label in matching.label[found]]
    drift = drift_table(
        old.columns, labels, before, {name: values[:, found] for name, values in after.items()}, ci_prob, rng
    )
    weights = dict(zip(matching.label.tolist(), alone.mixture.weights, strict=True))
    groups = pd.DataFrame(
        [
            {
                "group": label,
                "fate": fate,
                "old_weight": old.mixture.weights[label] if label < old.mixture.n_components else 0.0,
                "new_weight": weights.get(label, 0.0),
            }
            for label, fate in sorted(matching.fate.items())
        ]
    ).set_index("group")
    together = None
    if tempered is not None and isinstance(old, KeptPosterior):
        provenance = old.provenance | {"updated": True, "draws_sampled": len(tempered.draws.weights)}
        together = KeptPosterior(old.columns, old.scaling, provenance, tempered.draws, old.em)
        together = replace(together, em=together.mixture)
    one_population = log_bayes_factor >= 0 or (np.isnan(log_bayes_factor) and matching.unchanged)
    pooled = one_population and not (_believed(alone) and _surely_moved(drift).any())
    return Update(
        together if pooled and together is not None else alone, old, alone, together,
        tuple(int(label) for label in matching.label), groups, drift, log_bayes_factor, ci_prob, post,
    )  # fmt: skip


def _believed(model: KeptFit | KeptPosterior) -> bool:
    return model.provenance.get("verdict", "converged") in ("converged", "label switching")


def _surely_moved(drift: pd.DataFrame) -> pd.Series[bool]:
    """Which rows moved beyond what the most extreme of so many would by chance once in twenty."""
    return drift["probability"] > 1 - _BY_CHANCE / (2 * len(drift))


def _kept(model: Any) -> KeptFit | KeptPosterior:
    if isinstance(model, KeptFit | KeptPosterior):
        return model
    fit = getattr(model, "result_", model)
    if isinstance(fit, EMFit):
        return KeptFit(fit.columns, fit.scaling, {"kind": "em"}, fit)
    return KeptPosterior.of(getattr(model, "posterior_", model))


def _only(data: Any, columns: tuple[str, ...]) -> Any:
    """The columns of the model, where the data has names; an array's are taken in order."""
    from ..data import as_pandas

    if isinstance(data, Table):
        return data.select(columns)
    if isinstance(data, np.ndarray | list):
        frame = as_pandas(data)
        if frame.shape[1] != len(columns):
            raise InputError(
                f"new_data has {frame.shape[1]} columns; give the {len(columns)} of the model: {', '.join(columns)}"
            )
        return frame.set_axis(list(columns), axis="columns")
    frame = as_pandas(data)
    lacking = [name for name in columns if name not in map(str, frame.columns)]
    if lacking:
        raise InputError(f"new_data has no column {lacking[0]!r}; give the columns of the model: {', '.join(columns)}")
    return frame[[name for name in frame.columns if str(name) in columns]].rename(columns=str)[list(columns)]


def _frame(table: Table) -> Any:
    import pandas as pd

    return pd.DataFrame(table.values, columns=list(table.columns))


def _fitted(table: Table, old: Mixture, n_components: int | None, seed: int) -> tuple[EMFit, EMFit]:
    """EM on the new rows: from the old mixture, and with the number of components that BIC prefers."""
    k, n, structure = old.n_components, table.n_obs, old.structure
    start: dict[str, Any] = {"extra_starts": (old,), "n_starts": 0, "moves": False} if k <= n else {}
    same = fit_mixture(table, min(k, n), structure, random_state=seed, **start)
    counts = [n_components] if n_components else list(range(max(1, k - _BESIDE), min(k + _BESIDE, n) + 1))
    if counts == [k]:
        return same, same
    grid = fit_grid(table, counts, structure.name, progressbar=False, random_state=seed)
    best = min((fit for fit in grid.fits.values() if fit.n_components != k or n_components), key=lambda fit: fit.bic)
    return same, best if best.bic < same.bic or n_components else same


def _matched(old: KeptFit | KeptPosterior, fit: EMFit, table: Table) -> tuple[EMFit, Matching]:
    """The fit with its components in the order of their labels, and which they are."""
    before = old.score(_frame(table))
    after = responsibilities(fit.mixture.standardised(fit.scaling), table.values, fit.scaling)[0]
    matching = match(before.probability, before.tail, after, old.mixture.weights)
    order = np.argsort(matching.label, kind="stable")
    return _reordered(fit, order), Matching(matching.label[order], matching.old[order], matching.fate)


def _reordered(fit: EMFit, order: NDArray[np.intp]) -> EMFit:
    return replace(
        fit, mixture=fit.mixture.reordered(order), standardised=fit.standardised.reordered(order),
        map_counts=np.asarray(fit.map_counts)[order],
    )  # fmt: skip


def _batch(single: Mixture) -> Mixture:
    return Mixture(single.structure, single.weights[None], single.means[None], single.covariances[None])


def _moments(draws: Mixture) -> dict[str, Array]:
    sd = np.sqrt(np.einsum("skdd->skd", draws.dense_covariances))
    return {"weight": draws.weights, "mean": draws.means, "sd": sd}


def _estimated(fit: EMFit, table: Table, rng: np.random.Generator, n: int = 4000) -> dict[str, Array]:
    """Draws from the normal approximation of the estimates: their standard errors, the old estimates taken as exact."""
    errors = GaussianMixture.from_fit(fit).standard_errors(_frame(table))
    m = fit.mixture
    sd = np.sqrt(np.einsum("kdd->kd", m.dense_covariances))
    sd_error = np.einsum("kdd->kd", errors.covariances) / (2 * sd)
    parts = (("weight", m.weights, errors.weights), ("mean", m.means, errors.means), ("sd", sd, sd_error))
    return {name: value + rng.standard_normal((n, *value.shape)) * error for name, value, error in parts}
