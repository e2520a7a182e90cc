"""The estimator is scikit-learn's in everything that scikit-learn checks, and where the two can be compared."""

import copy
import pickle

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, SkipTestWarning
from sklearn.mixture import GaussianMixture as Theirs
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from bayesgmm import load_dataset
from bayesgmm.data import InputError
from bayesgmm.em import GaussianMixture
from bayesgmm.mixture import COVARIANCE_TYPES

structures = pytest.mark.parametrize("name", COVARIANCE_TYPES)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@pytest.mark.filterwarnings("ignore:.*collinear:sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", COVARIANCE_TYPES)
def test_check_estimator(name: str) -> None:
    assert issubclass(SkipTestWarning, UserWarning)
    check_estimator(GaussianMixture(covariance_type=name))


@structures
def test_same_model_same_numbers(name: str) -> None:
    """scikit-learn with our parameters put in gives our densities, responsibilities and criteria."""
    df = load_dataset("faithful")
    ours = GaussianMixture(3, covariance_type=name, random_state=0).fit(df)
    theirs = Theirs(3, covariance_type=name)
    for attribute in ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"):
        setattr(theirs, attribute, getattr(ours, attribute))
    theirs.n_features_in_ = 2
    x = df.to_numpy(float)
    np.testing.assert_allclose(theirs.score_samples(x), ours.score_samples(df), rtol=1e-8)
    np.testing.assert_allclose(theirs.predict_proba(x), ours.predict_proba(df), atol=1e-9)
    np.testing.assert_array_equal(theirs.predict(x), ours.predict(df))
    assert ours.aic(df) == pytest.approx(theirs.aic(x))
    assert ours.bic(df) == pytest.approx(theirs.bic(x))
    assert ours.bic(df) == pytest.approx(ours.result_.bic)
    assert ours.icl(df) == pytest.approx(ours.result_.icl)
    assert ours.score(df) == pytest.approx(ours.lower_bound_)
    assert ours.lower_bounds_[-1] == pytest.approx(ours.lower_bound_)


@pytest.mark.parametrize(
    "make", [lambda d: d, pl.from_pandas, pa.Table.from_pandas, lambda d: pl.from_pandas(d).lazy()]
)
def test_tables(make) -> None:
    df = load_dataset("faithful")
    plain = GaussianMixture(2, random_state=0).fit(df.to_numpy())
    gm = GaussianMixture(2, random_state=0).fit(make(df))
    np.testing.assert_array_equal(gm.means_, plain.means_)
    assert list(gm.feature_names_in_) == list(df.columns)
    np.testing.assert_array_equal(gm.predict(make(df)), plain.predict(df.to_numpy()))


@structures
def test_given_starts_keep_their_order(name: str) -> None:
    x = load_dataset("faithful").to_numpy(float)
    means = np.array([[2.0, 55.0], [4.3, 80.0]])  # the smaller group first
    gm = GaussianMixture(2, covariance_type=name, means_init=means, weights_init=[0.4, 0.6]).fit(x)
    assert gm.weights_[0] < gm.weights_[1]
    precisions = GaussianMixture(2, covariance_type=name).fit(x).precisions_
    again = GaussianMixture(2, covariance_type=name, means_init=means, precisions_init=precisions[::-1].copy()
                            if name != "tied" else precisions).fit(x)  # fmt: skip
    assert again.lower_bound_ == pytest.approx(gm.lower_bound_)
    with pytest.raises(InputError, match="means_init has shape"):
        GaussianMixture(2, means_init=[[1.0, 2.0]]).fit(x)
    with pytest.raises(InputError, match="sum to one"):
        GaussianMixture(2, weights_init=[0.4, 0.4]).fit(x)


@structures
def test_to_sklearn_is_equal(name: str) -> None:
    df = load_dataset("iris").iloc[:, :4]
    ours = GaussianMixture(3, covariance_type=name, random_state=0).fit(df)
    theirs = ours.to_sklearn()
    assert type(theirs) is Theirs
    np.testing.assert_allclose(theirs.predict_proba(df), ours.predict_proba(df), rtol=0, atol=1e-12)
    np.testing.assert_allclose(theirs.score_samples(df), ours.score_samples(df), rtol=1e-9)
    assert theirs.bic(df) == pytest.approx(ours.bic(df))


