"""The bundled sets are what they say they are, and are described."""

import shutil
import subprocess
import sys
import tomllib
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bayesgmm.tables import InputError, as_table, list_datasets, load_dataset

DATA = Path(str(files("bayesgmm.tables"))) / "data"
SOURCES = tomllib.loads((DATA / "SOURCES.toml").read_text("utf-8"))
# Another copy of the same sets lies beside the checkout where this library is developed.
CLASSIC = Path(__file__).parents[3] / "shared" / "data" / "classic"


@pytest.mark.parametrize("name", SOURCES)
def test_every_set_is_as_described(name):
    source = SOURCES[name]
    frame = load_dataset(name)
    assert len(frame) == source["n_obs"]
    assert list(frame.columns) == list(source["columns"])
    assert as_table(frame, columns=source["features"]).n_obs == source["n_obs"]
    assert source["origin"]
    assert source["reference"]
    assert source["licence"]


def test_every_file_is_described_and_listed():
    assert {path.stem for path in DATA.glob("*.csv")} == set(SOURCES)
    listed = list_datasets()
    assert list(listed.columns) == ["name", "n_obs", "features", "description", "origin", "licence"]
    assert list(listed["name"]) == list(SOURCES)
    assert listed.set_index("name").loc["faithful", "features"] == "eruptions, waiting"


def test_faithful_has_its_known_moments():
    # As R prints them: colMeans(faithful).
    frame = load_dataset("faithful")
    np.testing.assert_allclose(frame.mean(), [3.487783, 70.89706], rtol=1e-6)
    assert (frame.iloc[0] == [3.6, 79]).all()


def test_galaxies_is_corrected_and_in_thousands():
    velocity = load_dataset("galaxies")["velocity"]
    assert velocity[77] == 26.960
    assert velocity.iloc[[0, -1]].tolist() == [9.172, 34.279]


def test_iris_is_scikit_learns():
    # Both follow Fisher's paper; the copy of the UCI repository differs from it in two rows.
    datasets = pytest.importorskip("sklearn.datasets")
    theirs = datasets.load_iris()
    frame = load_dataset("iris")
    np.testing.assert_array_equal(frame.iloc[:, :4], theirs.data)
    assert (frame["species"] == theirs.target_names[theirs.target]).all()


@pytest.mark.skipif(not CLASSIC.exists(), reason="the second copy is not beside this checkout")
@pytest.mark.parametrize(("name", "unit"), [("faithful", 1.0), ("galaxies", 1000.0), ("iris", 1.0)])
def test_a_second_copy_agrees(name, unit):
    mine, theirs = load_dataset(name), pd.read_csv(CLASSIC / f"{name}.csv")
    assert mine.shape == theirs.shape
    for j in range(mine.shape[1]):
        if pd.api.types.is_numeric_dtype(mine.dtypes.iloc[j]):
            np.testing.assert_allclose(mine.iloc[:, j] * unit, theirs.iloc[:, j], rtol=1e-14)
        else:
            assert (mine.iloc[:, j] == theirs.iloc[:, j]).all()


@pytest.mark.skipif(shutil.which("Rscript") is None, reason="R is not installed")
def test_the_script_writes_the_bundled_files(tmp_path):
    script = Path(__file__).parents[1] / "reference" / "make_datasets.R"
    done = subprocess.run(
        ["Rscript", str(script), str(tmp_path)], capture_output=True, text=True, check=False
    )
    if "no package called" in done.stderr:
        pytest.skip("R's package MASS is not installed")
    assert done.returncode == 0, done.stderr
    for path in DATA.glob("*.csv"):
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


def test_an_unknown_set_is_refused_with_the_names_there_are():
    with pytest.raises(InputError, match=r"no bundled set 'irish'; choose one of faithful, galaxies, iris"):
        load_dataset("irish")


def test_importing_tables_is_light():
    heavy = ["pandas", "narwhals", "pyarrow", "sklearn", "pymc", "arviz", "xarray"]
    code = f"import sys, bayesgmm.tables; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
