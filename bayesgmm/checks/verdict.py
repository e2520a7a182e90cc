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
from ..sampling import quantities
from ..sampling.posterior import Posterior
from ..sampling.quantities import MAX_R_HAT, MIN_ESS, is_settled, summarise

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["VERDICTS", "Diagnosis", "diagnose", "label_free"]

Array = NDArray[np.float64]

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
    """`sampling.quantities.label_free` of aligned draws: quantities (S,) that no exchange of components changes."""
    return quantities.label_free(view.draws, view.values, view.columns, view.row_weight, view.obs_id)


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
    table = summarise(chains)
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
    if is_settled(table) and n_divergent <= MAX_DIVERGENT * first.size:
        return "label switching" if moved > MIN_MOVED else "converged"
    if len(first) > 1 and table["r_hat"].max() > APART_R_HAT and _all_settled(chains):
        return "multimodal"
    return "not converged"


def _all_settled(chains: dict[str, Array]) -> bool:
    """Whether every chain on its own has settled: its halves agree, and it moves."""
    n_chains = len(next(iter(chains.values())))
    for c in range(n_chains):
        alone = summarise({name: draws[c : c + 1] for name, draws in chains.items()})
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
