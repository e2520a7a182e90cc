"""`sample_posterior`: from a table to aligned draws, and `sample_many` for sweeps that share cores and compilation."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..em import EMFit, fit_mixture
from ..mixture import Mixture, Structure, log_density, responsibilities, single_threaded_blas
from .chains import Chain, Result, gather, run_chains
from .convert import to_datatree
from .density import Density
from .draws import Draws
from .laplace import Mode, find_mode, sample_laplace
from .predictive import posterior_predictive, prior_predictive
from .priors import Priors
from .problem import Problem
from .relabel import align_labels
from .settings import Method, Sampler, Settings

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["sample_many", "sample_posterior"]

Array = NDArray[np.float64]
# Draws of a Laplace approximation with a Pareto k beyond this are not returned by method="auto".
PARETO_K_LIMIT = 0.7
# A mode takes chains if its Laplace mass is at least this share of the best one's.
_COMPETING = 0.02
_MAX_OPTIMA = 8
# Starts are rounded to multiples of 1 / this on the unconstrained scale, where that costs less than so many nats.
_START_GRID, _ROUNDING_COST = 256.0, 10.0
# Rows by whose density modes are told apart.
_SIGNATURE_ROWS = 200


@dataclass(frozen=True)
class _Request:
    """One model to sample, with its modes found."""

    problem: Problem
    density: Density
    em: Mixture
    modes: tuple[Mode, ...]


def _starting_mixtures(fit: EMFit) -> list[Mixture]:
    """The EM optimum first, then the other optima, all in data units."""
    others = [o.mixture for o in fit.optima[:_MAX_OPTIMA] if not o.spurious]
    return [fit.mixture, *others]


def _rounded(density: Density, point: Array) -> Array:
    """A point to start from, rounded so that EM's last digits do not decide about the draws; not where that costs much."""
    rounded = np.round(point * _START_GRID) / _START_GRID
    return rounded if density(rounded)[0] > density(point)[0] - _ROUNDING_COST else point


def _modes(problem: Problem, density: Density, starts: Sequence[Mixture]) -> tuple[Mode, ...]:
    """Distinct modes of the posterior near EM's optima, best Laplace mass first, those that compete with it.

    Raises
    ------
    InputError
        If the density is finite at none of them.
    """
    found: list[tuple[float, Mode, Array]] = []
    rows = problem.scaling.standardise(problem.table.values)
    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), _SIGNATURE_ROWS)).astype(int)]
    for mixture in starts:
        point = _rounded(density, density.start_at(mixture.standardised(problem.scaling)))
        if not np.isfinite(density(point)[0]):
            continue
        mode = find_mode(density, point)
        mass = mode.value + np.log(np.diag(mode.spread)).sum()
        # The log density of rows knows no labels: it tells mirror images of one height from one mode found twice.
        signature = log_density(density.coordinates.mixture(mode.point), rows)
        if np.isfinite(mass) and not any(np.abs(signature - other).max() < 0.05 for _, _, other in found):
            found.append((float(mass), mode, signature))
    if not found:
        raise problem.no_density()
    found.sort(key=lambda triple: -triple[0])
    best = found[0][0]
    return tuple(mode for mass, mode, _ in found if mass - best > np.log(_COMPETING))


def _request(problem: Problem, em: EMFit | None, rng: np.random.Generator) -> _Request:
    density = problem.density()
    if em is None:
        em = fit_mixture(
            problem.table,
            problem.n_components,
            problem.structure,
            sample_weight=problem.row_weight,
            random_state=int(rng.integers(2**31)),
        )
    problem.check_fit(em.mixture)
    with single_threaded_blas():
        modes = _modes(problem, density, _starting_mixtures(em))
    return _Request(problem, density, em.mixture, modes)


def _chains(
    request: _Request, n: int, draws: int, tune: int, target_accept: float, rng: np.random.Generator
) -> list[Chain]:
    """One task per chain, dealt to the competing modes in turn."""
    chains = []
    for c in range(n):
        mode = request.modes[c % len(request.modes)]
        start = rng.standard_normal(request.density.size)
        seed = int(rng.integers(2**63))
        chains.append(Chain(request.density, mode, start, draws, tune, seed, target_accept, request.problem.key))
    return chains


def _by_laplace(request: _Request, draws: int, chains: int, rng: np.random.Generator) -> tuple[Draws, float]:
    with single_threaded_blas():
        laplace = sample_laplace(request.density, request.modes[0], draws * chains, rng)
    shape = (chains, draws)
    unconstrained = laplace.unconstrained.reshape(*shape, -1)
    stats = {
        "lp": request.density.many(laplace.unconstrained).reshape(shape),
        "diverging": np.zeros(shape, dtype=bool),
    }
    return Draws(unconstrained, stats, "laplace", 0), laplace.pareto_k


