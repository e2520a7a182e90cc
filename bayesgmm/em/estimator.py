"""scikit-learn's estimator of a Gaussian mixture, on this package's EM."""

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

from ..data import (
    RULES,
    InputError,
    Scaling,
    check_arguments,
    check_components,
    check_whole,
    checked_weight,
)
from ..mixture import Mixture, drawn_rows, log_density, responsibilities, single_threaded_blas, structure_named
from . import criteria
from .algorithm.iterate import MAX_ITER, TOL
from .fit import fit_prepared
from .given import check_distinct, given_starts
from .prepare import Prepared, prepare_values
from .result import EMFit
from .standard_errors import StandardErrors, standard_errors
from .validated import MembershipTransformer, TableInput

__all__ = ["GaussianMixture"]

# With the words by which scikit-learn's warning is known.
_NO_CONVERGENCE = (
    "Best performing initialization did not converge. Try different init parameters, or increase max_iter, tol, or check for "
    "degenerate data. ({}: {})"
)

Array = NDArray[np.float64]

# Parameters whose names mean what they mean everywhere; the others are checked where they are used.
_CHECKED = ("n_components", "covariance_type", "tol", "reg_covar", "warm_start", "max_iter", "n_init")
_OWN_RULES = {
    **RULES,
    "max_iter": lambda name, value: check_whole(name, value, 0),
    "n_init": lambda name, value: value if isinstance(value, str) and value == "auto" else check_whole(name, value),
}


