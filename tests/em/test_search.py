"""The search: pools choose and count, and what is returned is what was found."""

import numpy as np
import pytest

from bayesgmm.em import GaussianMixture
from bayesgmm.em.prepare import prepare
from bayesgmm.em.search.explore import explore
from bayesgmm.em.search.pool import Plan, Pool
from bayesgmm.em.search.starts import Rows, make_starts
from bayesgmm.mixture import COVARIANCE_TYPES

structures = pytest.mark.parametrize("name", COVARIANCE_TYPES)


def test_pools_choose_and_count(values) -> None:
    design = prepare(values("faithful"), "full").design
    plan = Plan(1e-9, 10_000, 0.0)
    starts = make_starts(design.structure, Rows(design.values), 3, 26, np.random.default_rng(0))
    pool = explore(design, starts, plan, np.random.default_rng(0))
    assert pool.is_sound(pool.best)
    assert pool.run.log_likelihood[pool.best] == pool.run.log_likelihood[pool.sound].max()
    chosen = pool.optima(12, 6)
    assert chosen[0] == pool.best
    assert 0 <= pool.once <= sum(pool.hits(i) == 1 for i in chosen)
    assert sum(pool.hits(i) for i in chosen) <= pool.tried == 26
    again = Pool.of(pool.run, design, 26, plan)
    np.testing.assert_array_equal(again.spurious, pool.spurious)


KINDS_OF_DATA = {
    "normal": lambda rng, n, d: rng.normal(size=(n, d)),
    "cauchy": lambda rng, n, d: rng.standard_cauchy((n, d)),
    "whole numbers": lambda rng, n, d: rng.integers(4, size=(n, d)) + np.eye(n, d),
    "threefold": lambda rng, n, d: np.repeat(rng.normal(size=(n, d)), 3, axis=0),
    "log-normal": lambda rng, n, d: np.exp(3 * rng.normal(size=(n, d))),
}


@structures
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("kind", KINDS_OF_DATA)
def test_log_likelihood_is_the_sum_of_scores(kind: str, name: str) -> None:
    """Of what is returned, on the data as given; also where a component is at the floor."""
    rng = np.random.default_rng(5)
    for seed in range(12):
        x = KINDS_OF_DATA[kind](rng, int(rng.integers(6, 50)), int(rng.integers(1, 4)))
        gm = GaussianMixture(int(rng.integers(1, 5)), covariance_type=name, random_state=seed, n_init=4).fit(x)
        total = gm.score_samples(x).sum()
        assert gm.result_.log_likelihood == pytest.approx(total, rel=1e-9, abs=1e-8), (seed, gm.result_.outcome)
