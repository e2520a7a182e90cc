"""All of mclust's structures fitted by EM: golden values, criteria, nestedness, standard errors.

`reference/golden_structures.json`: maximum log likelihoods of mclust 6.0.0 for its fourteen models, from its own hierarchical
start and run to a relative tolerance of 1e-9: floors, not optima. `tests/benchmarks/structures_golden.py` tries all 278 from
three seeds.
"""

import json
from pathlib import Path

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.em.prepare import prepare
from bayesgmm.em.scores import Layout
from bayesgmm.em.standard_errors import standard_errors
from bayesgmm.mixture import Mixture, log_density, structure_named, structures_named
from bayesgmm.mixture.structure.equivalence import FOURTEEN
from bayesgmm.mixture.structure.tangent import _dense_at, _parts_about

GOLDEN = json.loads((Path(__file__).parents[1] / "reference" / "golden_structures.json").read_text("utf-8"))["values"]
ALL = [structure.name for structure in structures_named("all")]
CURVED = [s.name for s in structures_named("all") if s.linear is not s]
FEW = [v for v in GOLDEN if v["data"] in ("faithful", "iris") and v["n_components"] in (2, 3)]


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    rng = np.random.default_rng(0)
    one = rng.multivariate_normal([0, 0, 0], [[1, 0.5, 0.2], [0.5, 2, 0.1], [0.2, 0.1, 0.6]], 150)
    two = rng.multivariate_normal([4, 3, 0], [[2, -0.5, 0], [-0.5, 1, 0.3], [0, 0.3, 1]], 120)
    return np.concatenate([one, two])


@pytest.mark.parametrize("row", FEW, ids=lambda v: f"{v['data']}-{v['model']}-{v['n_components']}")
def test_reaches_what_mclust_reaches(values, row: dict) -> None:
    """And where it is the same optimum, parameters, BIC and ICL are mclust's."""
    fit = bg.fit_mixture(values(row["data"]), row["n_components"], row["model"])
    gain = fit.log_likelihood - row["log_likelihood"]
    assert gain >= -1e-3
    assert fit.outcome == "converged", fit.evidence
    assert fit.n_parameters == row["n_parameters"]
    assert fit.bic == pytest.approx(row["bic_lower_is_better"] - 2 * gain, abs=2e-3)
    if gain < 1e-3:
        # mclust's responsibilities are those of its last E-step but one.
        assert fit.icl == pytest.approx(row["icl_lower_is_better"], abs=0.05)


def test_no_wider_structure_is_below_a_narrower_one() -> None:
    """Along all inclusions of the fourteen, and in K."""
    grid = bg.fit_grid(bg.load_dataset("faithful"), (1, 2, 3, 4), "all", progressbar=False)
    assert len(grid.fits) == 3 + 3 * 14
    assert set(grid.fits) | set(grid.aliases) == {(k, name) for k in (1, 2, 3, 4) for name in ALL}
    for (k, name), fit in grid.fits.items():
        for inner in structure_named(name).contains:
            below = grid[k, inner]
            if below.outcome in ("converged", "saddle", "not converged"):
                assert fit.log_likelihood >= below.log_likelihood - 1e-6, (k, name, inner)
        if k > 1:
            fewer = grid[k - 1, name]
            assert fewer.outcome == "spurious" or fit.log_likelihood >= fewer.log_likelihood - 1e-6, (k, name)


def test_one_column_has_two_structures() -> None:
    grid = bg.fit_grid(bg.load_dataset("galaxies"), (2, 3), "all", progressbar=False)
    assert set(grid.fits) == {(k, name) for k in (2, 3) for name in ("full", "tied")}
    assert grid[3, "EVE"].log_likelihood == grid[3, "tied"].log_likelihood
    assert structure_named("E").name == "EII"
    assert structure_named("V").name == "spherical"


@pytest.mark.parametrize("name", FOURTEEN)
def test_estimator_takes_every_name(rows, name: str) -> None:
    gm = bg.GaussianMixture(2, covariance_type=name, random_state=0).fit(rows)
    fit = bg.fit_mixture(rows, 2, structure_named(name).name, random_state=0)
    np.testing.assert_allclose(gm.score_samples(rows).sum(), fit.log_likelihood, rtol=1e-10)
    np.testing.assert_allclose(gm.predict_proba(rows).sum(1), 1.0)
    assert fit.gradient_norm < 1e-6


def log_likelihood_at(x: np.ndarray, parts, values: np.ndarray) -> float:
    """At logit, means and coordinates of the parts, for two components."""
    d = values.shape[1]
    weights = np.array([np.exp(x[0]), 1.0]) / (1 + np.exp(x[0]))
    dense = _dense_at(parts[1], parts[0], x[1 + 2 * d :], 2)
    full = Mixture(structure_named("full"), weights, x[1 : 1 + 2 * d].reshape(2, d), dense)
    return float(log_density(full, values).sum())


@pytest.mark.parametrize("name", CURVED)
def test_information_is_minus_the_hessian(rows, name: str) -> None:
    """Central differences of the log likelihood in the coordinates of the parts: error O(step^2)."""
    prepared = prepare(rows, name, None)
    fit = bg.fit_mixture(rows, 2, name, random_state=0)
    errors = fit.standard_errors(rows)
    structure, m = prepared.structure, fit.standardised
    parts, u = _parts_about(structure, m.dense_covariances)
    x = np.concatenate([[np.log(m.weights[0] / m.weights[1])], m.means.ravel(), u])

    def f(point: np.ndarray) -> float:
        return log_likelihood_at(point, (parts, structure), prepared.design.source)

    step = 1e-3
    e = step * np.eye(len(x))
    numeric = np.array([[f(x + a + b) - f(x + a - b) - f(x - a + b) + f(x - a - b) for a in e] for b in e])
    numeric /= -4 * step**2
    information = np.linalg.inv(errors.covariance)
    np.testing.assert_allclose(information, numeric, atol=1e-4 * np.abs(information).max())
    # What is reported: the delta method, from the numeric Hessian and numeric derivatives of the entries.
    layout = Layout(m)
    moved = np.linalg.inv(numeric)[layout.first_covariance :, layout.first_covariance :]
    slopes = np.array([
        (_dense_at(structure, parts, u + h, 2) - _dense_at(structure, parts, u - h, 2)) / (2 * step)
        for h in step * np.eye(len(u))
    ])  # fmt: skip
    spread = np.sqrt(np.einsum("qkij,qr,rkij->kij", slopes, moved, slopes))
    np.testing.assert_allclose(
        errors.covariances, fit.scaling.covariances_to_data(spread), rtol=2e-3, atol=1e-6 * spread.max()
    )


def test_sandwich_and_bootstrap_agree_with_the_information(rows) -> None:
    """Of rows that a VVE mixture made, all three estimate the same."""
    rng = np.random.default_rng(1)
    axes = np.array([[0.8, -0.6], [0.6, 0.8]])
    sd = np.array([[1.0, 0.4], [0.5, 1.5]])
    which = rng.integers(2, size=600)
    x = (rng.normal(size=(600, 2)) * sd[which]) @ axes.T + which[:, None] * 6.0
    fit = bg.fit_mixture(x, 2, "VVE", random_state=0)
    found = [
        standard_errors(fit.mixture, x, method=method, n_boot=60, random_state=0)
        for method in ("information", "sandwich", "bootstrap")
    ]
    np.testing.assert_allclose(found[1].covariances, found[0].covariances, rtol=0.25)
    np.testing.assert_allclose(found[2].covariances, found[0].covariances, rtol=0.4)
