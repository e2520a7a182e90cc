"""A row of case weight w counts as w rows in every number of both contrasts; weight zero is a row left out.

Route one: the weighted rows. Route two: the same rows, each given as often as its weight says, without weights.
"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score

import bayesgmm as bg
from bayesgmm.contrast.kmeans import adjusted_rand

from ..membership_fixtures import two_groups

SETTINGS = {"draws": 500, "chains": 2, "method": "laplace", "random_seed": 3, "progressbar": False}
HELD_OUT = two_groups(20, 3.0, seed=9)


def _pair(weight):
    """The same posterior, of weighted rows and of copies, and which row each copy is of."""
    rows = two_groups(len(weight), 3.0)
    of = np.repeat(np.arange(len(rows)), weight)
    weighted = bg.sample_posterior(rows, 2, sample_weight=weight.astype(float), **SETTINGS)
    return weighted, bg.sample_posterior(rows[of], 2, **SETTINGS), of


@pytest.fixture(scope="module", params=["four each", "zero to four"])
def pair(request):
    n = 80
    return _pair(np.full(n, 4) if request.param == "four each" else np.random.default_rng(1).choice([0, 1, 2, 4], n))


def test_em_contrast_counts_copies(pair):
    weighted, copied, of = pair
    own, other = (bg.em_vs_posterior(None, post, holdout=HELD_OUT) for post in (weighted, copied))
    for column in own.parameters.select_dtypes("number"):
        np.testing.assert_allclose(
            own.parameters[column], other.parameters[column], rtol=2e-3, atol=2e-3, err_msg=column
        )
    assert own.parameters["inside"].tolist() == other.parameters["inside"].tolist()
    for column in own.memberships.columns.drop("sample_weight"):
        found, expected = own.memberships[column].to_numpy()[of], other.memberships[column].to_numpy()
        np.testing.assert_allclose(found.astype(float), expected.astype(float), atol=1e-3, err_msg=column)
    for name, row in own.prediction.iterrows():
        for column, value in row.items():
            # Sums over up to 320 rows.
            assert value == pytest.approx(other.prediction.loc[name, column], rel=1e-4, abs=2e-3), (name, column)
    assert own.prediction.loc["in sample", "n_rows"] == len(of)
    assert own.prediction.loc["holdout", "n_rows"] == 20


def test_em_contrast_says_the_same_of_copies(pair):
    """Sentence by sentence the summaries hold the same numbers; they name rows, which copies have more of."""
    weighted, copied, _ = pair
    contrasts = [bg.em_vs_posterior(None, post) for post in (weighted, copied)]
    for table in ("answers", "added"):
        own, other = (getattr(contrast, table) for contrast in contrasts)
        pd.testing.assert_frame_equal(own, other, rtol=1e-3)
    own, other = (re.sub(r" \(rows? [^)]*\)", "", contrast.summary).splitlines() for contrast in contrasts)
    assert own[0] == other[0]
    assert own[1].split("EM's standard errors")[1] == other[1].split("EM's standard errors")[1]
    assert own[-1] == other[-1]


def test_the_standard_error_of_a_weighted_mean_is_by_hand():
    """One Gaussian: the standard error of the mean is sd / sqrt(sum of weights)."""
    rows, weight = two_groups(60, 0.0), np.random.default_rng(2).choice([1.0, 3.0], 60)
    post = bg.sample_posterior(rows, 1, sample_weight=weight, **SETTINGS)
    table = bg.em_vs_posterior(None, post).parameters
    mean = weight @ rows / weight.sum()
    sd = np.sqrt(weight @ (rows - mean) ** 2 / weight.sum())
    assert table.loc["means[0, x0]", "em_se"] == pytest.approx(sd[0] / np.sqrt(weight.sum()), rel=1e-6)


def test_cross_validation_leaves_weighted_rows_out_whole():
    """Weight 2 for all: the log score of each row is counted twice, by fits to the other rows at weight 2."""
    rows = two_groups(60, 4.0)
    post = bg.sample_posterior(rows, 1, sample_weight=np.full(60, 2.0), **SETTINGS)
    table = bg.em_vs_posterior(None, post, folds=3).prediction
    part = np.random.default_rng(0).permutation(60) % 3
    expected = 0.0
    for fold in range(3):
        mixture = bg.GaussianMixture(1).fit(rows[part != fold])
        expected += 2 * mixture.score_samples(rows[part == fold]).sum()
    assert table.loc["cross-validated", "n_rows"] == 120
    assert table.loc["cross-validated", "em"] == pytest.approx(expected, rel=1e-6)


def test_kmeans_contrast_counts_copies(pair):
    weighted, copied, of = pair
    own, other = (bg.kmeans_contrast(post) for post in (weighted, copied))
    np.testing.assert_array_equal(own.labels.to_numpy()[of], other.labels)
    np.testing.assert_allclose(own.centres, other.centres, rtol=1e-9)
    np.testing.assert_allclose(own.spheres, other.spheres, rtol=1e-9)
    assert own.inertia == pytest.approx(other.inertia, rel=1e-9)
    assert own.ari_em == pytest.approx(other.ari_em, rel=1e-12)
    assert own.ari_posterior == pytest.approx(other.ari_posterior, rel=1e-12)
    assert own.forced["sample_weight"].sum() == len(other.forced)
    assert own.summary.splitlines()[:3] == other.summary.splitlines()[:3]


def test_kmeans_beside_em_takes_weights():
    weight = np.random.default_rng(1).choice([0, 1, 2, 4], 80)
    rows = pd.DataFrame(two_groups(80, 3.0))
    own = bg.kmeans_contrast(rows, 2, sample_weight=weight)
    other = bg.kmeans_contrast(rows.loc[np.repeat(rows.index, weight)], 2)
    np.testing.assert_allclose(own.centres, other.centres, rtol=1e-9)
    np.testing.assert_allclose(own.spheres, other.spheres, rtol=1e-9)
    assert own.inertia == pytest.approx(other.inertia, rel=1e-9)
    assert own.ari_em == pytest.approx(other.ari_em, rel=1e-9)
    post = bg.sample_posterior(rows, 1, **SETTINGS)
    with pytest.raises(bg.InputError, match="sample_weight is given with a posterior"):
        bg.kmeans_contrast(post, sample_weight=weight)


def test_inertia_is_the_weighted_sum_of_squares():
    weight = np.random.default_rng(4).choice([1.0, 2.5], 80)
    rows = two_groups(80, 3.0)
    found = bg.kmeans_contrast(rows, 2, sample_weight=weight)
    mean = weight @ rows / weight.sum()
    sd = np.sqrt(weight @ (rows - mean) ** 2 / weight.sum())
    gap = ((rows - found.centres.to_numpy()[found.labels]) / sd) ** 2
    assert found.inertia == pytest.approx(weight @ gap.sum(1), rel=1e-9)
    own = [weight[found.labels == k] @ rows[found.labels == k] / weight[found.labels == k].sum() for k in (0, 1)]
    np.testing.assert_allclose(found.centres, own, rtol=1e-6)


def test_adjusted_rand_of_weights_is_that_of_copies():
    rng = np.random.default_rng(0)
    a, b, weight = rng.integers(0, 3, 50), rng.integers(0, 4, 50), rng.integers(0, 5, 50)
    expected = adjusted_rand_score(np.repeat(a, weight), np.repeat(b, weight))
    assert adjusted_rand(a, b, weight.astype(float)) == pytest.approx(expected, rel=1e-12)
    assert adjusted_rand(a, a, weight.astype(float)) == 1.0
