"""Outcomes by group: exact posteriors by enumeration, corrections by other routes, published figures, and what is refused."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.special import betaln
from scipy.stats import multivariate_t

import bayesgmm as bg
from bayesgmm.clusters.outcome_draws import Categories, Number, Regression, draw_parameters
from bayesgmm.clusters.outcomes import outcomes
from bayesgmm.clusters.quality import entropy_r2, sabic
from bayesgmm.clusters.three_step import bch, classification_errors, hard, three_step_ml
from bayesgmm.data import InputError
from bayesgmm.em import fit_mixture
from bayesgmm.mixture import responsibilities
from bayesgmm.sampling.posterior import Posterior

from ..membership_fixtures import laplace_posterior, two_groups

SHARES = np.array([[0.9, 0.8, 0.6, 0.5, 0.3, 0.1, 0.4], [0.1, 0.2, 0.4, 0.5, 0.7, 0.9, 0.6]])
DRAWS = 20_000


def repeated(shares):
    return np.broadcast_to(shares, (DRAWS, *shares.shape))


def enumerated(shares, log_marginal):
    """Posterior probability of every allocation z: proportional to prod r_{i z_i} times the marginal likelihood of y."""
    allocations = [np.array(z) for z in product(range(len(shares)), repeat=shares.shape[1])]
    logs = [np.log(shares[z, np.arange(len(z))]).sum() + log_marginal(z) for z in allocations]
    p = np.exp(np.array(logs) - max(logs))
    return allocations, p / p.sum()


def test_a_category_s_probabilities_are_the_exact_posterior():
    """Seven rows, two levels: every allocation has a Beta posterior, and there are 2^7 of them.

    Under Jeffreys' prior the marginal likelihood of n_g rows with h_g hits is B(h + 1/2, n - h + 1/2) / B(1/2, 1/2).
    """
    level = np.array([1, 1, 0, 1, 0, 0, 1])

    def hits(z, g):
        return level[z == g].sum(), (1 - level[z == g]).sum()

    def log_marginal(z):
        return sum(betaln(hits(z, g)[0] + 0.5, hits(z, g)[1] + 0.5) - betaln(0.5, 0.5) for g in range(2))

    allocations, p = enumerated(SHARES, log_marginal)
    exact = sum(
        q * np.array([(hits(z, g)[0] + 0.5) / (sum(hits(z, g)) + 1) for g in range(2)])
        for z, q in zip(allocations, p, strict=True)
    )
    drawn = draw_parameters(repeated(SHARES), Categories(level, 2, np.ones(7)), 0)[..., 1]
    np.testing.assert_allclose(drawn.mean(0), exact, atol=4 * drawn.std(0).max() / np.sqrt(DRAWS))


def test_a_regression_s_coefficients_are_the_exact_posterior():
    """Given z, y of a group is multivariate t: mean X b0, scale s^2 (I + X V X'), one degree of freedom; b the ridge mean."""
    rng = np.random.default_rng(0)
    design = np.column_stack([np.ones(7), rng.normal(size=7)])
    y = design @ [0.5, 1.0] + rng.normal(size=7)
    square = design.T @ design
    pooled = np.linalg.solve(square, design.T @ y)
    variance = ((y - design @ pooled) ** 2).mean()
    inner = 0.01 / 7 * square

    def parts(z, g):
        return design[z == g], y[z == g]

    def log_marginal(z):
        total = 0.0
        for g in range(2):
            x, v = parts(z, g)
            if len(v):
                shape = variance * (np.eye(len(v)) + x @ np.linalg.inv(inner) @ x.T)
                total += multivariate_t(x @ pooled, shape, df=1).logpdf(v)
        return total

    def mean(z, g):
        x, v = parts(z, g)
        return np.linalg.solve(x.T @ x + inner, x.T @ v + inner @ pooled)

    allocations, p = enumerated(SHARES, log_marginal)
    exact = sum(q * np.array([mean(z, g) for g in range(2)]) for z, q in zip(allocations, p, strict=True))
    drawn = draw_parameters(repeated(SHARES), Regression(design, y, np.ones(7)), 0)
    # The mean of few rows has heavy tails: medians of batch means, and their spread.
    batches = drawn[..., :2].reshape(100, -1, 2, 2).mean(1)
    error = 1.2533 * batches.std(0) / 10
    assert (np.abs(np.median(batches, 0) - exact) < 5 * error + 0.02).all()


def test_with_sure_memberships_every_answer_is_that_of_the_labels():
    rng = np.random.default_rng(1)
    z = np.repeat([0, 1, 2], 40)
    y, shares = rng.normal(z, 1.0), np.eye(3)[z].T
    drawn = draw_parameters(np.broadcast_to(shares, (4000, *shares.shape)), Number(y, np.ones(120)), 0)
    means = np.array([y[z == g].mean() for g in range(3)])
    np.testing.assert_allclose(drawn[..., 0].mean(0), means, atol=0.02)
    np.testing.assert_allclose(drawn[..., 0].std(0), [y[z == g].std(ddof=1) / np.sqrt(40) for g in range(3)], rtol=0.1)
    errors = classification_errors(shares.T, np.ones(120))
    np.testing.assert_allclose(errors, np.eye(3))
    constant = np.ones((120, 1))
    for found in (hard(z, 3, constant, y, np.ones(120)), bch(z, errors, constant, y, np.ones(120))):
        np.testing.assert_allclose(found[0][:, 0], means)


def generated(n, seed, skewed=False):
    """Two groups told apart by a normal indicator two standard deviations apart; the outcome's means are 0 and 1."""
    rng = np.random.default_rng(seed)
    z = (rng.uniform(size=n) < 0.4).astype(int)
    x = rng.normal(2.0 * z)
    odds = 0.4 / 0.6 * np.exp(2.0 * x - 2.0)
    shares = np.stack([1 / (1 + odds), odds / (1 + odds)])
    return shares, z + (rng.exponential(size=n) - 1 if skewed else rng.normal(size=n))


@pytest.mark.parametrize("skewed", [False, True])
def test_what_hard_labels_pull_together_stands_apart_in_the_draws(skewed):
    """20,000 rows, memberships as the true mixture gives them: the truth is 0 and 1, of hard labels known.

    E[mean of y | label s] = P(T = 1 | s): with cut-off x* where the odds are one, from two normal distribution functions.
    """
    from scipy.stats import norm

    shares, y = generated(20_000, 3, skewed)
    drawn = draw_parameters(np.broadcast_to(shares, (100, *shares.shape)), Number(y, np.ones(20_000)), 0)[..., 0]
    np.testing.assert_allclose(drawn.mean(0), [0, 1], atol=0.05)
    cut = 1 + np.log(0.6 / 0.4) / 2
    wrong, right = 0.4 * norm.cdf(cut - 2), 0.6 * norm.cdf(cut)
    labels, constant = shares.argmax(0), np.ones((20_000, 1))
    found = hard(labels, 2, constant, y, np.ones(20_000))[0][:, 0]
    np.testing.assert_allclose(found, [wrong / (wrong + right), (0.4 - wrong) / (1 - wrong - right)], atol=0.04)
    errors = classification_errors(shares.T, np.ones(20_000))
    np.testing.assert_allclose(bch(labels, errors, constant, y, np.ones(20_000))[0][:, 0], [0, 1], atol=0.05)


def test_three_step_likelihood_is_the_maximum_that_scipy_finds():
    shares, y = generated(400, 4)
    labels, errors, weight = shares.argmax(0), classification_errors(shares.T, np.ones(400)), np.ones(400)
    found, se = three_step_ml(labels, errors, np.ones((400, 1)), y, weight)

    def loss(u):
        p = np.array([1 / (1 + np.exp(u[4])), 1 / (1 + np.exp(-u[4]))])
        sd = np.exp(u[2:4])
        density = np.exp(-0.5 * ((y[:, None] - u[:2]) / sd) ** 2) / (sd * np.sqrt(2 * np.pi))
        return -np.log((p * density * errors[:, labels].T).sum(1)).sum()

    best = minimize(
        loss, [0, 1, 0, 0, 0], method="Nelder-Mead", options={"maxiter": 8000, "xatol": 1e-8, "fatol": 1e-12}
    )
    np.testing.assert_allclose(found[:, 0], best.x[:2], atol=2e-4)
    curvature = np.linalg.inv(_hessian(loss, best.x))
    np.testing.assert_allclose(se[:, 0], np.sqrt(np.diag(curvature)[:2]), rtol=0.15)


def _hessian(f, at, h=1e-3):
    eye = h * np.eye(len(at))
    return np.array(
        [[(f(at + a + b) - f(at + a - b) - f(at - a + b) + f(at - a - b)) / (4 * h * h) for b in eye] for a in eye]
    )


def test_a_share_by_three_steps_solves_the_same_equations_as_bch_where_both_are_inside():
    """Two groups, a binary outcome: the four cells of (label, y) are fitted exactly by p_t, pi_t, so that both invert D."""
    shares, y = generated(2000, 5)
    hit = (y > 0.5).astype(float)
    labels, weight = shares.argmax(0), np.ones(2000)
    errors, constant = classification_errors(shares.T, weight), np.ones((2000, 1))
    by_likelihood = three_step_ml(labels, errors, constant, hit, weight, indicator=True)[0]
    np.testing.assert_allclose(by_likelihood, bch(labels, errors, constant, hit, weight)[0], atol=1e-4)


@pytest.fixture(scope="module")
def post():
    return laplace_posterior(two_groups(200, gap=5.0), 2, "tied", draws=60)


def outside(n=200, seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame({"income": rng.normal(size=n), "smokes": rng.uniform(size=n) < 0.4, "age": rng.normal(size=n)})


def test_stepmix_gives_the_same_bch_estimates(post):
    """On the same rows and structure, each with its own EM."""
    stepmix = pytest.importorskip("stepmix.stepmix", reason="StepMix is not installed")
    y = outside()["income"].to_numpy()
    view = Posterior.read(post)
    model = stepmix.StepMix(
        n_components=2, n_steps=3, measurement="gaussian_tied", structural="gaussian_unit", correction="BCH",
        assignment="modal", init_params="kmeans", n_init=5, abs_tol=1e-12, rel_tol=0.0, max_iter=20_000, random_state=0,
        progress_bar=0,
    )  # fmt: skip
    model.fit(view.values, y[:, None])
    theirs = model.get_parameters()
    order = np.argsort(theirs["measurement"]["means"][:, 0])
    own = outcomes(post, y, by="component").checks.loc[("x0", "mean")]["bch"].to_numpy()
    own = own[np.argsort(view.em.means[:, 0])]
    np.testing.assert_allclose(own, np.ravel(theirs["structural"]["means"])[order], atol=2e-3)


def test_what_is_returned_fits_together(post):
    found = bg.outcomes(post, outside(), ci_prob=0.5, names=["low", "high"])
    assert found.estimates.index.get_level_values("group").unique().tolist() == ["low", "high"]
    drawn = found.draws["income"].sel({"group": "low", "quantity of income": "mean"}).values
    row = found.estimates.loc[("income", "mean", "low")]
    np.testing.assert_allclose([row["mean"], row["lb"], row["ub"]], [drawn.mean(), *np.quantile(drawn, [0.25, 0.75])])
    apart = drawn - found.draws["income"].sel({"group": "high", "quantity of income": "mean"}).values
    assert found.differences.loc[("income", "mean", "low", "high"), "p_greater"] == pytest.approx((apart > 0).mean())
    levels = found.estimates.loc["smokes"]["mean"]
    np.testing.assert_allclose(levels.groupby(level="group").sum(), 1)
    assert levels.index.get_level_values("quantity").unique().tolist() == ["False", "True"]
    assert "entropy R2" in repr(found)
    assert "low - high" in found._repr_html_()


def test_rows_are_matched_by_their_labels(post):
    y = outside()
    shuffled = y.sample(frac=1, random_state=1)
    more = pd.concat([y, outside(5).set_axis(range(900, 905))])
    first = outcomes(post, y).estimates
    for other in (shuffled, more):
        pd.testing.assert_frame_equal(outcomes(post, other).estimates, first)
    pd.testing.assert_frame_equal(outcomes(post, shuffled.reset_index(drop=True)).estimates.iloc[:0], first.iloc[:0])


def test_missing_values_are_left_out_variable_by_variable(post):
    y = outside()
    y.loc[:9, "income"] = np.nan
    found = outcomes(post, y)
    assert found.n_rows.to_dict() == {"income": 190, "smokes": 200, "age": 200}
    # A row without a value says nothing, whatever stands in its place.
    y.loc[10:, "income"] = outside()["income"][10:]
    pd.testing.assert_frame_equal(outcomes(post, y).estimates, found.estimates)


def test_a_regression_in_each_group_finds_its_slopes(post):
    """Sure memberships, slopes 2 and -1: within five standard deviations."""
    far = laplace_posterior(two_groups(200, gap=30.0), 2, "tied", draws=60)
    view = Posterior.read(far)
    z = responsibilities(view.em, view.values)[0].argmax(1)
    rng = np.random.default_rng(0)
    age = rng.normal(size=200)
    y = 1.0 + np.where(z == 0, 2.0, -1.0) * age + 0.5 * rng.normal(size=200)
    found = outcomes(far, {"y": y}, covariates={"age": age}, by="component")
    slopes = found.estimates.xs("age", level="quantity")
    assert "age" in repr(found)
    np.testing.assert_allclose(slopes["mean"], [2.0, -1.0], atol=5 * slopes["sd"].max())
    by_numpy = np.polyfit(age[z == 0], y[z == 0], 1)[0]
    assert slopes["mean"].iloc[0] == pytest.approx(by_numpy, abs=0.02)
    assert found.checks.xs("age", level="quantity")["hard"].iloc[0] == pytest.approx(by_numpy)


def test_the_seed_decides(post):
    a, b, c = (outcomes(post, outside(), random_seed=seed).estimates for seed in (0, 0, 1))
    pd.testing.assert_frame_equal(a, b)
    assert not np.allclose(a["mean"], c["mean"])


def test_entropy_r2_is_mplus_s():
    """tidyLPA's test of mtcars, mpg and hp, equal variances and two classes, against Mplus: 0.819."""
    mpg = [21, 21, 22.8, 21.4, 18.7, 18.1, 14.3, 24.4, 22.8, 19.2, 17.8, 16.4, 17.3, 15.2, 10.4, 10.4, 14.7, 32.4, 30.4,
           33.9, 21.5, 15.5, 15.2, 13.3, 19.2, 27.3, 26, 30.4, 15.8, 19.7, 15, 21.4]  # fmt: skip
    hp = [110, 110, 93, 110, 175, 105, 245, 62, 95, 123, 123, 180, 180, 180, 205, 215, 230, 66, 52, 65, 97, 150, 150, 245,
          175, 66, 91, 113, 264, 175, 335, 109]  # fmt: skip
    rows = np.column_stack([mpg, hp]).astype(float)
    fit = fit_mixture(rows, 2, "EEI", random_state=0)
    found = entropy_r2(responsibilities(fit.mixture, rows)[0], np.ones(32))
    assert found == pytest.approx(0.819, abs=6e-4)
    assert found == pytest.approx(1 - fit.entropy / (32 * np.log(2)))
    # Sclove's criterion by its definition, from BIC: the sample size alone differs.
    assert sabic(fit.log_likelihood, fit.n_parameters, 32) == pytest.approx(
        fit.bic - fit.n_parameters * (np.log(32) - np.log(34 / 24))
    )


def test_the_quality_is_that_of_em(post):
    found = outcomes(post, outside(), by="component").quality
    view = Posterior.read(post)
    r, density = responsibilities(view.em, view.values)
    assert found.entropy_r2 == pytest.approx(entropy_r2(r, np.ones(200)), abs=1e-9)
    assert found.log_likelihood == pytest.approx(density.sum())
    for g in range(2):
        np.testing.assert_allclose(found.average_probability.iloc[g], r[r.argmax(1) == g].mean(0))
    assert found.entropy_r2_lb < found.entropy_r2_posterior < found.entropy_r2_ub


@pytest.mark.parametrize(
    ("y", "options", "said"),
    [
        (np.zeros(7), {}, "7 rows"),
        ({"a": [None] * 200}, {}, "'a' has no value"),
        ({"a": np.r_[np.inf, np.zeros(199)]}, {}, "infinite"),
        ({"a": [str(i) for i in range(200)]}, {}, "200 different"),
        ({"a": pd.date_range("2020", periods=200)}, {}, "dates"),
        (np.arange(200.0), {"by": "class"}, "by='class'"),
        (np.arange(200.0), {"names": ["one"]}, "1 names"),
        (np.arange(200.0), {"names": ["one", "one"]}, "'one' twice"),
        (np.arange(200.0), {"categorical": ["b"]}, "'b'"),
        (np.arange(200.0), {"covariates": np.ones(200)}, "covariate"),
        ({"a": ["x", "y"] * 100}, {"covariates": np.arange(200.0)}, "category"),
    ],
)
def test_refuses_what_is_not_fit_for_use(post, y, options, said):
    with pytest.raises(InputError, match=said):
        outcomes(post, y, **options)
