"""Jumps against what is known: a posterior with exact mirror images, modes of unequal mass, and draws that were made wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.data import InputError
from bayesgmm.posterior import Target
from bayesgmm.sampling import Proposal, Settings, prepare
from bayesgmm.sampling.samplers.jumps import _Pieces, jump

HOW = Settings(random_seed=0, progressbar=False)


def test_pieces_are_the_proposal_with_wider_tails() -> None:
    """q = 0.9 f + 0.1 g, g with three times the covariances: SciPy's density of every Gaussian, and moments of draws."""
    from scipy.stats import multivariate_normal

    rng = np.random.default_rng(0)
    points = np.concatenate([rng.normal(size=(500, 3)), [5.0, 0, 0] + 0.3 * rng.normal(size=(500, 3))])
    fitted = Proposal.fitted(points, 2, rng)
    pieces = _Pieces(fitted)
    at = points[::100]
    m = fitted.mixture
    expected = np.zeros((len(at), 4))
    for j, (share, wider) in enumerate([(0.9, 1.0), (0.9, 1.0), (0.1, 3.0), (0.1, 3.0)]):
        k = j % 2
        mean = fitted.centre + fitted.spread @ m.means[k]
        covariance = wider * fitted.spread @ m.dense_covariances[k] @ fitted.spread.T
        expected[:, j] = np.log(share * m.weights[k]) + multivariate_normal(mean, covariance).logpdf(at)
    np.testing.assert_allclose(pieces.log_densities(at), expected, rtol=1e-9, atol=1e-9)
    drawn = pieces.draw(20_000, rng)
    np.testing.assert_allclose(drawn.mean(0), points.mean(0), atol=0.1)


def test_draws_that_are_too_narrow_become_as_wide_as_the_posterior() -> None:
    """Eight groups, four tied components, 600 rows: nearly normal, P coordinates, so that E log p = log p(mode) - P/2.

    The draws that jumps go on from are half as wide as the posterior, where that fall is P/8.
    """
    r = np.random.default_rng([4, 23])
    centres = r.normal(0, 4, (8, 3))
    x = centres[r.choice(8, 600)] + r.normal(size=(600, 3))
    target = Target.of(x, 4, "tied")
    prepared = prepare(target, None, np.random.default_rng(1))
    modes = prepared.modes[:1]
    rng = np.random.default_rng(0)
    z = rng.standard_normal((4, 500, target.size))
    wrong = np.stack([modes[0].point + 0.5 * own @ modes[0].spread.T for own in z])
    drawn = jump(replace(prepared, draws=wrong), HOW)
    assert drawn.attrs["settled"] == 1
    fall = modes[0].value - drawn.stats["lp"].mean()
    assert fall == pytest.approx(target.size / 2, rel=0.2)


@pytest.mark.slow
@pytest.mark.parametrize(("k", "structure", "log_evidence"), [(3, "full", -1162.71), (4, "tied", -1161.63)])
def test_slow_chains_on_old_faithful_settle(k: int, structure: str, log_evidence: float) -> None:
    """NUTS leaves these at R-hat 1.03 to 1.16. The evidences are tempering's from the prior, to +- 0.05 (42 CPU seconds)."""
    df = bg.load_dataset("faithful")
    post = bg.sample_posterior(df, k, structure, sampler="jumps", random_seed=0, progressbar=False)
    assert post.attrs["settled"] == 1
    assert bg.diagnose(post).ok
    found = bg.log_evidence(post)
    assert found.value == pytest.approx(log_evidence, abs=3 * found.se + 0.15)


def test_a_square_has_two_mirror_images_of_equal_mass() -> None:
    """Rows and their mirror images, K=2 diag: p(split along x) = p(split along y) = 1/2 exactly, by symmetry."""
    square = np.random.default_rng(0).normal(size=(100, 2)) + 6.0 * np.repeat(
        [[0, 0], [0, 1], [1, 0], [1, 1]], 25, axis=0
    )
    square = np.vstack([square, square[:, ::-1]])
    post = bg.sample_posterior(square, 2, "diag", sampler="jumps", random_seed=0, progressbar=False)
    means = post["posterior"]["means"].values.reshape(-1, 2, 2)
    apart = np.abs(means[:, 0] - means[:, 1])
    share = float((apart[:, 0] > apart[:, 1]).mean())
    assert post.attrs["settled"] == 1
    assert share == pytest.approx(0.5, abs=0.05)


def test_jumps_need_draws() -> None:
    prepared = prepare(Target.of(np.random.default_rng(0).normal(size=(50, 2)), 1), None, np.random.default_rng(0))
    with pytest.raises(InputError, match="draws of an earlier run"):
        jump(prepared, HOW)


def test_the_same_seed_gives_the_same_draws_on_any_number_of_cores() -> None:
    x = np.concatenate([np.random.default_rng(0).normal(size=(40, 1)), np.random.default_rng(1).normal(4, 1, (40, 1))])
    one, two = (
        bg.sample_posterior(x, 2, sampler="jumps", random_seed=3, cores=cores, draws=200, progressbar=False)
        for cores in (1, 2)
    )
    np.testing.assert_array_equal(one["posterior"]["means"].values, two["posterior"]["means"].values)
