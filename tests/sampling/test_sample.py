"""Sampling end to end: the right numbers, the schema, seeds, clear refusals."""

import json

import numpy as np
import pytest
import xarray as xr

from bayesgmm import InputError, Priors, load_dataset, sample_posterior
from bayesgmm.mixture import COVARIANCE_TYPES
from bayesgmm.posterior.target import Target
from bayesgmm.sampling.posterior import Posterior, pointwise_log_likelihood
from bayesgmm.sampling.settings import Settings
from bayesgmm.sampling.sweep import sample_many

FORBIDDEN_DIMS = {"component", "component_group", "alpha", "summary", "ci_bound", "column", "model", "sample"}


def test_schema(faithful_tree: xr.DataTree) -> None:
    p = faithful_tree["posterior"].dataset
    assert dict(p.sizes) == {"chain": 4, "draw": 500, "cluster": 2, "feature": 2, "feature_bis": 2}
    assert set(p.data_vars) == {"weights", "means", "covariances"}
    assert list(p["feature"].values) == ["eruptions", "waiting"]
    assert {"diverging", "energy", "lp", "n_steps", "tree_depth", "step_size", "acceptance_rate"} <= set(
        faithful_tree["sample_stats"].data_vars
    )
    for node in faithful_tree.subtree:
        assert not FORBIDDEN_DIMS & set(node.sizes)
        assert not [d for d in node.sizes if str(d).endswith("_dim_0")]
    attrs = faithful_tree.attrs
    assert attrs["seed"] == "3"
    assert attrs["n_components"] == 2
    assert Posterior.read(faithful_tree).target.priors == Priors()
    assert json.loads(attrs["priors"])["scale"]["family"] == "LogNormalScale"


def test_draws_are_valid_mixtures_in_data_units(faithful_tree: xr.DataTree) -> None:
    p = faithful_tree["posterior"].dataset
    assert np.allclose(p["weights"].sum("cluster"), 1)
    assert np.linalg.eigvalsh(p["covariances"].values).min() > 0
    # Old Faithful's long eruptions: about 4.29 min after about 80 min (R's datasets::faithful, mclust VVV,2).
    assert p["means"].mean(("chain", "draw")).sel(cluster=0).values == pytest.approx([4.29, 79.97], rel=0.01)
    assert faithful_tree["sample_stats"]["diverging"].sum() == 0


def test_log_likelihood_group_is_the_density_of_the_rows(faithful_tree: xr.DataTree) -> None:
    from scipy.stats import multivariate_normal

    p, x = faithful_tree["posterior"].dataset, faithful_tree["observed_data"]["x"].values
    one = p.isel(chain=2, draw=17)
    density = sum(
        float(one["weights"][k]) * multivariate_normal(one["means"][k], one["covariances"][k]).pdf(x) for k in range(2)
    )
    stored = faithful_tree["log_likelihood"]["x"].isel(chain=2, draw=17).values
    assert np.allclose(stored, np.log(density), atol=1e-9)


def test_lp_is_the_density_of_the_data_as_given_at_the_draws(faithful_tree: xr.DataTree) -> None:
    target = Target.of(load_dataset("faithful"), 2)
    u = faithful_tree["unconstrained_posterior"]["u"].values
    expected = target.many(u.reshape(-1, u.shape[-1])) + 272 * target.scaling.log_jacobian
    assert np.allclose(expected, faithful_tree["sample_stats"]["lp"].values.ravel())


def test_log_prior_differs_from_lp_by_the_likelihood_and_the_jacobian(faithful_tree: xr.DataTree) -> None:
    """log posterior on the unconstrained scale = log likelihood (standardised) + log prior + log Jacobian + constant.

    The LKJ normaliser is left out of ``log_prior``: the difference is one constant for all draws.
    """
    view = Posterior.read(faithful_tree)
    prior = sum(v.values.ravel() for v in faithful_tree["log_prior"].data_vars.values())
    likelihood = pointwise_log_likelihood(view.draws, view.values).sum(1)
    u = view.unconstrained
    log_weights = np.log(view.draws.weights).sum(1)
    log_sd = u[:, 1 + 4 : 1 + 4 + 4].sum(1)
    rho = np.tanh(u[:, -2:] / 2)
    jacobian = log_weights + log_sd + np.log((1 - rho**2) / 2).sum(1)
    rest = faithful_tree["sample_stats"]["lp"].values.ravel() - likelihood - prior - jacobian
    assert np.ptp(rest) < 1e-6


@pytest.mark.parametrize("name", COVARIANCE_TYPES)
def test_one_seed_one_answer_however_many_cores(name: str) -> None:
    df = load_dataset("faithful")
    options = {"draws": 60, "tune": 60, "chains": 3, "random_seed": 5, "progressbar": False}
    first = sample_posterior(df, 2, name, cores=1, **options)["posterior"].dataset
    again = sample_posterior(df, 2, name, cores=3, **options)["posterior"].dataset
    xr.testing.assert_equal(first, again)
    company = sample_many([Target.of(df, 1, name), Target.of(df, 2, name)], Settings(**options))
    xr.testing.assert_equal(first, company[f"2 {name}"]["posterior"].dataset)


def test_no_tuning_named_is_the_default() -> None:
    df = load_dataset("faithful").iloc[::8]
    options = {"draws": 20, "chains": 1, "random_seed": 5, "progressbar": False}
    unnamed, default = (sample_posterior(df, 1, tune=tune, **options) for tune in (None, Settings.tune))
    xr.testing.assert_equal(unnamed["posterior"].dataset, default["posterior"].dataset)
    assert unnamed.attrs["tune"] == 300


