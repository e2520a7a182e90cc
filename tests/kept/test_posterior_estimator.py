"""The posterior as a scikit-learn estimator says what `sample_posterior` says, and goes where estimators go."""

import copy
import pickle

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import stats
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import bayesgmm as bg
from bayesgmm.data import InputError

RNG = np.random.default_rng(2)
FRAME = pd.DataFrame(np.r_[RNG.normal(0, 1, (70, 2)), RNG.normal(5, 2, (50, 2))] * [1.0, 100.0], columns=["a", "b"])
NEW = pd.DataFrame({"a": [0.1, 5.0, 2.0], "b": [20.0, 510.0, 190.0]})
FEW = {"draws": 500, "chains": 4, "random_state": 0}


@pytest.fixture(scope="module")
def fitted() -> bg.PosteriorMixture:
    return bg.PosteriorMixture(2, **FEW).fit(FRAME)


def sampled(post: bg.PosteriorMixture) -> list[np.ndarray]:
    """Weights, means and covariances of all draws, chain by chain."""
    p = post.posterior_["posterior"].dataset
    return [np.concatenate(list(p[name].values)) for name in ("weights", "means", "covariances")]


def densities(post: bg.PosteriorMixture) -> np.ndarray:
    """Weighted component densities of NEW (S, K, N), by SciPy."""
    w, m, c = sampled(post)
    return np.array(
        [
            [w[s, k] * stats.multivariate_normal(m[s, k], c[s, k]).pdf(NEW) for k in range(w.shape[1])]
            for s in range(len(w))
        ]
    )


def test_probabilities_by_brute_force(fitted) -> None:
    each = densities(fitted)
    share = each / each.sum(axis=1, keepdims=True)
    mean, std = fitted.predict_proba(NEW, return_std=True)
    np.testing.assert_allclose(mean, share.mean(0).T, rtol=1e-8)
    np.testing.assert_allclose(std, share.std(0).T, rtol=1e-6)
    np.testing.assert_array_equal(fitted.predict_proba(NEW), mean)
    lower, upper = fitted.predict_interval(NEW, ci_prob=0.8)
    np.testing.assert_allclose(lower, np.quantile(share, 0.1, axis=0).T, rtol=1e-7)
    np.testing.assert_allclose(upper, np.quantile(share, 0.9, axis=0).T, rtol=1e-7)
    np.testing.assert_array_equal(fitted.predict(NEW), mean.argmax(1))
    np.testing.assert_allclose(fitted.score_samples(NEW), np.log(each.sum(1).mean(0)), rtol=1e-9)
    assert fitted.score(NEW) == pytest.approx(np.log(each.sum(1).mean(0)).mean())


def test_it_is_sample_posterior(fitted, tmp_path) -> None:
    wanted = bg.memberships(fitted.posterior_, NEW)
    np.testing.assert_allclose(fitted.predict_proba(NEW), wanted["probability"], rtol=1e-12)
    p = fitted.posterior_["posterior"]
    np.testing.assert_allclose(fitted.means_, p["means"].mean(("chain", "draw")), rtol=1e-12)
    np.testing.assert_allclose(fitted.covariances_, p["covariances"].mean(("chain", "draw")), rtol=1e-12)
    assert fitted.diagnosis_.ok == fitted.converged_ == bg.diagnose(fitted.posterior_).ok
    assert "Verdict" in repr(fitted)
    scores = bg.load_model(bg.save_model(fitted, tmp_path / "m.json", draws=2000)).score(NEW)
    np.testing.assert_allclose(scores.probability, fitted.predict_proba(NEW), rtol=1e-12)
    np.testing.assert_allclose(scores.log_density, fitted.score_samples(NEW), rtol=1e-12)
    assert len(bg.load_model(fitted.save(tmp_path / "n.json")).draws.weights) == 400


def test_drawn_rows_have_the_predictive_moments(fitted) -> None:
    """The predictive density is the mean of the densities of the draws, so that its moments are the means of theirs."""
    w, m, c = sampled(fitted)
    mean = np.einsum("sk,skd->d", w, m) / len(w)
    second = np.einsum("sk,skde->de", w, c + m[..., :, None] * m[..., None, :]) / len(w)
    covariance = second - np.outer(mean, mean)
    x, labels = fitted.sample(40_000)
    sd = np.sqrt(np.diag(covariance))
    assert (np.abs(x.mean(0) - mean) < 5 * sd / 200).all()
    np.testing.assert_allclose(np.cov(x.T), covariance, rtol=0.06)
    assert labels.mean() == pytest.approx(w[:, 1].mean(), abs=0.013)
    np.testing.assert_array_equal(fitted.sample(5)[0], fitted.sample(5)[0])


