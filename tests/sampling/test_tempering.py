"""Tempering: moves that leave their target unchanged, evidence by quadrature, agreement with NUTS, seeds, weights."""

from __future__ import annotations

from itertools import product
from math import lgamma

import numpy as np
import pytest
import xarray as xr
from numba import njit
from scipy.integrate import quad
from scipy.special import logsumexp
from scipy.stats import kstest, lognorm, multivariate_normal, norm

from bayesgmm import InputError, Priors, load_dataset, sample_posterior
from bayesgmm.checks.verdict import label_free
from bayesgmm.data import Scaling
from bayesgmm.mixture import COVARIANCE_TYPES
from bayesgmm.posterior.priors import HalfNormalScale, InverseGammaScale, LogNormalScale
from bayesgmm.posterior.target import Target
from bayesgmm.sampling.posterior import Posterior
from bayesgmm.sampling.predictive import prior_draws, replicates
from bayesgmm.sampling.samplers import tempering
from bayesgmm.sampling.samplers.tempering import Ladder, Round, adapted, bennett
from bayesgmm.sampling.samplers.tempering_kernel import KINDS, explore, place
from bayesgmm.sampling.samplers.tempering_layout import layout_of
from bayesgmm.selection.evidence import log_evidence

QUIET = {"progressbar": False, "sampler": "tempering"}
HYPER = Priors(scale=InverseGammaScale(2.0, hyper=(2.0, 3.0)), weight_concentration=1.5)
CASES = [
    *((name, Priors()) for name in COVARIANCE_TYPES),
    ("full", HYPER),
    ("diag", Priors(scale=HalfNormalScale(0.8))),
    ("tied", Priors(scale=InverseGammaScale(3.0, 2.0), mean_location=(0.5, -1.0), mean_scale=(1.0, 3.0))),
]


@njit
def _seed(number):
    np.random.seed(number)  # noqa: NPY002 (numba's own generator)


def _state(k: int, features: np.ndarray) -> tuple[np.ndarray, ...]:
    d, n = features.shape
    return (
        np.empty(k), np.zeros((2, k, d, d)), np.empty((2, k, n)), np.empty((2, k, n)), np.zeros(k, dtype=np.int64),
        np.empty((d, n)), np.empty(n),
    )  # fmt: skip


def _explored(target: Target, u: np.ndarray, values: np.ndarray, n_sweeps: int, beta: float = 1.0) -> np.ndarray:
    """The point (P,) after sweeps on rows (N, D) already on the scale of the priors."""
    layout = layout_of(target)
    features = np.ascontiguousarray(values.T)
    u, k = u.copy(), target.n_components
    state, none = _state(k, features), np.empty(0)
    old, unused = np.empty(u.size), np.zeros(u.size)
    trial = np.empty((k, values.shape[1], values.shape[1]))
    ll = place(u, layout, features, none, state)
    steps, counts = np.ones(len(KINDS)), np.zeros((len(KINDS), 2))
    for _ in range(n_sweeps):
        ll = explore(u, ll, beta, steps, counts, layout, features, none, float(len(values)), state, old, trial, unused)
    # What is carried along is what would be computed anew.
    assert ll == pytest.approx(place(u, layout, features, none, _state(k, features)), rel=1e-9, abs=1e-9)
    return u


@pytest.mark.parametrize(("structure", "priors"), CASES, ids=lambda v: v if isinstance(v, str) else "")
def test_moves_leave_the_joint_distribution_unchanged(structure: str, priors: Priors) -> None:
    """Geweke (2004): theta ~ prior, rows ~ theta, theta' after sweeps given the rows; then theta' ~ prior too.

    Each sweep leaves p(theta | rows) unchanged, so that the pair (theta', rows) has the joint distribution, whose margin in
    theta' is the prior. A wrong Jacobian, a proposal that is not symmetric or a stale cache would move that margin.
    """
    n_rows, replications = 7, 800
    table = np.random.default_rng(0).normal(size=(n_rows, 2))
    target = Target.of(table, 3, structure, priors)
    coordinates = target.coordinates
    rng = np.random.default_rng(17)
    prior = prior_draws(coordinates, target.own_priors, replications, rng)
    rows = replicates(coordinates.mixture(prior), n_rows, rng)
    _seed(5)
    after = np.array([_explored(target, u, x, 12) for u, x in zip(prior, rows, strict=True)])
    assert np.abs(after - prior).max(0).min() > 0.1
    fresh = prior_draws(coordinates, target.own_priors, 20_000, rng)
    worst = min(kstest(after[:, p], fresh[:, p]).pvalue for p in range(prior.shape[1]))
    assert worst > 1e-3 / prior.shape[1]


