"""The options that commands share: how each is written, completed and read."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from enum import StrEnum
from glob import escape, glob
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..data import InputError
from .config import use_config

if TYPE_CHECKING:
    from ..data import Table
    from ..posterior import Priors

__all__ = [
    "DEFAULT_COVARIANCES", "AsJson", "Chains", "Columns", "Components", "Config", "Covariance", "Data", "Draws", "PriorsText",
    "Quiet", "ReportComponents", "Seed", "Structure", "output_path", "parse_components", "parse_covariances", "parse_names",
    "parse_priors", "priors_for",
]  # fmt: skip


class Structure(StrEnum):
    """Covariance types: scikit-learn's names and mclust's, written out, as the command line starts without the package."""

    full = "full"
    tied = "tied"
    diag = "diag"
    spherical = "spherical"
    EEI = "EEI"
    EII = "EII"
    VEI = "VEI"
    EVI = "EVI"
    VEE = "VEE"
    EVE = "EVE"
    VVE = "VVE"
    EEV = "EEV"
    VEV = "VEV"
    EVV = "EVV"
    VVV = "VVV"
    EEE = "EEE"
    VVI = "VVI"
    VII = "VII"


DEFAULT_COVARIANCES = "full,tied,diag,spherical"
# mclust's names of these four say nothing new.
_ALL_COVARIANCES = ",".join(name for name in Structure if name not in ("VVV", "EEE", "VVI", "VII"))
_RICHARDSON_GREEN = "richardson-green"


def parse_components(text: str) -> list[int]:
    """``3``, ``1:6`` (both ends included) or ``1,2,4`` as a list.

    Raises
    ------
    InputError
        If it is none of these, or a count is below 1.
    """
    try:
        if ":" in text:
            low, high = (int(part) for part in text.split(":"))
            counts = list(range(low, high + 1))
        else:
            counts = [int(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"-k {text} is not a count of components: give 3, 1:6 or 1,2,4") from None
    if not counts or min(counts) < 1:
        raise InputError(f"-k {text}: component counts start at 1, as in -k 1:6")
    return counts


def output_path(text: str) -> Path:
    """Where to write.

    Raises
    ------
    InputError
        It is empty: no name is not the folder that one happens to be in.
    """
    if not text.strip():
        raise InputError("-o is empty: name where to write, such as -o results, or -o . for the folder you are in")
    return Path(text)


def parse_names(text: str | None) -> list[str] | None:
    """Names separated by commas; a name with a comma stands in double quotes."""
    if text is None:
        return None
    cells = next(csv.reader([text], skipinitialspace=True), [])
    return [name.strip() for name in cells if name.strip()]


def parse_covariances(text: str) -> list[str]:
    """Covariance types separated by commas, or "all" of them.

    Raises
    ------
    InputError
        Naming the first that is unknown.
    """
    names = parse_names(_ALL_COVARIANCES if text.strip() == "all" else text) or []
    for name in names:
        if name not in Structure.__members__:
            raise InputError(f"--covariance {name} is unknown: choose among {', '.join(Structure)}")
    if not names:
        raise InputError(f"--covariance is empty: choose among {', '.join(Structure)}")
    return names


def parse_priors(text: str | None) -> Priors | None:
    """A JSON object as `Priors`; None for the defaults, and for Richardson and Green's, which depend on the data.

    Raises
    ------
    InputError
        If it is neither, or names what priors do not have.
    """
    if text in (None, _RICHARDSON_GREEN):
        return None
    from ..posterior import Priors

    try:
        described = json.loads(text or "")
    except ValueError:
        described = None
    if not isinstance(described, dict):
        raise InputError(
            f"--priors {text} is no JSON object: give {_RICHARDSON_GREEN} or, for instance, "
            """'{"mean_scale": 3, "weight_concentration": 1}'"""
        )
    return Priors.from_description(described)


def priors_for(text: str | None, table: Table) -> Priors | None:
    """The priors that an option names, for these data."""
    if text == _RICHARDSON_GREEN:
        from ..posterior import Priors

        return Priors.richardson_green(table.values)
    return parse_priors(text)


# Options whose text is read further than its type says.
PARSERS: dict[str, Callable[[str], Any]] = {
    "components": parse_components,
    "covariance": parse_covariances,
    "columns": parse_names,
    "priors": parse_priors,
}


def _complete_data(incomplete: str) -> list[str]:
    from ..data import bundled_names

    names = [name for name in bundled_names() if name.startswith(incomplete)]
    return names + [f"{p}/" if Path(p).is_dir() else p for p in glob(f"{escape(incomplete)}*")]


def _complete_covariance(incomplete: str) -> list[str]:
    done, comma, begun = incomplete.rpartition(",")
    taken = done.split(",")
    return [f"{done}{comma}{name}" for name in Structure if name.startswith(begun) and name not in taken]


def _configure(context: typer.Context, file: Path | None) -> Path | None:
    if file is not None and not context.resilient_parsing:
        use_config(context, file, PARSERS)
    return file


Data = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="A file (CSV, Excel, Parquet, ...), a part of one (DATA.xlsx::Sheet2, DATA.duckdb::SELECT ...), - for standard "
        "input, or the name of a bundled set.",
        autocompletion=_complete_data,
    ),
]
Components = Annotated[str, typer.Option("-k", "--components", help="Component counts: 3, 1:6 or 1,2,4.")]
ReportComponents = Annotated[
    str | None,
    typer.Option(
        "-k",
        "--components",
        help="Component counts: 3, 1:6 or 1,2,4. By default 1:6, and further while the largest is the most probable.",
    ),
]
Columns = Annotated[str | None, typer.Option("--columns", help="Columns to use, separated by commas; all by default.")]
Covariance = Annotated[
    str,
    typer.Option("--covariance", help="Covariance types, separated by commas.", autocompletion=_complete_covariance),
]
PriorsText = Annotated[
    str | None,
    typer.Option(
        "--priors", help="A JSON object of the fields of `bayesgmm.Priors`, or richardson-green (one column)."
    ),
]
Draws = Annotated[int, typer.Option("--draws", min=4, help="Posterior draws per chain.")]
Chains = Annotated[int, typer.Option("--chains", min=1, help="Chains per model.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same numbers.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no tables.")]
AsJson = Annotated[bool, typer.Option("--json", help="The result as JSON on stdout, nothing else.")]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        is_eager=True,
        callback=_configure,
        help="TOML file with options: the table [tool.bayesgmm], and [tool.bayesgmm.report] and so on for one command. "
        "The command line wins.",
    ),
]
