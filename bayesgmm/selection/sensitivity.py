"""What the answers owe to the prior: p(K | y), parameters and memberships under other priors, from the draws at hand.

Under another prior p' the posterior is the old one times p'/p, so that

    Z' / Z = E[ p'(u) / p(u) ],      E'[f(u)] = E[ f(u) p'(u) / p(u) ] / E[ p'(u) / p(u) ],

and draws need no look at the data: Pareto-smoothed importance sampling (Vehtari et al. 2024; Kallioinen, Paananen, Buerkner &
Vehtari 2024 for priors). Where Pareto k refuses, the draws are transported to the new posterior (`transport`), or walked there
over priors in between (`prior_path`); where these are refused too the model is sampled anew, if asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from ..data import InputError, checked_with
from ..data.arguments import check_posterior, check_posteriors
from ..mixture import Mixture, ModelKey, draw_responsibilities
from ..posterior import LogNormalScale, Priors, Target
from ..sampling import Posterior, Settings
from ..sampling.sweep import sample_many
from .evidence import log_evidence
from .prior_path import walk
from .psis import smoothed
from .sensitivity_words import sensitivity_sentence
from .transport import Transport

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["Sensitivity", "prior_alternatives", "prior_sensitivity"]

Array = NDArray[np.float64]
_GOOD_K = 0.7
# Rows times coordinates up to which draws are transported, and walked in steps; rows whose memberships are looked at.
_MOST_TO_TRANSPORT, _MOST_TO_WALK, _MOST_ROWS = 500_000, 50_000, 2_000
_DRAWS = 1000
AS_GIVEN = "as given"


@runtime_checkable
class _Compared(Protocol):
    """What an analysis has."""

    @property
    def posteriors(self) -> dict[str, xr.DataTree]: ...
    @property
    def comparison(self) -> pd.DataFrame: ...
    @property
    def headline(self) -> str: ...


@dataclass(frozen=True, eq=False, repr=False)
class Sensitivity:
    """The answers under each prior; the first is the one that was given.

    Attributes
    ----------
    headline : str
        The model whose parameters and memberships are shown.
    p_k : DataFrame
        One row per prior, one column per K: p(K | y); NaN in a row where some model's answer could not be had. Empty for
        a single model.
    parameters : DataFrame
        One row per prior, one column per weight and mean: posterior means, in the units of the data.
    shifts : DataFrame
        One row per prior: ``parameters``, the largest change of a posterior mean in posterior sds; ``rows_moved``, the rows
        with another most probable cluster; ``membership``, the largest change of a row's probability.
    methods : DataFrame
        One row per prior, one column per model: "importance", "transport", "annealed", "sampled" or "refused".
    pareto_k : DataFrame
        Of what was used, likewise.
    post : DataTree
        The headline model.
    """

    headline: str
    p_k: pd.DataFrame
    parameters: pd.DataFrame
    shifts: pd.DataFrame
    methods: pd.DataFrame
    pareto_k: pd.DataFrame
    post: xr.DataTree

    @cached_property
    def power_scaling(self) -> pd.DataFrame:
        """How the headline's weights and means follow the prior, or the likelihood, raised to a power (`psense_summary`)."""
        return _power_scaling(self.post)

    @property
    def sentence(self) -> str:
        """What holds under every prior, and what depends on it."""
        return sensitivity_sentence(self.p_k, ModelKey.parse(self.headline)[0])

    @property
    def lowest(self) -> float:
        """The smallest p(K | y) of the headline's K under any of the priors; NaN where none is known."""
        k = ModelKey.parse(self.headline)[0]
        return float(self.p_k[k].min()) if k in self.p_k else np.nan

    def __repr__(self) -> str:
        parts = [self.sentence, self.p_k.round(3).to_string(), self.shifts.round(3).to_string()]
        return "\n\n".join(part for part in parts if part)

    def _repr_html_(self) -> str:
        return f"<p>{self.sentence}</p>{self.p_k.round(3).to_html()}{self.shifts.round(3).to_html()}"


