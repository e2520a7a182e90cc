"""Writes those of the bundled data sets that come from Python packages. From the root of the repository:

    python tests/reference/make_datasets.py bayesgmm/data/bundled

Needs scikit-learn and Pillow, and for ``vowels`` praat-parselmouth (``pip install praat-parselmouth``), without which
that set is left as it is. The others are written by make_datasets.R. Origin, licence and units:
bayesgmm/data/bundled/SOURCES.toml
"""

import sys
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer, load_sample_image

_BLOCK = 10


def flower() -> pd.DataFrame:
    """Means of blocks of 10 x 10 pixels; the last seven lines of the picture do not fill a block."""
    picture = load_sample_image("flower.jpg").astype(float)
    rows, columns = picture.shape[0] // _BLOCK, picture.shape[1] // _BLOCK
    picture = picture[: rows * _BLOCK, : columns * _BLOCK]
    blocks = picture.reshape(rows, _BLOCK, columns, _BLOCK, 3).mean(axis=(1, 3))
    at = np.indices((rows, columns))
    colours = blocks.reshape(-1, 3).round(2)
    frame = {"row": at[0].ravel(), "column": at[1].ravel()}
    return pd.DataFrame(frame | dict(zip(("red", "green", "blue"), colours.T, strict=True)))


def cells() -> pd.DataFrame:
    """The ten means over the nuclei of a sample, and the diagnosis."""
    bunch = load_breast_cancer(as_frame=True)
    means = bunch.data[[name for name in bunch.data.columns if name.startswith("mean ")]]
    means.columns = [name.removeprefix("mean ").replace(" ", "_") for name in means.columns]
    logs = {f"log_{name}": np.log10(means[name]).round(5) for name in ("radius", "texture", "smoothness")}
    diagnosis = np.where(bunch.target == 0, "malignant", "benign")
    return pd.DataFrame({"diagnosis": diagnosis} | dict(means) | logs)


def vowels() -> pd.DataFrame:
    """Praat's table of Peterson and Barney's measurements, with formants in logarithms."""
    from parselmouth.praat import call

    table = call("Create formant table (Peterson & Barney 1952)")
    text = call(table[0] if isinstance(table, list) else table, "List", False)
    frame = pd.read_csv(StringIO(text), sep="\t")
    frame = frame.rename(columns=str.lower).drop(columns=["ipa", "sex"])
    frame["type"] = frame["type"].map({"m": "man", "w": "woman", "c": "child"})
    return frame.assign(log_f1=np.log10(frame["f1"]).round(4), log_f2=np.log10(frame["f2"]).round(4))


def main(folder: Path) -> None:
    """Write what can be written."""
    for make in (flower, cells, vowels):
        try:
            frame = make()
        except ImportError as error:
            print(f"{make.__name__} is left as it is: {error}")
            continue
        frame.to_csv(folder / f"{make.__name__}.csv", index=False, lineterminator="\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
