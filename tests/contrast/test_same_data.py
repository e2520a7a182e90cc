"""An EM fit of other data than the posterior's is refused, by the contrast and by the comparison."""

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.data import InputError

RNG = np.random.default_rng(5)
DATA = np.r_[RNG.normal(0, 1, (40, 2)), RNG.normal(5, 2, (40, 2))]
OTHERS = {
    "times 1,000": (DATA * 1000, "mean .* and standard deviation"),
    "other rows": (DATA[::-1] + RNG.normal(0, 0.1, DATA.shape), "mean .* and standard deviation"),
    "fewer rows": (DATA[:-1], "79 rows and the posterior's data 80"),
    "swapped columns": (DATA[:, ::-1], "column 'x0' has mean"),
}


@pytest.fixture(scope="module")
def post():
    return bg.sample_posterior(DATA, 2, "diag", draws=20, tune=50, chains=2, random_seed=0, progressbar=False)


@pytest.mark.parametrize("other", OTHERS)
def test_other_data_are_refused(other, post) -> None:
    data, differs = OTHERS[other]
    grid = bg.fit_grid(data, [2], ["diag"], progressbar=False)
    for fit in (grid.fits[2, "diag"], bg.GaussianMixture(2, covariance_type="diag", random_state=0).fit(data)):
        with pytest.raises(InputError, match=rf"gm is an EM fit of other data.*{differs}"):
            bg.em_vs_posterior(fit, post)
    with pytest.raises(InputError, match=rf"grid is an EM fit of other data.*{differs}"):
        bg.compare({"2 diag": post}, grid=grid, evidence=False, refit=False)


def test_the_same_data_are_taken_in_any_order_of_rows(post) -> None:
    """Likelihoods, means and spreads do not depend on the order of rows."""
    order = RNG.permutation(len(DATA))
    fit = bg.fit_mixture(DATA[order], 2, "diag")
    assert bg.em_vs_posterior(fit, post).summary
