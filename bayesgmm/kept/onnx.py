"""A fit as an ONNX graph, for programs in other languages; through scikit-learn's estimator and skl2onnx."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..data import InputError, check_path, checked_with, write_bytes
from ..em import EMFit
from .model import KeptFit

__all__ = ["save_onnx"]


@checked_with(path=check_path)
def save_onnx(model: Any, path: str | Path) -> Path:
    """Write an EM fit as an ONNX graph.

    Its input ``X`` (N, D) is in double precision and in the units of the data; outputs are ``label`` (N, 1), ``probabilities``
    (N, K) and ``score_samples`` (N, 1), the log density.

    Parameters
    ----------
    model : EMFit, fitted GaussianMixture, or a loaded EM fit
    path : str or Path
        Ends in ``.onnx``.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        The model is none, or a posterior, of which a graph could hold one draw only; or skl2onnx is not installed.
    """
    path = Path(path)
    if path.suffix.lower() != ".onnx":
        raise InputError(f"{str(path)!r} does not end in .onnx: give a name such as 'model.onnx'")
    fit = getattr(model, "result_", model.fit if isinstance(model, KeptFit) else model)
    if not isinstance(fit, EMFit):
        raise InputError(f"a {type(model).__name__} is no EM fit; give an EMFit or a fitted GaussianMixture")
    try:
        from skl2onnx import to_onnx
        from skl2onnx.common.data_types import DoubleTensorType
    except ImportError:
        raise InputError('ONNX needs skl2onnx: pip install "bayesgmm[onnx]"') from None
    theirs = _as_full(fit)
    graph = to_onnx(
        theirs,
        initial_types=[("X", DoubleTensorType([None, fit.mixture.n_features]))],
        options={id(theirs): {"score_samples": True}},
    )
    graph.doc_string = f"Gaussian mixture of {', '.join(fit.columns)}"
    write_bytes(path, graph.SerializeToString())
    return path


def _as_full(fit: EMFit) -> Any:
    """scikit-learn's estimator with full covariances: every structure has them."""
    import numpy as np
    from sklearn.mixture import GaussianMixture

    mixture = fit.mixture
    theirs = GaussianMixture(mixture.n_components, covariance_type="full")
    theirs.weights_, theirs.means_ = mixture.weights, mixture.means
    theirs.covariances_ = np.ascontiguousarray(mixture.dense_covariances)
    inverse = np.linalg.inv(np.linalg.cholesky(theirs.covariances_))
    theirs.precisions_cholesky_ = np.ascontiguousarray(np.swapaxes(inverse, -1, -2))
    theirs.n_features_in_ = mixture.n_features
    return theirs
