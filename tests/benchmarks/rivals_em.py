"""The rivals of the EM path, each as functions that do what is timed: scikit-learn, and mclust in a process of R."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import warnings
from pathlib import Path

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from bayesgmm.mixture import Mixture

__all__ = ["MCLUST_MODELS", "Mclust", "SklearnEM", "sklearn_fit"]

MCLUST_MODELS = {"full": "VVV", "tied": "EEE", "diag": "VVI", "spherical": "VII"}


class SklearnEM:
    """scikit-learn's own EM steps from a given start, without its convergence check.

    Parameters
    ----------
    values : (N, D)
    start : Mixture
        Single, in the units of ``values``.
    """

    def __init__(self, values: np.ndarray, start: Mixture) -> None:
        structure = start.structure
        self.values = values
        self.model = GaussianMixture(
            start.n_components,
            covariance_type=structure.name,
            reg_covar=0.0,
            weights_init=start.weights,
            means_init=start.means,
            precisions_init=structure.inverted(np.ascontiguousarray(start.covariances)),
        )

    def reset(self) -> None:
        """Go back to the start."""
        self.model._initialize_parameters(self.values, np.random.RandomState(0))

    def step(self) -> float:
        """One E-step and one M-step; the log likelihood before it."""
        mean, log_resp = self.model._e_step(self.values)
        self.model._m_step(self.values, log_resp)
        return float(mean) * len(self.values)

    def run(self, n_steps: int) -> float:
        """That many steps from the start; the last log likelihood evaluated."""
        self.reset()
        value = -np.inf
        for _ in range(n_steps):
            value = self.step()
        return value

    def steps_until(self, target: float, limit: int) -> int | None:
        """E-steps until the log likelihood reaches ``target``; None beyond ``limit``."""
        self.reset()
        return next((i for i in range(1, limit + 1) if self.step() >= target), None)


def sklearn_fit(values: np.ndarray, n_components: int, name: str, seed: int, **options: object) -> float:
    """Fit scikit-learn's estimator; its log likelihood at the end."""
    model = GaussianMixture(n_components, covariance_type=name, random_state=seed, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(values)
    return float(model.score(values)) * len(values)


class Mclust:
    """A process of R with mclust that answers one command after the other.

    Raises
    ------
    RuntimeError
        With the reason, where R or mclust is absent.
    """

    def __init__(self) -> None:
        if shutil.which("Rscript") is None:
            raise RuntimeError("Rscript is not installed")
        script = Path(__file__).with_name("rivals_em.R")
        self._process = subprocess.Popen(
            ["Rscript", "--vanilla", str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True, bufsize=1,
        )  # fmt: skip
        self._folder = tempfile.TemporaryDirectory()
        self.version = self._process.stdout.readline().strip()  # type: ignore[union-attr]
        if not self.version:
            raise RuntimeError("R has no package mclust (Debian: r-cran-mclust)")

    def ask(self, command: str) -> str:
        """Answer to one command.

        Raises
        ------
        RuntimeError
            R's own message.
        """
        self._process.stdin.write(command + "\n")  # type: ignore[union-attr]
        answer = self._process.stdout.readline().strip()  # type: ignore[union-attr]
        if not answer or answer.startswith("error"):
            raise RuntimeError(f"mclust: {answer or 'the process ended'}")
        return answer

    def load(self, values: np.ndarray, labels: np.ndarray | None = None) -> None:
        """Hand over rows (N, D) and, for `iterate`, a partition (N,) numbered from 0."""
        n, d = values.shape
        path = Path(self._folder.name) / "values"
        path.write_bytes(np.asfortranarray(values).tobytes(order="F"))
        self.ask(f"data {path} {n} {d}")
        if labels is not None:
            path = Path(self._folder.name) / "labels"
            path.write_bytes((labels + 1).astype(np.int32).tobytes())
            self.ask(f"labels {path}")

    def iterate(self, name: str, n_features: int, n_steps: int, n_components: int) -> tuple[float, float]:
        """Elapsed and processor seconds per EM iteration."""
        elapsed, busy = self.ask(f"iterate {self._model(name, n_features)} {n_steps} {n_components}").split()
        return float(elapsed), float(busy)

    def default(self, name: str, n_features: int, n_components: int) -> tuple[float, float]:
        """Processor seconds of a fit by default settings, and its log likelihood."""
        seconds, value = self.ask(f"default {self._model(name, n_features)} {n_components}").split()
        return float(seconds), float(value) if value != "NA" else np.nan

    def grid(self, low: int, high: int) -> float:
        """Processor seconds of all models with ``low`` to ``high`` components, by default settings."""
        return float(self.ask(f"grid {low} {high}"))

    def _model(self, name: str, n_features: int) -> str:
        return ("E" if name == "tied" else "V") if n_features == 1 else MCLUST_MODELS.get(name, name)

    def close(self) -> None:
        """End the process."""
        self._process.stdin.close()  # type: ignore[union-attr]
        self._process.wait(timeout=20)
        self._folder.cleanup()