def prior_alternatives(priors: Priors, n_components: int, n_features: int) -> dict[str, Priors]:
    """The priors that are tried beside those given, named.

    Dirichlet weights of 1, 4 and 10; means twice as close and twice as far; scales half as free and twice as free, and located
    for every K where they are for ``n_components``. Those that are the given ones are left out.
    """
    tried = {f"weights ~ Dirichlet({a})": replace(priors, weight_concentration=float(a)) for a in (1, 4, 10)}
    for factor, told in ((0.5, "sd of the means x 1/2"), (2.0, "sd of the means x 2")):
        scale = tuple((np.atleast_1d(priors.mean_scale) * factor).tolist())
        tried[told] = replace(priors, mean_scale=scale if len(scale) > 1 else scale[0])
    if isinstance(own := priors.scale, LogNormalScale):
        for factor, told in ((0.5, "spread of the scales x 1/2"), (2.0, "spread of the scales x 2")):
            tried[told] = replace(priors, scale=replace(own, sigma=own.sigma * factor))
        location = own.resolved(n_components, n_features)
        tried["scales at one place for every K"] = replace(priors, scale=replace(own, location=location))
    return {name: other for name, other in tried.items() if other != priors}


def _check_source(name: str, value: Any) -> Any:
    if isinstance(value, _Compared):
        return value
    several = isinstance(value, Mapping) and not hasattr(value, "children")
    return check_posteriors(name, value) if several else check_posterior(name, value)


@checked_with(post=_check_source)
def prior_sensitivity(
    post: xr.DataTree | Mapping[str, xr.DataTree] | _Compared,
    *,
    alternatives: Mapping[str, Priors] | None = None,
    comparison: pd.DataFrame | None = None,
    refit: bool = True,
    random_seed: int = 0,
    progressbar: bool = False,
) -> Sensitivity:
    """What other priors would have said.

    Parameters
    ----------
    post : DataTree, mapping of str to DataTree, or Analysis
        One sampled model, several, or everything that `analyze` found.
    alternatives : mapping of str to Priors, optional
        By default `prior_alternatives`. They may differ in everything but the family of the scales.
    comparison : DataFrame, optional
        From `compare` of the same models, whose probabilities are carried to the other priors; made here if not given.
    refit : bool
        Whether models whose draws cannot be carried over are sampled anew.
    random_seed : int
    progressbar : bool
        Of that sampling.

    Returns
    -------
    Sensitivity

    Raises
    ------
    InputError
        For alternatives with another family of scales, or posteriors of different priors.
    """
    posts, comparison, headline = _asked(post, comparison, random_seed)
    models = {name: _Model(one, Posterior.read(one), random_seed) for name, one in posts.items()}
    first = models[headline].view.target
    if alternatives is None:
        alternatives = prior_alternatives(first.priors, first.n_components, first.table.n_features)
    _check_alternatives(first.priors, alternatives)
    how = Settings(random_seed=random_seed, progressbar=progressbar) if refit else None
    carried = {AS_GIVEN: {name: model.as_given() for name, model in models.items()}}
    for told, priors in alternatives.items():
        carried[told] = {name: model.under(priors, how) for name, model in models.items()}
    own = {told: by_model[headline] for told, by_model in carried.items()}
    parameters, shifts = _moved_answers(models[headline].view, own)
    return Sensitivity(
        headline,
        _probabilities(comparison, carried, models),
        parameters,
        shifts,
        _framed({told: {name: c.method for name, c in own.items()} for told, own in carried.items()}),
        _framed({told: {name: c.pareto_k for name, c in own.items()} for told, own in carried.items()}),
        posts[headline],
    )


