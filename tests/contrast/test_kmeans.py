"""k-means beside the mixture, column by column."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score

from bayesgmm.clusters.memberships import memberships
from bayesgmm.contrast.kmeans import kmeans_contrast
from bayesgmm.data import InputError
from bayesgmm.mixture import responsibilities
from bayesgmm.sampling.posterior import Posterior

from ..membership_fixtures import laplace_posterior, two_groups


@pytest.fixture(scope="module")
def data():
    return pd.DataFrame(two_groups(80, 4.0), columns=["left", "up"])


@pytest.fixture(scope="module")
def post(data):
    return laplace_posterior(data, 2)


@pytest.fixture(scope="module")
def contrast(post):
    return kmeans_contrast(post)


def test_centres_are_means_of_the_rows_in_data_units(contrast, data):
    means = data.groupby(contrast.labels.to_numpy()).mean()
    np.testing.assert_allclose(contrast.centres, means, rtol=1e-6)
    assert contrast.centres.columns.tolist() == ["left", "up"]


def test_every_row_goes_to_the_nearest_centre(contrast, data):
    gap = (data.to_numpy()[:, None] - contrast.centres.to_numpy()) / data.std(ddof=0).to_numpy()
    np.testing.assert_array_equal(contrast.labels, (gap**2).sum(2).argmin(1))


def test_radius_is_the_spread_about_the_centre(contrast, data):
    z = (data - data.mean()) / data.std(ddof=0)
    own = z[contrast.labels.to_numpy() == 1]
    radius = np.sqrt(((own - own.mean()) ** 2).to_numpy().mean())
    assert contrast.spheres.loc[1, "radius"] == pytest.approx(radius)
    assert contrast.spheres.loc[1, "radius[left]"] == pytest.approx(radius * data["left"].std(ddof=0))
    assert contrast.spheres["n_rows"].sum() == 80


def test_agreement_is_the_adjusted_rand_index(contrast, post, data):
    em = responsibilities(Posterior.read(post).em, data.to_numpy())[0].argmax(1)
    assert contrast.ari_em == pytest.approx(adjusted_rand_score(em, contrast.labels))
    assignment = memberships(post)["assignment"]
    assert contrast.ari_posterior == pytest.approx(adjusted_rand_score(assignment, contrast.labels))


def test_forced_rows_are_those_without_a_sure_cluster(contrast, post):
    ds = memberships(post)
    expected = ds["obs_id"].values[ds["probability"].max("cluster").values < 0.9]
    assert sorted(contrast.forced.index) == sorted(expected)
    assert len(expected) > 0
    first = contrast.forced.iloc[0]
    row = ds.sel(obs_id=contrast.forced.index[0], cluster=int(first["kmeans"]))
    assert first["probability"] == pytest.approx(float(row["probability"]))
    assert first["lb"] == pytest.approx(float(row["probability_lb"]))
    assert f"puts {len(expected)} rows into one cluster that the posterior leaves open" in contrast.summary


def test_data_alone_is_compared_with_em(data):
    c = kmeans_contrast(data, 2)
    assert np.isnan(c.ari_posterior)
    assert c.ari_em > 0.5
    assert c.forced["lb"].isna().all()
    assert "with EM" in repr(c)
    assert "<table" in c._repr_html_()


def test_clear_groups_leave_nothing_open():
    c = kmeans_contrast(laplace_posterior(two_groups(60, 12.0), 2))
    assert (c.ari_em, c.ari_posterior) == (1.0, 1.0)
    assert c.forced.empty
    assert "leaves no row open" in c.summary


def test_refuses_what_it_cannot_use(post, data):
    with pytest.raises(InputError, match="n_components is missing"):
        kmeans_contrast(data)
    with pytest.raises(InputError, match="differs from the posterior's 2"):
        kmeans_contrast(post, 3)
    with pytest.raises(InputError, match="open_below=2"):
        kmeans_contrast(post, open_below=2)
