"""The bundled sets are what they say they are, and are described."""

import re
import shutil
import subprocess
import sys
import tomllib
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bayesgmm.data import InputError, as_table, list_datasets, load_dataset
from bayesgmm.data.datasets import default_columns

DATA = Path(str(files("bayesgmm.data"))) / "bundled"
SOURCES = tomllib.loads((DATA / "SOURCES.toml").read_text("utf-8"))
REFERENCE = Path(__file__).parents[1] / "reference"
PYTHON_SETS = {"flower", "cells", "vowels"}
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
def test_the_r_script_writes_its_files(tmp_path):
    script = REFERENCE / "make_datasets.R"
    done = subprocess.run(["Rscript", str(script), str(tmp_path)], capture_output=True, text=True, check=False)
    missing = re.findall(r"(?:no package called|no packages? found|find package) \W*(\w+)", done.stderr)
    if missing:
        pytest.skip(f"R's package {missing[0]} is not installed")
    assert done.returncode == 0, done.stderr
    written = sorted(tmp_path.glob("*.csv"))
    assert {path.stem for path in written} == set(SOURCES) - PYTHON_SETS
    for path in written:
        assert (DATA / path.name).read_bytes() == path.read_bytes()


def test_the_python_script_writes_its_files(tmp_path):
    pytest.importorskip("PIL")
    script = REFERENCE / "make_datasets.py"
    done = subprocess.run([sys.executable, str(script), str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    written = {path.stem: pd.read_csv(path) for path in tmp_path.glob("*.csv")}
    # vowels needs Praat, and says so without it.
    assert set(written) | {name for name in PYTHON_SETS if f"{name} is left" in done.stdout} == PYTHON_SETS
    for name, frame in written.items():
        # Decoders of JPEG may differ by a grey level in some pixels; a pixel of ours is the mean of a hundred.
        pd.testing.assert_frame_equal(load_dataset(name), frame, rtol=0, atol=0.05 if name == "flower" else 1e-12)


@pytest.mark.parametrize("name", SOURCES)
def test_every_set_is_small_and_fit_for_a_mixture(name):
    frame = load_dataset(name)
    features = frame[list(default_columns(name))]
    assert (DATA / f"{name}.csv").stat().st_size < 300_000
    assert not frame.isna().any(axis=None)
    # Many equal rows would be a component of no width.
    assert features.duplicated().mean() < 0.1 or features.shape[1] == 1


def test_vowels_are_peterson_and_barneys():
    # 33 men, 28 women and 15 children said each of ten vowels twice; table II of the paper: men's iy 270 and 2290 Hz.
    frame = load_dataset("vowels")
    assert frame["speaker"].nunique() == 76
    assert frame.groupby("type")["speaker"].nunique().to_dict() == {"man": 33, "woman": 28, "child": 15}
    assert (frame.groupby(["speaker", "vowel"]).size() == 2).all()
    heed = frame.query("type == 'man' and vowel == 'iy'")[["f1", "f2"]].mean()
    np.testing.assert_allclose(heed, [270, 2290], rtol=0.02)


def test_cells_are_scikit_learns():
    datasets = pytest.importorskip("sklearn.datasets")
    theirs, frame = datasets.load_breast_cancer(), load_dataset("cells")
    np.testing.assert_array_equal(frame.iloc[:, 1:11], theirs.data[:, :10])
    np.testing.assert_allclose(frame["log_radius"], np.log10(theirs.data[:, 0]), atol=1e-5)
    assert frame["diagnosis"].value_counts().to_dict() == {"benign": 357, "malignant": 212}


def test_flower_is_a_picture():
    frame = load_dataset("flower")
    assert len(frame) == 42 * 64
    assert frame[["row", "column"]].max().tolist() == [41, 63]
    # The dahlia, in the middle, is orange; the upper left corner is dark.
    middle = frame.query("row == 20 and column == 30").iloc[0]
    assert middle["red"] > 150 > 120 > middle["blue"]
    assert frame.iloc[0][["red", "green", "blue"]].max() < 50


def test_customers_columns_follow_from_one_another():
    frame = load_dataset("customers")
    np.testing.assert_allclose(10 ** frame["log_income"], frame["income"], rtol=2e-4)
    np.testing.assert_allclose(10 ** frame["log_spending"], frame["spending"], rtol=2e-3)
    above = frame["root_accounts"] ** 2 - frame["accounts"]
    assert above.between(-1e-3, 1 + 1e-3).all()
    assert frame["spending"].min() >= 5


def test_leukemia_has_golubs_patients():
    frame = load_dataset("leukemia")
    assert frame["diagnosis"].value_counts().to_dict() == {"ALL": 27, "AML": 11}
    probes = frame.iloc[:, 5:]
    assert probes.shape == (38, 50)
    centred = (probes - probes.mean()).to_numpy()
    _, singular, axes = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(np.abs(centred @ axes[:3].T), frame[["pc1", "pc2", "pc3"]].abs(), atol=2e-3)
    assert np.all(np.diff(singular) <= 0)


def test_stocks_are_returns_of_open_days():
    frame = load_dataset("stocks")
    indices = frame[["dax", "smi", "cac", "ftse"]]
    assert ((indices == 0).sum(axis=1) < 2).all()
    # DAX 1628.75 and 1613.63, the first two levels that R prints.
    np.testing.assert_allclose(indices.iloc[0, 0], 100 * np.log(1613.63 / 1628.75), atol=1e-4)


def test_satisfaction_averages_answers():
    frame = load_dataset("satisfaction")
    indices = {"price": ["q2", "q3", "q4"], "effect": ["q5", "q6"], "reach": ["q7", "q8", "q9", "q10"]}
    for name, answers in indices.items():
        assert (frame[name] - frame[answers].mean(axis=1)).abs().max() < 0.5
    assert frame.filter(regex=r"^q").isin(range(1, 11)).all(axis=None)


def test_an_unknown_set_is_refused_with_the_names_there_are():
    with pytest.raises(InputError, match=r"no bundled set 'irish'; choose one of faithful, galaxies, iris"):
        load_dataset("irish")


def test_importing_tables_is_light():
    heavy = ["pandas", "narwhals", "pyarrow", "sklearn", "pymc", "arviz", "xarray"]
    code = f"import sys, bayesgmm.data; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
