"""The log evidence of a mixture, log p(data | model), by bridge sampling and by tempered sequential Monte Carlo.

The posterior has K! congruent copies, one per naming of the components, and a sampler need not visit them all. Bridge
sampling therefore works on one of K! congruent regions: the points whose components keep their labels when they are
assigned, by Stephens' cost, to a fixed pivot. The region's normaliser times K! is the evidence, whether components are well
separated or not: where two of them can hardly be told apart the region's border runs through the draws, proposals beyond
it count as density zero, and the estimate stays exact (Fruehwirth-Schnatter 2004 discusses what goes wrong otherwise).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logsumexp

from ..data import InputError, checked
from ..mixture import Mixture
from ..posterior import Target
from ..sampling import Posterior, Proposal, count_of
from .separate_modes import grouped_chains
from .smc import smc_log_evidence

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["LogEvidence", "bridge", "log_evidence"]

Array = NDArray[np.float64]
_MAX_EVALUATIONS = 10**9
_FEWEST_DRAWS = 100
# Nats by which repeats may differ and still be of one thing.
_DISAGREEMENT = 1.0
# Rounds over the chains where these agree and the bridges do not.
_MORE_ROUNDS = 4
# Rows times coordinates up to which tempering takes a minute or so.
_MOST_TO_TEMPER = 5_000
# Nats of standard error beyond which an evidence says nothing of a model's probability.
WORST_ERROR = 1.0


@dataclass(frozen=True)
class LogEvidence:
    """Log evidence of the data as given.

    Attributes
    ----------
    value : float
        Natural logarithm, labels unordered: all K! namings counted. NaN where no method settled it.
    se : float
        Monte Carlo standard error.
    method : str
        "bridge", "smc" or "tempering".
    estimates : tuple of float
        Of the single repeats.
    reason : str
        Why the value is NaN.
    """

    value: float
    se: float
    method: str
    estimates: tuple[float, ...]
    reason: str = ""

    @property
    def settled(self) -> bool:
        """Whether the error is small enough for the model's probability to mean something."""
        return bool(np.isfinite(self.value) and self.se <= WORST_ERROR)

    def __repr__(self) -> str:
        if self.reason:
            return f"Log evidence withheld: {self.reason}"
        each = ", ".join(f"{v:.2f}" for v in self.estimates)
        return (
            f"Log evidence {self.value:.3f} (se {self.se:.3f}), {self.method}, all labellings counted; repeats: {each}"
        )


@checked
def log_evidence(
    post: xr.DataTree,
    *,
    method: Literal["auto", "bridge", "smc", "tempering"] = "auto",
    repeats: int | None = None,
    particles: int = 1000,
    random_seed: int = 0,
) -> LogEvidence:
    """Log evidence of a sampled model.

    Parameters
    ----------
    post : DataTree
        From `sample_posterior`.
    method : {"auto", "bridge", "smc", "tempering"}
        "auto" is "bridge" where its repeats agree to within one nat, since chains that settled in different places are no
        bridge; otherwise the evidence that the draws brought with them, if they were made by tempering; otherwise "smc", unless
        rows times coordinates are beyond 5,000 and it takes minutes. Failing these it is a bridge of more rounds if the chains
        agree, so that only the proposals did not. What none of them gives to within a nat is withheld: ``value`` is NaN and
        ``reason`` says why.
        "bridge" (Meng & Wong 1996; Gronau et al. 2017) uses the draws; each chain in turn is compared with a proposal fitted
        to the others, so that chains in different modes show in the standard error. "smc" tempers from the prior and uses the
        tree's data and priors only: slower, independent of the sampler, and blind to no mode of moderate size. "tempering" is
        what a posterior sampled by ``sampler="tempering"`` found on its way from the prior.
    repeats : int, optional
        For "bridge", rounds over the chains (1); for "smc", independent runs (4).
    particles : int
        For "smc".
    random_seed : int

    Returns
    -------
    LogEvidence
        ``se`` combines the spread of the repeats with, for "bridge", the error expected from the draws' autocorrelation.

    Raises
    ------
    InputError
        For another method, repeats below one, or a tree without unconstrained draws.
    """
    _check_method(post, method, repeats)
    view = Posterior.read(post)
    target = view.sampled_target()
    if method == "tempering":
        return _by_tempering(post, target)
    if method == "smc":
        return _by_smc(target, particles, repeats or 4, random_seed)
    found = _by_bridge(target, view, repeats or 1, random_seed)
    if method == "bridge" or found.settled:
        return found
    tried = [found]
    if "log_evidence" in post.attrs:
        tried.append(_by_tempering(post, target))
    if not tried[-1].settled and len(view.values) * target.size <= _MOST_TO_TEMPER:
        tried.append(_by_smc(target, particles, repeats or 4, random_seed))
    if not tried[-1].settled and np.isfinite(found.se) and len(grouped_chains(view)) == 1:
        tried.append(_by_many_bridges(target, view, random_seed))
    return tried[-1] if tried[-1].settled else _withheld(tried)


