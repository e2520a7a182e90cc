"""A fit as an ONNX graph says the same in another runtime."""

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.data import InputError

IRIS = bg.load_dataset("iris").iloc[:, :4]


@pytest.mark.parametrize("structure", ["full", "tied", "diag", "spherical", "EEI"])
def test_onnxruntime_says_the_same(structure: str, tmp_path) -> None:
    pytest.importorskip("skl2onnx", reason="needs skl2onnx")
    runtime = pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    gm = bg.GaussianMixture(3, covariance_type=structure, random_state=0).fit(IRIS)
    path = bg.save_onnx(gm, tmp_path / "model.onnx")
    session = runtime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    label, probability, density = session.run(None, {"X": IRIS.to_numpy(float)})
    np.testing.assert_allclose(probability, gm.predict_proba(IRIS), rtol=0, atol=1e-9)
    np.testing.assert_allclose(density[:, 0], gm.score_samples(IRIS), rtol=1e-9)
    np.testing.assert_array_equal(label[:, 0], gm.predict(IRIS))
    again = bg.save_onnx(bg.load_model(gm.save(tmp_path / "model.json")), tmp_path / "again.onnx")
    assert again.read_bytes() == path.read_bytes()


def test_what_cannot_be_a_graph_is_refused(tmp_path, monkeypatch) -> None:
    fit = bg.fit_mixture(IRIS, 2)
    for model, name, words in (
        (5, "m.onnx", "no EM fit"),
        (bg.GaussianMixture(2), "m.onnx", "no EM fit"),
        (fit, "m.json", "does not end in .onnx"),
    ):
        with pytest.raises(InputError, match=words):
            bg.save_onnx(model, tmp_path / name)
    monkeypatch.setitem(__import__("sys").modules, "skl2onnx", None)
    with pytest.raises(InputError, match=r"bayesgmm\[onnx\]"):
        bg.save_onnx(fit, tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())