class GaussianMixture(MembershipTransformer, TableInput, DensityMixin, BaseEstimator):
    """Gaussian mixture fitted by maximum likelihood; a drop-in for `sklearn.mixture.GaussianMixture`.

    Parameters
    ----------
    n_components : int, default 1
    covariance_type : {"full", "tied", "diag", "spherical"}
    tol : float
        Stop when the log likelihood still to gain, per row, is estimated to be below this. (scikit-learn stops on one
        small step, wherever that happens.)
    reg_covar : float, default 0
        Added to all variances, relative to the variances of the data: a change of units changes nothing. Nothing needs
        to be added for stability.
    max_iter : int
        Iterations for each start, an E-step and an M-step each; 0 gives the start itself. The E-step that tells what the last
        one reached is not counted.
    n_init : int or "auto"
        Number of starts. "auto" makes many, and goes on from the best by split-and-merge moves.
    init_params : str
        "auto" (many kinds), "kmeans", "k-means++", "random", "random_from_data", or another of `starts.KINDS`.
    weights_init, means_init, precisions_init : (K,), (K, D), scikit-learn's shape; optional
        Where to start from, in the units of the data. Components then keep this order, and one start is made.
    random_state : int, RandomState or None
    warm_start : bool
        Start from the last solution, where it has as many components, columns and the same covariance type.
    verbose : int
        Above 0, print the account of the fit.
    verbose_interval : int
        Not used; for compatibility.

    Attributes
    ----------
    weights_ : (K,)
        Largest first, unless a start was given.
    means_ : (K, D)
    covariances_, precisions_, precisions_cholesky_ : (K, D, D), (D, D), (K, D) or (K,)
    converged_ : bool
    n_iter_ : int
    lower_bound_ : float
        Log likelihood per row.
    lower_bounds_ : list of float
        The same after each accepted step.
    n_features_in_ : int
    feature_names_in_ : (D,), where the data had column names that are strings
    result_ : EMFit
        The account of the fit: outcome, evidence, optima, criteria.
    """

    def __init__(
        self,
        n_components: int = 1,
        *,
        covariance_type: str = "full",
        tol: float = TOL,
        reg_covar: float = 0.0,
        max_iter: int = MAX_ITER,
        n_init: int | str = "auto",
        init_params: str = "auto",
        weights_init: Any = None,
        means_init: Any = None,
        precisions_init: Any = None,
        random_state: Any = None,
        warm_start: bool = False,
        verbose: int = 0,
        verbose_interval: int = 10,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.weights_init = weights_init
        self.means_init = means_init
        self.precisions_init = precisions_init
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.verbose_interval = verbose_interval

    # Fitting

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Fit the mixture.

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
        """
        given = {name: value for name, value in self.get_params(deep=False).items() if name in _CHECKED}
        check_arguments(given, _OWN_RULES)
        values = self._values(X, reset=True)
        weight = checked_weight(sample_weight, len(values))
        structure = structure_named(self.covariance_type)
        prepared = prepare_values(values, self._names(values.shape[1]), structure, weight)
        check_components(self.n_components, prepared.design.n_rows)
        if not self.reg_covar:
            check_distinct(prepared, self.n_components)
        with single_threaded_blas():
            result = fit_prepared(
                prepared,
                self.n_components,
                tol=self.tol,
                max_iter=self.max_iter + 1,
                ridge=self.reg_covar,
                **self._search(prepared),
            )
        self._take(result)
        if self.verbose:
            print(self.summary())
        if not self.converged_ and self.max_iter:
            warnings.warn(_NO_CONVERGENCE.format(result.evidence, result.remedy), ConvergenceWarning, stacklevel=2)
        return self

    def fit_predict(self, X: Any, y: Any = None, sample_weight: Any = None) -> NDArray[np.intp]:
        """Fit, and give the most probable component of each row (N,)."""
        return self.fit(X, y, sample_weight).predict(X)

    def _search(self, prepared: Prepared) -> dict[str, Any]:
        """Where to start from and how far to look."""
        generator = check_random_state(self.random_state)
        seed = int(generator.randint(np.iinfo(np.int32).max))
        automatic = isinstance(self.n_init, str) and self.n_init == "auto"
        given = (self.weights_init, self.means_init, self.precisions_init)
        if self._continues(prepared):
            own = {"n_starts": 0, "extra_starts": (self._mixture(),), "moves": False, "reorder": False}
            return own | {"random_state": seed, "resumed": True}
        if all(value is None for value in given):
            moves = automatic and self.max_iter > 0
            return {"n_starts": self.n_init, "init": self.init_params, "moves": moves, "random_state": seed}
        count = 1 if automatic else int(self.n_init)
        starts = given_starts(prepared, self.n_components, count, self.init_params, seed, given)
        return {"n_starts": 0, "extra_starts": starts, "moves": False, "reorder": False, "random_state": seed}

    def _continues(self, prepared: Prepared) -> bool:
        """Whether a warm start goes on from the last solution: one of the same shape."""
        if not (self.warm_start and hasattr(self, "result_")):
            return False
        last, own = self.result_.mixture, prepared.design
        shapes = {(last.n_components, last.n_features), (self.n_components, own.n_features)}
        return len(shapes) == len({last.structure.name, own.structure.name}) == 1

    def _take(self, result: EMFit) -> None:
        """Set the fitted attributes."""
        mixture = result.mixture
        self.result_ = result
        self.weights_ = mixture.weights
        self.means_ = mixture.means
        self.covariances_ = np.ascontiguousarray(mixture.covariances)
        self.precisions_ = mixture.structure.inverted(self.covariances_)
        self.precisions_cholesky_ = mixture.structure.precision_cholesky(self.covariances_)
        self.converged_ = result.outcome not in ("not converged", "degenerate")
        self.n_iter_ = max(result.n_iter - 1, 0)
        self.lower_bound_ = result.log_likelihood / result.n_rows
        self.lower_bounds_ = list(result.trace / result.n_rows)

    @classmethod
    def from_fit(cls, result: EMFit, **parameters: Any) -> GaussianMixture:
        """The fitted estimator of a result; ``parameters`` are constructor arguments."""
        estimator = cls(result.n_components, covariance_type=result.covariance_type, **parameters)
        estimator._take(result)
        estimator.n_features_in_ = result.mixture.n_features
        if any(name != f"x{j}" for j, name in enumerate(result.columns)):
            estimator.feature_names_in_ = np.array(result.columns, dtype=object)
        return estimator

    # Using what was fitted

    def _mixture(self) -> Mixture:
        """The mixture that the attributes describe, in the units of the data."""
        check_is_fitted(self, ["weights_", "means_", "covariances_"])
        structure = structure_named(self.covariance_type)
        return Mixture(
            structure, *(np.asarray(a, dtype=float) for a in (self.weights_, self.means_, self.covariances_))
        )

    def _standardised(self, X: Any) -> tuple[Mixture, Array, Scaling]:
        """Mixture on the scale of the fit, checked rows as given, and what brings them to that scale."""
        mixture = self._mixture()
        values = self._values(X, reset=False)
        scaling = self.result_.scaling if hasattr(self, "result_") else Scaling.identity(mixture.n_features)
        return mixture.standardised(scaling), values, scaling

    def predict_proba(self, X: Any) -> Array:
        """Responsibilities (N, K)."""
        return responsibilities(*self._standardised(X))[0]

    def predict(self, X: Any) -> NDArray[np.intp]:
        """Most probable component of each row (N,)."""
        return criteria.map_labels(*self._standardised(X))

    def score_samples(self, X: Any) -> Array:
        """Log density of each row (N,)."""
        mixture, values, scaling = self._standardised(X)
        return log_density(mixture, values, scaling) + scaling.log_jacobian

    def score(self, X: Any, y: Any = None) -> float:
        """Mean log density of the rows."""
        return float(self.score_samples(X).mean())

    def _n_parameters(self) -> int:
        return self._mixture().n_parameters

    def aic(self, X: Any) -> float:
        """Akaike's criterion on ``X``; lower is better."""
        return criteria.aic(float(self.score_samples(X).sum()), self._n_parameters())

    def bic(self, X: Any) -> float:
        """Schwarz's criterion on ``X``; lower is better."""
        densities = self.score_samples(X)
        return criteria.bic(float(densities.sum()), self._n_parameters(), len(densities))

    def icl(self, X: Any) -> float:
        """Integrated completed likelihood on ``X``, BIC plus the price of uncertain labels; lower is better."""
        mixture, values, scaling = self._standardised(X)
        return criteria.icl(self.bic(X), criteria.classification_terms(mixture, values, scaling=scaling)[0])

    def standard_errors(
        self,
        X: Any,
        method: str = "information",
        *,
        sample_weight: Any = None,
        n_boot: int = 200,
        random_state: int | np.random.Generator | None = 0,
    ) -> StandardErrors:
        """Standard errors of weights, means and covariances, given the data of the fit (`standard_errors`)."""
        mixture, values, scaling = self._standardised(X)
        return standard_errors(
            mixture.in_data_units(scaling),
            values,
            scaling,
            method,
            sample_weight=checked_weight(sample_weight, len(values)),
            n_boot=n_boot,
            random_state=random_state,
            columns=getattr(self, "feature_names_in_", None),
        )

    def sample(self, n_samples: int = 1) -> tuple[Array, NDArray[np.intp]]:
        """Draw rows (n, D) and their components (n,), grouped by component."""
        mixture = self._mixture()
        if n_samples < 1:
            raise InputError(f"Invalid value for 'n_samples': n_samples={n_samples!r} draws nothing; give at least 1")
        generator = check_random_state(self.random_state)
        counts = generator.multinomial(n_samples, mixture.weights / mixture.weights.sum())
        labels = np.repeat(np.arange(mixture.n_components), counts)
        return drawn_rows(mixture, (labels,), generator), labels

    def to_sklearn(self) -> Any:
        """An equal `sklearn.mixture.GaussianMixture`, fitted: the same densities, labels and probabilities.

        Raises
        ------
        InputError
            scikit-learn has no such covariance type.
        """
        from sklearn.mixture import GaussianMixture as Theirs

        check_is_fitted(self, ["weights_", "means_", "covariances_"])
        if self.covariance_type not in ("full", "tied", "diag", "spherical"):
            raise InputError(
                f"scikit-learn has no covariance_type={self.covariance_type!r}; fit full, tied, diag or spherical"
            )
        theirs = Theirs(self.n_components, covariance_type=self.covariance_type, reg_covar=0.0)
        names = (
            "weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_", "converged_", "n_iter_",
            "lower_bound_", "lower_bounds_", "n_features_in_", "feature_names_in_",
        )  # fmt: skip
        for name in names:
            if hasattr(self, name):
                setattr(theirs, name, getattr(self, name))
        return theirs

    # Showing it

    def save(self, path: str | Path) -> Path:
        """Keep the fit in a JSON file, for `bayesgmm.load_model`, and return its path."""
        check_is_fitted(self, "result_")
        return self.result_.save(path)

    def summary(self) -> str:
        """The fit in the manner of mclust's ``summary()``, with its outcome and evidence."""
        check_is_fitted(self, "result_")
        return self.result_.summary()

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        text = super().__repr__(N_CHAR_MAX)
        return f"{text}\n{self.summary()}" if hasattr(self, "result_") else text

    def _repr_html_(self) -> str:
        """In notebooks: scikit-learn's diagram before the fit, the summary after it."""
        return self.result_._repr_html_() if hasattr(self, "result_") else super()._repr_html_()