def _withheld(tried: list[LogEvidence]) -> LogEvidence:
    """No evidence, and why: what each method gave."""
    said = "; ".join(e.reason or f"{e.method} gives {e.value:.1f} with a standard error of {e.se:.2g}" for e in tried)
    last = tried[-1]
    reason = f"no method settles it to within a nat ({said})"
    return LogEvidence(np.nan, np.nan, last.method, last.estimates, reason)


def _by_smc(target: Target, particles: int, repeats: int, random_seed: int) -> LogEvidence:
    values, _ = smc_log_evidence(target, particles=particles, repeats=repeats, random_seed=random_seed)
    return smc_summary(values + target.log_jacobian)


def _by_many_bridges(target: Target, view: Posterior, random_seed: int) -> LogEvidence:
    """The mean over chains that agree, each compared with several proposals: where one proposal is too rough to agree."""
    points = view.unconstrained.reshape(view.n_chains, view.n_draws, -1)
    values, _ = bridge(target, points, view.em.standardised(view.scaling), _MORE_ROUNDS, random_seed + 1)
    by_chain = values.reshape(_MORE_ROUNDS, -1).mean(0)
    se = float(by_chain.std(ddof=1) / np.sqrt(len(by_chain)))
    given = values + target.log_jacobian
    return LogEvidence(float(given.mean()), se, "bridge", tuple(given.tolist()))


def _by_tempering(post: xr.DataTree, target: Target) -> LogEvidence:
    """What parallel tempering from the prior found on its way to the draws: it visits all K! copies alike."""
    runs = np.atleast_1d(post.attrs.get("log_evidence_runs", post.attrs["log_evidence"])) + target.log_jacobian
    value, se = float(post.attrs["log_evidence"]) + target.log_jacobian, float(post.attrs["log_evidence_se"])
    return LogEvidence(value, se, "tempering", tuple(float(v) for v in runs))


def _check_method(post: xr.DataTree, method: str, repeats: int | None) -> None:
    if method not in ("auto", "bridge", "smc", "tempering"):
        raise InputError(f"method={method!r} is unknown: choose 'auto', 'bridge', 'smc' or 'tempering'")
    if method == "tempering" and "log_evidence" not in post.attrs:
        raise InputError("method='tempering' needs a posterior sampled by tempering: pass sampler='tempering' there")
    if repeats is not None and repeats < 1:
        raise InputError(f"repeats={repeats!r}: give a whole number, at least 1")


def _disagreeing(estimates: Array) -> LogEvidence:
    """Of estimates (n,) that do not agree: their median, and all that lies between them for an error."""
    finite = estimates[np.isfinite(estimates)]
    value = float(np.median(finite)) if finite.size else np.nan
    spread = float(np.ptp(finite)) if finite.size == len(estimates) else np.inf
    return LogEvidence(value, spread, "bridge", tuple(estimates.tolist()))


