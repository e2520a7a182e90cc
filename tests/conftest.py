"""One sampled tree of Old Faithful, shared by the tests that only read it."""

import pytest

from bayesgmm import load_dataset, sample_posterior


@pytest.fixture(scope="session")
def faithful_tree():
    return sample_posterior(load_dataset("faithful"), 2, draws=500, random_seed=3, progressbar=False)
