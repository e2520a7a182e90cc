"""Importing is light: nobody pays for PyMC who does not use the posterior path."""

import subprocess
import sys

import pytest

HEAVY = ("pymc", "pytensor", "arviz", "nutpie", "numba", "sklearn", "scipy", "pandas", "matplotlib", "xarray")


def loaded_after(code: str) -> set[str]:
    program = f"import sys\n{code}\nprint(*sorted({{m.split('.')[0] for m in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split("\n")[-2].split())


def test_import_is_light() -> None:
    assert not set(HEAVY) & loaded_after("import bayesgmm")


def test_em_path_does_not_import_the_posterior_path() -> None:
    code = "import bayesgmm as bg; bg.GaussianMixture(2, random_state=0).fit(bg.load_dataset('faithful'))"
    assert not {"pymc", "pytensor", "arviz", "nutpie", "xarray"} & loaded_after(code)


def test_sampling_does_not_import_pymc() -> None:
    code = (
        "import bayesgmm as bg; "
        "bg.sample_posterior(bg.load_dataset('galaxies'), 1, draws=20, tune=20, chains=1, progressbar=False)"
    )
    assert not {"pymc", "pytensor"} & loaded_after(code)


def test_help_is_light() -> None:
    code = (
        "from bayesgmm.cli import main\nsys.argv = ['bayesgmm', '--help']\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code"
    )
    assert not {"pymc", "arviz", "nutpie", "numba", "pandas", "sklearn"} & loaded_after(code)


def test_every_public_name_exists() -> None:
    import bayesgmm

    for name in bayesgmm.__all__:
        assert getattr(bayesgmm, name) is not None
    with pytest.raises(AttributeError, match="nothing_of_that_name"):
        bayesgmm.nothing_of_that_name  # noqa: B018


def test_a_folder_does_not_hide_the_function_of_its_name():
    """In a fresh process, whichever is used first."""
    code = (
        "import bayesgmm.clusters.rows, bayesgmm as bg, types; assert isinstance(bg.clusters, types.FunctionType); "
        "from bayesgmm.clusters import coclustering; assert isinstance(coclustering, types.ModuleType)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