def _by_other_sampler(request: _Request, sampler: str, settings: Settings, rng: np.random.Generator) -> Draws:
    from .backends import sample_with_numpyro, sample_with_pymc
    from .model import build_model

    problem = request.problem
    model = build_model(
        problem.table,
        problem.n_components,
        problem.structure,
        problem.priors,
        sample_weight=problem.row_weight,
    )
    tasks = _chains(request, settings.chains, settings.draws, settings.tune, settings.target_accept, rng)
    start = np.stack([t.mode.point + t.mode.spread @ t.start for t in tasks])
    run = {"pymc": sample_with_pymc, "numpyro": sample_with_numpyro}[sampler]
    return run(
        model,
        request.density.coordinates,
        start,
        draws=settings.draws,
        tune=settings.tune,
        chains=settings.chains,
        cores=settings.cores,
        seed=int(rng.integers(2**31)),
        target_accept=settings.target_accept,
        progressbar=settings.progressbar,
    )


def _aligned_tree(request: _Request, drawn: Draws, attrs: dict[str, Any], log_likelihood: bool | None) -> xr.DataTree:
    problem, c = request.problem, request.density.coordinates
    flat = drawn.unconstrained.reshape(-1, drawn.unconstrained.shape[-1])
    standard = c.mixture(flat)
    values = problem.scaling.rows(problem.table.values)
    # The pivot is the mode, whose labels are EM's; where EM has emptied a component the mode still has it.
    order = request.em.canonical_order()
    pivot = request.em.reordered(order).standardised(problem.scaling).rounded()
    if problem.table.n_obs and not np.all(np.isfinite(responsibilities(pivot, values[:1])[0])):
        pivot = c.mixture(request.modes[0].point)
    alignment = align_labels(standard, values, pivot)
    attrs = {
        **attrs,
        "sampler": drawn.sampler,
        "tune": drawn.tune,
        "interrupted": int(drawn.interrupted),
        "n_modes": len(request.modes),
        "mode_log_density": np.array([m.value for m in request.modes]),
        "relabelled_share": float(alignment.moved.mean()),
        "relabelling_ambiguity": alignment.ambiguity,
        "relabelling_agreement_with_ecr": alignment.agreement,
    }
    return to_datatree(
        drawn.unconstrained,
        _stats_of_data_as_given(drawn, problem),
        table=problem.table,
        scaling=problem.scaling,
        coordinates=c,
        priors=problem.priors,
        order=alignment.order,
        moved=alignment.moved,
        em=request.em.reordered(order),
        attrs=attrs,
        log_likelihood=log_likelihood,
        row_weight=problem.row_weight,
    )


def _stats_of_data_as_given(drawn: Draws, problem: Problem) -> dict[str, NDArray]:
    """Sampler statistics with the log density of the data as given, as PyMC's own model has it."""
    if drawn.sampler not in ("nutpie", "laplace"):
        return drawn.stats
    total = problem.table.n_obs if problem.row_weight is None else float(problem.row_weight.sum())
    shift = total * problem.scaling.log_jacobian
    signs = {"lp": 1.0, "energy": -1.0}
    return {name: value + signs[name] * shift if name in signs else value for name, value in drawn.stats.items()}


def _add_predictive(tree: xr.DataTree, problem: Problem, seed: int) -> None:
    import xarray as xr

    groups = {"posterior_predictive": posterior_predictive(tree, seed), **prior_predictive(problem, random_seed=seed)}
    for name, group in groups.items():
        tree[name] = xr.DataTree(group)


