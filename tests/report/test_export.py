"""What a paper takes from a report: tables of its numbers, figures, and a paragraph whose numbers can be traced."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bayesgmm as bg
from bayesgmm.cli import main
from bayesgmm.data import InputError
from bayesgmm.report.export import export
from bayesgmm.report.methods import _REFERENCES, methods

SAMPLE = Path(__file__).parents[2] / "reports" / "faithful"


@pytest.fixture(scope="module")
def found() -> bg.Analysis:
    return bg.load_analysis(SAMPLE)


@pytest.fixture(scope="module")
def written(found, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("paper")
    files = export(found, folder, ["latex", "xlsx", "csv"], ["svg", "pdf", "png"])
    assert sorted(files) == sorted(folder.iterdir())
    return folder


def test_every_number_of_the_paragraph_is_traced(found) -> None:
    """In its order, and nothing else: what is left without them, names of references and of columns has no digit."""
    m = methods(found)
    text = re.sub(r"\[@[^]]*\]", "", m.text)
    for number in m.numbers:
        assert number["is"]
        assert number["from"]
        before, shown, text = text.partition(number["shown"])
        assert shown, number
        assert not re.search(r"\d", before), (before, number)
    assert not re.search(r"\d", text)


def test_the_numbers_are_those_of_the_files(found) -> None:
    """Read from the report's own files again."""
    said = {number["is"]: number["shown"] for number in methods(found).numbers}
    comparison = pd.read_csv(SAMPLE / "comparison.csv", index_col="model")
    document = json.loads((SAMPLE / "analysis.json").read_text())
    row = comparison.loc[document["headline"]]
    assert said["expected log predictive density"] == f"{row['elpd']:.1f}"
    assert said[f"p(K = {row['n_components']} given the data)"] == f"{row['p_k']:.2f}"
    assert said["rows"] == str(document["provenance"]["rows"])
    assert said["version of bayesgmm"] == document["provenance"]["versions"]["bayesgmm"]
    assert float(said["sigma of the scale prior"]) == document["provenance"]["priors"]["scale"]["sigma"]
    assert said["models compared"] == str(len(comparison))


def test_every_citation_has_its_reference(found) -> None:
    m = methods(found)
    cited = set(re.findall(r"@(\w+)", m.text))
    assert cited <= set(_REFERENCES)
    assert set(re.findall(r"@article\{(\w+)", m.bibtex)) == cited
    assert m.bibtex.count("{") == m.bibtex.count("}")


def test_tables_hold_the_numbers(found, written) -> None:
    for name in ("comparison", "criteria", "parameters", "checks"):
        table = pd.read_csv(written / f"{name}.csv")
        book = pd.read_excel(written / f"{name}.xlsx", engine="calamine") if _calamine() else table
        assert list(book.columns) == list(table.columns)
        tex = (written / f"{name}.tex").read_text()
        assert tex.count(r"\\") == len(table) + 1
        assert r"\begin{tabular}" in tex
    parameters = pd.read_csv(written / "parameters.csv", index_col="parameter")
    np.testing.assert_allclose(parameters["em"], found.contrast.parameters["em"], rtol=1e-12)


def _calamine() -> bool:
    import importlib.util

    return importlib.util.find_spec("python_calamine") is not None


def test_figures_are_of_their_kind(written) -> None:
    begins = {"svg": b"<?xml", "pdf": b"%PDF", "png": b"\x89PNG"}
    names = {path.stem for path in written.glob("*.svg")}
    assert {"criteria", "pairs", "marginals", "memberships", "contrast", "verdict"} <= names
    for form, start in begins.items():
        assert {path.stem for path in written.glob(f"*.{form}")} == names
        assert all(path.read_bytes().startswith(start) for path in written.glob(f"*.{form}"))


def test_from_the_command_line(tmp_path, monkeypatch, capsys) -> None:
    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["bayesgmm", "export", *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
        return (int(stop.value.code or 0), *capsys.readouterr())

    code, out, err = run(str(SAMPLE), "-o", str(tmp_path / "paper"), "--tables", "csv", "--figures", "", "--json")
    assert (code, err) == (0, "")
    assert sorted(json.loads(out)["files"]) == sorted(map(str, (tmp_path / "paper").iterdir()))
    for wrong in (["--tables", "word"], ["--figures", "jpg"], ["-o", ""]):
        code, out, err = run(str(SAMPLE), "-o", str(tmp_path / "other"), *wrong)
        assert (code, out, err.count("\n")) == (2, "", 1)
    assert run(str(tmp_path), "-o", str(tmp_path / "other"))[0] == 2
    assert not (tmp_path / "other").exists()


def test_unknown_forms_are_refused(found, tmp_path) -> None:
    with pytest.raises(InputError, match="tables='word' is unknown; choose of latex, xlsx, csv"):
        export(found, tmp_path, ["word"], [])
