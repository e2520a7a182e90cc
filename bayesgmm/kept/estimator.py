"""scikit-learn's face of the posterior: an estimator for pipelines and searches over parameters."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from ..checks import diagnose
from ..clusters import ScoredRows, summarise_rows
from ..contrast import log_predictive
from ..data import CI_PROB, check_ci_prob, check_switch, check_whole, checked_weight
from ..em import MembershipTransformer, TableInput
from ..mixture import draw_responsibilities, drawn_labels, drawn_rows
from ..posterior import Priors
from ..sampling import Settings, sample_posterior
from .model import KeptPosterior

__all__ = ["PosteriorMixture"]

Array = NDArray[np.float64]


class PosteriorMixture(MembershipTransformer, TableInput, DensityMixin, BaseEstimator):
    """Gaussian mixture fitted by its posterior, as a scikit-learn estimator.

    `sample_posterior` in the manner of `GaussianMixture`: for pipelines, cross-validation and searches over parameters.
    ``score`` is the mean log density of rows under the posterior predictive distribution, so that `GridSearchCV` chooses what
    predicts best.
    (scikit-learn's `BayesianGaussianMixture` is a variational approximation about one mode.)

    Parameters
    ----------
    n_components : int, default 1
    covariance_type : {"full", "tied", "diag", "spherical", "EEI"}
    priors : Priors, optional
    draws, tune, chains, cores, target_accept, sampler, method :
        As in `sample_posterior`.
    random_state : int, RandomState or None

    Attributes
    ----------
    posterior_ : DataTree
        What `sample_posterior` returned: everything else of this package takes it.
    diagnosis_ : Diagnosis
        Whether it may be believed.
    weights_, means_, covariances_ : (K,), (K, D), shape of the covariance type
        Posterior means, labels aligned.
    converged_ : bool
        Whether the verdict is good.
    n_features_in_ : int
    feature_names_in_ : (D,), where the data had column names that are strings
    """

    def __init__(
        self,
        n_components: int = 1,
        *,
        covariance_type: str = "full",
        priors: Priors | None = None,
        draws: int = Settings.draws,
        tune: int | None = None,
        chains: int = Settings.chains,
        cores: int | None = Settings.cores,
        target_accept: float = Settings.target_accept,
        sampler: str = Settings.sampler,
        method: str = Settings.method,
        random_state: Any = None,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.priors = priors
        self.draws = draws
        self.tune = tune
        self.chains = chains
        self.cores = cores
        self.target_accept = target_accept
        self.sampler = sampler
        self.method = method
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Sample the posterior.

        Parameters
        ----------
        X : array (N, D) or pandas, polars or pyarrow table
        y : ignored
        sample_weight : (N,), optional
            0 is a row left out, 2 a row given twice.

        Raises
        ------
        InputError
            A ValueError that names the column, row or argument, and the remedy.

        Warns
        -----
        ConvergenceWarning
            The verdict is not good; with its evidence and remedy.
        """
        import pandas as pd

        values = self._values(X, reset=True)
        weight = checked_weight(sample_weight, len(values))
        given = self.get_params(deep=False)
        state = check_random_state(given.pop("random_state"))
        self.posterior_ = sample_posterior(
            pd.DataFrame(values, columns=list(self._names(values.shape[1]))),
            sample_weight=weight,
            random_seed=int(state.randint(np.iinfo(np.int32).max)),
            progressbar=False,
            log_likelihood=False,
            **given,
        )
        self._model = KeptPosterior.of(self.posterior_)
        self.diagnosis_ = diagnose(self.posterior_)
        draws = self._model.draws
        self.weights_, self.means_ = draws.weights.mean(axis=0), draws.means.mean(axis=0)
        self.covariances_ = draws.covariances.mean(axis=0)
        self.converged_ = self.diagnosis_.ok
        if not self.converged_:
            words = f"the verdict on the posterior is {self.diagnosis_.verdict}: {self.diagnosis_.evidence}; remedy: "
            warnings.warn(words + self.diagnosis_.remedy, ConvergenceWarning, stacklevel=2)
        return self

    def fit_predict(self, X: Any, y: Any = None, sample_weight: Any = None) -> NDArray[np.intp]:
        """Fit, and give the most probable component of each row (N,)."""
        return self.fit(X, y, sample_weight).predict(X)

    def _rows(self, X: Any) -> ScoredRows:
        check_is_fitted(self, "posterior_")
        values = self._values(X, reset=False)
        return self._model.rows(values, np.arange(len(values)))

    def predict_proba(self, X: Any, return_std: bool = False) -> Array | tuple[Array, Array]:
        """Posterior membership probabilities (N, K), and with ``return_std`` their standard deviation over draws (N, K).

        A probability is the mean over draws. It is the whole answer for a new row of which nothing else is known; the standard
        deviation tells how much of its openness is due to parameters that more data would settle.
        """
        check_switch("return_std", return_std)
        rows = self._rows(X)
        shape = (len(rows.values), rows.n_components)
        mean, std = np.empty(shape), np.empty(shape)
        for block in draw_responsibilities(rows.draws, rows.values):
            mean[block.rows] = block.responsibilities.mean(axis=0).T
            std[block.rows] = block.responsibilities.std(axis=0).T if return_std else 0.0
        mean /= mean.sum(axis=1, keepdims=True)
        return (mean, std) if return_std else mean

    def predict_interval(self, X: Any, ci_prob: float = CI_PROB) -> tuple[Array, Array]:
        """Equal-tailed posterior intervals of mass ``ci_prob`` of the membership probabilities: lower and upper ends (N, K)."""
        check_ci_prob(ci_prob)
        found = summarise_rows(self._rows(X), ci_prob)
        return found["probability_lb"], found["probability_ub"]

    def predict(self, X: Any) -> NDArray[np.intp]:
        """Most probable component of each row (N,)."""
        return np.asarray(self.predict_proba(X)).argmax(axis=1)

    def score_samples(self, X: Any) -> Array:
        """Log posterior predictive density of each row (N,)."""
        return log_predictive(self._rows(X))

    def score(self, X: Any, y: Any = None) -> float:
        """Mean log posterior predictive density of the rows."""
        return float(self.score_samples(X).mean())

    def sample(self, n_samples: int = 1) -> tuple[Array, NDArray[np.intp]]:
        """Draw rows (n, D) from the posterior predictive distribution, and their components (n,)."""
        check_is_fitted(self, "posterior_")
        check_whole("n_samples", n_samples)
        state, draws = check_random_state(self.random_state), self._model.draws
        which = state.randint(len(draws.weights), size=n_samples)
        labels = drawn_labels(draws.weights[which], (n_samples,), state)
        return drawn_rows(draws, (which, labels), state), labels

    def save(self, path: str | Path) -> Path:
        """Keep the model in a file, for `bayesgmm.load_model`, and return its path (`save_model`)."""
        from .files import save_model

        check_is_fitted(self, "posterior_")
        return save_model(self.posterior_, path)

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        text = super().__repr__(N_CHAR_MAX)
        return f"{text}\nVerdict: {self.diagnosis_.title}" if hasattr(self, "diagnosis_") else text
