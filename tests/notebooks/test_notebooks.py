"""Every notebook runs from top to bottom, and what is committed is its output."""

import json
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
NAMES = {
    "anomalies", "customers", "em-against-posterior", "genes", "how-many-galaxies", "image", "kmeans-em-posterior",
    "markets", "next-month", "quickstart", "recommendation", "speech", "wrong-model",
}  # fmt: skip

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(path):
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def outputs(path):
    return [output for cell in code_cells(path) for output in cell.outputs]


def test_the_notebooks_are_those_promised():
    assert {path.stem for path in NOTEBOOKS} == NAMES


@every_notebook
def test_a_notebook_is_stored_with_its_outputs(path):
    nbformat.validate(nbformat.read(path, as_version=4))
    cells = code_cells(path)
    # The first cell imports; the last states the conclusion, with intervals.
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not [output for output in outputs(path) if output.output_type == "error"]
    conclusion = cells[-1].outputs[0].data["text/markdown"]
    assert re.search(r"\d", conclusion)
    assert "interval" in conclusion or "probability" in conclusion
    assert "k-means" in conclusion or "EM" in conclusion
    assert any("image/png" in output.get("data", {}) for output in outputs(path))
    # Each cell that draws shows what it drew.
    for cell in cells:
        if re.search(r"bg\.plot_\w+\(|plt\.subplots\(", cell.source):
            assert any("image/png" in output.get("data", {}) for output in cell.outputs), cell.source


@every_notebook
def test_a_notebook_is_small_and_carries_nothing_of_where_it_was_made(path):
    text = path.read_text("utf-8")
    assert path.stat().st_size < 2_000_000
    assert not re.search(r"/home/|/root/|/Users/|/work/|/tmp/|[A-Z]:\\\\", text)
    assert not re.search(r"<img[^>]+src=\\?[\"']https?:|!\[[^\]]*\]\(https?:", text)
    assert "stderr" not in {output.get("name") for output in outputs(path)}
    metadata = json.loads(text)["metadata"]
    assert metadata["kernelspec"]["name"] == "python3"
    assert set(metadata) <= {"kernelspec", "language_info"}


@pytest.mark.slow
@pytest.mark.timeout(300)
@every_notebook
def test_a_notebook_runs(path, monkeypatch, tmp_path):
    monkeypatch.setenv("BAYESGMM_QUICK", "1")
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook, timeout=280, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    assert [cell for cell in notebook.cells if cell.cell_type == "code"][-1].outputs
