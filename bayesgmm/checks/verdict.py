"""Whether a sampled posterior may be believed, judged on quantities that do not depend on the names of the components.

Label switching leaves these quantities as they are, so that what R-hat and the effective sample sizes say of them holds
whether or not the labels moved (Vehtari, Gelman, Simpson, Carpenter & Buerkner 2021 for the diagnostics).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..data import InputError, checked
from ..sampling import MAX_R_HAT, MIN_ESS, Posterior, is_settled, quantities, summarise

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["VERDICTS", "Diagnosis", "diagnose", "label_free"]

Array = NDArray[np.float64]

# A region of posterior probability e that chains cannot enter moves every distribution function, and so the level of every
# quantile, by at most e: |P(A) - P(A | not in it)| <= e. Where an effective sample size of 400 passes, the level of an 89%
# interval's end has the Monte Carlo error sqrt(0.055 x 0.945 / 400) = 0.0114. If such a region holds no more than the share of
# the draws whose trajectories diverged near it, 0.005 is less than half of what is tolerated anyway. How much it holds is not
# known from the chains alone; larger ones show in the tails' effective sample sizes.
MAX_DIVERGENT = 0.005
# Fewer moved draws than this are single rows' noise in the assignment, not an exchange of components.
MIN_MOVED = 0.001
# A chain whose own halves agree this well has settled somewhere; chains that have settled in different places are modes.
SETTLED_R_HAT = 1.1
SETTLED_ESS = 30
# Apart means: the chains' means differ by more than their own spread.
APART_R_HAT = 1.2
# A component narrower than this, relative to the data, in this share of the draws, is looked at: where the rows within
# three standard deviations of it are mostly repeated values (to so many digits of the data's spread) it has collapsed.
SMALLEST_SD = 1e-3
COLLAPSED = 0.05
_WITHIN, _DIGITS, _LOOKED_AT = 3.0, 1e-9, 100
# Energy Bayesian fraction of missing information below which a chain does not move between energy levels (Betancourt 2016).
LEAST_BFMI = 0.3
# Fewer replicas that came all the way from the prior do not tell how much mass a mode has.
LEAST_RESTARTS = 5
# Walkers that took no jump: what the chains say of the places where these are is little.
MOST_STUCK = 0.05

VERDICTS: dict[str, str] = {
    "converged": "none needed",
    "label switching": (
        "none needed: the labels were aligned afterwards; read single components with the ambiguity stated, and sums "
        "over components as they are"
    ),
    "multimodal": (
        "do not average the chains: look at the modes one by one (their weights are in the evidence), or use fewer components "
        "(n_components, -k), a narrower structure (covariance_type, --covariance) or an informative prior "
        "(priors, --priors)"
    ),
    "not converged": (
        "let the chains agree: more draws (draws, --draws), at least 4 chains (chains, --chains), fewer components "
        "(n_components, -k) or a narrower structure (covariance_type, --covariance)"
    ),
    "degenerate": (
        "a component has collapsed: look for repeated rows or columns with few distinct values, use fewer components "
        "(n_components, -k), or a scale prior that keeps further away from zero (priors, --priors)"
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
        Of the labels: one minus the total variation distance between the aligned draws and themselves with two components
        exchanged, the largest over pairs (`label_ambiguity`). Near 0 where components are distinct, about 0.2 and more where
        their names mean nothing.
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
    return quantities.label_free(view.draws, view.values, view.columns, view.sample_weight, view.obs_id)


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
    ambiguity = label_ambiguity(view)
    collapsed = _collapsed_share(view)
    doubts = _doubts(post, stats)
    verdict = _judge(chains, table, n_divergent, moved, collapsed, bool(doubts))
    return Diagnosis(
        verdict,
        table,
        _evidence(verdict, table, n_divergent, view, moved, ambiguity, collapsed, _searched(post, stats), doubts),
        VERDICTS[verdict],
        n_divergent,
        moved,
        ambiguity,
    )


def label_ambiguity(view: Posterior) -> float:
    """How well aligned draws would look with two components exchanged: 1 - total variation, the largest over pairs.

    Exchanging components turns the difference d of a mean, a log standard deviation or the log weights into -d. With d of mean
    m and standard deviation s over the draws, and as if it were normal, the total variation distance of d and -d is
    2 Phi(|m| / s) - 1; the coordinate that tells the two apart best counts. It depends on the number of rows only as the
    posterior itself does. Where names mean nothing alignment still puts the larger first, and |m| / s is that of a half-normal
    variable, 1.3: an ambiguity of 0.2.
    """
    from scipy.special import ndtr

    draws, k = view.draws, view.n_components
    log_sd = 0.5 * np.log(np.einsum("skii->ski", draws.dense_covariances))
    parts = [draws.means / view.scaling.scale, log_sd, np.log(np.maximum(draws.weights, 1e-300))[..., None]]
    every = np.concatenate(parts, axis=2)
    worst = 0.0
    for a in range(k):
        for b in range(a):
            d = every[:, a] - every[:, b]
            sd = d.std(0)
            told = np.abs(d.mean(0)[sd > 0]) / sd[sd > 0]
            if told.size and np.isfinite(told).all():
                worst = max(worst, 2.0 * float(ndtr(-told.max())))
    return worst


def _doubts(post: xr.DataTree, stats: Any) -> list[str]:
    """What agreement of the chains cannot tell: modes that may be missing, energies not explored."""
    doubts = []
    if (stuck := float(post.attrs.get("stuck", 0.0))) > MOST_STUCK:
        doubts.append(f"{stuck:.0%} of the walkers never jumped (tolerated: {MOST_STUCK:.0%})")
    if post.attrs.get("sampler") == "jumps" and not post.attrs["settled"]:
        doubts.append("no second round of jumps confirmed one that agreed")
    if "restarts" in post.attrs:
        fewest = int(np.min(post.attrs["restarts"]))
        if fewest < LEAST_RESTARTS:
            doubts.append(f"a run had {fewest} restarts from the prior (wanted: at least {LEAST_RESTARTS})")
        return doubts
    searches = int(post.attrs.get("n_searches", 1))
    hits = np.atleast_1d(post.attrs.get("mode_searches", []))
    if searches > 1 and hits.size and hits[0] == 1:
        doubts.append(f"only one of {searches} EM searches found the heaviest mode: heavier ones may be missing")
    if "energy" in stats:
        energy = np.asarray(stats["energy"].values)
        spread = ((energy - energy.mean(1, keepdims=True)) ** 2).sum(1)
        if np.all(spread > 0):
            bfmi = float(((np.diff(energy, axis=1) ** 2).sum(1) / spread).min())
            if bfmi < LEAST_BFMI:
                doubts.append(f"E-BFMI {bfmi:.2f} (wanted > {LEAST_BFMI})")
    return doubts


def _searched(post: xr.DataTree, stats: Any) -> list[str]:
    """What was looked at: EM's searches and what their starts leave unseen, and trajectories that ended at the depth limit."""
    said = []
    if "unseen" in post.attrs:
        searches, unseen = int(post.attrs.get("n_searches", 1)), float(post.attrs["unseen"])
        many = f"{searches} EM searches" if searches > 1 else "one EM search"
        said.append(f"{many}, whose next start would find a new optimum with probability {unseen:.2g} (Good-Turing)")
    if "reached_max_treedepth" in stats and (cut := int(np.sum(stats["reached_max_treedepth"].values))):
        said.append(f"{cut} trajectories ended at the depth limit of the tree")
    return said


