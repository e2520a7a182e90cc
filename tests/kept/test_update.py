"""Next month: the update is the posterior of all rows, labels keep their meaning, and what changed is said."""

import json

import numpy as np
import pandas as pd
import pytest

import bayesgmm as bg
from bayesgmm.data import InputError
from bayesgmm.kept.drift import drift_table, match
from bayesgmm.kept.sequential import _next_power, _systematic

from ..command_line import run

CENTRES = ((0.0, 0.0), (6.0, 0.0), (0.0, 7.0))


def rows(n: int, seed: int, weights=(0.5, 0.3, 0.2), centres=CENTRES) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    group = rng.choice(len(weights), n, p=weights)
    return pd.DataFrame(np.array(centres)[group] + rng.normal(size=(n, 2)), columns=["a", "b"])


OLD, SAME = rows(400, 0), rows(300, 1)


@pytest.fixture(scope="module")
def post():
    return bg.sample_posterior(OLD, 3, "diag", draws=500, random_seed=1, progressbar=False)


@pytest.fixture(scope="module")
def kept(post, tmp_path_factory):
    path = bg.save_model(post, tmp_path_factory.mktemp("old") / "old.json")
    return bg.load_model(path), path


@pytest.fixture(scope="module")
def updated(kept):
    return bg.update(kept[0], SAME, draws=500)


def test_the_update_is_the_posterior_of_all_rows(updated, post) -> None:
    """p(theta | old, new) is proportional to p(theta | old) p(new | theta): the old draws, weighted and moved, have the moments
    of the posterior sampled from all rows at once; and p(new | old) = p(old, new) / p(old), both by bridge sampling."""
    every = pd.concat([OLD, SAME], ignore_index=True)
    whole = bg.sample_posterior(every, 3, "diag", draws=500, random_seed=1, progressbar=False)
    p, own = whole["posterior"], updated.together.draws
    for name, draws in (("weights", own.weights), ("means", own.means)):
        mean, sd = p[name].mean(("chain", "draw")).values, p[name].std(("chain", "draw")).values
        assert (np.abs(draws.mean(0) - mean) < 0.25 * sd).all()
        np.testing.assert_allclose(draws.std(0), sd, rtol=0.2)
    predictive = updated.log_bayes_factor + bg.log_evidence(updated.posterior).value
    assert predictive == pytest.approx(bg.log_evidence(whole).value - bg.log_evidence(post).value, abs=1.0)


def test_rows_of_the_same_population(updated) -> None:
    assert updated.unchanged
    assert updated.labels == (0, 1, 2)
    assert updated.p_same > 0.99
    assert updated.model is updated.together
    assert len(updated.drift) == 3 * (1 + 2 + 2)
    assert "every group was found again" in repr(updated)
    assert "old and new rows together" in updated._repr_html_()


def test_drift_is_found_with_its_size(kept) -> None:
    """Group 1 moved by 1.5 along b, and nothing else did; from now on the new rows alone count."""
    found = bg.update(kept[0], rows(300, 2, centres=((0.0, 0.0), (6.0, 1.5), (0.0, 7.0))), draws=300, ci_prob=0.99)
    row = found.drift.loc[(1, "mean[b]")]
    assert row["lb"] < 1.5 < row["ub"]
    assert row["probability"] > 0.999
    assert row["in_sd"] == pytest.approx(1.5, abs=0.4)
    assert found.moved.index[0] == (1, "mean[b]")
    assert found.p_same < 0.01
    assert found.model is found.alone
    assert "the new rows alone" in found.heading


FATES = {
    "vanished": (rows(400, 13, (0.6, 0.4), CENTRES[:2]), {2: "vanished"}),
    "new": (rows(400, 4, (0.4, 0.3, 0.2, 0.1), (*CENTRES, (12.0, 12.0))), {3: "new"}),
    "split": (
        pd.concat([rows(150, 5, (0.5, 0.5), CENTRES[1:]), 0.7 * rows(200, 6, (0.5, 0.5), ((-3.0, 0.0), (3.0, 0.0)))]),
        {3: "split from 0"},
    ),
}


@pytest.mark.parametrize("case", FATES)
@pytest.mark.parametrize("by", ["em", "posterior"])
def test_what_became_of_each_group(case, by, kept) -> None:
    new, wanted = FATES[case]
    new = new.reset_index(drop=True)
    model = kept[0] if by == "posterior" else bg.fit_mixture(OLD, 3, "diag")
    found = bg.update(model, new, draws=200)
    changed = {label: fate for label, fate in found.groups["fate"].items() if fate != "kept"}
    if case == "split":
        assert changed.pop(0) == "split into 0 and 3"
    assert changed == wanted
    assert found.model is found.alone
    # Labels: each group found again is where it was.
    for k, label in enumerate(found.labels):
        if label < 3 and case != "split":
            assert np.abs(found.alone.mixture.means[k] - np.array(CENTRES)[label]).max() < 0.6


