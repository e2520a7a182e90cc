"""Many rows: the search on some of them, and that nothing of their size is copied."""

import subprocess
import sys

import numpy as np
import pytest

from bayesgmm.data import Scaling
from bayesgmm.em import fit_mixture
from bayesgmm.em.prepare import scaling_of
from bayesgmm.mixture import COVARIANCE_TYPES, log_density, structure_named

structures = pytest.mark.parametrize("name", COVARIANCE_TYPES)


def groups(n: int, k: int, d: int, distance: float) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(size=(k, d))[rng.integers(k, size=n)] * distance + rng.normal(size=(n, d))


@structures
def test_finds_what_starts_on_all_rows_find(name: str) -> None:
    x = groups(12_000, 4, 3, 6.0)
    fit = fit_mixture(x, 4, name)
    again = fit_mixture(x, 4, name)
    assert fit.outcome == "converged"
    assert fit.log_likelihood == again.log_likelihood
    assert fit.log_likelihood == pytest.approx(log_density(fit.mixture, x).sum(), rel=1e-11)
    other = fit_mixture(x, 4, name, n_starts=0, extra_starts=(fit.mixture,), moves=False, tol=1e-12)
    assert fit.log_likelihood == pytest.approx(other.log_likelihood, abs=1e-3)


def test_clear_groups_take_few_starts_and_overlapping_ones_more() -> None:
    assert fit_mixture(groups(12_000, 4, 3, 20.0), 4).n_starts == 5
    assert fit_mixture(groups(12_000, 4, 3, 1.0), 4).n_starts == 14


@pytest.mark.parametrize("common", [False, True])
@pytest.mark.parametrize("case", ["plain", "sorted", "late", "offset"])
def test_scaling_by_blocks(case: str, common: bool) -> None:
    """As from all rows at once, also where the first block does not represent the others."""
    x = np.random.default_rng(1).normal(size=(100_000, 2)) * [1e-5, 1e3]
    if case == "sorted":
        x = np.sort(x, axis=0)
    if case == "late":
        x[:70_000, 0] = 1.0
    if case == "offset":
        x += [1.0, 1e9]
    weight = np.random.default_rng(2).uniform(size=len(x))
    for own in (None, weight):
        plain, blocks = (
            Scaling.of(x, common=common, sample_weight=own),
            scaling_of(x, structure_named("spherical" if common else "full"), own),
        )
        np.testing.assert_allclose(blocks.scale, plain.scale, rtol=1e-8)
        np.testing.assert_allclose(blocks.location, plain.location, rtol=1e-12, atol=1e-9 * plain.scale.min())


MEMORY = """
import resource, warnings
import numpy as np
from bayesgmm.em import GaussianMixture
warnings.simplefilter("ignore")
rng = np.random.default_rng(0)
GaussianMixture(8, max_iter=2, random_state=0).fit(rng.normal(size=(50_000, 8)))
x = np.empty((1_000_000, 8))
for part in np.array_split(x, 100):
    part[:] = rng.normal(size=part.shape)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
GaussianMixture(8, max_iter=2, random_state=0).fit(x)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


def test_nothing_of_the_size_of_the_data_is_copied() -> None:
    """61 MB of data, fitted after a smaller fit has warmed everything: the peak grows by much less than that."""
    done = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True, timeout=300)
    assert float(done.stdout) < 45