def test_the_test_above_can_fail() -> None:
    """With likelihood^0.5 in place of the likelihood the margin moves, and the same statistic sees it."""
    target = Target.of(np.random.default_rng(0).normal(size=(7, 2)), 3, "diag")
    coordinates = target.coordinates
    rng = np.random.default_rng(17)
    prior = prior_draws(coordinates, target.own_priors, 800, rng)
    # Rows of three times the spread that the model gives them.
    rows = 3.0 * replicates(coordinates.mixture(prior), 7, rng)
    _seed(5)
    after = np.array([_explored(target, u, x, 12) for u, x in zip(prior, rows, strict=True)])
    assert min(kstest(after[:, p], prior[:, p]).pvalue for p in range(prior.shape[1])) < 1e-6


def test_log_likelihood_of_rows_that_no_component_explains() -> None:
    """Row by row with SciPy, a thousand standard deviations out and closer, where the densities underflow."""
    x = np.array([[0.0, 0.0], [1.0, 0.5], [60.0, -30.0], [900.0, 1000.0]])
    target = Target.of(np.random.default_rng(0).normal(size=(9, 2)), 3)
    u = prior_draws(target.coordinates, target.own_priors, 5, np.random.default_rng(1))
    features = np.ascontiguousarray(x.T)
    for point in u:
        m = target.coordinates.mixture(point)
        terms = [multivariate_normal(m.means[k], m.dense_covariances[k]).logpdf(x) for k in range(3)]
        rows = logsumexp(np.array(terms) + np.log(m.weights)[:, None], axis=0)
        for weight in (np.empty(0), np.array([1.0, 2.0, 0.5, 3.0])):
            value = place(point, layout_of(target), features, weight, _state(3, features))
            expected = rows.sum() if not weight.size else weight @ rows
            assert value == pytest.approx(expected, rel=1e-12)


def _log_evidence_by_allocations(y: np.ndarray, k: int, priors: Priors) -> float:
    """log p(y), D = 1: over all K^N allocations, the mean integrated by hand and the standard deviation by quadrature.

    p(y) = sum_z p(z) prod_k p(y_k), p(z) Dirichlet-multinomial, and with y_k ~ N(mu, s^2), mu ~ N(0, t^2):
    p(y_k | s) = N(y_k; 0, s^2 I + t^2 1 1').
    """
    a, t = priors.weight_concentration, priors.mean_scale
    scale = lognorm(priors.scale.sigma, scale=np.exp(priors.scale.resolved(k, 1)))

    def group(rows: tuple[float, ...]) -> float:
        if not rows:
            return 0.0
        n = len(rows)

        def integrand(log_s: float) -> float:
            s = np.exp(log_s)
            cov = s**2 * np.eye(n) + t**2
            return multivariate_normal(np.zeros(n), cov).pdf(np.array(rows)) * scale.pdf(s) * s

        return float(np.log(quad(integrand, -8, 6, limit=200)[0]))

    terms = []
    for z in product(range(k), repeat=len(y)):
        n = np.bincount(z, minlength=k)
        log_p = lgamma(k * a) - lgamma(k * a + len(y)) + sum(lgamma(a + m) - lgamma(a) for m in n)
        terms.append(log_p + sum(group(tuple(y[np.array(z) == j])) for j in range(k)))
    return float(logsumexp(terms))


def test_evidence_and_means_against_quadrature() -> None:
    """N = 3, K = 2, D = 1. On the standardised scale, then the Jacobian of the scaling: three times log(1 / sd)."""
    x = np.array([0.3, 1.1, 4.0])
    scaling = Scaling.of(x[:, None])
    y = scaling.standardise(x[:, None])[:, 0]
    expected = _log_evidence_by_allocations(y, 2, Priors()) - 3 * np.log(x.std())
    post = sample_posterior(x, 2, random_seed=0, **QUIET)
    assert post.attrs["log_evidence_se"] < 0.02
    assert log_evidence(post, method="tempering").value == pytest.approx(
        expected, abs=4 * post.attrs["log_evidence_se"]
    )
    assert post.attrs["settled"] == 1