def test_an_em_fit_is_a_start(tmp_path) -> None:
    """Differences with their standard errors: the old estimates are taken as exact."""
    fit = bg.fit_mixture(OLD, 3, "diag")
    found = bg.update(fit, SAME)
    assert found.together is None
    assert np.isnan(found.log_bayes_factor)
    assert found.labels == (0, 1, 2)
    errors = bg.GaussianMixture.from_fit(found.alone.fit).standard_errors(SAME)
    row = found.drift.loc[(2, "mean[a]")]
    assert row["difference"] == pytest.approx(found.alone.fit.mixture.means[2, 0] - fit.mixture.means[2, 0], abs=0.02)
    assert (row["ub"] - row["lb"]) / (2 * 1.598) == pytest.approx(errors.means[2, 0], rel=0.06)  # 89% of a normal
    found.save(tmp_path / "m.json")
    assert bg.load_model(tmp_path / "m.json").fit.n_components == 3


def test_the_drift_of_known_normals() -> None:
    """The difference of two independent normals is normal: its quantiles and the probability of its sign by SciPy."""
    from scipy import stats

    rng = np.random.default_rng(0)
    one = {
        "weight": rng.normal(0.5, 0.02, (4000, 1)),
        "mean": rng.normal(1, 0.3, (4000, 1, 1)),
        "sd": np.full((4000, 1, 1), 2.0),
    }
    two = {
        "weight": rng.normal(0.5, 0.02, (9000, 1)),
        "mean": rng.normal(1.5, 0.4, (9000, 1, 1)),
        "sd": np.full((9000, 1, 1), 2.0),
    }
    table = drift_table(("x",), [7], one, two, 0.9, np.random.default_rng(1))
    row, difference = table.loc[(7, "mean[x]")], stats.norm(0.5, 0.5)
    assert [row["lb"], row["ub"]] == pytest.approx(difference.ppf([0.05, 0.95]), abs=0.04)
    assert row["probability"] == pytest.approx(difference.sf(0), abs=0.02)
    assert row["in_sd"] == pytest.approx(0.25, abs=0.01)
    assert not row["moved"]


def test_matching_takes_the_most_rows_in_common() -> None:
    """Components exchanged in their order are found again: one row each is enough to tell."""
    before = np.eye(3)[[0] * 5 + [1] * 4 + [2] * 3]
    found = match(before, np.ones(12), before[:, [2, 0, 1]], np.array([5, 4, 3]) / 12)
    assert found.label.tolist() == [2, 0, 1]
    assert found.unchanged


def test_the_parts_of_sequential_monte_carlo() -> None:
    """Systematic resampling has counts within one of n w. The next power halves the effective size, or is 1."""
    weight = np.random.default_rng(0).dirichlet(np.ones(20))
    counts = np.bincount(_systematic(weight, 500, np.random.default_rng(1)), minlength=20)
    assert (np.abs(counts - 500 * weight) <= 1).all()
    log_l = np.random.default_rng(2).normal(0, 30, 1000)
    power = _next_power(log_l, 0.1)
    w = np.exp((power - 0.1) * (log_l - log_l.max()))
    assert w.sum() ** 2 / (w**2).sum() / 1000 == pytest.approx(0.5, abs=1e-3)
    assert _next_power(np.full(10, -3.0), 0.5) == 1.0


@pytest.mark.parametrize(
    ("new", "words"),
    [
        (SAME[["a"]], "no column 'b'"),
        (SAME.to_numpy()[:, :1], "has 1 columns"),
        (SAME.assign(b=np.nan), "missing"),
        (5, "not a table"),
    ],
)
def test_rows_that_do_not_fit_are_refused(new, words, kept) -> None:
    with pytest.raises(InputError, match=words):
        bg.update(kept[0], new)


def test_what_is_no_model_is_refused() -> None:
    for model in (None, 5, "model.json", bg.GaussianMixture(2)):
        with pytest.raises(InputError, match="no fitted model"):
            bg.update(model, SAME)


def test_from_the_command_line(kept, updated, tmp_path, monkeypatch, capsys) -> None:
    SAME.assign(note="x").to_csv(tmp_path / "new.csv", index=False)
    model, drift = tmp_path / "updated.json", tmp_path / "drift.csv"
    arguments = ["update", str(kept[1]), str(tmp_path / "new.csv"), "--draws", "500", "-o", str(model)]
    code, out, err = run(monkeypatch, capsys, *arguments, "--drift", str(drift), "--json")
    assert (code, err) == (0, "")
    said = json.loads(out)
    assert said["together"]
    assert said["log_bayes_factor"] == pytest.approx(updated.log_bayes_factor)
    pd.testing.assert_frame_equal(pd.read_csv(drift, index_col=["group", "quantity"]), updated.drift, rtol=1e-12)
    scores = bg.load_model(model).score(SAME)
    assert np.abs(scores.probability - updated.model.score(SAME).probability).max() < 0.02
    code, out, _ = run(monkeypatch, capsys, *arguments[:5])
    assert code == 0
    assert "every group was found again" in out
    code, out, err = run(monkeypatch, capsys, *arguments[:3], "-o", str(tmp_path / "x.txt"))
    assert (code, err.count("\n")) == (2, 1)