def test_messages_are_those_that_people_match() -> None:
    """The words of scikit-learn's own errors and warnings stand in ours."""
    x = load_dataset("faithful").to_numpy(float)
    cases = {
        "The parameter 'weights' should have the shape of": {"weights_init": [1.0]},
        "The parameter 'weights' should be normalized": {"weights_init": [0.3, 0.3]},
        "The parameter 'means' should have the shape of": {"means_init": [[1.0, 2.0]]},
        "The parameter 'full precision' should have the shape of": {"precisions_init": np.ones((1, 2, 2))},
        "'full precision' should be symmetric, positive-definite": {"precisions_init": -np.tile(np.eye(2), (2, 1, 1))},
        "'diag precision' should be positive": {"precisions_init": -np.ones((2, 2)), "covariance_type": "diag"},
    }
    for message, arguments in cases.items():
        with pytest.raises(InputError, match=message):
            GaussianMixture(2, **arguments).fit(x)
    with pytest.raises(InputError, match="Invalid value for 'n_samples'"):
        GaussianMixture(2, random_state=0).fit(x).sample(0)
    with pytest.warns(ConvergenceWarning, match="Best performing initialization did not converge"):
        GaussianMixture(3, max_iter=1, random_state=0).fit(x)


def test_random_state_is_scikit_learns() -> None:
    x = load_dataset("iris").iloc[:, :4].to_numpy(float)
    one, two = (GaussianMixture(3, random_state=np.random.RandomState(5)).fit(x) for _ in range(2))
    np.testing.assert_array_equal(one.means_, two.means_)
    draws, labels = GaussianMixture(2, random_state=0).fit(x).sample(500)
    again, _ = GaussianMixture(2, random_state=0).fit(x).sample(500)
    np.testing.assert_array_equal(draws, again)
    assert draws.shape == (500, 4)
    assert np.all(np.diff(labels) >= 0)


def test_warm_start_and_iteration_limit() -> None:
    x = load_dataset("faithful").to_numpy(float)
    gm = GaussianMixture(3, max_iter=2, n_init=1, random_state=0, warm_start=True)
    with pytest.warns(ConvergenceWarning, match="raise max_iter"):
        gm.fit(x)
    assert not gm.converged_
    first = gm.lower_bound_
    gm.set_params(max_iter=2000).fit(x)
    assert gm.converged_
    assert gm.lower_bound_ > first


def test_a_warm_start_needs_a_solution_of_its_own_shape() -> None:
    x = load_dataset("iris").iloc[:, :4].to_numpy(float)
    gm = GaussianMixture(2, random_state=0, warm_start=True).fit(x)
    for other in ({"n_components": 3}, {"covariance_type": "diag"}):
        fresh = GaussianMixture(**{"n_components": 2, **other}, random_state=0).fit(x)
        assert gm.set_params(**{"n_components": 2, **other}).fit(x).lower_bound_ == fresh.lower_bound_
    assert gm.fit(x[:, :2]).means_.shape == (2, 2)


@structures
def test_iterations_are_scikit_learns(name: str) -> None:
    """One iteration from given parameters is one E-step and one M-step, by scikit-learn as the other route; none is none.

    The bound of the result is that of the parameters returned, where scikit-learn's is of those before the last M-step.
    """
    x = load_dataset("faithful").to_numpy(float)
    given = {"weights_init": [0.5, 0.5], "means_init": [[2.0, 60.0], [4.0, 75.0]], "max_iter": 1}
    ones = Theirs(2, covariance_type=name).fit(x).precisions_ * 0.5
    ours = GaussianMixture(2, covariance_type=name, precisions_init=ones, **given)
    theirs = Theirs(2, covariance_type=name, precisions_init=ones, reg_covar=0, **given)
    for one in (ours, theirs):
        with pytest.warns(ConvergenceWarning):
            one.fit(x)
    for attribute in ("weights_", "means_", "covariances_"):
        np.testing.assert_allclose(getattr(ours, attribute), getattr(theirs, attribute), rtol=1e-8)
    assert ours.n_iter_ == theirs.n_iter_ == 1
    assert ours.lower_bound_ == pytest.approx(theirs.score(x))
    assert ours.lower_bound_ > theirs.lower_bound_
    none = GaussianMixture(2, covariance_type=name, precisions_init=ones, **{**given, "max_iter": 0}).fit(x)
    np.testing.assert_allclose(none.precisions_, ones, rtol=1e-9)
    assert none.n_iter_ == 0


