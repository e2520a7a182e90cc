"""A report that was killed goes on where it was, and ends with what an uninterrupted run would have written."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayesgmm as bg
from bayesgmm.cli import main
from bayesgmm.em import fit_grid
from bayesgmm.posterior import Priors
from bayesgmm.posterior.target import Target
from bayesgmm.report.files import reserved
from bayesgmm.sampling.settings import Settings
from bayesgmm.sampling.store import DrawStore, draws_file, fingerprint_of, read_draws, write_draws
from bayesgmm.sampling.sweep import sample_many

ROWS = 60
FEW = Settings(draws=20, tune=50, chains=2, random_seed=0, progressbar=False)
OPTIONS = ["-k", "1:4", "--covariance", "diag", "--draws", "400", "--chains", "2", "--json"]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    # Four groups, the farther the later: whatever K from 1 to 4, one mode is far above the others and NUTS is enough.
    rng = np.random.default_rng(0)
    centres = np.array([[0.0, 0.0], [8.0, 3.0], [24.0, -4.0], [60.0, 5.0]])
    values = np.concatenate([rng.normal(centre, 1, (ROWS // 4, 2)) for centre in centres])
    path = tmp_path_factory.mktemp("data") / "rows.csv"
    pd.DataFrame(values, columns=["a", "b"]).to_csv(path, index=False)
    return path


@pytest.fixture(autouse=True, scope="module")
def quick_page():
    """The page says nothing that the tables do not, and its figures take most of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bayesgmm.report.page.render_report", lambda findings: findings.headline)
        yield


def report(data: Path, folder: Path, *more: str) -> dict:
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["bayesgmm", "report", str(data), "-o", str(folder), *OPTIONS, *more])
        with redirect_stdout(out), pytest.raises(SystemExit) as stop:
            main()
    assert stop.value.code == 0
    return json.loads(out.getvalue())


def stopped(data: Path, folder: Path, how: signal.Signals) -> tuple[int, str]:
    """Start a report and stop it as soon as its first model is done; the exit code and what it said."""
    # A test run in the background may have been told to ignore interrupts, and its children with it.
    heed = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    program = f"{heed}; from bayesgmm.cli import main; main()"
    command = [sys.executable, "-c", program, "report", str(data), "-o", str(folder), *OPTIONS]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 120
    while not list(folder.glob(".sampled/posterior-*.nc")) and running.poll() is None and time.monotonic() < until:
        time.sleep(0.002)
    running.send_signal(how)
    said = running.communicate(timeout=60)[1]
    return running.returncode, said


def contents(folder: Path) -> dict:
    """Everything that a report found; not when, nor how long it took."""
    document = json.loads((folder / "analysis.json").read_text())
    for name in ("seconds", "reused"):
        document["provenance"].pop(name)
    document["provenance"]["settings"].pop("command")
    for name in ("files", "digest"):  # of files that say when
        document.pop(name)
    tables = {path.name: path.read_bytes() for path in folder.glob("*.csv")}
    return {"analysis.json": document, "models": sorted(p.name for p in folder.glob("*.nc")), **tables}


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    assert report(data, folder)["reused"] == []
    return folder


@pytest.mark.slow
def test_killed_and_resumed_is_uninterrupted(data, whole, tmp_path) -> None:
    code, _ = stopped(data, tmp_path, signal.SIGKILL)
    assert code == -signal.SIGKILL
    kept = {p.name for p in tmp_path.glob(".sampled/posterior-*.nc")}
    assert kept
    assert not [p for p in tmp_path.iterdir() if not p.name.startswith(".")]
    again = report(data, tmp_path)
    assert {draws_file(key) for key in again["reused"]} == kept
    assert contents(tmp_path) == contents(whole)
    for path in whole.glob("*.nc"):
        one, two = read_draws(path), read_draws(tmp_path / path.name)
        for group in one.children:
            xr.testing.assert_identical(one[group].dataset.drop_attrs(), two[group].dataset.drop_attrs())
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


@pytest.mark.slow
def test_interrupted_says_how_to_go_on(data, tmp_path) -> None:
    code, said = stopped(data, tmp_path, signal.SIGINT)
    assert code == 130
    assert "Traceback" not in said
    assert "the same command goes on from there" in said
    assert report(data, tmp_path)["reused"]


