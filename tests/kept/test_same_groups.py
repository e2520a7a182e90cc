"""The same customers in another order and in other units are in the same groups."""

import numpy as np
import pandas as pd
import pytest

import bayesgmm as bg

CUSTOMERS = bg.load_dataset("customers")[["log_income", "log_spending", "root_accounts"]].iloc[:400]
FAITHFUL = bg.load_dataset("faithful")


def other_way(df: pd.DataFrame) -> pd.DataFrame:
    """Shuffled, columns exchanged, in units a thousandth, a thousand and 60 times as large, with another origin."""
    shuffled = df.sample(frac=1, random_state=3)[df.columns[::-1]]
    return shuffled * np.array([1000.0, 0.001, 60.0])[: df.shape[1]] + 32.0


@pytest.mark.parametrize("structure", ["full", "diag", "tied"])
def test_by_em(structure: str) -> None:
    one = bg.GaussianMixture(3, covariance_type=structure, random_state=0).fit(CUSTOMERS)
    two = bg.GaussianMixture(3, covariance_type=structure, random_state=0).fit(other_way(CUSTOMERS))
    probability = pd.DataFrame(two.predict_proba(other_way(CUSTOMERS)), index=other_way(CUSTOMERS).index)
    np.testing.assert_allclose(probability.loc[CUSTOMERS.index], one.predict_proba(CUSTOMERS), atol=1e-3)


def test_by_the_posterior() -> None:
    """Draws differ by Monte Carlo error only, which no sure row's group notices."""
    options = {"draws": 300, "random_seed": 0, "progressbar": False}
    one = bg.memberships(bg.sample_posterior(FAITHFUL, 2, **options))
    two = bg.memberships(bg.sample_posterior(other_way(FAITHFUL), 2, **options))
    first = one["probability"].to_pandas()
    second = two["probability"].to_pandas().loc[first.index]
    assert np.abs(first - second).to_numpy().max() < 0.03
    sure = first.max(axis=1) > 0.55
    assert (first[sure].idxmax(axis=1) == second[sure].idxmax(axis=1)).all()
