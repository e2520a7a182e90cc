"""Converged maximum-likelihood values: reached or exceeded, without a spurious component, by default settings."""

import json
from pathlib import Path

import pytest

from bayesgmm.em import fit_mixture

GOLDEN = json.loads((Path(__file__).parents[1] / "reference/golden.json").read_text("utf-8"))
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
        if structure != "tied":  # its likelihood is bounded: no spikes there
            assert fit.smallest_count >= max(5, 2 * x.shape[1])
            assert fit.smallest_eigenvalue > 1e-4


# mclust's model names, for the structures that are here: E and V in one dimension, EEE and VVV in more.
NAMES = {"EEE": "tied", "VVV": "full", "E": "tied"}


@pytest.mark.parametrize("row", GOLDEN["mclust"]["values"], ids=lambda row: f"{row['data']}-{row['model']}")
def test_agrees_with_mclust(values, row: dict) -> None:
    """mclust stops at a relative change of 1e-5: ours is that or a little better, and so are BIC and ICL."""
    name, k = row["model"].split(",")
    fit = fit_mixture(values(row["data"]), int(k), NAMES[name])
    gain = fit.log_likelihood - row["log_likelihood"]
    assert -1e-4 <= gain < 0.05
    assert fit.n_parameters == row["df"]
    assert -fit.bic == pytest.approx(row["bic"] + 2 * gain, abs=1e-4)
    # Responsibilities move with the parameters: ICL agrees as far as the stopping rule lets it.
    assert -fit.icl == pytest.approx(row["icl"], abs=0.6)
