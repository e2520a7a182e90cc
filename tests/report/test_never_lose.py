"""Whatever happens to disk, process or folder: one line, nothing lost, nothing of the user's touched."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bayesgmm as bg
from bayesgmm.data import InputError
from bayesgmm.data.writing import inert, write_bytes
from bayesgmm.report.files import prepare_folder, reserved
from bayesgmm.report.swap import finish, named_by, staged

from ..command_line import run

NAMES = ["=1+1", "@SUM(A1)", "+cmd|' /C calc'!A0", "-2+3", "\tx", "plain", "-5", "7"] + [f"r{i}" for i in range(32)]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    rng = np.random.default_rng(0)
    values = np.r_[rng.normal(-3, 1, (20, 2)), rng.normal(3, 1, (20, 2))]
    frame = pd.DataFrame(values, columns=["a", "b"]).assign(name=NAMES, site=["=HYPERLINK(1)", "north"] * 20)
    path = tmp_path_factory.mktemp("data") / "rows.csv"
    frame.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def saved(data, tmp_path_factory) -> Path:
    from bayesgmm.data import read_table

    table = read_table(data, ["a", "b"], id="name", carry=["site", "a"])
    found = bg.analyze(table, [1, 2], ["diag"], draws=20, chains=2, progressbar=False)
    return found.save(tmp_path_factory.mktemp("saved") / "report")


@pytest.fixture
def folder(saved, tmp_path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "report"))


def written(folder: Path, version: str, files: list[str]) -> None:
    """A report that is nothing but its version, written as reports are."""
    with staged(folder) as staging:
        for name in files:
            (staging / name).write_text(version)
        document = {"format": "bayesgmm analysis 2", "files": dict.fromkeys(files, ""), "version": version}
        (staging / "analysis.json").write_text(json.dumps(document))


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}


def killed_at(step: int, folder: Path, files: list[str]) -> bool:
    """Write version "new" in a process that dies before its ``step``-th change of the folder; whether it died."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # other threads are not there in the child, which calls no library
        child = os.fork()
    if child == 0:
        count = 0

        def dying(original):
            def call(*arguments, **options):
                nonlocal count
                count += 1
                if count == step:
                    os.kill(os.getpid(), signal.SIGKILL)
                return original(*arguments, **options)

            return call

        for name in ("rename", "replace", "unlink", "rmdir", "fsync", "mkdir"):
            setattr(os, name, dying(getattr(os, name)))
        written(folder, "new", files)
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_at_any_moment_the_old_or_the_new_report_is_whole(tmp_path) -> None:
    """Every change that is made to the folder is one at which the process may die; all are tried."""
    old, new = ["report.html", "posterior-1-diag.nc", "posterior-2-diag.nc"], ["report.html", "posterior-2-diag.nc"]
    outcomes = []
    for step in range(1, 100):
        folder = tmp_path / str(step)
        folder.mkdir()
        written(folder, "old", old)
        (folder / "notes.txt").write_text("mine")
        died = killed_at(step, folder, new)
        with reserved(folder):  # what the next run does first
            now = contents(folder)
        version = json.loads(now.pop("analysis.json"))["version"]
        assert now.pop("notes.txt") == "mine"
        assert now == dict.fromkeys(old if version == "old" else new, version)
        assert not [path for path in folder.iterdir() if path.name.startswith(".")]
        outcomes.append(version)
        if not died:
            break
    assert step > 10
    assert outcomes == sorted(outcomes, reverse=True)  # once new, it stays new
    assert {"old", "new"} == set(outcomes)


