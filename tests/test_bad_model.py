"""One model that cannot be judged loses its evidence, never the report."""

from __future__ import annotations

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.posterior.target import Target
from bayesgmm.report.words import answer
from bayesgmm.sampling.settings import Settings
from bayesgmm.sampling.sweep import sample_many


def days() -> np.ndarray:
    """Daily returns of four indices; on holidays all of them are exactly zero.

    A full covariance collapses onto m equal rows: with S = s R the likelihood grows as det(S)^(-m/2), and det(R)^(-m/2) is not
    integrable under an LKJ prior, det(R)^(eta - 1), for m >= 2 eta. There is no posterior for the draws to be of.
    """
    rng = np.random.default_rng(3)
    values = rng.standard_t(4, (400, 4)) @ np.linalg.cholesky(0.3 * np.eye(4) + 0.7).T * 0.01
    values[rng.choice(400, 26, replace=False)] = 0.0
    return values


@pytest.mark.slow
def test_a_model_that_collapses_does_not_take_the_others_with_it(tmp_path) -> None:
    found = bg.analyze(days(), range(1, 4), ("full",), draws=100, chains=2, random_seed=0, progressbar=False)
    withheld = found.comparison.attrs["withheld"]
    assert withheld
    assert all("collapsed" in why or "settles" in why for why in withheld.values())
    assert "1 full" in found.posteriors
    assert found.comparison["p_model"].sum() == pytest.approx(1.0)
    assert "without" in answer(found).headline or "No conclusion" in answer(found).headline
    found.save(tmp_path)
    assert (tmp_path / "report.html").is_file()


def test_collapsed_draws_are_noted_or_refused(monkeypatch) -> None:
    def singular(*args: object) -> None:
        raise np.linalg.LinAlgError("Matrix is not positive definite")

    monkeypatch.setattr("bayesgmm.sampling.sweep._aligned_tree", singular)
    few = Settings(draws=20, tune=50, chains=1, random_seed=0, progressbar=False)
    target = Target.of(np.random.default_rng(0).normal(size=(30, 1)), 1)
    failed: dict[str, str] = {}
    assert sample_many([target], few, failed=failed) == {}
    assert "repeated rows" in failed["1 full"]
    with pytest.raises(bg.InputError, match="1 full have collapsed"):
        sample_many([target], few)
