"""The gradient of the log likelihood from the expected statistics, against finite differences."""

import numpy as np
import pytest

from bayesgmm.em import fit_mixture
from bayesgmm.em.score import score
from bayesgmm.mixture import COVARIANCE_TYPES, Design, Mixture, expected_statistics, log_density

from ..mixture_fixtures import blobs, started

structures = pytest.mark.parametrize("name", COVARIANCE_TYPES)


@structures
def test_gradient_equals_finite_differences(name: str) -> None:
    """Fisher's identity, at a point that is no optimum."""
    design, starts = started(name, blobs(1), 3, 1, 0)
    mixture = starts[0]
    gradient = score(mixture, expected_statistics(mixture, design))

    def value(weights: np.ndarray, means: np.ndarray, covariances: np.ndarray) -> float:
        changed = Mixture(mixture.structure, weights, means, covariances)
        return float(log_density(changed, design.values).sum())

    h = 1e-5
    for k in range(3):
        step = np.zeros(3)
        step[k] = h
        up, down = (mixture.weights * np.exp(sign * step) for sign in (1, -1))
        numeric = (value(up / up.sum(), mixture.means, mixture.covariances)
                   - value(down / down.sum(), mixture.means, mixture.covariances)) / (2 * h)  # fmt: skip
        assert gradient.logits[k] == pytest.approx(numeric, abs=1e-4)
    step = np.random.default_rng(0).normal(size=mixture.means.shape)
    numeric = (value(mixture.weights, mixture.means + h * step, mixture.covariances)
               - value(mixture.weights, mixture.means - h * step, mixture.covariances)) / (2 * h)  # fmt: skip
    assert (gradient.means * step).sum() == pytest.approx(numeric, abs=1e-4)
    step = np.random.default_rng(1).normal(size=mixture.covariances.shape)
    if step.shape[-2:] == (2, 2) and name in ("full", "tied"):
        step = step + np.swapaxes(step, -1, -2)
    numeric = (value(mixture.weights, mixture.means, mixture.covariances + h * step)
               - value(mixture.weights, mixture.means, mixture.covariances - h * step)) / (2 * h)  # fmt: skip
    assert (gradient.covariances * step).sum() == pytest.approx(numeric, rel=1e-5, abs=1e-4)


@structures
def test_gradient_is_zero_where_it_stops(name: str) -> None:
    fit = fit_mixture(blobs(2), 3, name, tol=1e-13)
    assert fit.outcome == "converged"
    assert fit.gradient_norm < 1e-5


def test_norm_knows_no_units() -> None:
    """Each component is whitened by itself: an affine map of rows and mixture leaves the norm."""
    x, a = blobs(4), np.array([[2.0, 0.3], [-0.5, 7.0]])
    mixture = started("full", x, 3, 1, 0)[1][0]
    moved = Mixture.from_dense("full", mixture.weights, mixture.means @ a.T + 5.0, a @ mixture.dense_covariances @ a.T)
    norms = [
        score(m, expected_statistics(m, Design.of(rows, m.structure))).norm
        for m, rows in ((mixture, x), (moved, x @ a.T + 5.0))
    ]
    assert norms[1] == pytest.approx(norms[0], rel=1e-8)
