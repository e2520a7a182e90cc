import json
import os
from pathlib import Path

import numpy as np
import pytest

from bayesgmm import load_dataset

REPOSITORY = Path(__file__).parents[2]
GOLDEN = json.loads((REPOSITORY / "tests/reference/golden.json").read_text("utf-8"))
BUNDLED = {
    "faithful": lambda: load_dataset("faithful").to_numpy(float),
    "iris": lambda: load_dataset("iris").iloc[:, :4].to_numpy(float),
    "galaxies": lambda: load_dataset("galaxies").to_numpy(float).reshape(-1, 1),
}


def shared_data() -> Path:
    """Where the reference data lie: BAYESGMM_DATA, or beside the repository."""
    return Path(os.environ.get("BAYESGMM_DATA", REPOSITORY.parent / "shared" / "data"))


@pytest.fixture(scope="session")
def values():
    """A function from the name of a data set to its numeric columns (N, D)."""

    def load(name: str) -> np.ndarray:
        if name in BUNDLED:
            x = BUNDLED[name]()
            return x / 1000 if name == "galaxies" and x.max() > 1000 else x
        path = shared_data() / "classic" / f"{name}.csv"
        if not path.exists():
            pytest.skip(f"no {path.name} in {path.parent}: set BAYESGMM_DATA to the folder of reference data")
        import pandas as pd

        return pd.read_csv(path).select_dtypes("number").to_numpy(float)

    return load
