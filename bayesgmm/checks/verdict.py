"""Whether a sampled posterior may be believed, judged on quantities that do not depend on the names of the components.

Label switching leaves these quantities as they are, so that what R-hat and the effective sample sizes say of them holds
whether or not the labels moved (Vehtari, Gelman, Simpson, Carpenter & Buerkner 2021 for the diagnostics).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..data import InputError
from ..data.arguments import checked
from ..mixture import draw_responsibilities
from ..sampling.posterior import Posterior

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["VERDICTS", "Diagnosis", "diagnose", "label_free"]

Array = NDArray[np.float64]

MAX_R_HAT = 1.01
MIN_ESS = 400
# A draw whose trajectory diverged is still a draw of the chain; what hurts is a region that the chain cannot enter, and
# that shows first as many divergences and then in the tails. Up to one in 200 moves no quantile that is reported.
MAX_DIVERGENT = 0.005
# Fewer moved draws than this are single rows' noise in the assignment, not an exchange of components.
MIN_MOVED = 0.001
# A chain whose own halves agree this well has settled somewhere; chains that have settled in different places are modes.
SETTLED_R_HAT = 1.1
SETTLED_ESS = 30
# Apart means: the chains' means differ by more than their own spread.
APART_R_HAT = 1.2
# A component narrower than this, relative to the data, in this share of the draws, sits on repeated values.
SMALLEST_SD = 1e-3
COLLAPSED = 0.05
_MAX_EVALUATIONS = 2 * 10**8
_N_POINTS = 5
_CERTAIN = 1e-9

VERDICTS: dict[str, str] = {
    "converged": "none needed",
    "label switching": (
        "none needed: the labels were aligned afterwards; read single components with the ambiguity stated, and sums "
        "over components as they are"
    ),
    "multimodal": (
        "do not average the chains: look at the modes one by one (their weights are in the "
        "evidence), or use fewer components or an informative prior"
    ),
    "not converged": "sample longer (raise tune and draws, use at least 4 chains), or use fewer components",
    "degenerate": (
        "a component has collapsed: look for repeated rows or columns with few distinct values, use fewer components, or "
        "a scale prior that keeps further away from zero"
    ),
}


@dataclass(frozen=True, eq=False, repr=False)
class Diagnosis:
    """A verdict on a sampled posterior, with its evidence and the remedy.

    Attributes
    ----------
    verdict : str
        One of `VERDICTS`.
    table : DataFrame
        One row per label-free quantity: mean, sd, r_hat (rank-normalised), ess_bulk, ess_tail.
    evidence : str
        What the verdict rests on, in words with numbers.
    remedy : str
    n_divergent : int
    moved : float
        Share of draws whose labels were changed by the alignment.
    ambiguity : float
        As `posterior.relabel.Alignment.ambiguity`; nan where the tree does not carry it.
    """

    verdict: str
    table: pd.DataFrame = field(repr=False)
    evidence: str
    remedy: str
    n_divergent: int
    moved: float
    ambiguity: float

    @property
    def ok(self) -> bool:
        """Whether results may be shown as fact."""
        return self.verdict in ("converged", "label switching")

    @property
    def title(self) -> str:
        """The verdict, and where labels switched that this was repaired."""
        return "label switching (repaired)" if self.verdict == "label switching" else self.verdict

    def __repr__(self) -> str:
        lines = [f"Verdict: {self.title}", f"  evidence  {self.evidence}"]
        if self.verdict != "converged":
            lines.append(f"  remedy    {self.remedy}")
        return "\n".join([*lines, "", self.table.round(4).to_string()])

    def _repr_html_(self) -> str:
        remedy = "" if self.verdict == "converged" else f"<p>Remedy: {escape(self.remedy)}</p>"
        head = f"<p><strong>Verdict: {escape(self.title)}</strong></p><p>{escape(self.evidence)}</p>{remedy}"
        return head + self.table.round(4).to_html()


def label_free(view: Posterior) -> dict[str, Array]:
    """Quantities (S,) of each draw that no exchange of components changes.

    Log likelihood, log density at fixed rows, mean and covariance of the mixture, entropy of the weights, sorted weights,
    sorted log determinants, mean allocation entropy. Where draws x rows exceed 2e8, log likelihood and entropy are those of
    evenly spaced rows. Beyond four features the mixture covariance enters by its variances and log determinant.
    """
    draws, columns = view.draws, view.columns
    k, d = draws.n_components, draws.n_features
    result = _row_quantities(view)
    weights, dense = draws.weights, draws.dense_covariances
    mean = np.einsum("sk,skd->sd", weights, draws.means)
    off = draws.means - mean[:, None, :]
    covariance = np.einsum("sk,skij->sij", weights, dense) + np.einsum("sk,ski,skj->sij", weights, off, off)
    for i in range(d):
        result[f"mean[{columns[i]}]"] = mean[:, i]
    for i in range(d):
        for j in range(i, d):
            # One component without correlations has none by definition.
            if i == j or (d <= 4 and covariance[:, i, j].any()):
                result[f"covariance[{columns[i]}, {columns[j]}]"] = covariance[:, i, j]
    if d > 4:
        result["log det covariance"] = np.linalg.slogdet(covariance)[1]
    log_det = np.linalg.slogdet(dense)[1]
    if k > 1:
        result["entropy of weights"] = -(weights * np.log(np.maximum(weights, 1e-300))).sum(1)
        for i, column in enumerate(np.sort(weights, axis=1)[:, ::-1].T):
            result[f"sorted weight {i + 1}"] = column
    # A determinant that all components share is one quantity.
    shared = bool((log_det == log_det[:, :1]).all())
    for i, column in enumerate(np.sort(log_det, axis=1)[:, ::-1].T[: 1 if shared else k]):
        result[f"sorted log det {i + 1}"] = column
    return result


def _row_quantities(view: Posterior) -> dict[str, Array]:
    """Log likelihood, log density at fixed rows and mean allocation entropy of each draw."""
    n_draws, n_rows = len(view.draws.weights), len(view.values)
    size = max(1, min(n_rows, _MAX_EVALUATIONS // n_draws))
    kept = np.linspace(0, n_rows - 1, size).astype(int)
    points = np.linspace(0, size - 1, min(_N_POINTS, size)).astype(int)
    log_likelihood, entropy = np.zeros(n_draws), np.zeros(n_draws)
    result: dict[str, Array] = {"log likelihood": log_likelihood}
    for block in draw_responsibilities(view.draws, view.values[kept]):
        log_likelihood += block.log_density.sum(1)
        r = block.responsibilities
        entropy -= np.einsum("skb,skb->s", r, np.log(np.maximum(r, 1e-300)))
        for p in points[(points >= block.rows.start) & (points < block.rows.stop)]:
            result[f"log density[row {view.obs_id[kept[p]]}]"] = block.log_density[:, p - block.rows.start].copy()
    # Where every row is certain under every draw the entropy is rounding error, and says nothing.
    if entropy.max(initial=0.0) > _CERTAIN * size:
        result["mean allocation entropy"] = entropy / size
    return result


def _summary(chains: dict[str, Array]) -> pd.DataFrame:
    """Table over quantities (chain, draw)."""
    import pandas as pd
    from arviz_stats.base import array_stats

    rows = {}
    for name, draws in chains.items():
        finite = bool(np.isfinite(draws).all())
        varies = finite and float(np.ptp(draws)) > 1e-12 * max(1.0, float(np.abs(draws).max()))
        # Without spread there is nothing to estimate: every draw is the same point.
        stats = (np.inf, 1.0, 1.0)
        if varies:
            split = draws if len(draws) > 1 else draws.reshape(2, -1)
            with np.errstate(divide="ignore", invalid="ignore"):
                stats = (
                    float(array_stats.rhat(split)),
                    float(array_stats.ess(split, method="bulk")),
                    float(array_stats.ess(split, method="tail", prob=0.05)),
                )
        rows[name] = (float(draws.mean()), float(draws.std(ddof=1)), *stats)
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["mean", "sd", "r_hat", "ess_bulk", "ess_tail"])
    table.index.name = "quantity"
    return table


@checked
def diagnose(post: xr.DataTree) -> Diagnosis:
    """Judge a sampled posterior.

    Parameters
    ----------
    post : DataTree
        From `sample_posterior`. A single chain is judged by its two halves.

    Returns
    -------
    Diagnosis
        ``converged``: R-hat < 1.01, bulk and tail effective sample sizes > 400, at most one divergent draw in 200, on
        every label-free quantity. ``label switching``: the same, and components exchanged names, which was repaired.
        ``multimodal``: chains have each settled, in different places. ``not converged``: anything else that fails.
        ``degenerate``: a component has collapsed onto repeated values, or draws are not finite.

    Raises
    ------
    InputError
        If ``post`` is not a posterior of this library, or has fewer than 8 draws per chain.
    """
    view = Posterior.read(post)
    if view.n_draws < 8:
        raise InputError(f"{view.n_draws} draws per chain cannot be judged: sample at least 8, better 1000")
    shape = (view.n_chains, view.n_draws)
    chains = {name: values.reshape(shape) for name, values in label_free(view).items()}
    table = _summary(chains)
    stats = post["sample_stats"].dataset if "sample_stats" in post.children else {}
    n_divergent = int(np.sum(stats["diverging"].values)) if "diverging" in stats else 0
    moved = float(np.mean(stats["relabelled"].values)) if "relabelled" in stats else 0.0
    ambiguity = float(post.attrs.get("relabelling_ambiguity", np.nan))
    collapsed = _collapsed_share(view)
    verdict = _judge(chains, table, n_divergent, moved, collapsed)
    return Diagnosis(
        verdict,
        table,
        _evidence(verdict, table, n_divergent, view, moved, ambiguity, collapsed),
        VERDICTS[verdict],
        n_divergent,
        moved,
        ambiguity,
    )


def _collapsed_share(view: Posterior) -> float:
    """Share of draws with a component narrower than 1/1000 of the data in some direction."""
    spread = view.values.std(axis=0)
    dense = view.draws.dense_covariances / (spread[:, None] * spread)
    finite = np.isfinite(dense).all((1, 2, 3)) & np.isfinite(view.draws.means).all((1, 2))
    smallest = np.zeros(len(dense))
    smallest[finite] = np.linalg.eigvalsh(dense[finite])[..., 0].min(1)
    return float(np.mean(smallest < SMALLEST_SD**2))


def _judge(chains: dict[str, Array], table: pd.DataFrame, n_divergent: int, moved: float, collapsed: float) -> str:
    first = next(iter(chains.values()))
    if collapsed > COLLAPSED or not np.isfinite(table["mean"]).all():
        return "degenerate"
    good = (
        (table["r_hat"] < MAX_R_HAT).all()
        and (table[["ess_bulk", "ess_tail"]] > MIN_ESS).all(axis=None)
        and n_divergent <= MAX_DIVERGENT * first.size
    )
    if good:
        return "label switching" if moved > MIN_MOVED else "converged"
    if len(first) > 1 and table["r_hat"].max() > APART_R_HAT and _all_settled(chains):
        return "multimodal"
    return "not converged"


def _all_settled(chains: dict[str, Array]) -> bool:
    """Whether every chain on its own has settled: its halves agree, and it moves."""
    n_chains = len(next(iter(chains.values())))
    for c in range(n_chains):
        alone = _summary({name: draws[c : c + 1] for name, draws in chains.items()})
        if not ((alone["r_hat"] < SETTLED_R_HAT).all() and (alone["ess_bulk"] > SETTLED_ESS).all()):
            return False
    return True


def _evidence(
    verdict: str,
    table: pd.DataFrame,
    n_divergent: int,
    view: Posterior,
    moved: float,
    ambiguity: float,
    collapsed: float,
) -> str:
    size = view.n_chains * view.n_draws
    smallest = table[["ess_bulk", "ess_tail"]].min(axis=1)
    parts = [
        f"worst R-hat {table['r_hat'].max():.3f} ({table['r_hat'].idxmax()}; wanted < {MAX_R_HAT})",
        f"smallest effective sample size {smallest.min():.0f} ({smallest.idxmin()}; wanted > {MIN_ESS})",
        f"{n_divergent} of {size} draws diverged (tolerated: {int(MAX_DIVERGENT * size)})",
        f"labels of {moved:.1%} of the draws were changed by the alignment",
    ]
    if np.isfinite(ambiguity):
        parts.append(f"ambiguity of the labels {ambiguity:.2g}")
    if collapsed:
        parts.append(f"in {collapsed:.1%} of the draws a component is narrower than 1/1000 of the data")
    if verdict == "multimodal":
        parts.append(f"each of the {view.n_chains} chains has settled, but not in the same place")
    if view.n_chains == 1:
        parts.append("one chain only, judged by its halves: other modes would go unseen")
    return "; ".join(parts)
