"""The command line: bad input ends in one line and exit code 2, and leaves earlier results alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bayesgmm.cli import main
from bayesgmm.cli.options import parse_components
from bayesgmm.data import InputError


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["bayesgmm", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    out, err = capsys.readouterr()
    return int(stop.value.code or 0), out, err


@pytest.mark.parametrize(("text", "counts"), [("3", [3]), ("1:4", [1, 2, 3, 4]), ("2,5", [2, 5]), ("2:2", [2])])
def test_component_counts(text: str, counts: list[int]) -> None:
    assert parse_components(text) == counts


@pytest.mark.parametrize("text", ["0", "0:3", "a", "1:2:3", "4:1", "", "1.5"])
def test_bad_component_counts(text: str) -> None:
    with pytest.raises(InputError, match="-k"):
        parse_components(text)


def table(tmp_path: Path, **columns: list) -> str:
    path = tmp_path / "data.csv"
    good = {"a": np.arange(12.0) ** 2, "b": np.arange(12.0) % 5}
    pd.DataFrame({**good, **columns}).to_csv(path, index=False)
    return str(path)


def text_column(tmp_path: Path) -> str:
    return table(tmp_path, c=["north"] * 12)


def only_text(tmp_path: Path) -> str:
    path = tmp_path / "text.csv"
    pd.DataFrame({"c": ["x", "y", "z"]}).to_csv(path, index=False)
    return str(path)


BAD = {
    "missing file": (lambda p: [str(p / "nowhere.csv")], "nowhere.csv"),
    "no numeric column": (lambda p: [only_text(p)], "c"),
    "a column of text": (lambda p: [text_column(p)], "'c'"),
    "nan": (lambda p: [table(p, c=[np.nan, *range(11)])], "'c'"),
    "infinite": (lambda p: [table(p, c=[np.inf, *range(11)])], "'c'"),
    "constant": (lambda p: [table(p, c=[1.0] * 12)], "'c'"),
    "fewer rows than components": (lambda p: [table(p), "-k", "20"], "12 rows"),
    "k zero": (lambda p: [table(p), "-k", "0"], "-k 0"),
    "unknown covariance": (lambda p: [table(p), "--covariance", "oval"], "oval"),
    "unknown column": (lambda p: [table(p), "--columns", "a,z"], "z"),
    "unknown option": (lambda p: [table(p), "--colour", "red"], "--colour"),
    "seed no number": (lambda p: [table(p), "--seed", "x"], "--seed"),
    "unwritable folder": (lambda p: [table(p), "-o", str(p / "data.csv" / "out")], "data.csv"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_code_two(case, tmp_path, monkeypatch, capsys) -> None:
    make, culprit = BAD[case]
    arguments = make(tmp_path)
    if "-o" not in arguments:
        results = tmp_path / "results"
        results.mkdir()
        (results / "report.html").write_text("earlier")
        arguments += ["-o", str(results)]
    code, out, err = run(monkeypatch, capsys, "report", *arguments)
    assert code == 2
    assert err.count("\n") == 1
    assert culprit in err
    assert "Traceback" not in err
    assert out == ""
    if "results" in arguments[-1]:
        assert [p.name for p in Path(arguments[-1]).iterdir()] == ["report.html"]
        assert (Path(arguments[-1]) / "report.html").read_text() == "earlier"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_folder_without_permission(tmp_path, monkeypatch, capsys) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    code, _, err = run(monkeypatch, capsys, "report", "faithful", "-o", str(closed / "out"))
    assert code == 2
    assert "closed" in err


def test_em_as_json_is_strict(monkeypatch, capsys) -> None:
    code, out, err = run(monkeypatch, capsys, "em", "faithful", "-k", "1:2", "--covariance", "full", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out, parse_constant=pytest.fail)
    assert found["best"] == [2, "full"]
    assert found["grid"][1]["log_likelihood"] == pytest.approx(-1130.26396, abs=1e-4)


def test_em_quiet_prints_nothing(monkeypatch, capsys) -> None:
    assert run(monkeypatch, capsys, "em", "galaxies", "-k", "1", "--quiet") == (0, "", "")


def test_sample_writes_draws_and_verdict(tmp_path, monkeypatch, capsys) -> None:
    out_file = tmp_path / "draws.nc"
    code, out, _ = run(
        monkeypatch, capsys, "sample", "faithful", "-k", "2", "--json", "-o", str(out_file), "--columns", "waiting"
    )
    found = json.loads(out)
    assert code == 0
    assert found["verdict"] in ("converged", "label switching")
    assert out_file.stat().st_size > 10_000


def test_datasets(monkeypatch, capsys) -> None:
    code, out, _ = run(monkeypatch, capsys, "datasets", "--json")
    assert code == 0
    assert {"faithful", "galaxies", "iris"} <= {row["name"] for row in json.loads(out)}
    assert run(monkeypatch, capsys, "datasets")[0] == 0


def test_doctor(monkeypatch, capsys) -> None:
    from importlib.metadata import version

    from bayesgmm.cli import doctor

    code, out, _ = run(monkeypatch, capsys, "doctor", "--json")
    found = json.loads(out)
    assert (code, found["problems"]) == (0, [])
    assert found["versions"]["numpy"] == version("numpy")
    assert found["cores"] >= 1
    assert "no problem found" in run(monkeypatch, capsys, "doctor")[1]
    monkeypatch.setattr(doctor, "requires", lambda _: ["numpy>=99", "no-such-package>=1", "excel>=1; extra == 'excel'"])
    problems = json.loads(run(monkeypatch, capsys, "doctor", "--json")[1])["problems"]
    assert [problem.split()[0] for problem in problems] == ["numpy", "no-such-package"]


@pytest.mark.parametrize(
    "command",
    [[], ["report"], ["em"], ["sample"], ["compare"], ["score"], ["update"], ["export"], ["doctor"], ["datasets"]],
)
def test_help_has_an_example(command, monkeypatch, capsys) -> None:
    code, out, _ = run(monkeypatch, capsys, *command, "--help")
    assert code == 0
    assert "Usage" in out
    assert not command or "Example" in out


def test_interrupt_is_130() -> None:
    program = (
        "import bayesgmm.cli as c\n"
        "def stop(*a, **k): raise KeyboardInterrupt\n"
        "import bayesgmm.data as t; t.list_datasets = stop\n"
        "import sys; sys.argv = ['bayesgmm', 'datasets']; c.main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 130
    assert done.stderr == "bayesgmm: interrupted\n"


def test_covariance_names_are_those_of_the_package():
    """The command line lists names without importing the structures."""
    from bayesgmm.cli.options import DEFAULT_COVARIANCES, Structure, parse_covariances
    from bayesgmm.mixture import COVARIANCE_TYPES, structure_named, structures_named

    every = {structure.name for structure in structures_named("all")}
    assert set(parse_covariances("all")) == every
    assert {structure_named(name).name for name in Structure} == every
    assert tuple(parse_covariances(DEFAULT_COVARIANCES)) == COVARIANCE_TYPES


def test_outcomes_of_a_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same numbers as from Python; a file of them; and one line for what is not there."""
    rng = np.random.default_rng(0)
    z = np.repeat([0.0, 6.0], 30)
    people = {"height": z + rng.normal(size=60), "income": z + rng.normal(size=60), "smokes": ["yes", "no"] * 30}
    pd.DataFrame(people).to_csv(tmp_path / "people.csv", index=False)
    data, folder = str(tmp_path / "people.csv"), str(tmp_path / "report")
    fitted = [
        "report",
        data,
        "--columns",
        "height",
        "-k",
        "2",
        "--covariance",
        "full",
        "--draws",
        "50",
        "--chains",
        "2",
    ]
    assert run(monkeypatch, capsys, *fitted, "-o", folder, "-q")[0] == 0
    asked = [
        "outcomes",
        folder,
        data,
        "--columns",
        "income,smokes",
        "--names",
        "low,high",
        "-o",
        str(tmp_path / "o.csv"),
    ]
    code, out, err = run(monkeypatch, capsys, *asked, "--json")
    assert (code, err) == (0, "")
    payload = json.loads(out)
    import bayesgmm as bg

    own = bg.outcomes(bg.load_analysis(folder).posterior, pd.DataFrame(people)[["income", "smokes"]])
    assert [row["mean"] for row in payload["estimates"]] == pytest.approx(own.estimates["mean"].tolist())
    assert [row["group"] for row in payload["estimates"]][:2] == ["low", "high"]
    written = pd.read_csv(tmp_path / "o.csv")
    assert len(written) == len(own.estimates) + len(own.differences)
    for wrong, said in ((["--columns", "wealth"], "wealth"), (["--columns", "income", "--model", "9 full"], "9 full")):
        code, out, err = run(monkeypatch, capsys, "outcomes", folder, data, *wrong)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert said in err