def _asked(
    post: Any, comparison: pd.DataFrame | None, seed: int
) -> tuple[dict[str, xr.DataTree], pd.DataFrame | None, str]:
    """Posteriors, comparison and headline."""
    from .compare import compare
    from .further import best_model

    if isinstance(post, _Compared):
        return post.posteriors, post.comparison if comparison is None else comparison, post.headline
    if not isinstance(post, Mapping) or hasattr(post, "children"):
        tree: Any = post
        key = Posterior.read(tree).target.key
        return {key: tree}, None, key
    posts: dict[str, xr.DataTree] = dict(post)
    if comparison is None:
        comparison = compare(posts, refit=False, random_seed=seed)
    known = [name for name in posts if name in comparison.index]
    return {name: posts[name] for name in known}, comparison, best_model(comparison) or known[0]


def _check_alternatives(given: Priors, alternatives: Mapping[str, Priors]) -> None:
    for told, priors in alternatives.items():
        if not isinstance(priors, Priors):
            raise InputError(f"alternatives[{told!r}]={priors!r}: give an instance of Priors")
        if _coordinates(priors) != _coordinates(given) or priors.units != given.units:
            raise InputError(
                f"alternatives[{told!r}] has other coordinates than the priors that were sampled (units, or an unknown rate "
                "of the scales): sample the models under them and compare"
            )


def _coordinates(priors: Priors) -> bool:
    """Whether the scales have an unknown rate, which is a coordinate more."""
    return getattr(priors.scale, "hyper", None) is not None


@dataclass(frozen=True, eq=False)
class _Carried:
    """One model under one prior: draws with log weights, what its log evidence gains, and how that was found."""

    points: Array
    log_weights: Array
    gain: float
    pareto_k: float
    method: str


