"""Other priors from the draws at hand: against closed forms, and against evidences of models sampled under them."""

from __future__ import annotations

from math import lgamma

import numpy as np
import pandas as pd
import pytest

import bayesgmm as bg
from bayesgmm.selection.prior_path import between
from bayesgmm.selection.sensitivity import prior_alternatives
from bayesgmm.selection.sensitivity_words import sensitivity_sentence

SETTINGS = {"progressbar": False, "random_seed": 0, "draws": 500}
COUNTS = np.array([30, 90])
DIRICHLET = "weights ~ Dirichlet(1)"


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    return pd.DataFrame({"a": np.concatenate([rng.normal(-9, 1, COUNTS[0]), rng.normal(9, 1, COUNTS[1])])})


@pytest.fixture(scope="module")
def posts(rows):
    return {f"{k} full": bg.sample_posterior(rows, k, **SETTINGS) for k in (1, 2)}


@pytest.fixture(scope="module")
def found(posts):
    return bg.prior_sensitivity(posts, refit=False)


def log_dirichlet_multinomial(counts, a):
    """Probability of a sequence with these counts: Gamma(Ka) / Gamma(N + Ka) prod Gamma(n_k + a) / Gamma(a)."""
    k, n = len(counts), counts.sum()
    return lgamma(k * a) - lgamma(n + k * a) + sum(lgamma(c + a) - lgamma(a) for c in counts)


def test_weights_of_two_certain_groups_are_a_dirichlet_multinomial(posts, found):
    """Where every row's group is certain the weights' prior meets the data in the counts alone: Z'/Z is a ratio of
    Dirichlet-multinomials, posterior means are (n + a) / (N + 2 a), and K = 1 has no weights to be sensitive."""
    gain = log_dirichlet_multinomial(COUNTS, 1.0) - log_dirichlet_multinomial(COUNTS, 4.0)
    odds = np.log(found.p_k[2] / found.p_k[1])
    assert odds[DIRICHLET] - odds["as given"] == pytest.approx(gain, abs=0.03)
    for a, prior in ((4, "as given"), (1, DIRICHLET), (10, "weights ~ Dirichlet(10)")):
        weights = np.sort(found.parameters.loc[prior, ["weight[0]", "weight[1]"]])
        np.testing.assert_allclose(weights, (COUNTS + a) / (COUNTS.sum() + 2 * a), atol=0.004)
    assert (found.shifts["rows_moved"] == 0).all()
    assert found.shifts.loc["as given"].tolist() == [0.0, 0.0, 0.0]
    assert found.headline == "2 full"
    assert set(found.power_scaling.columns) >= {"prior", "likelihood"}


def test_transport_says_what_importance_says(posts, found, monkeypatch):
    monkeypatch.setattr("bayesgmm.selection.sensitivity._GOOD_K", -np.inf)
    again = bg.prior_sensitivity(posts, refit=False)
    assert again.methods.loc[DIRICHLET, "2 full"] == "transport"
    odds = [np.log(f.p_k[2] / f.p_k[1]) for f in (found, again)]
    np.testing.assert_allclose(odds[0], odds[1], atol=0.05)
    np.testing.assert_allclose(found.parameters, again.parameters, atol=0.05)


def test_a_walk_over_priors_in_between_agrees(posts, found, monkeypatch):
    """Weights of Dirichlet(4), 3.25, 2.5, 1.75, 1: the same normaliser in four steps, by other draws."""
    monkeypatch.setattr("bayesgmm.selection.sensitivity._GOOD_K", -np.inf)
    monkeypatch.setattr("bayesgmm.selection.transport._GOOD_K", -np.inf)
    again = bg.prior_sensitivity(posts, refit=False)
    assert again.methods.loc[DIRICHLET, "2 full"] == "annealed"
    gain = log_dirichlet_multinomial(COUNTS, 1.0) - log_dirichlet_multinomial(COUNTS, 4.0)
    odds = np.log(again.p_k[2] / again.p_k[1])
    assert odds[DIRICHLET] - odds["as given"] == pytest.approx(gain, abs=0.05)
    halfway = between(bg.Priors(), bg.Priors(weight_concentration=1.0, mean_scale=(1.0, 4.0)), 0.5)
    assert halfway == bg.Priors(weight_concentration=2.5, mean_scale=(1.5, 3.0))


def test_sampling_anew_agrees(rows, posts, found, monkeypatch):
    """A prior that neither way reaches is sampled; and the evidence of a model sampled under it is what the draws said."""
    name = "sd of the means x 1/2"
    other = bg.Priors(mean_scale=1.0)
    monkeypatch.setattr("bayesgmm.selection.sensitivity._GOOD_K", -np.inf)
    monkeypatch.setattr("bayesgmm.selection.transport._GOOD_K", -np.inf)
    monkeypatch.setattr("bayesgmm.selection.prior_path._GOOD_K", -np.inf)
    post = posts["2 full"]
    refused = bg.prior_sensitivity({"2 full": post, "1 full": posts["1 full"]}, alternatives={name: other}, refit=False)
    assert (refused.methods.loc[name] == "refused").all()
    assert refused.p_k.loc[name].isna().all()
    sampled = bg.prior_sensitivity(posts, alternatives={name: other})
    assert (sampled.methods.loc[name] == "sampled").all()
    np.testing.assert_allclose(np.log(sampled.p_k.loc[name]), np.log(found.p_k.loc[name]), atol=0.15)


def test_one_posterior_has_no_probabilities_of_k(posts):
    alone = bg.prior_sensitivity(posts["1 full"])
    assert alone.sentence == ""
    assert alone.p_k.shape[1] == 0
    assert np.isnan(alone.lowest)


def test_alternatives_leave_out_what_was_given(posts):
    tried = prior_alternatives(bg.Priors(), 2, 1)
    assert bg.Priors() not in tried.values()
    assert [p.weight_concentration for name, p in tried.items() if "Dirichlet" in name] == [1.0, 10.0]
    assert tried["scales at one place for every K"].scale.location == pytest.approx(-np.log(2))
    with pytest.raises(bg.InputError, match="has other coordinates"):
        bg.prior_sensitivity(posts, alternatives={"rg": bg.Priors(scale=bg.InverseGammaScale(hyper=(0.2, 1.0)))})
    with pytest.raises(bg.InputError, match="give an instance of Priors"):
        bg.prior_sensitivity(posts, alternatives={"4": 4})


@pytest.mark.parametrize(
    ("p", "said"),
    [
        ([0.75, 0.38], "K = 3 or 4, depending on the prior: p(K = 3) is 0.75 as given, and 0.38 with other."),
        ([0.99, 0.97], "K = 3 is settled under every prior tried: its probability is between 0.97 and 0.99."),
        ([0.99, 0.85], "K = 3 is likely under every prior tried"),
        ([0.99, 0.55], "K = 3 is favoured, not settled, under every prior tried"),
    ],
)
def test_words_are_graded_by_the_range(p, said):
    table = pd.DataFrame({3: p, 4: 1 - np.array(p)}, index=["as given", "other"])
    assert sensitivity_sentence(table, 3).startswith(said)
