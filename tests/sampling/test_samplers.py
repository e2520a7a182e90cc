"""One call for all samplers; those that run the PyMC model: the same posterior, ArviZ's names, interrupts."""

from __future__ import annotations

from importlib.util import find_spec

import arviz as az
import numpy as np
import pymc as pm
import pytest

import bayesgmm as bg
from bayesgmm.mixture import Mixture
from bayesgmm.posterior import Mode, Target
from bayesgmm.sampling.samplers import SAMPLERS, laplace, numpyro_nuts, one_by_one, sampler_named
from bayesgmm.sampling.settings import Settings
from bayesgmm.sampling.starts import Prepared

STATS = {"diverging", "energy", "lp", "n_steps", "tree_depth", "step_size", "acceptance_rate"}
needs_numpyro = pytest.mark.skipif(find_spec("numpyro") is None, reason="NumPyro is not installed")
DATA = np.concatenate([np.random.default_rng(0).normal(m, 1, size=30) for m in (0, 9)])[:, None]


def prepared(n_components, structure):
    """Two well separated groups on the line, and chains that start near their mode."""
    target = Target.of(DATA, n_components, structure)
    k, spread = n_components, np.linspace(-1.0, 1.0, n_components) if n_components > 1 else np.zeros(1)
    em = Mixture.from_dense(
        target.structure, np.full(k, 1 / k), spread[:, None], np.full((k, 1, 1), 0.05 if k > 1 else 1.0)
    )
    point = target.coordinates.unconstrain(em.weights, em.means, em.dense_covariances)
    mode = Mode(point, target(point)[0], 0.05 * np.eye(target.size), 1.0, 0.0)
    return Prepared(target, em.in_data_units(target.scaling), (mode,), np.random.default_rng(1))


def settings(**changes):
    return Settings(**{"draws": 400, "tune": 300, "chains": 2, "cores": 1, "progressbar": False, **changes})


def drawn_by(name, model, **changes):
    """What a sampler hands over, through the call that all share."""
    handed = {}
    sampler_named(name)({"it": model}, settings(**changes), handed.__setitem__)
    assert list(handed) == ["it"]
    return handed["it"]


@pytest.fixture(scope="module")
def by_pymc():
    return drawn_by("pymc", prepared(2, "spherical"))


def check(drawn, target):
    assert drawn.unconstrained.shape == (2, 400, target.size)
    assert set(drawn.stats) >= STATS
    assert {s.shape for s in drawn.stats.values()} == {(2, 400)}
    assert (drawn.tune, drawn.interrupted) == (300, False)
    for x, lp in zip(drawn.unconstrained[0, :5], drawn.stats["lp"][0, :5], strict=True):
        assert target(x)[0] == pytest.approx(lp, rel=1e-8)


@pytest.mark.parametrize("name", ["nutpie", "pymc", pytest.param("numpyro", marks=needs_numpyro)])
def test_returns_draws_of_the_density(name, by_pymc):
    """Value of the target at the draws is what the sampler says; means and spreads are those of PyMC's own.

    Means within four Monte Carlo standard errors of each other, standard deviations within a quarter.
    """
    model = prepared(2, "spherical")
    drawn = by_pymc if name == "pymc" else drawn_by(name, model, cores=2)
    check(drawn, model.target)
    assert drawn.sampler == name
    for p in range(model.target.size):
        a, b = by_pymc.unconstrained[..., p], drawn.unconstrained[..., p]
        error = np.hypot(a.std() / np.sqrt(az.ess(a)), b.std() / np.sqrt(az.ess(b)))
        assert abs(a.mean() - b.mean()) <= 4 * error
        assert a.std() == pytest.approx(b.std(), rel=0.25)


def test_tempering_is_called_alike():
    model = prepared(1, "spherical")
    drawn = drawn_by("tempering", model, draws=200)
    assert drawn.unconstrained.shape == (2, 200, 2)
    assert drawn.stats["lp"][0, 7] == pytest.approx(model.target(drawn.unconstrained[0, 7])[0], rel=1e-10)


def test_cores_change_nothing(by_pymc):
    again = drawn_by("pymc", prepared(2, "spherical"), cores=2)
    np.testing.assert_array_equal(again.unconstrained, by_pymc.unconstrained)


def test_one_component_has_no_weights_to_sample():
    model = prepared(1, "full")
    drawn = drawn_by("pymc", model)
    check(drawn, model.target)
    assert drawn.unconstrained.shape[-1] == 2


def test_interrupt_keeps_the_draws_so_far(monkeypatch):
    original = pm.sample

    def stop(trace, draw):
        if not draw.tuning and len(trace) >= 310:
            raise KeyboardInterrupt

    monkeypatch.setattr(pm, "sample", lambda *a, **k: original(*a, **k, callback=stop))
    drawn = drawn_by("pymc", prepared(2, "spherical"), chains=1)
    assert drawn.interrupted
    assert 0 < drawn.unconstrained.shape[1] < 400
    assert drawn.unconstrained.shape[1] == drawn.stats["lp"].shape[1]


def test_interrupt_before_the_first_draw_is_an_interrupt(monkeypatch):
    original = pm.sample

    def stop(trace, draw):
        raise KeyboardInterrupt

    monkeypatch.setattr(pm, "sample", lambda *a, **k: original(*a, **k, callback=stop))
    with pytest.raises(KeyboardInterrupt):
        drawn_by("pymc", prepared(2, "spherical"), chains=1)


def test_missing_numpyro_is_named(monkeypatch):
    monkeypatch.setattr(numpyro_nuts, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="pip install numpyro"):
        drawn_by("numpyro", prepared(2, "spherical"))


def test_a_new_sampler_is_a_file_and_its_line(monkeypatch):
    """The file here is this one. Its draws, the Laplace approximation's, are thinned, aligned and named like any others."""
    monkeypatch.setitem(SAMPLERS, "normal", (__name__, "sample_from_the_normal"))
    post = bg.sample_posterior(
        DATA, 2, "spherical", sampler="normal", draws=50, chains=2, random_seed=0, progressbar=False
    )
    assert dict(post["posterior"].sizes)["draw"] == 50
    assert post.attrs["sampler"] == "laplace"
    with pytest.raises(bg.InputError, match="'tempering' or 'normal'"):
        bg.sample_posterior(DATA, 2, sampler="nonsense")


sample_from_the_normal = one_by_one(laplace.sample_by_laplace)


@pytest.mark.parametrize("sampler", ["pymc", "nutpie"])
def test_every_sampler_is_thinned(sampler):
    """PyMC's draws were not: the setting was read in the sweep of nutpie's chains alone."""
    from bayesgmm.sampling.sweep import sample_many

    target = Target.of(DATA, 1, "spherical")
    asked = Settings(draws=40, tune=50, chains=1, cores=1, thin=4, sampler=sampler, progressbar=False, random_seed=0)
    assert sample_many([target], asked)[target.key]["posterior"].sizes["draw"] == 10
