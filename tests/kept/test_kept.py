"""A model from its file says what the model said that was saved; what was damaged or does not fit is refused in one line."""

import gzip
import json
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bayesgmm as bg
from bayesgmm.data import InputError

from ..command_line import run

RNG = np.random.default_rng(1)
FRAME = pd.DataFrame(np.r_[RNG.normal(0, 1, (60, 2)), RNG.normal(6, 2, (60, 2))] * [1.0, 1000.0], columns=["a", "b"])
NEW = pd.DataFrame(
    {"b": [100.0, 7000.0, -90_000.0], "note": ["x", "y", "z"], "a": [0.1, 6.0, 3.0]}, index=["p", "=q", "r"]
)


@pytest.fixture(scope="module")
def post():
    return bg.sample_posterior(FRAME, 2, "full", draws=100, tune=100, chains=2, random_seed=0, progressbar=False)


@pytest.fixture(scope="module")
def saved(post, tmp_path_factory) -> Path:
    return bg.save_model(post, tmp_path_factory.mktemp("model") / "post.json")


@pytest.mark.parametrize("structure", ["full", "tied", "diag", "spherical"])
def test_a_fit_scores_as_before(structure, tmp_path) -> None:
    gm = bg.GaussianMixture(2, covariance_type=structure, random_state=0).fit(FRAME)
    model = bg.load_model(gm.save(tmp_path / "m.json"))
    scores = model.score(NEW)
    np.testing.assert_allclose(scores.probability, gm.predict_proba(NEW[["a", "b"]]), rtol=1e-12)
    np.testing.assert_allclose(scores.log_density, gm.score_samples(NEW[["a", "b"]]), rtol=1e-12)
    np.testing.assert_array_equal(model.estimator.predict(NEW[["a", "b"]]), gm.predict(NEW[["a", "b"]]))
    assert list(scores.table().index) == ["p", "=q", "r"]
    again = bg.load_model(bg.save_model(model, tmp_path / "again.json"))
    np.testing.assert_array_equal(again.score(NEW).probability, scores.probability)
    assert (tmp_path / "again.json").read_text() == (tmp_path / "m.json").read_text()


def test_tail_and_distance_are_what_they_say(tmp_path) -> None:
    """The tail of a row by SciPy's chi-squared distribution of its Mahalanobis distance, component by component."""
    gm = bg.GaussianMixture(2, random_state=0).fit(FRAME)
    scores = bg.load_model(gm.save(tmp_path / "m.json")).score(NEW)
    values = NEW[["a", "b"]].to_numpy()
    tails = []
    for mean, covariance in zip(gm.means_, gm.covariances_, strict=True):
        away = values - mean
        tails.append(stats.chi2(2).sf(np.einsum("ni,ij,nj->n", away, np.linalg.inv(covariance), away)))
    np.testing.assert_allclose(scores.tail, np.max(tails, axis=0), rtol=1e-8)
    wanted = (np.abs(values - FRAME.mean().to_numpy()) / FRAME.std(ddof=0).to_numpy()).max(axis=1)
    np.testing.assert_allclose(scores.distance, wanted, rtol=1e-10)
    assert scores.tail[2] < 1e-6 < 0.01 < scores.tail[0]


def test_a_tail_is_uniform_for_rows_of_one_gaussian(tmp_path) -> None:
    """Under the model itself P(chi2 > m^2) is uniform: the probability integral transform."""
    rows = np.random.default_rng(3).normal(size=(4000, 3))
    model = bg.load_model(bg.fit_mixture(rows, 1).save(tmp_path / "m.json"))
    assert stats.kstest(model.score(rows).tail, "uniform").pvalue > 0.01


