"""The two samplers that run the PyMC model: the same posterior, ArviZ's names, interrupts."""

from __future__ import annotations

from importlib.util import find_spec

import arviz as az
import numpy as np
import pymc as pm
import pytest

from bayesgmm.data import InputError
from bayesgmm.posterior.pymc_model import build_model
from bayesgmm.posterior.target import Target
from bayesgmm.sampling.samplers import backends
from bayesgmm.sampling.samplers.backends import sample_with_numpyro, sample_with_pymc
from bayesgmm.sampling.settings import Settings

STATS = {"diverging", "energy", "lp", "n_steps", "tree_depth", "step_size", "acceptance_rate"}
needs_numpyro = pytest.mark.skipif(find_spec("numpyro") is None, reason="NumPyro is not installed")
DATA = np.concatenate([np.random.default_rng(0).normal(m, 1, size=30) for m in (0, 9)])[:, None]


@pytest.fixture(scope="module")
def two():
    """Two well separated groups on the line, and two starting points near their mode."""
    target = Target.of(DATA, 2, "spherical")
    density = target
    mode = density.coordinates.unconstrain(np.array([0.5, 0.5]), np.array([[-1.0], [1.0]]), np.full((2, 1, 1), 0.05))
    start = mode + 0.05 * np.random.default_rng(1).normal(size=(2, density.size))
    return target, density, build_model(DATA, 2, "spherical"), start


SEED = 5


def settings(**changes):
    return Settings(**{"draws": 400, "tune": 300, "chains": 2, "cores": 1, "progressbar": False, **changes})


@pytest.fixture(scope="module")
def by_pymc(two):
    _, density, model, start = two
    return sample_with_pymc(model, density.coordinates, start, settings(), SEED)


def check(drawn, target, density):
    assert drawn.unconstrained.shape == (2, 400, density.size)
    assert set(drawn.stats) >= STATS
    assert {s.shape for s in drawn.stats.values()} == {(2, 400)}
    assert (drawn.tune, drawn.interrupted) == (300, False)
    constant = len(DATA) * target.scaling.log_jacobian
    for x, lp in zip(drawn.unconstrained[0, :5], drawn.stats["lp"][0, :5], strict=True):
        assert density(x)[0] + constant == pytest.approx(lp, rel=1e-8)


def test_pymc_returns_draws_of_the_density(two, by_pymc):
    target, density, _, _ = two
    check(by_pymc, target, density)
    assert by_pymc.sampler == "pymc"


def test_cores_change_nothing(two, by_pymc):
    _, density, model, start = two
    again = sample_with_pymc(model, density.coordinates, start, settings(cores=2), SEED)
    np.testing.assert_array_equal(again.unconstrained, by_pymc.unconstrained)


@needs_numpyro
def test_numpyro_agrees_with_pymc(two, by_pymc):
    """Means within four Monte Carlo standard errors of each other, standard deviations within a quarter."""
    target, density, model, start = two
    drawn = sample_with_numpyro(model, density.coordinates, start, settings(cores=2), SEED)
    check(drawn, target, density)
    assert drawn.sampler == "numpyro"
    for p in range(density.size):
        a, b = by_pymc.unconstrained[..., p], drawn.unconstrained[..., p]
        error = np.hypot(a.std() / np.sqrt(az.ess(a)), b.std() / np.sqrt(az.ess(b)))
        assert abs(a.mean() - b.mean()) < 4 * error
        assert a.std() == pytest.approx(b.std(), rel=0.25)


def test_one_component_has_no_weights_to_sample():
    target = Target.of(DATA, 1, "full")
    density = target
    start = np.zeros((2, density.size))
    drawn = sample_with_pymc(build_model(DATA, 1, "full"), density.coordinates, start, settings(), SEED)
    check(drawn, target, density)
    assert drawn.unconstrained.shape[-1] == 2


def test_interrupt_keeps_the_draws_so_far(two, monkeypatch):
    _, density, model, start = two
    original = pm.sample

    def stop(trace, draw):
        if not draw.tuning and len(trace) >= 310:
            raise KeyboardInterrupt

    monkeypatch.setattr(pm, "sample", lambda *a, **k: original(*a, **k, callback=stop))
    drawn = sample_with_pymc(model, density.coordinates, start[:1], settings(chains=1), SEED)
    assert drawn.interrupted
    assert 0 < drawn.unconstrained.shape[1] < 400
    assert drawn.unconstrained.shape[1] == drawn.stats["lp"].shape[1]


def test_interrupt_before_the_first_draw_is_an_interrupt(two, monkeypatch):
    _, density, model, start = two
    original = pm.sample

    def stop(trace, draw):
        raise KeyboardInterrupt

    monkeypatch.setattr(pm, "sample", lambda *a, **k: original(*a, **k, callback=stop))
    with pytest.raises(KeyboardInterrupt):
        sample_with_pymc(model, density.coordinates, start[:1], settings(chains=1), SEED)


def test_missing_numpyro_is_named(two, monkeypatch):
    _, density, model, start = two
    monkeypatch.setattr(backends, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="pip install numpyro"):
        sample_with_numpyro(model, density.coordinates, start, settings(), SEED)


def test_starts_must_match_the_chains(two):
    _, density, model, start = two
    with pytest.raises(InputError, match="3 chains need"):
        sample_with_pymc(model, density.coordinates, start, settings(chains=3), SEED)
