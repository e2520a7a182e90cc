"""Options from a TOML file: what wins, and what is refused, naming file and key."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from bayesgmm.cli import main
from bayesgmm.cli.options import parse_names, parse_priors, priors_for
from bayesgmm.data import InputError, as_table
from bayesgmm.posterior import HalfNormalScale, InverseGammaScale, Priors

from .command_line import run


@pytest.fixture
def asked(monkeypatch) -> list[dict]:
    """What `em` was asked to fit, instead of fitting it."""
    calls: list[dict] = []

    def fit_grid(table, counts, names, **settings):
        calls.append({"data": table.name, "columns": table.columns, "counts": counts, "names": names, **settings})
        raise InputError("enough")

    monkeypatch.setattr("bayesgmm.em.fit_grid", fit_grid)
    return calls


WAYS = {
    "pyproject.toml": "[tool.bayesgmm]",
    "own.toml": "[bayesgmm]",
    "study.toml": "",
}


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("counts", ["components = [2, 3]", 'components = "2:3"', 'components = "2,3"'])
def test_every_way_to_write_it(name, counts, asked, tmp_path, monkeypatch, capsys) -> None:
    file = tmp_path / name
    file.write_text(f'{WAYS[name]}\ndata = "iris"\n{counts}\ncovariance = ["full", "diag"]\nseed = 7\nquiet = true\n')
    run(monkeypatch, capsys, "em", "--config", str(file))
    (call,) = asked
    assert (call["data"], call["counts"], call["names"]) == ("iris", [2, 3], ["full", "diag"])
    assert (call["random_state"], call["progressbar"]) == (7, False)


def test_command_line_wins_then_the_commands_own_table(asked, tmp_path, monkeypatch, capsys) -> None:
    file = tmp_path / "pyproject.toml"
    file.write_text(
        "[tool.bayesgmm]\nseed = 1\ncomponents = 5\n[tool.bayesgmm.em]\nseed = 2\ncovariance = 'tied'\n"
        "[tool.bayesgmm.report]\nseed = 3\ndraws = 50\n[tool.other]\nkey = 1\n"
    )
    run(monkeypatch, capsys, "em", "galaxies", "--config", str(file))
    run(monkeypatch, capsys, "em", "galaxies", "--config", str(file), "--seed", "9", "-k", "1", "--covariance", "diag")
    assert [call["random_state"] for call in asked] == [2, 9]
    assert [call["counts"] for call in asked] == [[5], [1]]
    assert [call["names"] for call in asked] == [["tied"], ["diag"]]


BAD = {
    "unknown key": ("colour = 1", "unknown key 'colour'"),
    "unknown table": ("[raport]\nseed = 1", "unknown key 'raport'"),
    "unknown key of a command": ("[em]\ndraws = 100", "[em] has the unknown key 'draws'"),
    "output for all": ('output = "x"', "unknown key 'output'"),
    "seed of text": ('seed = "1"', "seed = '1'"),
    "seed true": ("seed = true", "seed = True"),
    "seed negative": ("seed = -1", "seed"),
    "quiet of text": ('quiet = "yes"', "true or false"),
    "components of numbers with a point": ("components = [1.5]", "components = [1.5]"),
    "components from zero": ('components = "0:3"', "component counts start at 1"),
    "components empty": ("components = []", "components = []"),
    "covariance unknown": ('covariance = ["oval"]', "oval"),
    "columns of numbers": ("columns = [1]", "columns = [1]"),
    "command no table": ("em = 3", "em = 3"),
    "data no text": ("data = 3", "data = 3"),
    "not toml": ("seed = ", "is not TOML"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_configuration_is_one_line_and_code_two(case, asked, tmp_path, monkeypatch, capsys) -> None:
    text, culprit = BAD[case]
    file = tmp_path / "study.toml"
    file.write_text(text)
    code, out, err = run(monkeypatch, capsys, "em", "iris", "--config", str(file))
    assert (code, out, asked) == (2, "", [])
    assert err.count("\n") == 1
    assert str(file) in err
    assert culprit in err


def test_priors_from_a_table(monkeypatch, capsys, tmp_path) -> None:
    file = tmp_path / "study.toml"
    file.write_text("[sample.priors]\nmean_scale = 3\nwidth = 2\n")
    code, _, err = run(monkeypatch, capsys, "sample", "galaxies", "-k", "2", "--config", str(file))
    assert code == 2
    assert f"{file}: [sample] priors: Priors has no field 'width'" in err
    seen = []

    def sample_posterior(table, k, name, priors, **settings):
        seen.append((k, name, priors, settings["draws"]))
        raise InputError("enough")

    monkeypatch.setattr("bayesgmm.sampling.sample_posterior", sample_posterior)
    file.write_text(
        'components = "1:6"\ncovariance = ["full", "diag"]\ndraws = 30\n'
        '[sample]\npriors = {mean_scale = 3, scale = {family = "HalfNormalScale", sigma = 2.0}}\n'
    )
    # A range of counts and several structures are not for `sample`, which takes one.
    run(monkeypatch, capsys, "sample", "galaxies", "-k", "2", "--config", str(file))
    assert seen == [(2, "full", Priors(mean_scale=3, scale=HalfNormalScale(2.0)), 30)]
    code, _, err = run(monkeypatch, capsys, "sample", "galaxies", "--config", str(file))
    assert code == 2
    assert "components" in err


@pytest.mark.parametrize("make", ["missing", "folder", "pyproject without us", "binary"])
def test_unreadable_files(make, tmp_path, monkeypatch, capsys) -> None:
    file = tmp_path / "pyproject.toml"
    if make == "folder":
        file.mkdir()
    elif make == "pyproject without us":
        file.write_text("[project]\nname = 'x'\n")
    elif make == "binary":
        file.write_bytes(b"\xff\xfe\x00")
    code, _, err = run(monkeypatch, capsys, "em", "iris", "--config", str(file))
    assert code == 2
    assert err.count("\n") == 1
    assert str(file) in err


@pytest.mark.parametrize(
    "text", ["{", "3", '{"mean_scale": -1}', '{"mean_scale": "x"}', '{"scale": {"family": "Cauchy"}}', "richardson"]
)
def test_bad_priors(text) -> None:
    with pytest.raises(InputError):
        parse_priors(text)


def test_priors_are_what_they_describe() -> None:
    for priors in (
        Priors(),
        Priors(mean_location=(1.0, 2.0), scale=InverseGammaScale(hyper=(0.2, 3.0)), units="data"),
        Priors.richardson_green(np.array([1.0, 2.0, 4.0])),
    ):
        assert parse_priors(json.dumps(priors.describe())) == priors
    values = np.array([1.0, 2.0, 4.0])
    assert priors_for("richardson-green", as_table(values)) == Priors.richardson_green(values)
    assert priors_for(None, as_table(values)) is None


def test_names_with_commas() -> None:
    assert parse_names('a, "b, c" ,d') == ["a", "b, c", "d"]


def test_config_is_part_of_the_help(monkeypatch, capsys) -> None:
    for command in ("report", "em", "sample"):
        assert "--config" in run(monkeypatch, capsys, command, "--help")[1]


def test_completion_knows_commands_sets_and_structures(monkeypatch, capsys, tmp_path) -> None:
    from bayesgmm.cli.options import _complete_covariance, _complete_data

    monkeypatch.chdir(tmp_path)
    Path("fa.csv").touch()
    assert _complete_data("fa") == ["faithful", "fa.csv"]
    assert _complete_covariance("full,d") == ["full,diag"]
    for name, value in (
        ("_BAYESGMM_COMPLETE", "complete_bash"), ("COMP_WORDS", "bayesgmm re"), ("COMP_CWORD", "1")
    ):  # fmt: skip
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["bayesgmm"])
    with pytest.raises(SystemExit):
        main()
    assert capsys.readouterr().out.split() == ["report"]