def test_without_data_the_prior_comes_back() -> None:
    """Rows of weight zero: every exchange is accepted, the evidence is one, and beta = 1 is the prior like every other."""
    target = Target.of(np.random.default_rng(0).normal(size=(5, 2)), 2, "full")
    runs = tempering._Tempering(target, 2, np.random.SeedSequence(0))
    runs.sample_weight, runs.mass = np.zeros(5), 0.0
    with tempering.ThreadPoolExecutor(2) as pool:
        found = runs.advance(4096, pool, lambda: None)
    assert np.all(found.logs == 0)
    assert np.all(found.rejection == 0)
    assert bennett(runs.ladder.betas, found.logs[0]) == 0.0
    # Every other pair is exchanged at each scan: a prior draw climbs one step a scan, and nine in ten scans bring one.
    assert found.restarts.min() > 0.3 * 4096
    draws = found.draws[:, ::4].reshape(-1, runs.target.size)
    fresh = prior_draws(runs.target.coordinates, target.own_priors, 20_000, np.random.default_rng(3))
    assert min(kstest(draws[:, p], fresh[:, p]).pvalue for p in range(draws.shape[1])) > 1e-4


def test_bennett_against_the_known_normaliser() -> None:
    """x ~ N(0, 1), likelihood exp(-a x^2 / 2): at beta x ~ N(0, 1 / (1 + a beta)) and Z = (1 + a)^(-1/2)."""
    betas, a = np.linspace(0, 1, 6) ** 2, 20.0
    x = np.random.default_rng(0).standard_normal((20_000, 6)) / np.sqrt(1 + a * betas)
    assert bennett(betas, -0.5 * a * x**2) == pytest.approx(-0.5 * np.log(1 + a), abs=0.02)


def test_betas_move_to_where_rejections_would_be_equal() -> None:
    """Cumulative rejection linear in beta between the old betas: the new ones cut it into equal parts."""
    ladder = Ladder(np.linspace(0, 1, 5), np.ones((5, len(KINDS))))
    counts = np.zeros((5, len(KINDS), 2))
    counts[:, 0] = [100, 80]
    rejection = np.array([0.1, 0.2, 0.3, 0.6])
    found = Round(np.empty(0), np.empty(0), rejection, counts, np.zeros(1, dtype=np.int64))
    moved = adapted(ladder, found, 9)
    assert found.barrier == pytest.approx(1.2)
    assert moved.betas[[0, -1]].tolist() == [0.0, 1.0]
    assert np.all(np.diff(moved.betas) > 0)
    # Half of the barrier lies below beta = 0.75: so does half of the new ladder.
    assert moved.betas[4] == pytest.approx(0.75)
    assert np.all(moved.steps[:, 0] > 1)
    assert np.all(moved.steps[:, 1] == 1)


