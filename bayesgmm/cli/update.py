"""`bayesgmm update`: a kept model brought up to date with new rows."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ..data import InputError
from .options import AsJson, output_path
from .reading import Missing
from .show import emit_json, show_table

__all__ = ["update"]


def update(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="A model that `save` has kept, or a folder of `report`.")
    ],
    data: Annotated[str, typer.Argument(metavar="NEW", help="A file with the columns of the model.")],
    output: Annotated[
        str | None, typer.Option("-o", "--output", help="JSON file of the updated model; none by default.")
    ] = None,
    drift: Annotated[str | None, typer.Option("--drift", help="CSV file of what moved; none by default.")] = None,
    components: Annotated[
        int | None, typer.Option("-k", "--components", help="Of the new rows; by default what BIC prefers.")
    ] = None,
    missing: Annotated[
        Missing, typer.Option("--missing", help="Rows with missing values: refuse them, or leave them out.")
    ] = Missing.error,
    draws: Annotated[int, typer.Option("--draws", help="Draws per chain.")] = 1000,
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same numbers.")] = 0,
    as_json: AsJson = False,
) -> None:
    """A fitted model brought up to date: old draws as the prior, groups that keep their labels, and what moved."""
    files = [None if text is None else output_path(text) for text in (output, drift)]
    if files[0] is not None and files[0].suffix.lower() != ".json":
        raise InputError(f"-o {output}: give a name that ends in .json")
    from ..data import read_table, write_text
    from ..kept import load_model
    from ..kept.update import update as bring_up_to_date

    old = load_model(model)
    table = read_table(data, columns=list(old.columns), missing=missing.value)
    found = bring_up_to_date(old, table, n_components=components, draws=draws, random_seed=seed)
    if files[0] is not None:
        found.save(files[0])
    if files[1] is not None:
        write_text(files[1], found.drift.to_csv(lineterminator="\n"))
    if as_json:
        emit_json(
            {
                "rows": table.n_obs,
                "p_same": found.p_same,
                "log_bayes_factor": found.log_bayes_factor,
                "together": found.model is found.together,
                "groups": found.groups.reset_index().to_dict("records"),
                "drift": found.drift.reset_index().to_dict("records"),
            }
        )
        return
    show_table(found.groups.reset_index(), "Groups")
    show_table((found.moved if len(found.moved) else found.drift).reset_index(), "What moved")
    print(found.heading, file=sys.stdout)
    for file in files:
        if file is not None:
            print(f"written: {file}")