def test_weight_two_is_the_row_twice() -> None:
    df = load_dataset("faithful").iloc[::4]
    twice = np.repeat(df.to_numpy(), 2, axis=0)
    weighted = Target.of(df, 2, sample_weight=np.full(len(df), 2.0))
    repeated = Target.of(twice, 2)
    x = np.random.default_rng(0).normal(size=weighted.size)
    assert weighted(x)[0] == pytest.approx(repeated(x)[0], rel=1e-12)
    assert np.allclose(weighted(x)[1], repeated(x)[1])


def test_one_component_one_feature_against_quadrature() -> None:
    """K=1, D=1: the posterior mean of mean and sd by brute force on a grid."""
    from scipy.stats import lognorm, norm

    x = np.array([1.0, 1.4, 2.2, 3.1, 0.3, 1.9, 2.5])
    post = sample_posterior(x, 1, "diag", draws=4000, random_seed=0, progressbar=False)["posterior"].dataset
    z = (x - x.mean()) / x.std()
    m, s = np.meshgrid(np.linspace(-3, 3, 600), np.exp(np.linspace(-2.5, 2.5, 600)), indexing="ij")
    log_p = norm(0, 2).logpdf(m) + lognorm(0.6).logpdf(s) + np.log(s)  # grid even in log s
    log_p += sum(norm.logpdf(v, m, s) for v in z)
    p = np.exp(log_p - log_p.max())
    p /= p.sum()
    sd = np.sqrt(post["covariances"].values[..., 0, 0, 0])
    assert post["means"].values.mean() == pytest.approx(x.mean() + x.std() * (p * m).sum(), abs=0.03)
    assert sd.mean() == pytest.approx(x.std() * (p * s).sum(), rel=0.02)


def test_laplace_agrees_with_nuts_where_its_pareto_k_allows() -> None:
    x = np.random.default_rng(0).normal(size=(500, 2)) + np.repeat([[0.0, 0.0], [6.0, 0.0]], 250, axis=0)
    nuts = sample_posterior(x, 2, random_seed=0, progressbar=False)["posterior"].dataset
    fast = sample_posterior(x, 2, random_seed=0, method="laplace", progressbar=False)
    assert fast.attrs["pareto_k"] < 0.7
    for name in ("weights", "means", "covariances"):
        a, b = nuts[name], fast["posterior"][name]
        sd = a.std(("chain", "draw"))
        assert float((abs(a.mean(("chain", "draw")) - b.mean(("chain", "draw"))) / sd).max()) < 0.15
    auto = sample_posterior(x, 2, random_seed=0, method="auto", progressbar=False)
    assert auto.attrs["sampler"] == "laplace"


def test_auto_falls_back_to_nuts() -> None:
    x = np.random.default_rng(0).normal(size=(30, 1))
    auto = sample_posterior(x, 3, random_seed=0, method="auto", draws=50, progressbar=False)
    assert auto.attrs["sampler"] == "nutpie"


@pytest.mark.parametrize("store", ["netcdf", "zarr"])
def test_round_trips_are_equal(faithful_tree: xr.DataTree, tmp_path, store: str) -> None:
    if store == "netcdf":
        faithful_tree.to_netcdf(tmp_path / "p.nc", engine="h5netcdf")
        back = xr.open_datatree(tmp_path / "p.nc", engine="h5netcdf")
    else:
        faithful_tree.to_zarr(tmp_path / "p.zarr", consolidated=False)
        back = xr.open_datatree(tmp_path / "p.zarr", engine="zarr", consolidated=False)
    with back:
        xr.testing.assert_equal(faithful_tree, back.load())
        assert dict(back.attrs).keys() == dict(faithful_tree.attrs).keys()


def test_progressbar_false_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    sample_posterior(load_dataset("galaxies"), 2, draws=20, tune=20, chains=2, random_seed=0, progressbar=False)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("change", "culprit"),
    [
        ({"n_components": 0}, "n_components=0"),
        ({"n_components": 2.5}, "n_components=2.5"),
        ({"n_components": 500}, "more than the 272 rows"),
        ({"covariance_type": "oval"}, "oval"),
        ({"priors": Priors(mean_scale=(1.0, 2.0, 3.0))}, "mean_scale"),
        ({"priors": "flat"}, "priors='flat'"),
        ({"draws": 0}, "draws=0"),
        ({"chains": -1}, "chains=-1"),
        ({"sampler": "stan"}, "sampler='stan'"),
        ({"method": "vi"}, "method='vi'"),
        ({"target_accept": 1.5}, "target_accept=1.5"),
    ],
)
def test_bad_calls_fail_before_sampling_with_one_sentence(change: dict, culprit: str) -> None:
    arguments = {"n_components": 2, "progressbar": False} | change
    with pytest.raises(InputError) as error:
        sample_posterior(load_dataset("faithful"), **arguments)
    assert culprit in str(error.value)
    assert "\n" not in str(error.value)


def test_interrupt_returns_the_draws_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    from bayesgmm.sampling.samplers import chains

    calls = {"n": 0}

    def impatient(seconds: float) -> None:
        calls["n"] += 1
        if calls["n"] > 400:  # four seconds: enough for some draws, far from all
            raise KeyboardInterrupt

    rng = np.random.default_rng(0)
    x = rng.normal(size=(3000, 3))
    monkeypatch.setattr(chains, "_POLL_SECONDS", 0.01)
    real_sleep = chains.time.sleep

    class Clock:
        @staticmethod
        def sleep(seconds: float) -> None:
            real_sleep(seconds)
            impatient(seconds)

    monkeypatch.setattr(chains, "time", Clock)
    post = sample_posterior(
        x, 3, draws=200_000, tune=50, chains=2, random_seed=0, progressbar=False, log_likelihood=False
    )
    assert post.attrs["interrupted"] == 1
    assert 4 <= post["posterior"].sizes["draw"] < 200_000