@dataclass(frozen=True, eq=False)
class _Model:
    """One sampled model, ready for other priors."""

    post: xr.DataTree
    view: Posterior
    random_seed: int

    @property
    def _work(self) -> int:
        return len(self.view.values) * self.view.target.size

    @cached_property
    def points(self) -> Array:
        """A thousand draws, labels aligned."""
        return self.aligned(self.view.sampled_target(), self.view.unconstrained)

    def aligned(self, target: Target, points: Array) -> Array:
        points = points[:: max(1, len(points) // _DRAWS)][:_DRAWS]
        return target.in_region(points, self.view.em.standardised(self.view.scaling))

    @cached_property
    def transport(self) -> Transport:
        return Transport.of(self.view.target, self.points, self.view.em.standardised(self.view.scaling))

    def as_given(self) -> _Carried:
        return _Carried(self.points, np.zeros(len(self.points)), 0.0, -np.inf, "importance")

    def under(self, priors: Priors, how: Settings | None) -> _Carried:
        """Under other priors; sampled anew with ``how`` where the draws do not reach, refused without it."""
        target, points = self.view.target, self.points
        end = target.with_priors(priors)
        ratios = end.log_prior(points) - target.log_prior(points)
        log_weights, pareto_k = smoothed(ratios - ratios.max())
        if pareto_k <= _GOOD_K:
            gain = float(ratios.max() + logsumexp(log_weights) - np.log(len(points)))
            return _Carried(points, log_weights, gain, pareto_k, "importance")
        if self._work <= _MOST_TO_TRANSPORT:
            moved = self.transport.to(end)
            if moved.trusted:
                return _Carried(moved.points, moved.log_weights, moved.log_ratio, moved.pareto_k, "transport")
        if self._work <= _MOST_TO_WALK and (found := walk(target, points, priors, self.random_seed)):
            there, gain, worst = found
            return _Carried(self.aligned(end, there), np.zeros(len(there)), gain, worst, "annealed")
        if how is not None:
            return self._sampled_anew(end, how)
        return _Carried(points, np.full(len(points), np.nan), np.nan, pareto_k, "refused")

    def _sampled_anew(self, end: Target, how: Settings) -> _Carried:
        seed = int(how.random_seed or 0)
        tree = sample_many([end], replace(how, draws=self.view.n_draws, chains=self.view.n_chains))[end.key]
        before, after = (log_evidence(one, random_seed=seed) for one in (self.post, tree))
        points = self.aligned(end, Posterior.read(tree).unconstrained)
        return _Carried(points, np.zeros(len(points)), after.value - before.value, np.nan, "sampled")


def _probabilities(
    comparison: pd.DataFrame | None, carried: Mapping[str, Mapping[str, _Carried]], models: Mapping[str, _Model]
) -> pd.DataFrame:
    """p(K | y) under each prior: each model's probability times what its evidence gains, summed over structures."""
    import pandas as pd

    p = pd.Series(dtype=float) if comparison is None else comparison["p_model"].dropna()
    p = p[p > 0]
    if p.empty:
        return pd.DataFrame(index=pd.Index(list(carried), name="prior"))
    rows = {}
    for told, own in carried.items():
        mass = np.log(p.to_numpy()) + np.array([own[name].gain for name in p.index])
        share = pd.Series(np.exp(mass - logsumexp(mass)), index=[models[name].view.n_components for name in p.index])
        rows[told] = share.groupby(level=0).sum(min_count=1) if np.isfinite(mass).all() else share * np.nan
        rows[told] = rows[told].groupby(level=0).first()
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.index.name, table.columns.name = "prior", "K"
    return table


def _moved_answers(view: Posterior, carried: Mapping[str, _Carried]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Posterior means of weights and means under each prior, and how far they and the memberships move."""
    import pandas as pd

    names = [f"weight[{k}]" for k in range(view.n_components)]
    names += [f"mean[{k}, {column}]" for k in range(view.n_components) for column in view.columns]
    rows = view.values[np.linspace(0, len(view.values) - 1, min(len(view.values), _MOST_ROWS)).astype(int)]
    means, sds, members = {}, {}, {}
    for told, own in carried.items():
        weight = np.exp(own.log_weights - own.log_weights.max())
        weight /= weight.sum()
        mixture = view.target.mixtures(own.points).in_data_units(view.scaling)
        values = np.concatenate([mixture.weights, mixture.means.reshape(len(weight), -1)], axis=1)
        means[told] = weight @ values
        sds[told] = np.sqrt(weight @ (values - means[told]) ** 2)
        members[told] = _membership(mixture, rows, weight)
    table = pd.DataFrame.from_dict(means, orient="index", columns=names)
    table.index.name = "prior"
    first = members[AS_GIVEN]
    shifts = pd.DataFrame(
        {
            "parameters": [float(np.max(np.abs(means[told] - means[AS_GIVEN]) / np.maximum(sds[AS_GIVEN], 1e-300)))
                           for told in carried],
            "rows_moved": [float((m.argmax(1) != first.argmax(1)).sum()) if np.isfinite(m).all() else np.nan
                           for m in members.values()],
            "membership": [float(np.abs(m - first).max()) for m in members.values()],
        },
        index=table.index,
    )  # fmt: skip
    return table, shifts


def _membership(mixture: Mixture, rows: Array, weight: Array) -> Array:
    """Mean responsibilities (N, K) over weighted draws."""
    result = np.empty((len(rows), mixture.n_components))
    for block in draw_responsibilities(mixture, rows):
        result[block.rows] = np.einsum("s,skb->bk", weight, block.responsibilities)
    return result


def _power_scaling(post: xr.DataTree) -> pd.DataFrame:
    """Sensitivity of weights and means to raising the prior, or the likelihood, to a power (Kallioinen et al. 2024)."""
    import pandas as pd
    from arviz_stats import psense_summary

    if not {"log_likelihood", "log_prior"} <= set(post.children):
        return pd.DataFrame(columns=["prior", "likelihood", "diagnosis"])
    varies = ["weights", "means"] if post["posterior"].sizes["cluster"] > 1 else ["means"]
    return psense_summary(post, var_names=varies)


def _framed(values: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    import pandas as pd

    table = pd.DataFrame.from_dict(values, orient="index")
    table.index.name = "prior"
    return table
