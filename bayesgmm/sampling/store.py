"""Sampled models on disk: one NetCDF file each, written when it is done, and found again by a run that asks for the same.

Every file carries a fingerprint of what was asked for (data, model, priors, starts, seed, settings, versions) and a
digest of what it holds. A file that is damaged, or that answers another question, is as good as absent. Files come into
being under another name and are renamed when they are whole.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data import InputError, disk_trouble, write_bytes
from ..em import EMFit
from ..posterior import Target
from .schema import log_likelihood_group

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["DrawStore", "draws_file", "fingerprint_of", "is_kept", "read_draws", "write_draws", "write_netcdf"]

# What decides the numbers, besides the data and the settings.
_LIBRARIES = ("bayesgmm", "nutpie", "numba", "numpy", "scipy")
_DIGEST, _FINGERPRINT = "content_digest", "request_fingerprint"


def draws_file(key: str) -> str:
    """Name of the file of a model such as "2 full"."""
    return f"posterior-{key.replace(' ', '-')}.nc"


def fingerprint_of(target: Target, em: EMFit, **settings: Any) -> str:
    """SHA-256 of everything that decides a model's draws: where two are equal, so are the draws."""
    labels = target.table.index
    asked = {
        "model": target.key,
        "data": [target.table.name, target.table.fingerprint, str(labels.dtype), [str(label) for label in labels]],
        "sample_weight": None if target.sample_weight is None else target.sample_weight.tolist(),
        "priors": target.priors.describe(),
        "starts": [
            [part.tolist() for part in (m.weights, m.means, m.covariances)]
            for m in (em.mixture, *(o.mixture for o in em.optima))
        ],
        "settings": settings,
        "versions": {library: version(library) for library in _LIBRARIES},
    }
    return hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()


def write_draws(post: xr.DataTree, path: Path) -> None:
    """Write without the pointwise log likelihood: it is nine tenths of the file, and `read_draws` makes it again."""
    import xarray as xr

    kept = {name: node.dataset for name, node in post.children.items() if name != "log_likelihood"}
    tree = xr.DataTree.from_dict({f"/{name}": group for name, group in kept.items()})
    tree.attrs = {**post.attrs, "has_log_likelihood": int("log_likelihood" in post.children)}
    tree.attrs[_DIGEST] = _digest(tree)
    packed = {f"/{n}": {v: {"compression": "gzip", "shuffle": True} for v in g.data_vars} for n, g in kept.items()}
    write_netcdf(tree, path, packed)


def write_netcdf(tree: xr.DataTree, path: Path, encoding: dict[str, Any] | None = None) -> None:
    """Write a NetCDF file whole or not at all: made in memory first, for HDF5 does not survive a full disk.

    Raises
    ------
    InputError
        The disk is full, or the path cannot be written to.
    """
    content = tree.to_netcdf(engine="h5netcdf", encoding=encoding)
    assert isinstance(content, memoryview)
    write_bytes(path, content)


def is_kept(path: Path) -> bool:
    """Whether a file was written by `DrawStore.keep`, finished or not."""
    import h5py

    if path.name.startswith(".") and path.name.endswith(".writing"):
        return True
    if not (path.is_file() and path.name.startswith("posterior-") and path.suffix == ".nc"):
        return False
    try:
        with h5py.File(path, "r") as opened:
            return _FINGERPRINT in opened.attrs
    except OSError:
        return True  # begun by a version that wrote in place, or damaged: of no use to anyone


def read_draws(path: Path) -> xr.DataTree:
    """Read what `write_draws` wrote, bit for bit.

    Raises
    ------
    InputError
        If the file is not as it was written.
    """
    import xarray as xr

    try:
        with xr.open_datatree(path, engine="h5netcdf") as opened:
            tree = opened.load()
        whole = tree.attrs.pop(_DIGEST, None) in (None, _digest(tree))
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError):
        whole = False
    if not whole:
        raise InputError(f"{str(path)!r} is damaged: delete it and run the report again")
    if tree.attrs.pop("has_log_likelihood", 0):
        tree["log_likelihood"] = xr.DataTree(log_likelihood_group(tree))
    return tree


def _digest(tree: xr.DataTree) -> str:
    """SHA-256 of all values, names and attributes of a tree, whatever types a file gives back for them."""
    sha = hashlib.sha256()
    for path, dataset in sorted((node.path, node.dataset) for node in tree.subtree):
        for name in sorted(map(str, dataset.variables)):
            variable = dataset.variables[name]
            values = np.asarray(variable.values)
            text = values.dtype.kind not in "biuf"
            kind = "text" if text else values.dtype.newbyteorder("<").str
            sha.update(json.dumps([path, name, variable.dims, values.shape, kind]).encode())
            sha.update(_plain(values).encode() if text else np.ascontiguousarray(values).data)
    sha.update(_plain({name: value for name, value in tree.attrs.items() if name != _DIGEST}).encode())
    return sha.hexdigest()


def _plain(value: Any) -> str:
    """JSON in which a number, and an array of that number alone, look the same."""
    if isinstance(value, dict):
        return json.dumps({name: _plain(value[name]) for name in sorted(value)})
    return json.dumps(np.asarray(value).ravel().tolist(), default=str)


@dataclass(frozen=True)
class DrawStore:
    """Sampled models in a folder, each kept as soon as it is done.

    Attributes
    ----------
    folder : Path or None
        Where models are kept; nowhere if None.
    others : sequence of Path
        Further folders to look for them in, such as that of an earlier report.
    """

    folder: Path | None = None
    others: Sequence[Path] = ()

    def find(self, key: str, fingerprint: str) -> xr.DataTree | None:
        """A model that was sampled for the very same request, if there is one and it is undamaged."""
        for folder in (self.folder, *self.others):
            path = None if folder is None else folder / draws_file(key)
            if path is None or not path.is_file():
                continue
            try:
                tree = read_draws(path)
            except InputError:
                continue
            if tree.attrs.get(_FINGERPRINT) == fingerprint:
                return tree
        return None

    def keep(self, key: str, tree: xr.DataTree, fingerprint: str) -> None:
        """Write a model's draws, marked with what they are the answer to."""
        tree.attrs[_FINGERPRINT] = fingerprint
        if self.folder is None:
            return
        with disk_trouble(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        write_draws(tree, self.folder / draws_file(key))