@pytest.mark.parametrize("structure", COVARIANCE_TYPES)
def test_agrees_with_nuts_where_nuts_is_right(structure: str) -> None:
    """Two groups seven sd apart: quartiles of all label-free quantities to within Monte Carlo error, and the evidence."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(120, 2)) * [1.0, 2.0] + np.repeat([[0.0, 0.0], [7.0, 3.0]], 60, axis=0)
    tempered = sample_posterior(x, 2, structure, random_seed=1, **QUIET)
    nuts = sample_posterior(x, 2, structure, random_seed=1, progressbar=False)
    ours, theirs = (label_free(Posterior.read(post)) for post in (tempered, nuts))
    assert ours.keys() == theirs.keys()
    for name, values in ours.items():
        quartiles = np.quantile(theirs[name], [0.25, 0.5, 0.75])
        # At least 400 effective draws each: of a normal quantity a quartile has a standard error of 0.05 quartile ranges, a
        # difference of two 0.07.
        gap = np.abs(np.quantile(values, [0.25, 0.5, 0.75]) - quartiles)
        assert gap.max() < 0.28 * (quartiles[2] - quartiles[0]), name
    bridge = log_evidence(nuts, method="bridge")
    error = np.hypot(bridge.se, tempered.attrs["log_evidence_se"])
    assert log_evidence(tempered, method="tempering").value == pytest.approx(bridge.value, abs=4 * error + 0.02)
    assert min(tempered.attrs["restarts"]) > 5


def test_weight_two_is_the_row_twice() -> None:
    """The same likelihood at every point, to rounding; and the same evidence, from other random numbers, to its error."""
    df = load_dataset("faithful").iloc[::8]
    twice, weight = np.repeat(df.to_numpy(), 2, axis=0), np.full(len(df), 2.0)
    target, other = Target.of(df, 2, sample_weight=weight), Target.of(twice, 2)
    for point in prior_draws(target.coordinates, target.own_priors, 5, np.random.default_rng(0)):
        one, two = (
            place(point, layout_of(t), np.ascontiguousarray(t.values.T), w, _state(2, t.values.T))
            for t, w in ((target, weight), (other, np.empty(0)))
        )
        assert one == pytest.approx(two, rel=1e-12)
    weighted = sample_posterior(df, 2, sample_weight=weight, random_seed=2, **QUIET).attrs
    repeated = sample_posterior(twice, 2, random_seed=2, **QUIET).attrs
    error = np.hypot(weighted["log_evidence_se"], repeated["log_evidence_se"])
    assert weighted["log_evidence"] == pytest.approx(repeated["log_evidence"], abs=4 * error)


def test_one_seed_one_answer_however_many_cores() -> None:
    df = load_dataset("galaxies")
    one, three = (sample_posterior(df, 2, random_seed=5, draws=50, cores=c, **QUIET) for c in (1, 3))
    xr.testing.assert_equal(one["posterior"].dataset, three["posterior"].dataset)
    assert one.attrs["log_evidence"] == three.attrs["log_evidence"]
    other = sample_posterior(df, 2, random_seed=6, draws=50, cores=1, **QUIET)
    assert not np.allclose(one["posterior"]["means"], other["posterior"]["means"])


def test_the_tree_tells_of_the_run_and_survives_a_file(tmp_path, capfd: pytest.CaptureFixture[str]) -> None:
    post = sample_posterior(load_dataset("galaxies"), 3, random_seed=1, draws=200, chains=3, **QUIET)
    assert capfd.readouterr() == ("", "")
    assert post.attrs["sampler"] == "tempering"
    assert dict(post["posterior"].sizes)["draw"] == 200
    assert post.attrs["n_temperatures"] == len(post.attrs["betas"])
    assert 3 < post.attrs["barrier"] < 6
    target = Target.of(load_dataset("galaxies"), 3)
    u = post["unconstrained_posterior"]["u"].values.reshape(-1, 8)
    expected = target.many(u) + target.log_jacobian
    assert np.allclose(expected, post["sample_stats"]["lp"].values.ravel())
    post.to_netcdf(tmp_path / "p.nc", engine="h5netcdf")
    with xr.open_datatree(tmp_path / "p.nc", engine="h5netcdf") as back:
        assert np.array_equal(back.attrs["restarts"], post.attrs["restarts"])


def test_one_component_has_the_evidence_of_quadrature() -> None:
    x = np.array([1.0, 1.4, 2.2, 3.1, 0.3, 1.9, 2.5])
    y = (x - x.mean()) / x.std()
    m, s = np.meshgrid(np.linspace(-6, 6, 1500), np.linspace(-4, 4, 1500), indexing="ij")
    prior = norm(0, 2).logpdf(m) + norm(0, LogNormalScale().sigma).logpdf(s)
    log_p = prior + sum(norm.logpdf(v, m, np.exp(s)) for v in y)
    expected = logsumexp(log_p) + np.log(12 / 1499 * 8 / 1499) - 7 * np.log(x.std())
    post = sample_posterior(x, 1, random_seed=0, **QUIET)
    assert log_evidence(post, method="tempering").value == pytest.approx(
        expected, abs=4 * post.attrs["log_evidence_se"]
    )


def test_an_interrupt_returns_the_last_round_that_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    real = tempering._Tempering.advance

    def impatient(self, n_scans, pool, tick):
        if n_scans > 512:
            raise KeyboardInterrupt
        return real(self, n_scans, pool, tick)

    monkeypatch.setattr(tempering._Tempering, "advance", impatient)
    post = sample_posterior(load_dataset("galaxies"), 2, random_seed=0, draws=300, **QUIET)
    assert post.attrs["interrupted"] == 1
    assert post["posterior"].sizes["draw"] == 300
    with pytest.raises(KeyboardInterrupt):
        sample_posterior(load_dataset("galaxies"), 2, random_seed=0, draws=600, **QUIET)


def test_an_unknown_sampler_names_tempering_among_those_known() -> None:
    with pytest.raises(InputError, match="tempering"):
        sample_posterior(load_dataset("galaxies"), 2, sampler="warming")
