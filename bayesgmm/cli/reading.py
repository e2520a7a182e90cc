"""The options of how a table is read, for the commands that take one, and the account of what was read."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from ..data import InputError
from .options import Columns, Data, parse_names

if TYPE_CHECKING:
    from ..data import Account, Table

__all__ = ["Missing", "Reading", "announce", "check_counts", "reads_table"]

# More columns than fit a screen are counted.
_SHOWN = 30
_PANEL = "How the data is read"


class Missing(StrEnum):
    """What becomes of rows with missing values."""

    error = "error"
    drop = "drop"
    marginalise = "marginalise"


def _option(name: str, help: str, **more: Any) -> Any:
    return typer.Option(name, help=help, rich_help_panel=_PANEL, **more)


@dataclass(frozen=True)
class Reading:
    """What to read, and how: the parameters that `reads_table` gives a command."""

    data: Data
    columns: Columns = None
    where: Annotated[str | None, _option("--where", "Only rows that meet this, such as 'age > 18'.")] = None
    id: Annotated[str | None, _option("--id", "The column that names the rows.", metavar="COLUMN")] = None
    carry: Annotated[
        str | None, _option("--carry", "Columns to carry along into memberships.csv: names, or all.", metavar="COLUMNS")
    ] = None
    missing: Annotated[
        Missing, _option("--missing", "Rows with missing values: refuse them, leave them out, or use what they have.")
    ] = Missing.error
    encoding: Annotated[str | None, _option("--encoding", "Of a text file, such as latin-1; found by default.")] = None
    separator: Annotated[
        str | None, _option("--separator", "Of a text file: a character, tab or blank; found by default.")
    ] = None
    decimal: Annotated[str | None, _option("--decimal", "Decimal mark, . or , ; found by default.")] = None

    def table(self) -> Table:
        """Read it.

        Raises
        ------
        InputError
            As `data.read_table`.
        """
        from ..data import read_table

        return read_table(
            self.data,
            parse_names(self.columns),
            encoding=self.encoding,
            separator=self.separator,
            decimal=self.decimal,
            where=self.where,
            id=self.id,
            carry=parse_names(self.carry),
            missing=self.missing.value,
        )


def reads_table(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command, in place of its first parameter ``reading``, the options that make it."""
    kinds = get_type_hints(Reading, include_extras=True)
    given = inspect.signature(command, eval_str=True)
    (first, *own) = given.parameters.values()
    assert first.name == "reading"
    needed = [p for p in own if p.default is inspect.Parameter.empty]
    data, *options = (p.replace(annotation=kinds[p.name]) for p in inspect.signature(Reading).parameters.values())
    # A parameter without a default stands before those with one.
    shared = [data, *needed, *(p for p in own if p not in needed), *options]
    names = [p.name for p in (data, *options)]

    def run(**values: Any) -> None:
        reading = Reading(**{name: values.pop(name) for name in names})
        command(reading, **values)

    run.__name__, run.__doc__, run.__module__ = command.__name__, command.__doc__, command.__module__
    run.__signature__ = given.replace(parameters=shared)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in shared} | {"return": None}
    return run


def check_counts(counts: list[int], table: Table) -> None:
    """Refuse more components than rows, before anything is done.

    Raises
    ------
    InputError
    """
    if max(counts) > table.n_obs:
        raise InputError(
            f"n_components={max(counts)} is more than the {table.n_obs} rows of data: give {table.n_obs} or fewer with -k"
        )


def announce(table: Table, quiet: bool) -> None:
    """Say on stderr what was read, once it is clear that it can be used: what fails says one line and nothing else."""
    if not quiet and table.account is not None:
        _show_account(table.account)


def _show_account(account: Account) -> None:
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table as Shown

    console = Console(stderr=True)
    rows = f"{account.rows_read:,} rows" + (
        "" if account.rows_used == account.rows_read else f", {account.rows_used:,} of them used"
    )
    console.print(
        f"read {escape(account.source)}: {rows}, {len(account.columns)} columns", highlight=False, soft_wrap=True
    )
    for note in account.notes:
        console.print(f"  {escape(note)}", highlight=False, soft_wrap=True)
    shown = Shown(header_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for title in ("column", "type", "missing", "use", ""):
        shown.add_column(title, justify="right" if title == "missing" else "left")
    for column in account.columns[:_SHOWN]:
        missing = f"{column.missing:,}" if column.missing else ""
        shown.add_row(*(escape(cell) for cell in (column.name, column.kind, missing, column.use, column.remark)))
    console.print(shown)
    if len(account.columns) > _SHOWN:
        console.print(f"and {len(account.columns) - _SHOWN:,} columns more")
