"""A kept model: what it takes to score a row, and nothing of the data it was fitted to but their means and spreads.

Of each row: the probability of each component (for a posterior with its interval), the log density, and two measures of how
unusual it is.

- ``tail``: of a Gaussian component, the share of rows that lie farther from its centre than this row does, that is
  ``P(chi2_D > m^2)`` with the Mahalanobis distance m; of the components that for which it is largest (for a posterior the
  mean of that over draws). Near 0, no component would make such a row.
- ``distance``: the largest distance from the mean of the training data over columns, in their standard deviations.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..checks import diagnose
from ..clusters import ScoredRows, nowhere_empty, summarise_rows
from ..contrast import log_predictive
from ..data import CI_PROB, InputError, Scaling, check_ci_prob, rows_to_score
from ..em import EMFit, GaussianMixture
from ..mixture import Mixture, responsibilities
from ..sampling import Posterior

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["KeptFit", "KeptPosterior", "Scores"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Scores:
    """What a kept model says of new rows.

    Attributes
    ----------
    probability : (N, K)
    lb, ub : (N, K) or None
        Ends of the interval of each probability; a posterior has them.
    log_density : (N,)
        In the units of the data; of a posterior the log of the mean density.
    tail, distance : (N,)
        See the module.
    labels : (N,)
        Names of the rows: those of the table, or 0 .. N-1.
    """

    probability: Array
    lb: Array | None
    ub: Array | None
    log_density: Array
    tail: Array
    distance: Array
    labels: Any

    @property
    def assignment(self) -> NDArray[np.intp]:
        """Most probable component of each row (N,)."""
        return self.probability.argmax(axis=1)

    def table(self) -> pd.DataFrame:
        """One row per row: ``assignment``, ``probability[k]`` (``_lb``, ``_ub``), ``log_density``, ``tail``, ``distance``."""
        import pandas as pd

        columns: dict[str, Any] = {"assignment": self.assignment}
        for k in range(self.probability.shape[1]):
            for name, values in (
                ("probability", self.probability),
                ("probability_lb", self.lb),
                ("probability_ub", self.ub),
            ):
                if values is not None:
                    columns[f"{name}[{k}]"] = values[:, k]
        columns |= {"log_density": self.log_density, "tail": self.tail, "distance": self.distance}
        return pd.DataFrame(columns, index=pd.Index(self.labels, name="obs_id"))


@dataclass(frozen=True, eq=False)
class _Kept:
    """What fits and posteriors have in common."""

    columns: tuple[str, ...]
    scaling: Scaling
    provenance: dict[str, Any]

    def _rows(self, new_data: Any) -> tuple[Array, Any]:
        """Values (N, D) and labels; a plain array of numbers is not made a frame, which takes most of the time of one row."""
        plain = type(new_data) is np.ndarray and new_data.dtype == np.float64 and new_data.ndim == 2
        if plain and len(new_data) and new_data.shape[1] == len(self.columns) and np.isfinite(new_data).all():
            return new_data, np.arange(len(new_data))
        values, index = rows_to_score(new_data, self.columns)
        return values, index


@dataclass(frozen=True, eq=False)
class KeptFit(_Kept):
    """An EM fit from a file.

    Attributes
    ----------
    columns : tuple of str
    scaling : Scaling
        Mean and spread of the training data.
    provenance : dict
        What made it: version, kind.
    fit : EMFit
        All of it, to the last digit.
    """

    fit: EMFit

    @cached_property
    def _standardised(self) -> Mixture:
        return self.fit.mixture.standardised(self.scaling)

    @cached_property
    def _inverse_factors(self) -> Array:
        return _inverse_factors(self._standardised)

    @property
    def mixture(self) -> Mixture:
        """The mixture, in the units of the data."""
        return self.fit.mixture

    @property
    def estimator(self) -> GaussianMixture:
        """The fit as a scikit-learn estimator."""
        return GaussianMixture.from_fit(self.fit)

    def score(self, new_data: Any) -> Scores:
        """Score rows: an array (N, D), or a table with the columns of the model.

        Raises
        ------
        InputError
            Columns are missing, not numeric or not as many, or values are missing or infinite.
        """
        values, labels = self._rows(new_data)
        probability, density = responsibilities(self._standardised, values, self.scaling)
        standard = self.scaling.standardise(values)
        tail = _tail(self._standardised.means, self._inverse_factors, standard)
        return Scores(
            probability, None, None, density + self.scaling.log_jacobian, tail, np.abs(standard).max(axis=1), labels
        )

    def __repr__(self) -> str:
        return f"<KeptFit: {self.fit.n_components} components, {self.fit.covariance_type}, by EM, of {', '.join(self.columns)}>"


@dataclass(frozen=True, eq=False)
class KeptPosterior(_Kept):
    """A posterior from a file.

    Attributes
    ----------
    columns : tuple of str
    scaling : Scaling
        Mean and spread of the training data; ones for the spread where the priors are in the units of the data.
    provenance : dict
        What made it: version, kind, verdict, draws there were.
    draws : Mixture
        Aligned, in the units of the data, one leading axis of S draws.
    em : Mixture
        The EM optimum, same labels.
    """

    draws: Mixture
    em: Mixture

    @classmethod
    def of(cls, post: Any) -> KeptPosterior:
        """All draws of what `sample_posterior` returned.

        Raises
        ------
        InputError
            It is something else.
        """
        if not (hasattr(post, "children") and hasattr(post, "attrs")):
            raise InputError(
                f"a {type(post).__name__} is no fitted model; give an EMFit, a fitted GaussianMixture or PosteriorMixture, or "
                "what sample_posterior returned"
            )
        view = Posterior.read(post)
        provenance = {
            "bayesgmm": version("bayesgmm"),
            "data": str(post.attrs.get("data_name", "data")),
            "verdict": str(diagnose(post).verdict),
            "draws_sampled": len(view.draws.weights),
        }
        return cls(view.columns, view.scaling, provenance, view.draws, view.em)

    @cached_property
    def _standardised(self) -> Mixture:
        return self.draws.standardised(self.scaling)

    @cached_property
    def mixture(self) -> Mixture:
        """Posterior means of weights, means and covariances, in the units of the data."""
        parts = (self.draws.weights, self.draws.means, self.draws.dense_covariances)
        return Mixture.from_dense(self.draws.structure, *(part.mean(axis=0) for part in parts))

    def rows(self, values: Array, labels: Any) -> ScoredRows:
        """Rows (N, D) as they are scored."""
        em = nowhere_empty(self.em).standardised(self.scaling)
        standard = self.scaling.standardise(values)
        return ScoredRows(self._standardised, em, standard, np.asarray(labels), self.scaling.log_jacobian)

    def score(self, new_data: Any, ci_prob: float = CI_PROB) -> Scores:
        """As `KeptFit.score`, with equal-tailed intervals of mass ``ci_prob``."""
        check_ci_prob(ci_prob)
        values, labels = self._rows(new_data)
        rows = self.rows(values, labels)
        standard, found = rows.values, summarise_rows(rows, ci_prob)
        factors, means = _inverse_factors(self._standardised), self._standardised.means
        tail = np.mean([_tail(means[s], factors[s], standard) for s in range(len(means))], axis=0)
        return Scores(
            found["probability"], found["probability_lb"], found["probability_ub"], log_predictive(rows), tail,
            np.abs(standard).max(axis=1), labels,
        )  # fmt: skip

    def thinned(self, n_draws: int) -> KeptPosterior:
        """At most so many draws, evenly spaced."""
        total = len(self.draws.weights)
        if n_draws >= total:
            return self
        chosen = np.linspace(0, total - 1, n_draws).round().astype(int)
        parts = (getattr(self.draws, name)[chosen] for name in ("weights", "means", "covariances"))
        return replace(self, draws=Mixture(self.draws.structure, *parts))

    def __repr__(self) -> str:
        return (
            f"<KeptPosterior: {self.draws.n_components} components, {self.draws.structure.name}, "
            f"{len(self.draws.weights)} draws, of {', '.join(self.columns)}>"
        )


def _inverse_factors(mixture: Mixture) -> Array:
    """Inverse Cholesky factors (..., K, D, D) of the covariances.

    Raises
    ------
    InputError
        A covariance is singular, as of a degenerate fit.
    """
    try:
        return np.linalg.inv(np.linalg.cholesky(mixture.dense_covariances))
    except np.linalg.LinAlgError:
        raise InputError(
            "the model is degenerate: a component has no width; fit fewer components before you score"
        ) from None


def _tail(means: Array, inverse_factors: Array, standard: Array) -> Array:
    """Largest over components of P(chi2_D > m^2), rows (N, D)."""
    from scipy.special import chdtrc

    away = np.einsum("kij,nkj->nki", inverse_factors, standard[:, None, :] - means)
    return chdtrc(standard.shape[1], (away**2).sum(axis=2).min(axis=1))
