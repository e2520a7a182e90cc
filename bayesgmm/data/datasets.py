"""The bundled data sets. ``bundled/SOURCES.toml`` is the one place that describes them."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from bayesgmm.data.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


@cache
def _sources() -> dict[str, dict[str, Any]]:
    return tomllib.loads(files(__package__).joinpath("bundled/SOURCES.toml").read_text("utf-8"))


def bundled_names() -> tuple[str, ...]:
    """Names of the bundled sets."""
    return tuple(_sources())


def default_columns(name: str) -> tuple[str, ...]:
    """The columns of a bundled set that a mixture is fitted to: its measurements, without known groups."""
    return tuple(_source(name)["features"])


def load_dataset(name: str) -> pd.DataFrame:
    """Load a bundled data set, whole.

    Parameters
    ----------
    name : str
        One of the names in :func:`list_datasets`.

    Returns
    -------
    pandas.DataFrame
        All columns, known groups included (``species`` of iris). Columns, units and origin are described in
        ``bayesgmm/data/bundled/SOURCES.toml``.

    Raises
    ------
    InputError
        There is no set of that name.
    """
    import pandas as pd

    _source(name)
    with files(__package__).joinpath(f"bundled/{name}.csv").open("r", encoding="utf-8") as lines:
        return pd.read_csv(lines)


def list_datasets() -> pd.DataFrame:
    """List the bundled data sets.

    Returns
    -------
    pandas.DataFrame
        One row per set: ``name``, ``n_obs``, ``features`` (the columns that a mixture is fitted to, joined by
        commas), ``description``, ``origin``, ``licence``.
    """
    import pandas as pd

    rows = [
        {
            "name": name,
            "n_obs": source["n_obs"],
            "features": ", ".join(source["features"]),
            "description": source["description"],
            "origin": source["origin"],
            "licence": source["licence"],
        }
        for name, source in _sources().items()
    ]
    return pd.DataFrame(rows)


def _source(name: str) -> dict[str, Any]:
    if name not in _sources():
        raise InputError(f"there is no bundled set {name!r}; choose one of {', '.join(bundled_names())}")
    return _sources()[name]