def _collapsed_share(view: Posterior) -> float:
    """Share of draws with a component narrower than 1/1000 of the data in some direction, in which its rows repeat a value."""
    spread = np.nanstd(view.values, axis=0)
    means, dense = view.draws.means / spread, view.draws.dense_covariances / (spread[:, None] * spread)
    finite = np.isfinite(dense).all((1, 2, 3)) & np.isfinite(means).all((1, 2))
    smallest = np.zeros(dense.shape[:2])
    smallest[finite] = np.linalg.eigvalsh(dense[finite])[..., 0]
    narrow = smallest.min(1) < SMALLEST_SD**2
    if not narrow.any():
        return 0.0
    looked_at = np.flatnonzero(narrow)[:: max(1, int(narrow.sum()) // _LOOKED_AT)]
    rows = view.values / spread
    repeated = [
        not finite[s]
        or any(_on_repeats(rows, means[s, k], dense[s, k]) for k in np.flatnonzero(smallest[s] < SMALLEST_SD**2))
        for s in looked_at
    ]
    return float(narrow.mean() * np.mean(repeated))


def _on_repeats(rows: Array, mean: Array, covariance: Array) -> bool:
    """Whether the rows within three standard deviations are few, or mostly share their value in the narrowest direction."""
    values, vectors = np.linalg.eigh(covariance)
    along = (rows - mean) @ vectors
    inside = (along**2 / np.maximum(values, 1e-300)).sum(1) < _WITHIN**2 * len(mean)
    distinct = len(np.unique(np.round(along[inside, 0] / _DIGITS)))
    return bool(distinct <= max(len(mean), inside.sum() / 2))


def _judge(
    chains: dict[str, Array], table: pd.DataFrame, n_divergent: int, moved: float, collapsed: float, doubtful: bool
) -> str:
    first = next(iter(chains.values()))
    if collapsed > COLLAPSED or not np.isfinite(table["mean"]).all():
        return "degenerate"
    if is_settled(table) and n_divergent <= MAX_DIVERGENT * first.size and not doubtful:
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
    searched: list[str],
    doubts: list[str],
) -> str:
    size = view.n_chains * view.n_draws
    smallest = table[["ess_bulk", "ess_tail"]].min(axis=1)
    parts = [
        f"worst R-hat {table['r_hat'].max():.3f} ({table['r_hat'].idxmax()}; wanted < {MAX_R_HAT})",
        f"smallest effective sample size {smallest.min():.0f} ({smallest.idxmin()}; wanted > {MIN_ESS})",
        f"{n_divergent} of {size} draws diverged (tolerated: {int(MAX_DIVERGENT * size)})",
        f"labels of {moved:.1%} of the draws were changed by the alignment",
    ]
    if view.n_components > 1:
        parts.append(f"ambiguity of the labels {ambiguity:.2g}")
    parts += searched
    parts += doubts
    if collapsed:
        parts.append(f"in {collapsed:.1%} of the draws a component sits on repeated values")
    if verdict == "multimodal":
        parts.append(f"each of the {view.n_chains} chains has settled, but not in the same place")
    if view.n_chains == 1:
        parts.append("one chain only, judged by its halves: other modes would go unseen")
    return "; ".join(parts)
