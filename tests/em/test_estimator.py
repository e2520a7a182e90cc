"""The estimator is scikit-learn's in everything that scikit-learn checks, and where the two can be compared."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.exceptions import ConvergenceWarning, SkipTestWarning
from sklearn.mixture import GaussianMixture as Theirs
from sklearn.utils.estimator_checks import check_estimator

from bayesgmm import load_dataset
from bayesgmm.data import InputError
from bayesgmm.em import GaussianMixture
from bayesgmm.mixture import COVARIANCE_TYPES

structures = pytest.mark.parametrize("name", COVARIANCE_TYPES)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
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
