"""Groups, not components: how many modes the density has, which rows climb to which, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..data import CI_PROB, check_ci_prob, checked
from ..sampling import Posterior
from .consensus import Consensus, with_ball
from .groups import Grouping, group
from .losses import LOSSES
from .memberships import summarise_rows
from .merging import merging_tree
from .modes import Climbs, climb
from .openness import OPEN_BELOW
from .profile import profile_of
from .rows import ScoredRows, training_rows
from .words import count, probability

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["Clusters", "GroupDraws", "clusters", "group_draws"]

Array = NDArray[np.float64]
Integers = NDArray[np.integer[Any]]
_MAX_DRAWS = 1000
_MAX_ROWS = 10_000


@dataclass(frozen=True, eq=False, repr=False)
class Clusters:
    """The groups of a posterior. A group is a mode of the density and the rows that climb to it.

    Attributes
    ----------
    number : DataArray
        Over ``n_groups``: posterior probability of that many groups (modes to which a row climbs), with its Monte Carlo
        standard error as the coordinate ``mcse``.
    memberships : Dataset
        Over ``obs_id x group``: ``probability`` (that the row is of a component of the group, mean over draws),
        ``probability_lb``, ``probability_ub``, and ``climbs`` (share of draws in which the row climbs to the group).
        Over ``obs_id``: ``assignment``, ``assignment_probability`` (share of draws in which that group is the most
        probable), and the entropies of `memberships`.
    sharing : DataArray
        Over ``cluster x cluster_bis``: probability that two components climb to the same mode.
    components : DataArray
        Over ``group x cluster``: probability that the component is of the group.
    consensus : Consensus
        Of the rows that climbed: with the most probable number of groups, least expected variation of information, and
        the credible ball about it. Groups are numbered by it, the largest first.
    profile : Dataset
        Of the Gaussians of each group together, in the units of the data: ``weight`` over ``group``, ``mean`` and ``sd``
        over ``group x feature``, each with its interval (``_lb``, ``_ub``), over the draws that have the group; of several
        groups also ``apart``, the mean less that of all other rows, in standard deviations of the column.
    tree : DataFrame
        Components merged by overlap instead, for comparison: from `merging_tree`.
    n_components : int
    n_draws : int
        Draws used.
    """

    number: xr.DataArray
    memberships: xr.Dataset
    sharing: xr.DataArray
    components: xr.DataArray
    consensus: Consensus
    profile: xr.Dataset
    tree: pd.DataFrame
    n_components: int
    n_draws: int

    @property
    def n_groups(self) -> int:
        """The most probable number of groups."""
        return int(self.number["n_groups"].values[self.number.values.argmax()])

    @property
    def headline(self) -> str:
        """How many groups, how sure, and with how many Gaussians they are drawn."""
        said = f"{count(self.n_groups, 'group')} (probability {probability(float(self.number.max()))})"
        return said[0].upper() + said[1:] + f", drawn with {count(self.n_components, 'Gaussian')}"

    def number_set(self, ci_prob: float = CI_PROB) -> tuple[int, ...]:
        """The fewest numbers of groups that together have at least the probability ``ci_prob``."""
        check_ci_prob(ci_prob)
        order = np.argsort(-self.number.values, kind="stable")
        size = int(np.searchsorted(np.cumsum(self.number.values[order]), ci_prob - 1e-12)) + 1
        return tuple(sorted(self.number["n_groups"].values[order[:size]].tolist()))

    def summary(self) -> str:
        """The groups in words and figures."""
        lines = [f"{self.headline}.", "", "  groups  probability"]
        lines += [
            f"  {n:<6}  {probability(p)} ± {se:.3f}"
            for n, p, se in zip(
                self.number["n_groups"].values, self.number.values.tolist(), self.number["mcse"].values, strict=True
            )
            if p > 0
        ]
        ci = round(100 * self.memberships.attrs["ci_prob"])
        lines += ["", f"  group   rows   components (probability)                 rows below {OPEN_BELOW:g}"]
        best = self.memberships["probability"].max("group").values
        for g in self.components["group"].values:
            own = self.memberships["assignment"].values == g
            with_it = [(int(c), float(p)) for c, p in self.components.sel(group=g).to_series().items() if p >= 0.05]
            said = ", ".join(f"{c} ({probability(p)})" for c, p in with_it)
            lines.append(f"  {g:<6}  {int(own.sum()):<5}  {said:<40} {int((best[own] < OPEN_BELOW).sum())}")
        lines += ["", f"  {self.n_draws} draws; intervals equal-tailed, {ci}%"]
        if self.memberships.attrs["n_climbed"] < self.memberships.sizes["obs_id"]:
            lines.append(f"  {self.memberships.attrs['rows']}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        from html import escape

        return f"<pre>{escape(self.summary())}</pre>"


@dataclass(frozen=True)
class GroupDraws:
    """What `clusters` is made from.

    Attributes
    ----------
    rows : ScoredRows
        All rows, with the thinned draws.
    climbed : (n,)
        Positions of the rows that climbed.
    sample_weight : (N,)
    n_chains : int
    climbs : Climbs
    grouping : Grouping
    """

    rows: ScoredRows
    climbed: Integers
    sample_weight: Array
    n_chains: int
    climbs: Climbs
    grouping: Grouping

    @property
    def by_row(self) -> Integers:
        """The group to which each climbed row climbs, (n, S)."""
        return np.take_along_axis(self.grouping.of_mode, self.climbs.labels.astype(np.int64), axis=1).T


def default_evidence(view: Posterior) -> float:
    """Nats that a mode must have: half a log of the number of rows for its place (D), its height and its width, as in BIC."""
    return 0.5 * (len(view.columns) + 2) * float(np.log(max(view.sample_weight.sum(), 1.0)))


def group_draws(
    view: Posterior,
    *,
    min_rows: float = 1.0,
    min_evidence: float | None = None,
    max_draws: int = _MAX_DRAWS,
    max_rows: int = _MAX_ROWS,
    random_seed: int = 0,
    progressbar: bool = False,
) -> GroupDraws:
    """Climb under every thinned draw, and name the groups."""
    if min_evidence is None:
        min_evidence = default_evidence(view) if min_rows > 0 else 0.0
    rng = np.random.default_rng(random_seed)
    rows = training_rows(view)
    step = -(-rows.n_draws // max_draws)
    # The same draws of every chain, so that chains stay comparable.
    kept = np.arange(rows.n_draws).reshape(view.n_chains, -1)[:, step - 1 :: step].ravel()
    rows = replace(rows, draws=rows.draws[kept])
    n = len(rows.values)
    climbed = np.arange(n) if n <= max_rows else np.sort(rng.choice(n, max_rows, replace=False))
    # Of a sample each row stands for several.
    weight = view.sample_weight[climbed] * (n / climbed.size)
    climbs = climb(rows.draws, rows.values[climbed], weight, min_rows, min_evidence, progressbar)
    grouping = group(climbs, weight, rng)
    return GroupDraws(rows, climbed, view.sample_weight, view.n_chains, climbs, grouping)


@checked
def clusters(
    post: xr.DataTree,
    *,
    ci_prob: float = CI_PROB,
    min_rows: float = 1.0,
    min_evidence: float | None = None,
    max_draws: int = _MAX_DRAWS,
    max_rows: int = _MAX_ROWS,
    random_seed: int = 0,
    progressbar: bool = False,
) -> Clusters:
    """How many groups there are, and which rows and components are of one group.

    A group is a mode of the mixture's density and the rows that climb to it. It depends neither on labels nor on how
    many Gaussians draw one skewed group, so that its number may stay while K grows. For every draw, modal EM leads each
    component's mean and each row to its mode; draws are then named after one partition.

    Parameters
    ----------
    post : DataTree
        From `sample_posterior`.
    ci_prob : float
        Mass of the intervals and of the credible ball.
    min_rows : float
        How many rows the bump of a mode must hold, and more, to be a group: its excess mass over the pass to a higher
        mode. With 1, one row is never a group, nor is a ripple that moving one row would level. With 0, every mode to
        which a row climbs is one.
    min_evidence : float, optional
        How much levelling its bump must cost, and more: in nats of log likelihood. By default (D + 2) / 2 log N, BIC's price of
        the bump's place, height and width, so that data without a second peak do not show one in their tails; 0 with
        ``min_rows=0``.
    max_draws : int
        Draws used, spread evenly over the chains.
    max_rows : int
        Rows that climb. Of more, a random sample does; the others get their ``climbs`` from the modes of the components
        (the group most probable in each draw). ``memberships.attrs["rows"]`` says so.
    random_seed : int
    progressbar : bool

    Returns
    -------
    Clusters

    Raises
    ------
    InputError
        ``ci_prob``, ``min_rows``, ``max_draws`` or ``max_rows`` is not fit for use.

    Notes
    -----
    Chacon, J. E. (2019). Mixture model modal clustering. Advances in Data Analysis and Classification 13, 379-404. Li,
    J., Ray, S. & Lindsay, B. G. (2007). A nonparametric statistical approach to clustering via mode identification.
    JMLR 8, 1687-1723. Mueller, D. W. & Sawitzki, G. (1991). Excess mass estimates and tests for multimodality. JASA 86,
    738-746.
    """
    import xarray as xr

    view = Posterior.read(post)
    found = group_draws(
        view, min_rows=min_rows, min_evidence=min_evidence, max_draws=max_draws, max_rows=max_rows,
        random_seed=random_seed, progressbar=progressbar,
    )  # fmt: skip
    grouping, component = found.grouping, found.climbs.component
    k = found.rows.n_components
    numbers, groups = np.arange(k), np.arange(grouping.n_groups)
    same = (component[:, :, None] == component[:, None, :]).mean(0)
    return Clusters(
        number_of(found.climbs.n_modes.reshape(found.n_chains, -1)),
        _memberships(found, ci_prob, post.attrs, progressbar),
        xr.DataArray(same, {"cluster": numbers, "cluster_bis": numbers}, ("cluster", "cluster_bis"), name="sharing"),
        xr.DataArray(
            grouping.union.mean(0), {"group": groups, "cluster": numbers}, ("group", "cluster"), name="components"
        ),
        _consensus(found, ci_prob),
        profile_of(found.rows.draws.in_data_units(view.scaling), grouping.union, view.columns, ci_prob),
        merging_tree(found.rows.draws, found.rows.values, found.sample_weight, component),
        k,
        found.rows.n_draws,
    )


def number_of(counts: Integers) -> xr.DataArray:
    """Probabilities of the numbers in counts (chain, draw), with Monte Carlo standard errors."""
    import xarray as xr
    from arviz_stats.base import array_stats

    numbers = np.arange(1, counts.max() + 1)
    p = np.array([(counts == n).mean() for n in numbers])
    se = np.zeros(numbers.size)
    split = counts if len(counts) > 1 or counts.shape[1] < 8 else counts[:, : counts.shape[1] // 2 * 2].reshape(2, -1)
    for i in np.flatnonzero((p > 0) & (p < 1)):
        hit = (split == numbers[i]).astype(float)
        ess = float(array_stats.ess(hit, method="mean")) if hit.shape[1] > 3 else hit.size
        se[i] = np.sqrt(p[i] * (1 - p[i]) / ess)
    attrs = {"long_name": "posterior probability of the number of groups"}
    return xr.DataArray(
        p, {"n_groups": numbers, "mcse": ("n_groups", se)}, ("n_groups",), name="probability", attrs=attrs
    )


def _memberships(found: GroupDraws, ci_prob: float, post_attrs: Mapping[Any, Any], progressbar: bool) -> xr.Dataset:
    import xarray as xr

    rows, grouping = found.rows, found.grouping
    summary = summarise_rows(rows, ci_prob, progressbar, union=grouping.union)
    climbs = summary.pop("leading")
    by_row = found.by_row
    for g in range(grouping.n_groups):
        climbs[found.climbed, g] = (by_row == g).mean(1)
    n, climbed = len(rows.values), found.climbed.size
    said = f"all {n} rows" if n == climbed else f"a random {climbed} of {n} rows climbed, the others by component"
    variables = {
        name: (("obs_id", "group") if value.ndim == 2 else ("obs_id",), value)
        for name, value in {**summary, "climbs": climbs}.items()
    }
    attrs: dict[str, Any] = {
        "interval": "equal-tailed",
        "ci_prob": ci_prob,
        "entropy_units": "nats",
        "n_draws": rows.n_draws,
        "n_climbed": climbed,
        "rows": said,
        **{name: post_attrs[name] for name in ("covariance_type", "data_name") if name in post_attrs},
    }
    return xr.Dataset(variables, {"obs_id": rows.obs_id, "group": np.arange(grouping.n_groups)}, attrs)


def _consensus(found: GroupDraws, ci_prob: float) -> Consensus:
    by_row = np.ascontiguousarray(found.climbs.labels.T)
    function = LOSSES["VI"](found.climbed.size)
    grouping, n_labels = found.grouping, int(found.climbs.n_modes.max())
    obs_id = found.rows.obs_id[found.climbed]
    return with_ball(grouping.labels, grouping.expected_loss, by_row, n_labels, function, ci_prob, obs_id)
