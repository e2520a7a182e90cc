"""What the posterior adds to EM, and to EM with its intervals: each claim by brute force, and no claim where there is none."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import bayesgmm as bg
from bayesgmm.contrast.claims import CLAIMS, added, good_enough, row_claims

from ..membership_fixtures import two_groups

SETTINGS = {"draws": 500, "chains": 2, "method": "laplace", "random_seed": 3, "progressbar": False}


@pytest.fixture(scope="module")
def few():
    weight = np.random.default_rng(1).choice([1.0, 2.0, 3.0], 60)
    post = bg.sample_posterior(two_groups(60, 3.0), 2, sample_weight=weight, **SETTINGS)
    return bg.em_vs_posterior(None, post, holdout=two_groups(400, 3.0, seed=5))


def test_every_count_is_that_of_a_loop_over_the_rows(few):
    """The rules of the module's table, written out row by row with if and else."""
    counts = {column: dict.fromkeys(CLAIMS, 0.0) for column in ("to em", "to em_intervals")}
    for _, row in few.memberships.iterrows():
        for column, name in (("to em", "em"), ("to em_intervals", "delta")):
            apart = abs(row[f"{name}_probability"] - row["posterior_probability"]) > 0.05
            if name == "em":
                edge = max(row["em_probability"] - row["lb"], row["ub"] - row["em_probability"]) > 0.05
            else:
                edge = abs(row["delta_lb"] - row["lb"]) > 0.05 or abs(row["delta_ub"] - row["ub"]) > 0.05
            made = {
                "rows open": apart and not row[f"{name}_open"] and row["posterior_open"],
                "rows settled": apart and row[f"{name}_open"] and not row["posterior_open"],
                "rows moved": apart and row[f"{name}_assignment"] != row["posterior_assignment"],
                "row intervals": edge,
            }
            for claim, true in {**made, "any row": any(made.values())}.items():
                counts[column][claim] += row["sample_weight"] if true else 0
    for _, row in few.parameters.iterrows():
        counts["to em"]["parameters"] += not row["lb"] <= row["em"] <= row["ub"]
        low, high = row["em"] - 1.598193 * row["em_se"], row["em"] + 1.598193 * row["em_se"]
        counts["to em_intervals"]["parameters"] += max(abs(low - row["lb"]), abs(high - row["ub"])) > 0.5 * row["sd"]
    unseen = few.prediction.loc["holdout"]
    better = unseen["difference"] > 4 and unseen["difference"] > 2 * unseen["se"]
    for column in counts:
        counts[column]["prediction"] = float(better)
    pd.testing.assert_frame_equal(few.added, pd.DataFrame(counts).rename_axis("claim"), check_dtype=False)
    assert few.added.loc["row intervals", "to em"] > 0


def test_the_three_answers_are_sums_over_the_rows(few):
    table, weight = few.memberships, few.memberships["sample_weight"].to_numpy()
    for name, prefix, modal in (
        ("em", "em", "em_probability"),
        ("em_intervals", "delta", "delta_modal_probability"),
        ("posterior", "posterior", "posterior_modal_probability"),
    ):
        answers = few.answers[name]
        assert answers["open rows"] == pytest.approx(sum(weight[(table[modal] < 0.9).to_numpy()]))
        assert answers["open rows"] == pytest.approx(sum(weight[table[f"{prefix}_open"].to_numpy()]))
        assert answers["expected misallocations"] == pytest.approx(sum(weight * (1 - table[modal].to_numpy())))
    width = (table["ub"] - table["lb"]).to_numpy()
    assert few.answers.loc["interval width", "posterior"] == pytest.approx(np.average(width, weights=weight))
    width = (table["delta_ub"] - table["delta_lb"]).to_numpy()
    assert few.answers.loc["interval width", "em_intervals"] == pytest.approx(np.average(width, weights=weight))
    assert np.isnan(few.answers.loc["interval width", "em"])


