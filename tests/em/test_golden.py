"""Converged maximum-likelihood values: reached or exceeded, without a spurious component, by default settings."""

import json
from pathlib import Path

import numpy as np
import pytest

from bayesgmm.data import Scaling
from bayesgmm.em import fit_mixture
from bayesgmm.em.algorithm.steps import expectation_step, maximisation_step
from bayesgmm.em.criteria import bic, classification_terms, icl
from bayesgmm.mixture import Design, Mixture

REFERENCE = Path(__file__).parents[1] / "reference"
GOLDEN = json.loads((REFERENCE / "golden.json").read_text("utf-8"))
PARTITIONS = json.loads((REFERENCE / "mclust_partitions.json").read_text("utf-8"))
CASES = [
    (v["data"], v["covariance_type"], v["n_components"], v["log_likelihood"])
    for v in GOLDEN["maximum_likelihood"]["values"]
]


@pytest.mark.parametrize(("data", "structure", "k", "expected"), CASES)
def test_reaches_the_reference_optimum(values, data: str, structure: str, k: int, expected: float) -> None:
    x = values(data)
    for seed in range(5):
        fit = fit_mixture(x, k, structure, random_state=seed)
        assert fit.log_likelihood >= expected - 1e-4, (seed, fit.evidence)
        assert fit.outcome == "converged", (seed, fit.evidence)


# mclust's model names, for the structures that are here: E and V in one dimension, EEE and VVV in more.
NAMES = {"EEE": "tied", "VVV": "full", "E": "tied"}
MCLUST = pytest.mark.parametrize("row", GOLDEN["mclust"]["values"], ids=lambda row: f"{row['data']}-{row['model']}")


def steps_as_mclust(x: np.ndarray, labels: np.ndarray, name: str) -> tuple[Mixture, float]:
    """Plain EM from a partition, ended by mclust's rule: a change of the log likelihood l below 1e-5 (1 + |l|)."""
    groups = [x[labels == label] for label in np.unique(labels)]
    weights = np.array([len(group) for group in groups]) / len(x)
    means = np.array([group.mean(0) for group in groups])
    covariances = np.array([np.cov(group, rowvar=False, bias=True).reshape(x.shape[1], -1) for group in groups])
    if name == "tied":
        covariances[:] = np.tensordot(weights, covariances, 1)
    scaling = Scaling.of(x)
    mixture = Mixture.from_dense(name, weights, means, covariances).standardised(scaling)[None]
    design = Design.of(x, mixture.structure, scaling=scaling)
    before = -np.inf
    for _ in range(1000):
        smallest = np.linalg.eigvalsh(mixture.dense_covariances)[..., 0]
        statistics = expectation_step(mixture, design, smallest)
        log_likelihood = float(statistics.log_likelihood[0]) + len(x) * scaling.log_jacobian
        if abs(log_likelihood - before) <= 1e-5 * (1 + abs(log_likelihood)):
            return mixture[0].in_data_units(scaling), log_likelihood
        before = log_likelihood
        mixture, _, _ = maximisation_step(statistics, mixture.structure, design.total)
    raise AssertionError("no end after 1000 steps")


@MCLUST
def test_prints_what_mclust_prints_under_its_rule(values, row: dict) -> None:
    """From mclust's own partition, by mclust's own stopping rule, our two steps give all its printed digits."""
    k = row["model"].split(",")[1]
    x, name = values(row["data"]), NAMES[row["model"].split(",")[0]]
    mixture, log_likelihood = steps_as_mclust(x, np.array([*PARTITIONS[f"{row['data']},{k}"]]), name)
    assert log_likelihood == pytest.approx(row["log_likelihood"], abs=5.1e-7)
    assert mixture.n_parameters == row["df"]
    own = bic(log_likelihood, mixture.n_parameters, len(x))
    assert -own == pytest.approx(row["bic"], abs=5.1e-7)
    assert -icl(own, classification_terms(mixture, x)[0]) == pytest.approx(row["icl"], abs=5.1e-5)


@MCLUST
def test_ends_no_worse_than_mclust(values, row: dict) -> None:
    """By default settings: the same optimum, followed further than to a relative change of 1e-5."""
    name, k = row["model"].split(",")
    fit = fit_mixture(values(row["data"]), int(k), NAMES[name])
    gain = fit.log_likelihood - row["log_likelihood"]
    assert -1e-4 <= gain < 0.05
    assert fit.n_parameters == row["df"]
    assert -fit.bic == pytest.approx(row["bic"] + 2 * gain, abs=1e-4)
    # Responsibilities move with the parameters: ICL agrees as far as the stopping rule lets it.
    assert -fit.icl == pytest.approx(row["icl"], abs=0.6)
