"""What became of EM from many starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...mixture import Mixture

__all__ = ["Run", "joined"]

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Run:
    """What became of S starts.

    Attributes
    ----------
    mixture : Mixture
        S mixtures, the last ones evaluated.
    log_likelihood : (S,)
        Of exactly these mixtures, on the scale of the design.
    n_iter : (S,) int
        E-steps spent.
    converged, degenerate : (S,) bool
        Stopping rule met; a component empty or as narrow as the floor allows. Neither: the iterations ran out.
    smallest : (S, K)
        Smallest eigenvalue of each component.
    counts : (S, K)
        Expected rows of each component.
    trace : (T, S)
        Log likelihood after each accepted step, NaN after a start has stopped.
    """

    mixture: Mixture
    log_likelihood: Array
    n_iter: NDArray[np.int64]
    converged: Flags
    degenerate: Flags
    smallest: Array
    counts: Array
    trace: Array

    def select(self, which: NDArray[np.intp] | Flags) -> Run:
        """Some of the starts."""
        return Run(
            self.mixture[which], self.log_likelihood[which], self.n_iter[which], self.converged[which],
            self.degenerate[which], self.smallest[which], self.counts[which],
            self.trace[:, which],
        )  # fmt: skip

    @classmethod
    def joined(cls, *runs: Run) -> Run:
        """Several runs of one model as one."""
        length = max(len(run.trace) for run in runs)
        padded = [
            np.vstack([run.trace, np.full((length - len(run.trace), run.trace.shape[1]), np.nan)]) for run in runs
        ]

        def all_of(name: str) -> Any:
            return np.concatenate([getattr(run, name) for run in runs])

        return cls(
            joined(*(run.mixture for run in runs)),
            all_of("log_likelihood"),
            all_of("n_iter"),
            all_of("converged"),
            all_of("degenerate"),
            all_of("smallest"),
            all_of("counts"),
            np.concatenate(padded, axis=1),
        )


def joined(*mixtures: Mixture) -> Mixture:
    """Batches (S_i, ...) of mixtures of one structure as one batch."""
    return Mixture(
        mixtures[0].structure,
        np.concatenate([m.weights for m in mixtures]),
        np.concatenate([m.means for m in mixtures]),
        np.concatenate([m.covariances for m in mixtures]),
    )
