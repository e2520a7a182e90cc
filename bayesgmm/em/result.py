"""What a maximum-likelihood fit says of itself."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data import InputError, Scaling, check_path, write_text
from ..mixture import Mixture
from .prepare import checked_rows
from .standard_errors import StandardErrors, standard_errors

__all__ = ["OUTCOMES", "EMFit", "Optimum"]

Array = NDArray[np.float64]

OUTCOMES: dict[str, str] = {
    "converged": "none needed",
    "not converged": "raise max_iter, or tol if that many iterations are not wanted",
    "saddle": "the components cannot be told apart: use fewer of them",
    "spurious": "use fewer components or a structure with fewer parameters; no solution without a spike was found",
    "degenerate": "use fewer components or a structure with fewer parameters, or look for repeated rows",
}


@dataclass(frozen=True)
class Optimum:
    """One of the optima found.

    Attributes
    ----------
    log_likelihood : float
        Of the data as given.
    hits : int
        Starts that reached it.
    spurious : bool
        Whether a component is few rows on a narrow strip (`em.search.spurious`), or has collapsed.
    mixture : Mixture
        Single, in the units of the data, in canonical order.
    """

    log_likelihood: float
    hits: int
    spurious: bool
    mixture: Mixture = field(repr=False)


@dataclass(frozen=True, eq=False, repr=False)
class EMFit:
    """A mixture fitted by maximum likelihood, with an account of how it was reached.

    Attributes
    ----------
    mixture : Mixture
        Single, in the units of the data; largest weight first, ties by first mean.
    standardised : Mixture
        The same on standardised data.
    scaling : Scaling
    columns : tuple of str
    log_likelihood : float
        Of the data as given, Jacobian included.
    n_rows : float
        Sum of the case weights: the number of rows where there are none.
    n_parameters : int
    aic, bic, icl : float
        Lower is better.
    entropy : float
        Of the responsibilities, in nats, summed over rows.
    map_counts : (K,)
        Rows by most probable component.
    n_starts, n_hits : int
        Starts tried, and those that reached this optimum.
    optima : tuple of Optimum
        Distinct optima found: sound ones, the best first, then spurious ones. Each may be a mode of the posterior.
    n_iter : int
        E-steps on the way to this solution.
    trace : (T,)
        Log likelihood of the data after each accepted step of the last run; never falls.
    outcome : str
        One of `OUTCOMES`.
    gradient_norm : float
        Of the log likelihood per row, in whitened coordinates (`score`).
    smallest_eigenvalue : float
        Over components, on standardised data.
    smallest_count : float
        Expected rows of the smallest component.
    collinear : tuple of str
        Columns in a linear relation that all rows obey, where the structure has correlations.
    repeated : str
        How often the row comes that comes far more often than others, and its values; empty where there is none.
    n_independent, n_once : int
        Starts of the search itself, without those that a grid carries over from neighbouring cells, and sound optima that
        exactly one of them reached: see `unseen`.
    """

    mixture: Mixture
    standardised: Mixture
    scaling: Scaling
    columns: tuple[str, ...]
    log_likelihood: float
    n_rows: float
    n_parameters: int
    aic: float
    bic: float
    icl: float
    entropy: float
    map_counts: Array
    n_starts: int
    n_hits: int
    optima: tuple[Optimum, ...]
    n_iter: int
    trace: Array
    outcome: str
    gradient_norm: float
    smallest_eigenvalue: float
    smallest_count: float
    collinear: tuple[str, ...] = ()
    repeated: str = ""
    n_independent: int = 0
    n_once: int = 0

    @property
    def n_components(self) -> int:
        return self.mixture.n_components

    @property
    def covariance_type(self) -> str:
        return self.mixture.structure.name

    @property
    def converged(self) -> bool:
        """Whether the outcome is "converged"."""
        return self.outcome == "converged"

    @property
    def unseen(self) -> float:
        """Estimated probability that one more start leads to a sound optimum that none has led to (Good-Turing).

        That is the number of optima that exactly one start reached over the number of starts (Good 1953, Biometrika 40).
        Starts that were given up, because they were behind after their first steps, count as leading to none: it is
        about optima that can compete. nan where no start was made.
        """
        return self.n_once / self.n_independent if self.n_independent else float("nan")

    @property
    def excluded(self) -> Optimum | None:
        """The best spurious optimum that is above this solution; None where there is none."""
        above = [o for o in self.optima[1:] if o.spurious and o.log_likelihood > self.log_likelihood]
        return max(above, key=lambda o: o.log_likelihood, default=None)

    @property
    def evidence(self) -> str:
        """What the outcome rests on, in one line."""
        relation = f"columns {', '.join(self.collinear[:10])} are collinear; " if self.collinear else ""
        relation += f"{self.repeated}; " if self.repeated else ""
        better = self.excluded
        spike = (
            f", a spurious one {better.log_likelihood - self.log_likelihood:.2f} higher left out (a component of "
            f"{better.mixture.weights.min() * self.n_rows:.1f} rows)"
            if better
            else ""
        )
        return (
            f"{relation}{self.n_starts} starts, {len(self.optima)} distinct optima, best reached by {self.n_hits}, "
            f"{self.n_once} reached once{spike}; "
            f"{self.n_iter} iterations, gradient norm {self.gradient_norm:.1e} per row; smallest eigenvalue "
            f"{self.smallest_eigenvalue:.2g} (standardised), smallest component {self.smallest_count:.1f} rows"
        )

    @property
    def remedy(self) -> str:
        """What to do about the outcome."""
        if self.collinear:
            return f"drop one of the columns {', '.join(self.collinear[:10])}, or use the structure diag or spherical"
        return OUTCOMES[self.outcome]

    def standard_errors(
        self,
        data: Any,
        method: str = "information",
        *,
        sample_weight: Any = None,
        n_boot: int = 200,
        random_state: int | np.random.Generator | None = 0,
        missing: str = "error",
    ) -> StandardErrors:
        """Standard errors of weights, means and covariances, given the data of the fit (`standard_errors`, `as_table`)."""
        values, weight = checked_rows(data, sample_weight, missing)
        return standard_errors(
            self.mixture, values, self.scaling, method, sample_weight=weight, n_boot=n_boot,
            random_state=random_state, columns=self.columns,
        )  # fmt: skip

    def save(self, path: str | Path) -> Path:
        """Keep all of the fit in a JSON file, for `bayesgmm.load_model`, and return its path.

        Raises
        ------
        InputError
            The path does not end in ``.json``, or cannot be written to.
        """
        from .model_file import fit_document

        path = Path(check_path("path", path))
        if path.suffix.lower() != ".json":
            raise InputError(f"{str(path)!r} does not end in .json: give a name such as 'model.json'")
        write_text(path, json.dumps(fit_document(self), indent=1))
        return path

    def summary(self) -> str:
        """In the manner of mclust's ``summary()``."""
        table = "  ".join(f"{k + 1}: {count:g}" for k, count in enumerate(self.map_counts))
        lines = [
            "Gaussian mixture fitted by EM",
            f"  model           {self.covariance_type} ({self.mixture.structure.label}), "
            f"{self.n_components} component{'s' if self.n_components > 1 else ''}",
            f"  log likelihood  {self.log_likelihood:.3f}",
            f"  n               {self.n_rows:g}",
            f"  df              {self.n_parameters}",
            f"  BIC             {self.bic:.3f}",
            f"  ICL             {self.icl:.3f}",
            f"  AIC             {self.aic:.3f}",
            f"  clustering      {table}",
            f"  outcome         {self.outcome}",
            f"    evidence      {self.evidence}",
        ]
        if not self.converged:
            lines.append(f"    remedy        {self.remedy}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        from html import escape

        return f"<pre>{escape(self.summary())}</pre>"