def _by_bridge(target: Target, view: Posterior, rounds: int, random_seed: int) -> LogEvidence:
    """The median of the bridge estimates where they do not agree, their mean where they do."""
    points = view.unconstrained.reshape(view.n_chains, view.n_draws, -1)
    # On a million rows each evaluation takes hundredths of a second: fewer draws, and a larger error, then do.
    thin = max(1, min(view.n_draws // _FEWEST_DRAWS, len(view.unconstrained) * len(view.values) // _MAX_EVALUATIONS))
    points = points[:, ::thin]
    try:
        values, expected = bridge(target, points, view.em.standardised(view.scaling), rounds, random_seed)
    except np.linalg.LinAlgError:
        # A component has collapsed, and with it the draws onto a line or a point: no Gaussian is like them.
        return LogEvidence(np.nan, np.nan, "bridge", (), "the draws span no volume that a bridge could be built on")
    n = len(values)
    given = values + target.log_jacobian
    if not np.isfinite(values).all() or np.ptp(values) > _DISAGREEMENT:
        return _disagreeing(given)
    spread = float(values.std(ddof=1)) if n > 1 else 0.0
    # The larger of what the repeats show and what the draws lead one to expect.
    se = float(np.sqrt(max(spread**2, expected**2) / min(n, max(view.n_chains, 2))))
    return LogEvidence(float(given.mean()), se, "bridge", tuple(given.tolist()))


def smc_summary(values: Array) -> LogEvidence:
    """The evidence from independent runs of sequential Monte Carlo, each of which is unbiased on the natural scale."""
    value = float(logsumexp(values) - np.log(len(values)))
    se = np.nan
    if len(values) > 1:
        # Runs that are nats apart are ruled by the largest; then the error on the natural scale cannot exceed one.
        scale = values if np.ptp(values) > _DISAGREEMENT else np.exp(values - value)
        se = float(scale.std(ddof=1) / np.sqrt(len(values)))
    return LogEvidence(value, se, "smc", tuple(values.tolist()))


def bridge(target: Target, points: Array, pivot: Mixture, rounds: int = 1, random_seed: int = 0) -> tuple[Array, float]:
    """Bridge estimates of the log evidence of the standardised data.

    Parameters
    ----------
    target : Target
    points : (chain, draw, P)
        Posterior draws, in whatever labelling they were sampled.
    pivot : Mixture
        Single, standardised: it names the region.
    rounds : int

    Returns
    -------
    values : (rounds * max(chain, 2),)
        Each from the draws of one chain (half of the draws where there is one chain) and a proposal fitted to the rest.
    expected : float
        Standard error expected of one of them.
    """
    n_chains, _, size = points.shape
    flat = points.reshape(-1, size)
    groups = np.array_split(np.arange(len(flat)), max(n_chains, 2))
    pivot = target.middle(flat, pivot)
    inside = target.in_region(flat, pivot)
    log_target = target.many(inside)
    values, variances, rng = [], [], np.random.default_rng(random_seed)
    count = count_of(inside, rng)
    for _ in range(rounds):
        for mine in groups:
            others = np.setdiff1d(np.arange(len(flat)), mine)
            proposal = Proposal.fitted(inside[others], count, rng)
            value, variance = _bridge_once(target, pivot, inside[mine], log_target[mine], proposal, rng)
            values.append(value + target.log_labelings)
            variances.append(variance)
    return np.array(values), float(np.sqrt(np.mean(variances)))


def _bridge_once(
    target: Target, pivot: Mixture, draws: Array, log_target: Array, proposal: Proposal, rng: np.random.Generator
) -> tuple[float, float]:
    """The iterated optimal bridge (Meng & Wong 1996) for the region's log normaliser, and the variance to expect."""
    from arviz_stats.base import array_stats

    n_proposed = 2 * len(draws)
    proposed = proposal.draw(n_proposed, rng)
    log_proposed = target.many(proposed)
    log_proposed = np.where(np.isfinite(log_proposed), log_proposed, -np.inf)
    near = np.flatnonzero(np.isfinite(log_proposed))
    log_proposed[near[~target.are_in_region(proposed[near], pivot)]] = -np.inf
    ratio_draws = log_target - proposal.log_density(draws)
    ratio_proposed = log_proposed - proposal.log_density(proposed)
    # Autocorrelated draws count as the independent ones they are worth.
    ess = float(array_stats.ess(ratio_draws[None], chain_axis=0, draw_axis=1, method="mean"))
    worth = float(np.clip(ess, 2.0, len(draws)))
    balance = np.log(worth) - np.log(n_proposed)
    value = float(np.median(ratio_draws))
    for _ in range(1000):
        # 1 / (s1 l + s2 r) on both sides, written with the logistic function so that nothing overflows.
        top = logsumexp(_log_expit(ratio_proposed + balance - value)) - np.log(n_proposed)
        bottom = logsumexp(_log_expit(-(ratio_draws + balance - value))) - np.log(len(draws))
        step = float(top - bottom - balance)
        value += step
        if abs(step) < 1e-10 or not np.isfinite(value):
            break
    if not np.isfinite(value):
        # No proposal lies in the region.
        return -np.inf, np.inf
    f_proposed = expit(ratio_proposed + balance - value)
    f_draws = expit(-(ratio_draws + balance - value))
    if min(f_proposed.mean(), f_draws.mean()) == 0.0:
        # Draws and proposal have nothing in common: whatever the value says, it is no estimate.
        return value, np.inf
    relative = [f.std() / f.mean() for f in (f_proposed, f_draws)]
    variance = relative[0] ** 2 / n_proposed + relative[1] ** 2 / worth
    return value, float(variance)


def _log_expit(x: Array) -> Array:
    return -np.logaddexp(0.0, -x)