def test_a_full_disk_is_one_line_and_loses_nothing(saved, folder, monkeypatch) -> None:
    """The largest file that the system lets a process write stands for what is free; each file is too large once."""
    analysis = bg.load_analysis(folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    sizes = sorted(len(content) for content in before.values())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for limit in (100, *(size - 1 for size in sizes)):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            with pytest.raises(InputError, match=r"the disk is full: cannot write .*; make room") as caught:
                analysis.save(folder)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert "\n" not in str(caught.value)
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_how_much_is_missing_is_said(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(
        "bayesgmm.data.writing.shutil.disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 3000)
    )
    with pytest.raises(InputError, match=r"5 MB are needed and 3 kB are free"):
        write_bytes(tmp_path / "x", bytes(5_000_000))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("foreign", ["report.html", "analysis.json", "memberships.csv", "posterior-3-full.nc"])
def test_what_is_not_ours_stays(foreign, data, tmp_path, monkeypatch, capsys) -> None:
    (tmp_path / foreign).write_text("mine")
    code, out, err = run(monkeypatch, capsys, "report", str(data), "--columns", "a,b", "-o", str(tmp_path))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert foreign in err
    assert contents(tmp_path) == {foreign: "mine"}


def test_other_files_in_the_folder_stay(saved, folder) -> None:
    mine = {"posterior-notes.txt": "a", "posterior-mine.nc": "b", ".sampled/notes.txt": "c"}
    (folder / ".sampled").mkdir()
    for name, content in mine.items():
        (folder / name).write_text(content)
    analysis = bg.load_analysis(folder)
    analysis.save(folder)
    assert {name: (folder / name).read_text() for name in mine} == mine
    assert named_by(folder) == named_by(saved)


@pytest.mark.parametrize("name", ["report.html", "analysis.json"])
def test_a_folder_in_the_place_of_a_file(name, folder) -> None:
    (folder / name).unlink()
    (folder / name).mkdir()
    with pytest.raises(InputError, match=r"no file.*move it"):
        prepare_folder(folder)
    if name == "analysis.json":
        with pytest.raises(InputError, match=r"has no analysis\.json"):
            bg.load_analysis(folder)


def test_a_file_in_the_place_of_a_folder_and_names_too_long(tmp_path) -> None:
    (tmp_path / ".sampled").write_text("mine")
    with pytest.raises(InputError, match=r"\.sampled.*no folder"):
        prepare_folder(tmp_path)
    for name in ("x" * 300, "a\0b"):
        with pytest.raises(InputError, match="choose another") as caught:
            prepare_folder(tmp_path / name)
        assert "\n" not in str(caught.value)


EDITS = {
    "truncated": lambda text: text[: len(text) // 2],
    "empty": lambda text: "",
    "a list": lambda text: "[1, 2]",
    "a number changed": lambda text: text.replace('"n_starts": ', '"n_starts": 1', 1),
    "a key renamed": lambda text: text.replace('"models"', '"model"'),
    "a type changed": lambda text: text.replace('"models": [', '"models": 3, "m": ['),
    "binary": lambda text: "\x00\x01",
    "deep": lambda text: "[" * 100_000,
}


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("format", [2, 1])
def test_an_edited_analysis_is_refused(edit, format, folder) -> None:
    """Format 1 had no digests; there what cannot be used is refused."""
    path = folder / "analysis.json"
    text = path.read_text()
    if format == 1:
        document = json.loads(text)
        del document["files"], document["digest"]
        text = json.dumps(document | {"format": "bayesgmm analysis 1"}, indent=1)
        if edit == "a number changed":
            pytest.skip("nothing in format 1 tells")
    assert EDITS[edit](text) != text
    path.write_text(EDITS[edit](text))
    with pytest.raises(InputError, match=r"analysis\.json' (is damaged|was not written)") as caught:
        bg.load_analysis(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["comparison.csv", "posterior-2-diag.nc"])
def test_mixed_folders_are_refused(name, folder, saved, data, tmp_path) -> None:
    """A file of another analysis, whole in itself, does not go with this folder's analysis.json."""
    other = bg.analyze(pd.read_csv(data)[["a", "b"]] * 2, [1, 2], ["diag"], draws=20, chains=2, progressbar=False)
    other.save(tmp_path / "other")
    shutil.copy(tmp_path / "other" / name, folder / name)
    with pytest.raises(InputError, match=rf"{name}' is not the file that analysis.json"):
        bg.load_analysis(folder)


def test_carried_columns_and_names_stand_in_memberships_and_are_inert(saved, folder) -> None:
    """A spreadsheet takes for a formula what begins with =, +, - or @, or with a tab; numbers are left alone."""
    rows = pd.read_csv(saved / "memberships.csv", dtype=str)
    assert list(rows["obs_id"][:8]) == [
        "'=1+1",
        "'@SUM(A1)",
        "'+cmd|' /C calc'!A0",
        "'-2+3",
        "'\tx",
        "plain",
        "-5",
        "7",
    ]
    assert list(rows["site"][:2]) == ["'=HYPERLINK(1)", "north"]
    assert not [cell for column in rows.columns for cell in rows[column] if str(cell).startswith(("=", "@", "+"))]
    again = bg.load_analysis(folder)
    again.save(folder)
    assert (folder / "memberships.csv").read_text() == (saved / "memberships.csv").read_text()
    named = inert(pd.DataFrame({"=x": [1.0, -2.0], "t": ["\uff1d1", None]}, index=["@a", "b"]))
    assert list(named.columns) == ["'=x", "t"]
    assert list(named["'=x"]) == [1.0, -2.0]
    assert list(named.index) == ["'@a", "b"]
    assert named["t"].iloc[0] == "'\uff1d1"


@pytest.mark.parametrize("output", ["", " "])
@pytest.mark.parametrize("command", [["report"], ["sample", "-k", "1"]])
def test_no_name_is_not_the_working_folder(command, output, data, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run(monkeypatch, capsys, *command, str(data), "--columns", "a,b", "-o", output)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "-o is empty" in err
    assert not list(tmp_path.iterdir())


def test_sample_into_a_folder_or_too_long_a_name(data, tmp_path, monkeypatch, capsys) -> None:
    for name in (str(tmp_path), str(tmp_path / ("x" * 300))):
        code, out, err = run(monkeypatch, capsys, "sample", str(data), "-k", "1", "--columns", "a,b", "-o", name)
        assert (code, out, err.count("\n")) == (2, "", 1)
    code, _, err = run(monkeypatch, capsys, "em", str(data), "--config", "/dev/zero")
    assert (code, err.count("\n")) == (2, 1)
    assert "device" in err


@pytest.mark.slow
def test_an_interrupted_sample_ends_with_130_and_keeps_the_file_there_was(data, tmp_path) -> None:
    kept = tmp_path / "draws.nc"
    kept.write_text("earlier")
    heed = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    command = [sys.executable, "-c", f"{heed}; from bayesgmm.cli import main; main()"]
    options = ["-k", "2", "--columns", "a,b", "--draws", "2000000", "--chains", "1", "-o", str(kept)]
    running = subprocess.Popen([*command, "sample", str(data), *options], stderr=subprocess.PIPE, text=True)
    time.sleep(15)
    running.send_signal(signal.SIGINT)
    said = running.communicate(timeout=60)[1]
    assert running.returncode == 130
    assert "Traceback" not in said
    assert contents(tmp_path) == {"draws.nc": "earlier"}


def test_finish_without_anything_to_finish(tmp_path) -> None:
    (tmp_path / ".new-report").mkdir()  # the user's
    finish(tmp_path)
    assert (tmp_path / ".new-report").is_dir()
