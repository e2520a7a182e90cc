"""`bayesgmm outcomes`: what differs between the groups of a report, in columns that it did not fit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..data import InputError
from .options import AsJson, Seed, output_path, parse_names
from .show import emit_json, show_table

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["outcomes_command"]


def outcomes_command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that `report` wrote.")],
    data: Annotated[
        str,
        typer.Argument(metavar="DATA", help="The file with the outside columns: the report's rows, or more of them."),
    ],
    columns: Annotated[str, typer.Option("--columns", help="Outside columns, separated by commas.")],
    id: Annotated[
        str | None, typer.Option("--id", metavar="COLUMN", help="The column that names the rows, as in the report.")
    ] = None,
    by: Annotated[
        str, typer.Option("--by", help="group, or component: what latent-profile programs call class.")
    ] = "group",
    covariates: Annotated[
        str | None, typer.Option("--covariates", help="Columns to regress each outcome on, group by group.")
    ] = None,
    categorical: Annotated[
        str | None, typer.Option("--categorical", help="Columns of numbers that are categories.")
    ] = None,
    names: Annotated[str | None, typer.Option("--names", help="Names of the groups, in their order.")] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="Such as '3 tied'; the report's headline by default.")
    ] = None,
    output: Annotated[str | None, typer.Option("-o", "--output", help="CSV file of estimates and differences.")] = None,
    encoding: Annotated[str | None, typer.Option("--encoding", help="Of a text file; found by default.")] = None,
    separator: Annotated[str | None, typer.Option("--separator", help="Of a text file; found by default.")] = None,
    decimal: Annotated[str | None, typer.Option("--decimal", help="Decimal mark; found by default.")] = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """What differs between groups in outside columns: means or proportions by group, with the memberships' error carried."""
    from ..clusters.outcomes import outcomes
    from ..data import disk_trouble, inert, read_chunks, written_beside
    from ..report.files import read_folder

    file = None if output is None else output_path(output)
    wanted, inner = parse_names(columns) or [], parse_names(covariates) or []
    saved = read_folder(folder)
    key = saved.headline if model is None else model
    if key not in saved.posteriors:
        raise InputError(f"--model {key!r} is not among the sampled models: {', '.join(saved.posteriors)}")
    frame = _frame(read_chunks(data, encoding=encoding, separator=separator, decimal=decimal), id, [*wanted, *inner])
    found = outcomes(
        saved.posteriors[key],
        frame[wanted],
        by=by,
        covariates=frame[inner] if inner else None,
        categorical=parse_names(categorical) or (),
        names=parse_names(names),
        random_seed=seed,
    )
    if file is not None:
        with disk_trouble(file), written_beside(file) as beside:
            inert(_long(found)).to_csv(beside, index=False)
    if as_json:
        emit_json(_payload(found, key))
        return
    show_table(found.estimates.reset_index(), f"{key}: outside columns by {by}")
    if len(found.differences):
        show_table(found.differences.reset_index(), "Differences; p_greater: probability that the first is greater")
    show_table(found.checks.reset_index(), "Hard labels and three-step corrections at EM's estimate, beside the draws")
    print(found.quality.summary())
    if file is not None:
        print(f"written: {file}")


def _frame(chunks: Any, id: str | None, wanted: list[str]) -> pd.DataFrame:
    """The columns asked for, under the names of the rows."""
    import pandas as pd

    frame = pd.concat(list(chunks))
    for name, option in [*((name, "--columns") for name in wanted), *([(id, "--id")] if id is not None else [])]:
        if name not in frame.columns:
            shown = ", ".join(map(str, frame.columns[:10]))
            raise InputError(f"{option} {name}: there is no such column; the data has {shown}")
    return frame if id is None else frame.set_index(id, drop=False)


def _long(found: Any) -> pd.DataFrame:
    """Estimates, then differences, one a line."""
    import pandas as pd

    apart = found.differences.reset_index().rename(columns={"difference": "mean"})
    return pd.concat([found.estimates.join(found.checks, how="left").reset_index(), apart], ignore_index=True)


def _payload(found: Any, key: str) -> dict[str, Any]:
    quality = found.quality
    return {
        "model": key,
        "ci_prob": found.ci_prob,
        "estimates": found.estimates.reset_index().to_dict("records"),
        "differences": found.differences.reset_index().to_dict("records"),
        "checks": found.checks.reset_index().to_dict("records"),
        "rows": found.n_rows.to_dict(),
        "quality": {
            "entropy_r2": quality.entropy_r2,
            "entropy_r2_posterior": [quality.entropy_r2_posterior, quality.entropy_r2_lb, quality.entropy_r2_ub],
            "average_probability": quality.average_probability.to_dict(),
            "sabic": quality.sabic,
            "bic": quality.bic,
        },
    }