def test_a_posterior_scores_as_before(post, saved) -> None:
    model = bg.load_model(saved)
    scores, wanted = model.score(NEW), bg.memberships(post, NEW)
    np.testing.assert_allclose(scores.probability, wanted["probability"], rtol=1e-12)
    np.testing.assert_allclose(scores.lb, wanted["probability_lb"], rtol=1e-12)
    np.testing.assert_allclose(scores.ub, wanted["probability_ub"], rtol=1e-12)
    draws = model.draws
    density = [
        sum(w * stats.multivariate_normal(m, c).pdf(NEW[["a", "b"]]) for w, m, c in zip(*parts, strict=True))
        for parts in zip(draws.weights, draws.means, draws.dense_covariances, strict=True)
    ]
    np.testing.assert_allclose(scores.log_density[:2], np.log(np.mean(density, axis=0))[:2], rtol=1e-8)
    assert model.provenance["draws_sampled"] == 200


def test_draws_are_thinned_to_the_size_stated(post, tmp_path) -> None:
    model = bg.load_model(bg.save_model(post, tmp_path / "m.json", draws=50))
    assert len(model.draws.weights) == 50
    assert json.loads((tmp_path / "m.json").read_text())["n_draws"] == 50
    wanted = bg.memberships(post, NEW)["probability"].values
    assert np.abs(model.score(NEW).probability - wanted).max() < 0.05


def test_nothing_of_the_rows_is_in_the_files(saved) -> None:
    """Not one of the 240 numbers of the data: a model may go where the data may not."""
    import xarray as xr

    with xr.open_dataset(saved.with_suffix(".nc"), engine="h5netcdf") as opened:
        kept = np.concatenate([v.values.ravel() for v in opened.data_vars.values()])
    assert not np.isin(FRAME.to_numpy().ravel(), kept).any()
    assert saved.stat().st_size < 5000


def test_from_the_folder_of_a_report(tmp_path) -> None:
    found = bg.analyze(FRAME, [2], ["full"], draws=20, chains=2, progressbar=False)
    found.save(tmp_path)
    scores = bg.load_model(tmp_path).score(FRAME)
    np.testing.assert_allclose(scores.probability, found.memberships["probability"], rtol=1e-12)


def test_one_row_takes_less_than_a_millisecond(tmp_path) -> None:
    model = bg.load_model(bg.GaussianMixture(3, random_state=0).fit(FRAME).save(tmp_path / "m.json"))
    row = np.array([[0.3, 5000.0]])
    model.score(row)
    times = []
    for _ in range(200):
        begun = time.process_time()
        model.score(row)
        times.append(time.process_time() - begun)
    assert np.median(times) < 1e-3


