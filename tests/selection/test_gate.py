"""Components that need not be groups: what gives them away, and that transformations carry their Jacobian."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, stats

import bayesgmm as bg
from bayesgmm.data import Transform, as_table, parse_transforms, transformed
from bayesgmm.em import suggest_transforms
from bayesgmm.selection.gate import density_transform, doubts


@pytest.mark.parametrize("transform", [Transform("log"), Transform("root"), Transform("yeo-johnson", 0.3), Transform()])
def test_slopes_are_derivatives_and_densities_stay_densities(transform):
    """log t'(x) by central differences; and a normal density of y = t(x) times t' has mass one over x."""
    x = np.array([0.2, 0.9, 3.0, 7.5])
    step = 1e-6
    slope = (transform.of(x + step) - transform.of(x - step)) / (2 * step)
    np.testing.assert_allclose(transform.log_slope(x), np.log(slope), atol=1e-7)
    y = transform.of(np.array([1.0]))[0]

    def density(value):
        point = np.array([value])
        return stats.norm(y, 0.05).pdf(transform.of(point)[0]) * np.exp(transform.log_slope(point)[0])

    assert integrate.quad(density, 0.2, 5.0, points=[1.0], limit=200)[0] == pytest.approx(1.0, abs=1e-4)


def test_a_log_normal_column_is_told_and_bic_with_its_jacobian_agrees():
    """BIC of K = 1 on the logarithms plus 2 sum log x is scikit-free arithmetic: the log-normal's own maximum likelihood."""
    x = stats.lognorm(0.6).rvs(300, random_state=0)
    table = as_table(x[:, None], name="x")
    assert suggest_transforms(table) == {"x0": Transform("log")}
    there = transformed(table, parse_transforms("x0=log", table.columns))
    assert there.columns == ("log(x0)",)
    fit = bg.fit_mixture(there, 1, random_state=0)
    own = stats.lognorm(np.log(x).std(), scale=np.exp(np.log(x).mean())).logpdf(x).sum()
    assert fit.log_likelihood + Transform("log").log_slope(x).sum() == pytest.approx(own, abs=1e-6)


def test_errors_name_column_and_remedy():
    table = as_table(np.linspace(-1, 1, 30)[:, None])
    with pytest.raises(bg.InputError, match="'x0' begins at -1"):
        transformed(table, {"x0": Transform("log")})
    with pytest.raises(bg.InputError, match="names 'x9', which is no column"):
        parse_transforms({"x9": "log"}, table.columns)
    with pytest.raises(bg.InputError, match="'cube' is unknown"):
        parse_transforms("x0=cube", table.columns)
    with pytest.raises(bg.InputError, match="transform=5: give 'auto'"):
        parse_transforms(5, table.columns)
    with pytest.raises(bg.InputError, match="give 'auto'"):
        parse_transforms("log", table.columns)


def found(rows, key):
    table = as_table(rows)
    grid = bg.fit_grid(table, (1, 2), ("full", "spherical"), random_state=0, progressbar=False)
    return doubts(table, grid, key)


def test_one_gamma_group_in_two_components_is_doubted():
    said = found(stats.gamma(3).rvs((300, 1), random_state=1), "2 full")
    assert said.banner
    assert said.transforms
    assert "a transformation makes the mixture simpler (x0=root)" in said.reasons


def test_two_gaussians_far_apart_are_not():
    rows = np.vstack([stats.norm(-4, 1).rvs((150, 2), random_state=2), stats.norm(4, 1).rvs((150, 2), random_state=3)])
    said = found(rows, "2 spherical")
    assert not said.banner, said.reasons


def test_concentric_components_draw_one_peak():
    """Half of the rows three times as wide, around one centre: Ray & Lindsay's concentric Gaussians have one mode."""
    rng = np.random.default_rng(4)
    rows = rng.normal(size=(400, 2)) * np.where(rng.uniform(size=400) < 0.5, 1.0, 4.0)[:, None]
    assert any("overlap" in reason for reason in found(rows, "2 spherical").reasons)


def test_the_joint_check_knows_right_and_wrong_densities():
    """Under the model the shares are uniform (mean 1/2, variance 1/12); of t2 rows under a normal they are not."""
    rows = stats.norm().rvs((2000, 2), random_state=5)
    fit = bg.fit_mixture(rows, 1, random_state=0)
    shares, p = density_transform(fit.mixture, rows)
    assert shares.mean() == pytest.approx(0.5, abs=0.03)
    assert shares.var() == pytest.approx(1 / 12, abs=0.01)
    assert p > 0.05
    heavy = stats.t(2).rvs((2000, 2), random_state=6)
    assert density_transform(bg.fit_mixture(heavy, 1, random_state=0).mixture, heavy)[1] < 1e-6
