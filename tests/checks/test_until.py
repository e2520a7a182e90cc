"""Escalation: what NUTS cannot settle is tempered, and what searches miss is found, on the cases that showed the need."""

from __future__ import annotations

import numpy as np
import pytest

from bayesgmm import fit_grid, load_dataset
from bayesgmm.checks import until
from bayesgmm.checks.until import sampled_until_settled
from bayesgmm.posterior.target import Target
from bayesgmm.sampling.settings import Settings
from bayesgmm.sampling.starts import prepare

HOW = Settings(random_seed=0, progressbar=False)


def _settled(x, k, structure):
    grid = fit_grid(x, [k], [structure], random_state=0, progressbar=False)
    target = Target.of(x, k, structure)
    posteriors, diagnoses, _ = sampled_until_settled([target], grid, HOW)
    return posteriors[target.key], diagnoses[target.key]


@pytest.mark.parametrize("k", [3, 5])
def test_galaxies_end_believable(k: int) -> None:
    """NUTS fails here (K=3: two modes 7 nats apart in the likelihood, priors against it); tempering does not."""
    post, diagnosis = _settled(load_dataset("galaxies"), k, "full")
    assert diagnosis.ok, diagnosis
    if post.attrs["sampler"] == "tempering":
        assert min(post.attrs["restarts"]) >= 5
        assert post.attrs["settled"] == 1


@pytest.fixture(scope="module")
def square() -> np.ndarray:
    """Four groups at the corners of a square, and their mirror images: K=2 splits it along either side, equally well."""
    x = np.random.default_rng(0).normal(size=(200, 2)) + 6.0 * np.repeat([[0, 0], [0, 1], [1, 0], [1, 1]], 50, axis=0)
    return np.vstack([x, x[:, ::-1]])


def test_what_is_too_large_to_escalate_keeps_its_chains_and_says_so(square, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(until, "_TEMPERING_SECONDS", 0.0)
    monkeypatch.setattr(until, "_JUMP_SECONDS", 0.0)
    post, diagnosis = _settled(square, 2, "diag")
    assert not diagnosis.ok
    assert post.attrs["sampler"] == "nutpie"


def test_jumps_settle_modes_that_chains_have_seen_without_tempering(square, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(until, "_TEMPERING_SECONDS", 0.0)
    post, diagnosis = _settled(square, 2, "diag")
    assert diagnosis.ok
    assert post.attrs["sampler"] == "jumps"


@pytest.mark.parametrize("seed", range(20))
def test_the_heaviest_mode_is_found_whatever_the_seed(seed: int) -> None:
    """Eight groups, four tied components: one EM search in eight ends 19 nats below the best, at -3962 for -3943."""
    r = np.random.default_rng([4, 23])
    c = r.normal(0, 4, (8, 3))
    z = r.choice(8, 600)
    x = c[z] + r.normal(size=(600, 3))
    prepared = prepare(Target.of(x, 4, "tied"), None, np.random.default_rng(seed))
    mass = prepared.modes[0].value + np.log(np.diag(prepared.modes[0].spread)).sum()
    assert mass == pytest.approx(-2289.7, abs=0.1)
    assert prepared.n_searches == 4
