"""Scaling: round trips, equivariance under a change of units, weights, and extreme magnitudes."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bayesgmm.data import InputError, Scaling, read_table

settled = st.floats(-1e3, 1e3, allow_subnormal=False).map(lambda x: round(x, 6))
tables = hnp.arrays(np.float64, st.tuples(st.integers(2, 30), st.integers(1, 4)), elements=settled)
units = st.floats(1e-6, 1e6)


def gaussian_log_density(x, mean, covariance):
    """log N(x | mean, covariance), written out."""
    deviation = x - mean
    quadratic = deviation @ np.linalg.solve(covariance, deviation)
    return -0.5 * (len(x) * math.log(2 * math.pi) + np.linalg.slogdet(covariance)[1] + quadratic)


@given(tables)
def test_standardised_columns_have_mean_zero_and_variance_one(values):
    scaling = Scaling.of(values)
    z = scaling.standardise(values)
    spread = np.ptp(values, axis=0)
    # The mean is as good as the rounding of the values themselves, relative to the scale.
    rounding = np.abs(values).max(axis=0) / scaling.scale * 1e-14 + 1e-13
    assert np.all(np.abs(z.mean(axis=0)) <= rounding)
    np.testing.assert_allclose(z.var(axis=0)[spread > 0], 1, rtol=1e-9)
    assert np.all(scaling.scale[spread == 0] == 1)


@given(tables, st.booleans())
def test_round_trips(values, common):
    scaling = Scaling.of(values, common)
    slack = 1e-12 * (np.abs(values).max() + scaling.scale.max())
    np.testing.assert_allclose(scaling.restore(scaling.standardise(values)), values, rtol=0, atol=slack)
    np.testing.assert_allclose(scaling.means_to_data(scaling.means_from_data(values)), values, rtol=0, atol=slack)
    covariances = np.stack([values.T @ values + np.eye(values.shape[1])] * 3)
    back = scaling.covariances_to_data(scaling.covariances_from_data(covariances))
    np.testing.assert_allclose(back, covariances, rtol=1e-13)


@given(tables, units, st.floats(-1e3, 1e3))
def test_a_change_of_units_changes_nothing_on_the_standardised_scale(values, unit, shift):
    spread = np.ptp(values, axis=0)
    values = values[:, spread > 1e-2]
    if values.shape[1] == 0:
        return
    z = Scaling.of(values).standardise(values)
    np.testing.assert_allclose(Scaling.of(values * unit).standardise(values * unit), z, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(Scaling.of(values + shift).standardise(values + shift), z, rtol=1e-6, atol=1e-6)


@given(tables, st.data())
def test_weights_count_rows(values, data):
    weight = np.array(data.draw(st.lists(st.integers(0, 3), min_size=len(values), max_size=len(values))))
    if not weight.any():
        return
    weighted, repeated = (
        Scaling.of(values, sample_weight=weight),
        Scaling.of(np.repeat(values, weight, axis=0)),
    )
    np.testing.assert_allclose(weighted.location, repeated.location, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(weighted.scale, repeated.scale, rtol=1e-9)


def test_the_jacobian_turns_a_standardised_density_into_that_of_the_data():
    rng = np.random.default_rng(0)
    values = rng.normal([5.0, -300.0, 0.01], [2.0, 50.0, 1e-3], size=(50, 3))
    scaling = Scaling.of(values)
    mean, covariance = values.mean(axis=0), np.cov(values.T)
    of_data = sum(gaussian_log_density(x, mean, covariance) for x in values)
    z_mean, z_covariance = scaling.means_from_data(mean), scaling.covariances_from_data(covariance)
    standardised = sum(gaussian_log_density(z, z_mean, z_covariance) for z in scaling.standardise(values))
    assert standardised + 50 * scaling.log_jacobian == pytest.approx(of_data, rel=1e-12)


def test_a_common_scale_is_the_root_mean_variance():
    values = np.random.default_rng(1).normal(size=(40, 3)) * [1.0, 10.0, 3.0]
    scaling = Scaling.of(values, common=True)
    np.testing.assert_allclose(scaling.scale, np.sqrt(values.var(axis=0).mean()))
    np.testing.assert_allclose(scaling.location, values.mean(axis=0))
    sphere = scaling.covariances_from_data(4.0 * np.eye(3))
    np.testing.assert_allclose(sphere, sphere[0, 0] * np.eye(3))
    # A constant column has no variance to add, but counts as a column.
    half = Scaling.of(np.c_[values[:, 0], np.ones(40)], common=True)
    np.testing.assert_allclose(half.scale, np.sqrt(values[:, 0].var() / 2))


@pytest.mark.parametrize("magnitude", [1e-300, 1e-160, 1e160, 1e300])
@pytest.mark.parametrize("common", [False, True])
def test_extreme_magnitudes(magnitude, common):
    values = np.random.default_rng(2).normal(3, 1, size=(60, 2))
    plain, extreme = Scaling.of(values, common), Scaling.of(values * magnitude, common)
    np.testing.assert_allclose(extreme.location, plain.location * magnitude, rtol=1e-14)
    np.testing.assert_allclose(extreme.scale, plain.scale * magnitude, rtol=1e-14)
    np.testing.assert_allclose(extreme.standardise(values * magnitude), plain.standardise(values), rtol=1e-12)


def test_columns_of_very_different_magnitude_share_a_common_scale():
    values = np.random.default_rng(3).normal(size=(60, 2))
    scaling = Scaling.of(values * [1e200, 1e-200], common=True)
    np.testing.assert_allclose(scaling.scale, 1e200 * values[:, 0].std() / np.sqrt(2))


def test_a_large_offset_costs_no_digits():
    values = np.random.default_rng(4).integers(-1000, 1000, size=(500, 1)).astype(float)
    # Integers to 2**53 are exact, so the two tables hold the very same deviations.
    plain, offset = Scaling.of(values), Scaling.of(values + 2.0**50)
    assert offset.scale[0] == pytest.approx(plain.scale[0], rel=1e-14)


def test_identity_changes_nothing():
    identity = Scaling.identity(2)
    values = np.array([[1.0, -2.0], [3.5, 1e9]])
    np.testing.assert_array_equal(identity.standardise(values), values)
    np.testing.assert_array_equal(identity.covariances_to_data(values), values)
    assert identity.log_jacobian == 0.0


def test_constant_columns_get_the_scale_one():
    scaling = Scaling.of(np.full((7, 2), 0.1))
    np.testing.assert_array_equal(scaling.scale, 1)
    np.testing.assert_array_equal(scaling.location, 0.1)
    np.testing.assert_array_equal(Scaling.of(np.full((7, 2), 0.1), common=True).scale, 1)


@pytest.mark.parametrize(
    ("weight", "text"),
    [
        ([1, 2], "one weight for each of the 3 rows"),
        ([1, -1, 1], "row 1 is -1"),
        ([0, 0, 0], "zero for every row"),
        ([1, 1, np.nan], "row 2 is nan"),
    ],
)
def test_bad_weights_are_named(weight, text):
    with pytest.raises(InputError, match=text):
        Scaling.of(np.arange(6.0).reshape(3, 2), sample_weight=weight)


def test_location_and_scale_are_checked_and_read_only():
    with pytest.raises(ValueError, match="shape"):
        Scaling(np.zeros(2), np.ones(3))
    with pytest.raises(ValueError, match="positive"):
        Scaling(np.zeros(2), np.array([1.0, 0.0]))
    with pytest.raises(ValueError, match="read-only"):
        Scaling.identity(2).scale[0] = 3


@pytest.mark.parametrize("name", ["faithful", "galaxies", "iris"])
@pytest.mark.parametrize("common", [False, True])
@pytest.mark.parametrize(("factor", "shift"), [(3.7, 1000.0), (0.0123, -5.0), (1e-9, 3e-8), (1e12, 7e13)])
def test_rows_of_a_shifted_and_rescaled_copy_are_the_same_to_the_last_digit(name, common, factor, shift):
    values = read_table(name).values
    moved = values * factor + shift
    rows = Scaling.of(values, common=common).rows(values)
    np.testing.assert_array_equal(Scaling.of(moved, common=common).rows(moved), rows)
    np.testing.assert_allclose(rows, Scaling.of(values, common=common).standardise(values), rtol=0, atol=2.0**-31)


def test_the_grid_is_finer_where_rows_are_dense():
    """A component a hundred-millionth as wide as the data keeps its shape."""
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(0, 1e-8, 500), rng.normal(1, 1, 500)])[:, None]
    scaling = Scaling.of(values)
    exact, rows = scaling.standardise(values)[:500], scaling.rows(values)[:500]
    assert np.abs(rows - exact).max() < 1e-4 * exact.std()
    assert len(np.unique(rows)) == 500


def test_rows_that_are_many_or_not_standardised_are_as_they_are():
    values = np.random.default_rng(0).normal(size=(20_001, 1)) * 3 + 1
    scaling = Scaling.of(values)
    np.testing.assert_array_equal(scaling.rows(values), scaling.standardise(values))
    np.testing.assert_array_equal(Scaling.identity(1).rows(values[:10]), values[:10])