def sample_many(
    problems: Sequence[Problem],
    *,
    draws: int = 1000,
    tune: int | None = None,
    chains: int = 4,
    cores: int | None = None,
    random_seed: int | None = None,
    target_accept: float = 0.8,
    progressbar: bool = True,
    method: Method = "nuts",
    sampler: Sampler = "nutpie",
    em: Mapping[str, EMFit] | None = None,
    log_likelihood: bool | None = None,
    predictive: bool = False,
    thin: int = 1,
    finished: Callable[[str, xr.DataTree], None] | None = None,
) -> dict[str, xr.DataTree]:
    """Sample several models, sharing the cores and one compilation among all their chains.

    Parameters
    ----------
    problems : sequence of Problem
    em : mapping of Problem.key to EMFit, optional
        Fits to start from; fitted here where absent.
    thin : int
        Keep every so many-th draw.
    finished : function of Problem.key and DataTree, optional
        Called with each model as soon as all its chains have run to their end, while others still run. After an interrupt
        there is then nothing but what it was called with: KeyboardInterrupt is raised.

    The others are as in `sample_posterior`. Each model's numbers depend on ``random_seed`` and its own key alone, not on
    its company.

    Returns
    -------
    dict of Problem.key to DataTree
    """
    settings = Settings.checked(draws, tune, chains, cores, target_accept, sampler, method, progressbar)
    seed = int(np.random.default_rng().integers(2**63)) if random_seed is None else int(random_seed)
    begun = time.perf_counter()
    requests: dict[str, _Request] = {}
    drawn: dict[str, Draws] = {}
    trees: dict[str, xr.DataTree] = {}
    tasks: dict[str, list[Chain]] = {}
    extras: dict[str, dict[str, float]] = {}

    def conclude(key: str, own: Draws) -> None:
        seconds = time.perf_counter() - begun
        attrs = {"seed": str(seed), "target_accept": target_accept, "thin": thin, "sampling_time": seconds}
        tree = _aligned_tree(requests[key], own, attrs | extras[key], log_likelihood)
        if predictive:
            _add_predictive(tree, requests[key].problem, seed)
        if finished is not None:
            finished(key, tree)
        trees[key] = tree

    def gathered(results: Sequence[Result], interrupted: bool = False) -> Draws:
        return gather(results, settings.tune, interrupted).thinned(thin)

    for problem in problems:
        words = [seed & (2**64 - 1), problem.n_components, *problem.structure.name.encode()]
        rng = np.random.default_rng(words)
        request = requests[problem.key] = _request(problem, (em or {}).get(problem.key), rng)
        k_hat, extra = np.inf, extras.setdefault(problem.key, {})
        if method != "nuts":
            drawn[problem.key], k_hat = _by_laplace(request, draws, chains, rng)
            extra["pareto_k"] = k_hat
        if method == "nuts" or (method == "auto" and not k_hat < PARETO_K_LIMIT):
            drawn.pop(problem.key, None)
            if sampler == "nutpie":
                tasks[problem.key] = _chains(request, chains, draws, settings.tune, target_accept, rng)
            else:
                drawn[problem.key] = _by_other_sampler(request, sampler, settings, rng)
    for key, own in drawn.items():
        conclude(key, own)
    every = [chain for own in tasks.values() for chain in own]
    results, interrupted = run_chains(
        every, settings.cores, progressbar, lambda key, done: conclude(key, gathered(done))
    )
    if interrupted and finished is not None:
        raise KeyboardInterrupt
    for i, key in enumerate(tasks):
        if key not in trees:
            conclude(key, gathered(results[i * chains : (i + 1) * chains], interrupted))
    return {key: trees[key] for key in requests}


def sample_posterior(
    data: Any,
    n_components: int = 1,
    covariance_type: str | Structure = "full",
    priors: Priors | None = None,
    *,
    draws: int = 1000,
    tune: int | None = None,
    chains: int = 4,
    cores: int | None = None,
    random_seed: int | None = None,
    target_accept: float = 0.8,
    progressbar: bool = True,
    sampler: Sampler = "nutpie",
    method: Method = "nuts",
    em: EMFit | None = None,
    sample_weight: ArrayLike | None = None,
    log_likelihood: bool | None = None,
    predictive: bool = False,
) -> xr.DataTree:
    """Sample the posterior of a Gaussian mixture, labels summed out and aligned afterwards.

    Parameters
    ----------
    data : table or array (N, D)
        Anything that `tables.as_table` reads.
    n_components : int
    covariance_type : {"full", "tied", "diag", "spherical"}
    priors : Priors, optional
        By default ``Priors()``, stated on standardised data.
    draws, tune, chains : int
        Draws per chain after ``tune`` steps of adaptation (300), and chains.
    cores : int, optional
        Chains run at once; all cores by default.
    random_seed : int, optional
        The same seed gives the same numbers, however many cores run.
    target_accept : float
    progressbar : bool
        False prints nothing.
    sampler : {"nutpie", "pymc", "numpyro"}
        nutpie runs the fused log density without compilation; the others run the PyMC model of `build_model`.
    method : {"nuts", "laplace", "auto"}
        "laplace" draws from the Gaussian approximation at the mode, corrected by importance resampling; its Pareto k is
        in ``attrs["pareto_k"]``. "auto" returns that where k < 0.7 and runs NUTS otherwise.
    em : EMFit, optional
        Where chains start and what the labels mean; fitted here if not given.
    sample_weight : (N,), optional
        Weight 0 is a row left out, weight 2 a row given twice.
    log_likelihood : bool, optional
        Keep the pointwise log likelihood; by default if it has at most 20 million entries.
    predictive : bool
        Add the groups ``posterior_predictive``, ``prior`` and ``prior_predictive``.

    Returns
    -------
    xarray.DataTree
        Groups and dims as in `convert`; ``posterior`` holds ``weights``, ``means`` and ``covariances`` in the units of
        the data. After an interrupt it holds the draws so far and ``attrs["interrupted"]`` is 1.

    Raises
    ------
    InputError
        Before sampling, for data, components, priors or settings that cannot be used; the message says which and what
        to do.
    """
    problem = Problem.of(data, n_components, covariance_type, priors, sample_weight)
    trees = sample_many(
        [problem],
        draws=draws,
        tune=tune,
        chains=chains,
        cores=cores,
        random_seed=random_seed,
        target_accept=target_accept,
        progressbar=progressbar,
        method=method,
        sampler=sampler,
        em=None if em is None else {problem.key: em},
        log_likelihood=log_likelihood,
        predictive=predictive,
    )
    return trees[problem.key]
