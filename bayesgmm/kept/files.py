"""Kept models on disk.

The JSON can be read from another language: ``format``, ``kind`` ("em" or "posterior"), ``columns``, ``scaling``. An EM fit is
all in it, under ``fit``; its ``mixture`` holds weights, means and covariances in the units of the data. A posterior's draws are
beside it in a NetCDF file of the same name, with the variables ``weights`` (draw, cluster), ``means`` (draw, cluster, feature)
and ``covariances`` (draw, cluster, feature, feature_bis) in the units of the data. The JSON carries the digest of that file and
of itself, so that what was edited, damaged or mixed up is refused. Nothing of the data is kept but means and spreads.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from ..data import InputError, Scaling, check_whole, checked, checked_with, digest_of, write_bytes, write_text
from ..em import FORMAT, EMFit, fit_document, fit_from_plain, json_digest
from ..mixture import Mixture, structure_named
from ..report.files import read_folder
from .model import KeptFit, KeptPosterior

__all__ = ["load_model", "save_model"]

# Enough for intervals of probabilities; more take more room and time.
_DRAWS = 400


def _posterior_document(kept: KeptPosterior) -> dict[str, Any]:
    """All but the draws."""
    return {
        "format": FORMAT,
        "kind": "posterior",
        "columns": list(kept.columns),
        "structure": kept.draws.structure.name,
        "n_components": kept.draws.n_components,
        "n_draws": len(kept.draws.weights),
        "scaling": {"location": kept.scaling.location.tolist(), "scale": kept.scaling.scale.tolist()},
        "provenance": kept.provenance,
    }


@checked_with(draws=check_whole)
def save_model(model: Any, path: str | Path, *, draws: int = _DRAWS) -> Path:
    """Keep a fitted model in a file, to be loaded and used in another process.

    Parameters
    ----------
    model : EMFit, fitted GaussianMixture or PosteriorMixture, DataTree of `sample_posterior`, or a model loaded
    path : str or Path
        Ends in ``.json``. A posterior's draws go into a file of the same name that ends in ``.nc``.
    draws : int
        Of a posterior at most so many are kept, evenly spaced.

    Returns
    -------
    Path
        Of the JSON file.

    Raises
    ------
    InputError
        The model is of another kind or not fitted, or the path cannot be written to.
    """
    path = Path(path)
    if path.suffix.lower() != ".json":
        raise InputError(f"{str(path)!r} does not end in .json: give a name such as 'model.json'")
    fit = getattr(model, "result_", getattr(model, "fit", model) if isinstance(model, KeptFit) else model)
    if isinstance(fit, EMFit):
        write_text(path, json.dumps(fit_document(fit), indent=1))
        return path
    kept = model if isinstance(model, KeptPosterior) else KeptPosterior.of(getattr(model, "posterior_", model))
    kept = kept.thinned(draws)
    content = _draws_content(kept)
    beside = path.with_suffix(".nc")
    document = _posterior_document(kept) | {"draws": {"file": beside.name, "sha256": digest_of(content)}}
    write_bytes(beside, content)
    write_text(path, json.dumps(document | {"digest": json_digest(document)}, indent=1))
    return path


@checked
def load_model(path: str | Path) -> KeptFit | KeptPosterior:
    """A model that `save_model` (or ``save`` of a fit) has kept, or the headline model of a report's folder.

    Raises
    ------
    InputError
        There is no such file, or it is damaged, edited or of another kind.
    """
    path = Path(path)
    if path.is_dir():
        return _from_report(path)
    document = _read(path)
    try:
        scaling = Scaling(np.asarray(document["scaling"]["location"]), np.asarray(document["scaling"]["scale"]))
        columns, provenance = tuple(document["columns"]), dict(document["provenance"])
        if document["kind"] == "em":
            return KeptFit(columns, scaling, provenance, fit_from_plain(document["fit"]))
        return _read_draws(path, document, columns, scaling, provenance)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        raise _damaged(path) from None


def _draws_content(kept: KeptPosterior) -> bytes:
    import xarray as xr

    draws, em = kept.draws, kept.em
    wide = ("cluster", "feature", "feature_bis")
    dataset = xr.Dataset(
        {
            "weights": (("draw", "cluster"), draws.weights),
            "means": (("draw", "cluster", "feature"), draws.means),
            "covariances": (("draw", *wide), draws.dense_covariances),
            "em_weights": (("cluster",), em.weights),
            "em_means": (("cluster", "feature"), em.means),
            "em_covariances": (wide, em.dense_covariances),
        }
    )
    return bytes(dataset.to_netcdf(engine="h5netcdf"))


def _content_beside(draws: dict[str, Any], path: Path) -> bytes:
    """The file of draws that a document names, checked."""
    beside = path.with_name(Path(draws["file"]).name)
    try:
        content = beside.read_bytes()
    except OSError as error:
        raise InputError(
            f"the draws {str(beside)!r} cannot be read ({error.strerror}): keep both files together"
        ) from None
    if digest_of(content) != draws["sha256"]:
        raise InputError(f"{str(beside)!r} is not the file that {path.name} goes with: save the model again")
    return content


def _read_draws(
    path: Path, document: dict[str, Any], columns: tuple[str, ...], scaling: Scaling, provenance: dict[str, Any]
) -> KeptPosterior:
    import io

    import xarray as xr

    content = _content_beside(document["draws"], path)
    with xr.open_dataset(io.BytesIO(content), engine="h5netcdf") as opened:
        saved = {str(name): variable.values for name, variable in opened.data_vars.items()}
    structure = structure_named(document["structure"])
    draws = Mixture.from_dense(structure, saved["weights"], saved["means"], saved["covariances"])
    em = Mixture.from_dense(structure, saved["em_weights"], saved["em_means"], saved["em_covariances"])
    return KeptPosterior(columns, scaling, provenance, draws, em)


def _from_report(folder: Path) -> KeptPosterior:
    """The headline model of a report, all its draws."""
    saved = read_folder(folder)
    headline = json.loads((folder / "analysis.json").read_text(encoding="utf-8"))["headline"]
    return KeptPosterior.of(saved.posteriors[headline])


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        written = document["format"]
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(
            f"the model {str(path)!r} cannot be read ({reason}): give a file or a report's folder"
        ) from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InputError(
            f"{str(path)!r} is no model of bayesgmm: give a file that save_model wrote, or a report's folder"
        ) from None
    if written != FORMAT:
        raise InputError(f"{str(path)!r} was not written by this version of bayesgmm ({written}): save the model again")
    if document.get("digest") != json_digest(document):
        raise _damaged(path)
    return dict(document)


def _damaged(path: Path) -> InputError:
    return InputError(f"the model {str(path)!r} is damaged or was edited: save it again")