WRONG = {
    "no such file": (lambda path: path.unlink(), "cannot be read"),
    "truncated": (lambda path: path.write_text(path.read_text()[:200]), "is no model"),
    "another thing": (lambda path: path.write_text("[1, 2]"), "is no model"),
    "another format": (
        lambda path: path.write_text('{"format": "bayesgmm model 99"}'),
        "was not written by this version",
    ),
    "a number changed": (
        lambda path: path.write_text(path.read_text().replace("0.", "1.", 1)),
        "damaged or was edited",
    ),
    "draws lost": (lambda path: path.with_suffix(".nc").unlink(), "keep both files together"),
    "draws damaged": (lambda path: path.with_suffix(".nc").write_bytes(b"x"), "is not the file that"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_model_is_refused(case, post, tmp_path) -> None:
    path = bg.save_model(post, tmp_path / "m.json", draws=10)
    damage, words = WRONG[case]
    damage(path)
    with pytest.raises(InputError, match=words) as caught:
        bg.load_model(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("new", "words"),
    [
        (NEW[["a"]], "none is named 'b'"),
        (NEW.assign(a="x"), "'a' is not numeric"),
        (NEW.assign(a=np.nan), "'a' of new_data has 3 missing values"),
        (np.zeros((2, 3)), "has 3 columns"),
        (NEW.iloc[:0], "no rows"),
        (5, "not a table"),
    ],
)
def test_rows_that_do_not_fit_are_refused(new, words, saved, tmp_path) -> None:
    for model in (bg.load_model(saved), bg.load_model(bg.fit_mixture(FRAME, 2).save(tmp_path / "m.json"))):
        with pytest.raises(InputError, match=words):
            model.score(new)


@pytest.mark.parametrize("wrong", [(5, "m.json"), (None, "m.json"), ("fit", "m.txt"), ("fit", 5), ("fit", "")])
def test_what_cannot_be_saved_is_refused(wrong, tmp_path) -> None:
    model = bg.fit_mixture(FRAME, 1) if wrong[0] == "fit" else wrong[0]
    path = tmp_path / wrong[1] if isinstance(wrong[1], str) and wrong[1] else wrong[1]
    with pytest.raises(InputError):
        bg.save_model(model, path)


@pytest.mark.parametrize("file", ["new.csv", "new.parquet", "new.csv.gz", "new.jsonl"])
def test_scoring_from_the_command_line_in_pieces(file, saved, tmp_path, monkeypatch, capsys) -> None:
    new = FRAME.assign(name=[f"={i}" for i in range(120)])
    path = tmp_path / file
    {"csv": new.to_csv, "gz": new.to_csv, "parquet": new.to_parquet}.get(
        path.suffix[1:], lambda p, index: new.to_json(p, orient="records", lines=True, double_precision=15)
    )(path, index=False)
    monkeypatch.setattr("bayesgmm.data.chunks._ROWS", 50)
    output = tmp_path / "scored.csv"
    code, out, err = run(
        monkeypatch, capsys, "score", str(saved), str(path), "-o", str(output), "--id", "name", "--json"
    )
    assert (code, err) == (0, "")
    assert json.loads(out)["rows"] == 120
    found = pd.read_csv(output)
    assert list(found["obs_id"]) == [f"'={i}" for i in range(120)]
    wanted = bg.load_model(saved).score(FRAME).table().reset_index(drop=True)
    pd.testing.assert_frame_equal(found.drop(columns="obs_id"), wanted, rtol=1e-12)


def test_bad_scoring_is_one_line_and_leaves_what_there_was(saved, tmp_path, monkeypatch, capsys) -> None:
    output = tmp_path / "scored.csv"
    output.write_text("earlier")
    FRAME.assign(a=[*FRAME["a"][:-1], np.nan]).to_csv(tmp_path / "new.csv", index=False)
    for new, words in (("new.csv", "missing value"), ("none.csv", "no file")):
        code, out, err = run(monkeypatch, capsys, "score", str(saved), str(tmp_path / new), "-o", str(output))
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert words in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.csv", "scored.csv"]
    assert output.read_text() == "earlier"
    code, out, _ = run(monkeypatch, capsys, "score", str(saved), str(tmp_path / "new.csv"), "--missing", "drop")
    assert code == 0
    assert len(out.splitlines()) == 120


def test_memory_does_not_grow_with_the_file(tmp_path) -> None:
    """A million rows, 18 MB as text, whose scores take 48 MB: scored in pieces they take what a piece takes."""
    from bayesgmm.cli.score import scored_to
    from bayesgmm.data.chunks import read_chunks

    model = bg.load_model(bg.fit_mixture(FRAME, 2).save(tmp_path / "m.json"))
    line = "1.25,5000.5\n"
    peaks = []
    for n in (100_000, 400_000):
        (tmp_path / "new.csv.gz").write_bytes(gzip.compress(("a,b\n" + line * n).encode(), 1))
        tracemalloc.start()
        counts = scored_to(
            model, read_chunks(tmp_path / "new.csv.gz", rows=20_000), tmp_path / "out.csv", None, "error"
        )
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert counts["rows"] == n
    assert peaks[1] < 1.3 * peaks[0]


@pytest.mark.slow
def test_another_process_says_the_same(saved, tmp_path) -> None:
    FRAME.to_csv(tmp_path / "new.csv", index=False)
    command = [
        sys.executable,
        "-c",
        "from bayesgmm.cli import main; main()",
        "score",
        str(saved),
        "new.csv",
        "-o",
        "out.csv",
    ]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    found = pd.read_csv(tmp_path / "out.csv", index_col="obs_id")
    np.testing.assert_allclose(found, bg.load_model(saved).score(FRAME).table(), rtol=1e-12)
