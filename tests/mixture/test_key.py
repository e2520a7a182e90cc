"""The short name of a model is read by what wrote it, and by nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

import bayesgmm
from bayesgmm.mixture.key import ModelKey


@pytest.mark.parametrize("pair", [(1, "full"), (12, "spherical")])
def test_text_and_pair_are_one(pair):
    key = ModelKey(*pair)
    assert key == pair
    assert ModelKey.parse(str(key)) == pair
    assert {pair: "fit"}[key] == "fit"


def test_no_other_module_takes_a_key_apart():
    found = [
        path.name
        for path in Path(bayesgmm.__file__).parent.rglob("*.py")
        if '.split(" ", 1)' in path.read_text("utf-8")
    ]
    assert found == ["key.py"]
