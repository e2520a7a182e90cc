"""The number of filled components, against evidences and against what is plain to see."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.special import logsumexp

from bayesgmm.data import InputError, Scaling, load_dataset
from bayesgmm.posterior.priors import HalfNormalScale, InverseGammaScale, LogNormalScale, Priors
from bayesgmm.posterior.target import Target
from bayesgmm.sampling.predictive import prior_draws
from bayesgmm.selection.filled import filled_components


def log_evidence(values, structure, k, priors, n_draws=150_000):
    """Log of the mean likelihood over prior draws."""
    density = Target.of_rows(values, k, structure, priors)
    nothing = Target.of_rows(values, k, structure, priors, np.zeros(len(values)))
    points = prior_draws(density.coordinates, priors, n_draws, np.random.default_rng(k))
    return logsumexp(density.many(points) - nothing.many(points)) - np.log(n_draws)


@pytest.mark.parametrize(
    ("structure", "scale"),
    [
        ("full", LogNormalScale()),
        ("tied", HalfNormalScale(2.0)),
        ("diag", InverseGammaScale(2.0, hyper=(0.5, 2.0))),
        ("spherical", InverseGammaScale(2.0, 0.5)),
    ],
)
def test_posterior_of_k_is_that_of_the_evidences(structure, scale):
    """p(K | data) from the sampler, where K is one more unknown, against p(K) p(data | K) with every integral done apart."""
    rng = np.random.default_rng(0)
    # Few rows: with more, hardly a draw from the prior comes near them, and the plain average is no good.
    values = rng.normal(size=(6, 2))
    values = Scaling.of(values, common=structure == "spherical").standardise(values)
    priors = Priors(scale=scale, weight_concentration=1.0)
    log_z = np.array([log_evidence(values, structure, k, priors) for k in (1, 2, 3)])
    exact = np.exp(log_z - logsumexp(log_z))
    found = filled_components(
        values, structure, priors, sparse=False, max_components=3, draws=8000, tune=1000, thin=2, chains=2
    )
    np.testing.assert_allclose(found.table["p_k"], exact, atol=0.02 + 1.5 / np.sqrt(found.ess))
    assert (found.n_filled <= found.n_components).all()
    assert found.table["p_filled"].sum() == pytest.approx(1.0)


@pytest.mark.slow
def test_posterior_of_k_of_the_galaxies_is_that_of_reversible_jump():
    """Against Richardson and Green's own program: `tests/reference/nmix.json`, whose note says how it was run."""
    reference = json.loads((Path(__file__).parents[1] / "reference" / "nmix.json").read_text())
    y = load_dataset("galaxies")
    prior = Priors.richardson_green(y)
    found = filled_components(y, "full", prior, sparse=False, max_components=30, draws=20_000, random_seed=2)
    assert found.ess > 300
    for k, expected in reference["p_k"]["galaxies"].items():
        own = float(found.table["p_k"][int(k)])
        error = np.hypot(np.sqrt(expected * (1 - expected) / found.ess), reference["se"]["galaxies"][k])
        assert abs(own - expected) < 4 * error, k


def test_superfluous_components_empty_themselves():
    rng = np.random.default_rng(1)
    values = np.vstack([rng.normal(m, 1, (60, 2)) for m in (-6, 0, 6)])
    found = filled_components(values, max_components=8, draws=1000, tune=500, chains=2)
    assert found.most_probable == 3
    assert found.table.at[3, "p_filled"] > 0.8
    assert found.table.at[8, "p_k"] == 1.0
    assert "Dirichlet(0.01)" in repr(found)
    assert found.ess > 1


def test_same_seed_same_numbers():
    values = np.random.default_rng(2).normal(size=(30, 1))
    first, again = (filled_components(values, draws=50, tune=10, chains=2, random_seed=5) for _ in range(2))
    np.testing.assert_array_equal(first.n_filled, again.n_filled)


def test_prior_of_k_is_used():
    values = np.random.default_rng(3).normal(size=(20, 1))
    found = filled_components(values, sparse=False, max_components=4, prior_k={2: 1.0}, draws=50, tune=10)
    assert found.table.at[2, "p_k"] == 1.0


def test_wrong_arguments_are_named():
    values = np.random.default_rng(4).normal(size=(20, 1))
    with pytest.raises(InputError, match="concentration=-1"):
        filled_components(values, concentration=-1)
    with pytest.raises(InputError, match="no mass"):
        filled_components(values, sparse=False, prior_k={99: 1.0})
    with pytest.raises(InputError, match="max_components"):
        filled_components(values, max_components=0)