def test_what_may_not_be_believed_is_said() -> None:
    with pytest.warns(ConvergenceWarning, match="the verdict on the posterior is not converged: .*; remedy: "):
        bad = bg.PosteriorMixture(2, draws=20, tune=20, chains=2, random_state=0).fit(FRAME)
    assert not bad.converged_


@pytest.mark.filterwarnings("ignore:the verdict on the posterior is not converged")
def test_a_search_finds_what_predicts_best() -> None:
    """Two far groups: K=2 predicts rows held out better than K=1; the scores are those of the folds fitted by hand."""
    folds = KFold(3, shuffle=True, random_state=0)
    steps = make_pipeline(StandardScaler(), bg.PosteriorMixture(draws=200, random_state=0))
    search = GridSearchCV(steps, {"posteriormixture__n_components": [1, 2]}, cv=folds)
    x = FRAME.to_numpy()
    search.fit(x)
    assert search.best_params_ == {"posteriormixture__n_components": 2}
    train, test = next(iter(folds.split(x)))
    by_hand = clone(search.best_estimator_).fit(x[train])
    assert search.cv_results_["split0_test_score"][1] == pytest.approx(by_hand.score(x[test]), rel=1e-12)


def test_it_travels(fitted, tmp_path) -> None:
    joblib.dump(fitted, tmp_path / "m.joblib")
    for again in (pickle.loads(pickle.dumps(fitted)), joblib.load(tmp_path / "m.joblib"), copy.deepcopy(fitted)):
        np.testing.assert_array_equal(again.predict_proba(NEW), fitted.predict_proba(NEW))
        assert again.diagnosis_.verdict == fitted.diagnosis_.verdict
    assert clone(fitted).get_params() == fitted.get_params()
    assert not hasattr(clone(fitted), "posterior_")
    named = clone(fitted).set_output(transform="pandas").fit(pl.from_pandas(FRAME))
    assert list(named.transform(NEW).columns) == ["posteriormixture0", "posteriormixture1"]
    np.testing.assert_array_equal(named.transform(NEW), fitted.predict_proba(NEW))


def test_weights_of_rows_count() -> None:
    weight = np.r_[np.ones(60), np.zeros(60)]
    weighted = bg.PosteriorMixture(1, **FEW).fit(FRAME, sample_weight=weight)
    dropped = bg.PosteriorMixture(1, **FEW).fit(FRAME[:60])
    np.testing.assert_allclose(weighted.means_, dropped.means_, rtol=0.05, atol=0.05)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"n_components": "2"}, "n_components="),
        ({"draws": 2}, "draws=2"),
        ({"sampler": "luck"}, "sampler='luck'"),
        ({"covariance_type": "round"}, "round"),
        ({"random_state": "x"}, "x"),
    ],
)
def test_bad_arguments_are_named(arguments, words) -> None:
    with pytest.raises(ValueError, match=words):
        bg.PosteriorMixture(**arguments).fit(FRAME)


def test_bad_questions_are_named(fitted) -> None:
    with pytest.raises(InputError, match="return_std"):
        fitted.predict_proba(NEW, return_std="yes")
    with pytest.raises(InputError, match="ci_prob"):
        fitted.predict_interval(NEW, ci_prob=95)
    with pytest.raises(InputError, match="n_samples"):
        fitted.sample(0)


# scikit-learn's check that cannot hold.
TOO_FEW_ROWS = {"check_sample_weight_equivalence_on_dense_data": "15 rows of 30 columns, too few for full covariances"}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(("name", "failing"), [("full", TOO_FEW_ROWS), ("diag", {})])
def test_check_estimator(name: str, failing: dict[str, str]) -> None:
    model = bg.PosteriorMixture(covariance_type=name, draws=20, tune=30, chains=2)
    results = check_estimator(model, expected_failed_checks=failing)
    assert [r["check_name"] for r in results if r["status"] == "xfail"] == list(failing)