def test_a_row_on_either_side_of_the_threshold_by_a_hair_is_no_claim():
    """EM 0.901 and posterior 0.899 is the same answer; EM 0.97 and posterior 0.85 is not."""
    table = pd.DataFrame(
        {
            "em_probability": [0.901, 0.97, 0.80, 0.52],
            "posterior_probability": [0.899, 0.85, 0.95, 0.40],
            "em_assignment": 0,
            "posterior_assignment": [0, 0, 0, 1],
            "lb": [0.89, 0.5, 0.93, 0.39],
            "ub": [0.91, 0.99, 0.96, 0.41],
        }
    )
    table["em_open"], table["posterior_open"] = table["em_probability"] < 0.9, [True, True, False, True]
    found = row_claims(table, "em")
    assert found["rows open"].tolist() == [False, True, False, False]
    assert found["rows settled"].tolist() == [False, False, True, False]
    assert found["rows moved"].tolist() == [False, False, False, True]
    assert found["row intervals"].tolist() == [False, True, True, True]


def test_with_100000_rows_em_is_good_enough():
    """The posterior's sd and EM's error fall with the root of N: what EM says is then what the posterior says."""
    rng = np.random.default_rng(0)
    second = rng.uniform(size=(100_000, 1)) < 0.4
    x = rng.normal(size=(100_000, 2)) + np.where(second, [2.5, 1.0], 0.0)
    post = bg.sample_posterior(x, 2, **{**SETTINGS, "draws": 600})
    contrast = bg.em_vs_posterior(None, post, holdout=x[:20_000] + rng.normal(0, 1e-3, (20_000, 2)))
    assert contrast.answers.loc["open rows", "posterior"] > 10_000  # not for want of open rows
    assert contrast.good_enough == "em"
    assert contrast.summary.splitlines()[-1].startswith("EM is good enough here")
    assert "A reader who had only EM" not in contrast.summary
    np.testing.assert_allclose(contrast.added.loc[["rows open", "rows settled", "rows moved"]], 0)


def test_with_few_rows_it_is_not_and_its_intervals_are_named(few):
    last = few.summary.splitlines()[-1]
    assert few.good_enough != "em"
    assert last.startswith("A reader who had only EM's point answer would have ")
    assert "delta-method intervals" in last
    assert good_enough(few.added, few.memberships["sample_weight"].sum()) == few.good_enough


def test_without_standard_errors_nothing_is_claimed_against_intervals():
    """Two components on one place: the information is singular, and EM has no intervals to add to."""
    x = np.random.default_rng(0).normal(size=(60, 1))
    post = bg.sample_posterior(x, 2, **SETTINGS)
    same = bg.GaussianMixture(2).fit(x).result_.mixture
    same = type(same)(same.structure, np.full(2, 0.5), np.zeros((2, 1)), np.ones((2, 1, 1)))
    contrast = bg.em_vs_posterior(same, post)
    assert contrast.memberships["delta_lb"].isna().all()
    assert contrast.added["to em_intervals"].isna().all()
    assert contrast.answers["em_intervals"].isna().all()
    assert contrast.good_enough != "em with intervals"
    assert "EM has no" in contrast.summary


def test_under_a_bad_verdict_nothing_is_concluded(few, monkeypatch):
    class Bad:
        verdict = "multimodal"

    monkeypatch.setattr("bayesgmm.checks.diagnose", lambda post: Bad())
    contrast = bg.em_vs_posterior(None, bg.sample_posterior(two_groups(60, 3.0), 2, **SETTINGS))
    assert contrast.good_enough == ""
    assert "Nothing is concluded" in contrast.summary.splitlines()[-1]


def test_prediction_is_claimed_by_two_errors_and_four_nats():
    parameters = pd.DataFrame(
        {"inside": [True], "em_se": [1.0], "em_lb": 0.0, "em_ub": 1.0, "lb": 0.0, "ub": 1.0, "sd": 1.0}
    )
    members = pd.DataFrame(
        {f"{a}_{b}": [0] for a in ("em", "delta", "posterior") for b in ("open", "assignment", "probability")}
        | {"lb": [0.0], "ub": [0.0], "delta_lb": [0.0], "delta_ub": [0.0], "sample_weight": [1.0]}
    )
    for difference, se, made in ((5.0, 1.0, 1), (3.9, 1.0, 0), (5.0, 3.0, 0), (-9.0, 1.0, 0)):
        prediction = pd.DataFrame({"difference": [99.0, difference], "se": [1.0, se]}, index=["in sample", "holdout"])
        table = added(parameters, members, prediction)
        assert table.loc["prediction"].tolist() == [made, made]
        assert good_enough(table, 1) == ("no" if made else "em")
