"""What docs/coming-from.md says of scikit-learn, mclust and PyMC is so."""

import inspect
import json
import shutil
import subprocess

import numpy as np
import pytest
from sklearn.mixture import GaussianMixture as Theirs

import bayesgmm as bg

FAITHFUL = bg.load_dataset("faithful")
N = len(FAITHFUL)


def defaults(cls: type) -> dict:
    return {name: p.default for name, p in inspect.signature(cls).parameters.items()}


def test_scikit_learn_has_the_same_names_and_other_defaults() -> None:
    ours, theirs = defaults(bg.GaussianMixture), defaults(Theirs)
    assert set(ours) == set(theirs)
    said = {
        "n_init": (1, "auto"),
        "init_params": ("kmeans", "auto"),
        "tol": (1e-3, 1e-9),
        "max_iter": (100, 10_000),
        "reg_covar": (1e-6, 0),
    }
    for name, (their_default, our_default) in said.items():
        assert (theirs[name], ours[name]) == (their_default, our_default), name
    assert {n for n in ours if ours[n] != theirs[n]} == set(said)
    assert "sample_weight" not in inspect.signature(Theirs.fit).parameters
    public = {name for name in dir(Theirs) if not name.startswith("_")}
    assert public <= set(dir(bg.GaussianMixture))


@pytest.mark.parametrize("structure", ["full", "tied", "diag", "spherical"])
def test_scikit_learn_agrees_where_it_is_told_to_go_on(structure: str) -> None:
    ours = bg.GaussianMixture(2, covariance_type=structure, random_state=0).fit(FAITHFUL)
    theirs = Theirs(2, covariance_type=structure, random_state=0, tol=1e-12, reg_covar=0, max_iter=10_000).fit(FAITHFUL)
    assert set(vars(theirs)) <= set(vars(ours))
    order = np.argsort(-theirs.weights_)
    np.testing.assert_allclose(ours.weights_, theirs.weights_[order], rtol=1e-6)
    np.testing.assert_allclose(ours.means_, theirs.means_[order], rtol=1e-6)
    assert ours.covariances_.shape == theirs.covariances_.shape
    assert ours.precisions_cholesky_.shape == theirs.precisions_cholesky_.shape
    for name in ("bic", "aic", "score"):
        assert getattr(ours, name)(FAITHFUL) == pytest.approx(getattr(theirs, name)(FAITHFUL), rel=1e-8)
    assert ours.lower_bound_ == pytest.approx(theirs.lower_bound_, rel=1e-8)


def test_scikit_learn_stops_where_the_page_says() -> None:
    theirs = Theirs(3, random_state=0).fit(FAITHFUL).score(FAITHFUL) * N
    ours = bg.GaussianMixture(3, random_state=0).fit(FAITHFUL).score(FAITHFUL) * N
    assert theirs == pytest.approx(-1126.9, abs=0.05)
    assert ours == pytest.approx(-1114.4, abs=0.05)


PROGRAM = """
suppressMessages(library(mclust))
one <- function(g, m) {
  f <- Mclust(faithful, G = g, modelNames = m, verbose = FALSE)
  sprintf('{"loglik": %.10f, "bic": %.10f, "icl": %.10f, "df": %d, "aic": %.10f, "generic": %.10f, "pro": %.10f,
    "mean": [%d, %d]}', f$loglik, f$bic, f$icl, f$df, AIC(f), BIC(f), max(f$parameters$pro), dim(f$parameters$mean)[1],
    dim(f$parameters$mean)[2])
}
cells <- list(list(2, "VVV"), list(3, "VVV"), list(2, "EEE"), list(2, "VVI"), list(2, "VII"))
cat("[", paste(sapply(cells, function(c) one(c[[1]], c[[2]])), collapse = ","), "]")
"""


def test_mclust_has_the_other_sign() -> None:
    if shutil.which("Rscript") is None:
        pytest.skip("R is not installed")
    done = subprocess.run(["Rscript", "-e", PROGRAM], capture_output=True, text=True, check=False)
    if "there is no package" in done.stderr:
        pytest.skip("R has no package mclust")
    full, three, *others = json.loads(done.stdout)
    for theirs, name in zip([full, *others], ["full", "tied", "diag", "spherical"], strict=True):
        fit = bg.fit_mixture(FAITHFUL, 2, name)
        assert fit.n_parameters == theirs["df"]
        assert -fit.bic == pytest.approx(theirs["bic"], abs=0.05)
        assert -fit.icl == pytest.approx(theirs["icl"], abs=0.05)
        assert fit.bic == pytest.approx(theirs["generic"], abs=0.05)
        assert fit.aic == pytest.approx(theirs["aic"], abs=0.05)
        assert fit.log_likelihood >= theirs["loglik"] - 1e-6
        assert fit.mixture.weights[0] == pytest.approx(theirs["pro"], abs=0.01)
        assert fit.mixture.means.T.shape == tuple(theirs["mean"])
        assert fit.mixture.dense_covariances.shape == (2, 2, 2)
    assert three["loglik"] == pytest.approx(-1127.2, abs=0.05)


@pytest.mark.slow
def test_pymc_model_has_the_names_of_the_table() -> None:
    model = bg.build_model(FAITHFUL, n_components=2)
    assert [v.name for v in model.free_RVs] == ["weights", "standard_means", "standard_scales", "partial_shares"]
    assert [v.name for v in model.deterministics] == ["means", "covariances"]
    assert [v.name for v in model.observed_RVs] == ["x"]
    assert model.named_vars_to_dims["means"] == ("cluster", "feature")
    assert bg.Priors() == bg.Priors(correlation_eta=2.0, weight_concentration=4.0)