@pytest.mark.slow
def test_finished_reports_are_reused_and_other_questions_are_not(data, whole, tmp_path) -> None:
    everything = ["1 diag", "2 diag", "3 diag", "4 diag"]
    before = contents(whole)
    assert report(data, whole)["reused"] == everything
    assert contents(whole) == before
    broken = whole / draws_file("2 diag")
    broken.write_bytes(broken.read_bytes()[:-1000])
    assert report(data, whole)["reused"] == ["1 diag", "3 diag", "4 diag"]
    assert contents(whole) == before
    assert report(data, whole, "--fresh")["reused"] == []
    assert report(data, whole, "--priors", '{"mean_scale": 3}')["reused"] == []


def asked(values: np.ndarray, priors: Priors | None = None) -> tuple[Target, str]:
    target = Target.of(values, 2, "diag", priors)
    grid = fit_grid(values, [2], ["diag"], random_state=0, progressbar=False)
    return target, fingerprint_of(target, grid.fits[2, "diag"], seed=0)


def test_store_returns_what_was_kept_for_the_same_request_alone(data, tmp_path) -> None:
    values = pd.read_csv(data).to_numpy()
    target, fingerprint = asked(values)
    (tree,) = sample_many([target], FEW).values()
    store = DrawStore(tmp_path)
    assert store.find("2 diag", fingerprint) is None
    store.keep("2 diag", tree, fingerprint)
    assert [p.name for p in tmp_path.iterdir()] == ["posterior-2-diag.nc"]
    found = store.find("2 diag", fingerprint)
    for group in tree.children:
        xr.testing.assert_identical(found[group].dataset.drop_attrs(), tree[group].dataset.drop_attrs())
    others = {
        asked(values + 1e-9)[1],
        asked(values, Priors(weight_concentration=1.0))[1],
        asked(values[::-1])[1],
        fingerprint_of(target, fit_grid(values, [2], ["diag"], progressbar=False).fits[2, "diag"], seed=1),
    }
    assert fingerprint not in others
    assert len(others) == 4
    assert all(store.find("2 diag", other) is None for other in others)


def test_every_kind_of_damage_is_noticed(data, tmp_path) -> None:
    target, fingerprint = asked(pd.read_csv(data).to_numpy())
    (tree,) = sample_many([target], FEW).values()
    store, path = DrawStore(tmp_path), tmp_path / "posterior-2-diag.nc"
    store.keep("2 diag", tree, fingerprint)
    good = path.read_bytes()
    for damaged in (b"", b"no such format", good[: len(good) // 2]):
        path.write_bytes(damaged)
        assert store.find("2 diag", fingerprint) is None
    # A well-formed file with one number changed.
    path.write_bytes(good)
    import h5py

    with h5py.File(path, "r+") as file:
        file["posterior/weights"][0, 0, 0] += 1e-12
    assert store.find("2 diag", fingerprint) is None
    with pytest.raises(bg.InputError, match="damaged"):
        read_draws(path)
    write_draws(tree, path)
    assert store.find("2 diag", fingerprint) is not None


def test_two_runs_do_not_share_a_folder(data, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "argv", ["bayesgmm", "report", str(data), "-o", str(tmp_path)])
    with reserved(tmp_path), pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith(f"bayesgmm: another run is writing to the folder '{tmp_path}'")


def test_a_move_that_is_cut_off_is_completed_by_the_next_reader(data, whole, tmp_path, monkeypatch) -> None:
    """Killed while the results move in: they were all on the disk, and whoever comes next finds them in their place."""
    analysis = bg.load_analysis(whole)
    analysis.save(tmp_path)
    moved = []
    original = os.replace

    def replace(source, target) -> None:
        if len(moved) == 3 and Path(source).parent.name == ".new-report":
            raise RuntimeError("killed")
        if Path(source).parent.name == ".new-report":
            moved.append(target)
        original(source, target)

    monkeypatch.setattr("bayesgmm.report.swap.os.replace", replace)
    with pytest.raises(RuntimeError, match="killed"):
        analysis.save(tmp_path)
    assert (tmp_path / ".new-report").is_dir()
    monkeypatch.undo()
    assert bg.load_analysis(tmp_path).headline == analysis.headline
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
