"""The PyMC model: the same density as the fused one, and everything a PyMC user does with a model."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pandas as pd
import pymc as pm
import pytensor.tensor as pt
import pytest
import xarray as xr
from scipy.stats import beta, kstest

from bayesgmm.data import InputError
from bayesgmm.mixture import COVARIANCE_TYPES, Mixture, log_density
from bayesgmm.posterior.priors import HalfNormalScale, InverseGammaScale, LogNormalScale, Priors
from bayesgmm.posterior.pymc_model import build_model, from_value_variables, to_value_variables
from bayesgmm.posterior.target import Target

COLUMNS = ["mass", "length", "speed"]


def frame(n: int = 30, d: int = 2, seed: int = 0) -> pd.DataFrame:
    values = np.random.default_rng(seed).normal(size=(n, d)) * [1.0, 0.01, 100.0][:d] + [5.0, 0.0, -300.0][:d]
    return pd.DataFrame(values, columns=COLUMNS[:d], index=[f"r{i}" for i in range(n)])


def assert_equals_fused_density(data, k, structure, priors=None, weight=None):
    """Value and gradient agree, coordinate by coordinate, at a random point; on the rows as they are, not on the grid."""
    target = Target.of(data, k, structure, priors, weight)
    values = target.scaling.standardise(target.table.values)
    density = Target.of_rows(values, k, target.structure, target.own_priors, target.sample_weight)
    model = build_model(data, k, structure, priors, sample_weight=weight)
    x = np.random.default_rng(1).normal(size=density.size) * 0.5
    point = to_value_variables(model, density.coordinates, x)
    np.testing.assert_allclose(from_value_variables(model, density.coordinates, point), x, rtol=1e-13)

    value, gradient = model.compile_fn([model.logp(), model.dlogp()], inputs=model.value_vars, mode="FAST_COMPILE")(
        point
    )
    expected, slope = density(x)
    # The model is of the data as given, and has a log variance where the fused density has a log sd.
    rows = len(data) if weight is None else np.sum(weight)
    expected += rows * target.scaling.log_jacobian
    halved = "standard_variances" in model.named_vars
    expected -= np.log(2) * density.coordinates.sizes["scales"] * halved
    assert value == pytest.approx(expected, rel=1e-10)
    edges = np.cumsum([point[v.name].size for v in model.value_vars])[:-1]
    parts = {
        v.name: part.reshape(point[v.name].shape)
        for v, part in zip(model.value_vars, np.split(gradient, edges), strict=True)
    }
    if halved:
        # d/d log sd = 2 d/d log variance, while the map back to coordinates halves.
        parts["standard_variances_log__"] = 4 * parts["standard_variances_log__"]
    np.testing.assert_allclose(from_value_variables(model, density.coordinates, parts), slope, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("structure", COVARIANCE_TYPES)
@pytest.mark.parametrize(("k", "d"), [(1, 1), (2, 1), (1, 3), (3, 2), (2, 3)])
def test_equals_fused_density(structure, k, d):
    assert_equals_fused_density(frame(d=d), k, structure)


@pytest.mark.parametrize(
    "priors",
    [
        Priors(scale=LogNormalScale(0.3, 0.5), weight_concentration=1.5, correlation_eta=1.0),
        Priors(scale=HalfNormalScale(1.5), mean_location=(0.5, -1.5), mean_scale=(1.5, 3.0)),
        Priors(scale=InverseGammaScale(2.5, 1.5), correlation_eta=3.5),
        Priors(scale=InverseGammaScale(2.0, hyper=(0.2, 1.5))),
        Priors(mean_location=(5.0, 0.0), mean_scale=(2.0, 0.1), units="data"),
    ],
)
def test_equals_fused_density_under_every_prior(priors):
    """Also for priors that single precision holds exactly: PyTensor would take their logarithms in it."""
    assert_equals_fused_density(frame(), 2, "full", priors)


def test_equals_fused_density_under_richardson_green():
    data = frame(d=1)
    assert_equals_fused_density(data, 3, "spherical", Priors.richardson_green(data["mass"]))


@pytest.mark.parametrize("structure", ["full", "tied"])
def test_equals_fused_density_with_case_weights(structure):
    weight = np.random.default_rng(2).integers(0, 3, size=30).astype(float)
    assert_equals_fused_density(frame(), 2, structure, weight=weight)


def test_names_dims_and_coordinates():
    model = build_model(frame(d=3), 2, "full")
    dims = {name: tuple(found) for name, found in model.named_vars_to_dims.items()}
    assert dims["weights"] == ("cluster",)
    assert dims["means"] == dims["standard_means"] == ("cluster", "feature")
    assert dims["covariances"] == ("cluster", "feature", "feature_bis")
    assert dims["x"] == dims["observed"] == ("obs_id", "feature")
    assert dims["partial_shares"] == ("cluster", "pair")
    assert list(model.coords["feature"]) == list(model.coords["feature_bis"]) == COLUMNS
    assert list(model.coords["pair"]) == ["length:mass", "speed:mass", "speed:length"]
    assert list(model.coords["obs_id"]) == [f"r{i}" for i in range(30)]
    assert [rv.name for rv in model.observed_RVs] == ["x"]
    assert not model.potentials


@pytest.mark.parametrize(
    ("structure", "dims"),
    [("tied", ("feature",)), ("diag", ("cluster", "feature")), ("spherical", ("cluster",))],
)
def test_scales_have_the_dims_of_their_structure(structure, dims):
    assert tuple(build_model(frame(), 2, structure).named_vars_to_dims["standard_scales"]) == dims


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_components": 0}, "n_components=0: give a whole number"),
        ({"n_components": 31}, "more than the 30 rows"),
        ({"n_components": 2.5}, "n_components=2.5: give a whole number"),
        ({"covariance_type": "XYZ"}, "covariance_type='XYZ' is unknown"),
        ({"priors": Priors(mean_scale=(1.0, 2.0, 3.0))}, "mean_scale=.* has 3 values for 2 features"),
        ({"priors": "flat"}, "give an instance of Priors"),
        ({"data": frame().where(frame() > 0)}, "column 'length' has .* missing"),
        ({"sample_weight": [1.0, 2.0]}, "one weight for each of the 30 rows"),
    ],
)
def test_bad_calls_say_what_is_wrong(change, message):
    with pytest.raises(InputError, match=message) as raised:
        build_model(**{"data": frame(), "n_components": 2, **change})
    assert "\n" not in str(raised.value)


@pytest.fixture(scope="module")
def prior_draws():
    """A model in three features with its prior and prior predictive draws."""
    model = build_model(frame(n=200, d=3), 2, "full")
    return model, pm.sample_prior_predictive(1500, model=model, random_seed=1)


def test_prior_predictive_draws_are_tables(prior_draws):
    _, tree = prior_draws
    x = tree["prior_predictive"]["x"]
    assert x.dims == ("chain", "draw", "obs_id", "feature")
    assert not [d for d in tree["prior"].dims if "_dim_" in d]
    assert set(tree["prior"].data_vars) >= {"weights", "means", "covariances"}
    # Law of total variance on the standardised scale: 4 + E sd^2, sd ~ LogNormal(-log(2) / 3, 0.6).
    z = (x - frame(n=200, d=3).mean().to_numpy()) / frame(n=200, d=3).std(ddof=0).to_numpy()
    expected = 4 + np.exp(2 * (-np.log(2) / 3) + 2 * 0.6**2)
    np.testing.assert_allclose((z**2).mean(("chain", "draw", "obs_id")), expected, rtol=0.15)
    np.testing.assert_allclose(z.mean(("chain", "draw", "obs_id")), 0, atol=0.2)


def test_prior_correlations_are_lkj(prior_draws):
    """Each correlation of LKJ(eta) in D dimensions has (1 + r) / 2 ~ Beta(a, a), a = eta - 1 + D / 2 (LKJ 2009)."""
    _, tree = prior_draws
    covariance = tree["prior"]["covariances"].values[0, :, 0]
    sd = np.sqrt(np.diagonal(covariance, axis1=-2, axis2=-1))
    correlation = covariance / (sd[:, :, None] * sd[:, None, :])
    for i, j in [(1, 0), (2, 0), (2, 1)]:
        assert kstest((1 + correlation[:, i, j]) / 2, beta(2.5, 2.5).cdf).pvalue > 1e-3


def test_pointwise_log_likelihood_is_that_of_the_mixture(prior_draws):
    model, tree = prior_draws
    few = tree["prior"].dataset.isel(draw=slice(4))
    got = pm.compute_log_likelihood(
        xr.DataTree.from_dict({"posterior": few}), model=model, progressbar=False, extend_inferencedata=False
    )["x"]
    assert got.dims == ("chain", "draw", "obs_id")
    for s in range(4):
        one = few.isel(chain=0, draw=s)
        mixture = Mixture.from_dense("full", one["weights"].values, one["means"].values, one["covariances"].values)
        expected = log_density(mixture, frame(n=200, d=3).to_numpy())
        np.testing.assert_allclose(got.isel(chain=0, draw=s), expected, rtol=1e-8)


@pytest.mark.parametrize("structure", ["full", "tied", "spherical"])
def test_posterior_predictive_draws_follow_the_parameters(structure):
    """Moments of x given the parameters, for data of another length than the model was built with."""
    data = frame(n=20)
    target = Target.of(data, 2, structure)
    model = build_model(data, 2, structure)
    coordinates = target.coordinates
    point = coordinates.unconstrain(
        np.array([0.75, 0.25]), np.array([[0.0, 1.0], [2.0, -1.0]]), np.array([[[0.49, 0.0], [0.0, 0.49]]] * 2)
    )
    weights, means, _ = coordinates.constrain(point)
    variables = {
        "weights": ("cluster", weights),
        "standard_means": (("cluster", "feature"), means),
        "standard_scales": (
            model.named_vars_to_dims["standard_scales"],
            np.full([len(model.coords[d]) for d in model.named_vars_to_dims["standard_scales"]], 0.7),
        ),
    }
    if "partial_shares" in model.named_vars:
        dims = model.named_vars_to_dims["partial_shares"]
        variables["partial_shares"] = (dims, np.full([len(model.coords[d]) for d in dims], 0.5))
    coords = {dim: list(labels) for dim, labels in model.coords.items() if dim != "obs_id"}
    posterior = xr.Dataset(variables, coords).expand_dims(chain=1, draw=5)
    with model:
        pm.set_data({"observed": np.zeros((4000, 2))}, coords={"obs_id": np.arange(4000)})
        drawn = pm.sample_posterior_predictive(
            xr.DataTree.from_dict({"posterior": posterior}), random_seed=1, progressbar=False
        )
    z = target.scaling.standardise(drawn["posterior_predictive"]["x"].values.reshape(-1, 2))
    mixture_mean = weights @ means
    between = (means - mixture_mean).T @ (weights[:, None] * (means - mixture_mean))
    assert len(z) == 20000
    np.testing.assert_allclose(z.mean(0), mixture_mean, atol=0.05)
    np.testing.assert_allclose(np.cov(z.T), 0.49 * np.eye(2) + between, atol=0.06)


def test_new_data_count_in_the_log_density():
    model = build_model(frame(), 2, "diag")
    f = model.compile_fn(model.logp(vars=model.observed_RVs), inputs=model.value_vars, mode="FAST_COMPILE")
    point = model.initial_point()
    before = f(point)
    with model:
        pm.set_data({"observed": np.repeat(frame().to_numpy(), 2, axis=0)}, coords={"obs_id": np.arange(60)})
    assert f(point) == pytest.approx(2 * before)


def test_users_extend_the_model():
    """A second response, whose mean is the first cluster's, and a penalty: ordinary PyMC code on our variables."""
    model = build_model(frame(), 2, "full")
    plain = build_model(frame(), 2, "full")
    with model:
        noise = pm.HalfNormal("noise", np.array(2.0))
        pm.Normal("calibration", model["means"][0, 0], noise, observed=np.array([5.2, 4.9]))
        pm.Potential("apart", -pt.sum((model["means"][0] - model["means"][1]) ** 2))
    point = model.initial_point()
    mine = {v.name: point[v.name] for v in plain.value_vars}
    value = model.compile_logp(mode="FAST_COMPILE")(point)
    base = plain.compile_logp(mode="FAST_COMPILE")(mine)
    extra = model.compile_logp(vars=[model["noise"], model["calibration"], model["apart"]], mode="FAST_COMPILE")(point)
    assert value == pytest.approx(base + extra)
    slope = model.compile_dlogp(mode="FAST_COMPILE")(point)
    assert np.all(np.isfinite(slope))
    assert slope.size == plain.compile_dlogp(mode="FAST_COMPILE")(mine).size + 1


@pytest.mark.skipif(find_spec("graphviz") is None, reason="the Python package graphviz is not installed")
def test_graphviz_shows_the_observed_table():
    source = build_model(frame(), 2, "full").to_graphviz().source
    assert "GaussianMixture" in source
    assert "obs_id" in source
