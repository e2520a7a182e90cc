"""Where chains start: at the optima that the prior favours, whatever EM's guard calls them."""

from dataclasses import replace

import numpy as np
import pytest

from bayesgmm.em import fit_mixture
from bayesgmm.mixture import Mixture
from bayesgmm.posterior.modes import find_mode
from bayesgmm.posterior.target import Target
from bayesgmm.sampling.starts import prepare


def far_group(seed: int) -> tuple[np.ndarray, Mixture]:
    """Two groups of 300 rows, and four rows 25 standard deviations away; and the mixture that they are from."""
    rng = np.random.default_rng(seed)
    centres = np.array([[0.0, 0.0], [6.0, 0.0], [3.0, 25.0]])
    x = np.repeat(centres, [300, 300, 4], axis=0)
    truth = Mixture.from_dense("full", np.array([300, 300, 4]) / 604, centres, np.tile(np.eye(2), (3, 1, 1)))
    return x + rng.normal(size=x.shape), truth


@pytest.mark.parametrize("seed", range(20))
def test_four_rows_far_away_have_chains(seed: int) -> None:
    """The highest mode is that near the truth, found by ascent from the truth itself: two nats would be a factor of 7."""
    x, truth = far_group(seed)
    target = Target.of(x, 3)
    prepared = prepare(target, None, np.random.default_rng(seed))
    known = find_mode(target, target.start_at(truth.standardised(target.scaling)))
    assert prepared.modes[0].value == pytest.approx(known.value, abs=1e-3)


def test_the_prior_decides_and_not_the_guard() -> None:
    """An optimum that EM calls spurious takes the chains where its Laplace mass is highest."""
    x, _ = far_group(0)
    target, em = Target.of(x, 3), fit_mixture(x, 3)
    best = prepare(target, em, np.random.default_rng(0)).modes[0]
    other = fit_mixture(x, 3, n_starts=0, extra_starts=(_split_in_two(x),), moves=False).optima[0]
    assert other.log_likelihood < em.log_likelihood - 50
    guarded = replace(em, mixture=other.mixture, optima=(other, replace(em.optima[0], spurious=True)))
    modes = prepare(target, guarded, np.random.default_rng(0)).modes
    assert modes[0].value == pytest.approx(best.value, abs=1e-6)


def _split_in_two(x: np.ndarray) -> Mixture:
    """The four rows with one of the groups, the other group twice."""
    left, right = x[:300], x[300:]
    step = np.array([0.5, 0.0])
    means = np.array([left.mean(0) - step, left.mean(0) + step, right.mean(0)])
    dense = np.array([np.cov(left.T), np.cov(left.T), np.cov(right.T)])
    return Mixture.from_dense("full", np.array([0.25, 0.25, 0.5]), means, dense)