def test_a_ridge_is_in_what_is_returned() -> None:
    """The M-step of one component is the sample covariance, and the ridge is added relative to the variances."""
    x = load_dataset("faithful").to_numpy(float)
    gm = GaussianMixture(reg_covar=0.1).fit(x)
    np.testing.assert_allclose(gm.covariances_[0], np.cov(x.T, bias=True) + 0.1 * np.diag(x.var(0)), rtol=1e-9)


def test_too_few_distinct_rows_collapse() -> None:
    x = np.repeat([[0.0, 1.0], [2.0, 5.0], [3.0, 1.0]], 40, axis=0)
    with pytest.raises(InputError, match="4 components of 3 distinct rows collapse"):
        GaussianMixture(4).fit(x)
    GaussianMixture(4, reg_covar=1e-4, random_state=0).fit(x)


def test_what_did_not_converge_or_collapsed_says_so() -> None:
    x = np.random.default_rng(0).normal(size=(50, 2)) @ [[1.0, 2.0], [0.5, 1.0]]
    with pytest.warns(ConvergenceWarning, match="degenerate data"):
        gm = GaussianMixture(2, random_state=0).fit(x)
    assert not gm.converged_
    assert gm.result_.collinear == ("x0", "x1")


def test_estimators_travel(tmp_path) -> None:
    """Cloned without what was fitted; pickled by pickle and joblib with it; fitted in other processes."""
    x = load_dataset("iris").iloc[:, :4]
    gm = GaussianMixture(2, covariance_type="diag", random_state=0).fit(x)
    assert clone(gm).get_params() == gm.get_params()
    assert not hasattr(clone(gm), "result_")
    joblib.dump(gm, tmp_path / "gm.joblib")
    for again in (pickle.loads(pickle.dumps(gm)), joblib.load(tmp_path / "gm.joblib"), copy.deepcopy(gm)):
        np.testing.assert_array_equal(again.predict_proba(x), gm.predict_proba(x))
        assert again.summary() == gm.summary()
        assert again.set_params(warm_start=True).fit(x).n_iter_ <= 3
    fitted = joblib.Parallel(n_jobs=2)(joblib.delayed(clone(gm).fit)(x) for _ in range(2))
    assert [one.lower_bound_ for one in fitted] == [gm.lower_bound_] * 2


def test_a_step_of_a_pipeline() -> None:
    x = load_dataset("iris").iloc[:, :4]
    steps = make_pipeline(StandardScaler(), GaussianMixture(2, random_state=0)).set_output(transform="pandas")
    found = steps.fit_transform(x)
    assert list(found.columns) == ["gaussianmixture0", "gaussianmixture1"]
    np.testing.assert_array_equal(found, steps.predict_proba(x))
    search = GridSearchCV(steps, {"gaussianmixture__n_components": [1, 2]}, cv=2).fit(x.sample(frac=1, random_state=0))
    assert search.best_params_["gaussianmixture__n_components"] == 2


def test_sample_weight() -> None:
    x = load_dataset("faithful").to_numpy(float)
    weight = np.ones(len(x))
    weight[:50] = 0
    weighted = GaussianMixture(2, random_state=0).fit(x, sample_weight=weight)
    dropped = GaussianMixture(2, random_state=0).fit(x[50:])
    np.testing.assert_allclose(weighted.means_, dropped.means_, rtol=1e-6)
    assert weighted.result_.n_rows == len(x) - 50


def test_shows_itself(capsys) -> None:
    df = load_dataset("faithful")
    gm = GaussianMixture(2, random_state=0)
    assert repr(gm) == "GaussianMixture(n_components=2, random_state=0)"
    assert "GaussianMixture" in gm._repr_html_()
    gm.fit(df)
    assert capsys.readouterr().out == ""
    for word in ("log likelihood", "-1130.264", "BIC", "ICL", "clustering", "1: 175"):
        assert word in gm.summary()
    assert gm.summary() in repr(gm)
    assert "-1130.264" in gm._repr_html_()
    gm.set_params(verbose=1).fit(df)
    assert "-1130.264" in capsys.readouterr().out


def test_errors_are_value_errors() -> None:
    x = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [1.0, 1.0, 1.0]})
    with pytest.raises(InputError, match="column 'b' is constant"):
        GaussianMixture().fit(x)
    with pytest.raises(InputError, match="init='luck'"):
        GaussianMixture(2, init_params="luck").fit(np.random.default_rng(0).normal(size=(9, 2)))
