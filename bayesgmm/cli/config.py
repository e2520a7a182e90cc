"""Options from a TOML file, in the manner of pyproject.toml.

``[tool.bayesgmm]`` holds options of all commands under their long names, ``[tool.bayesgmm.report]`` those of one command,
which win over the former; what is given on the command line wins over both. A file of its own may leave out ``tool``, or
both names. A value becomes the text that one would have given on the command line, and is read as such.
"""

from __future__ import annotations

import csv
import io
import json
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import unwrap
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_type_hints

import typer

from ..data import InputError

__all__ = ["use_config"]

# Options that may be lists, of this type; a command that takes one value leaves a shared list alone.
_LISTS = {"components": int, "covariance": str, "columns": str}
# What to give, by the kind of an option or its key.
_WANTED = {
    "bool": "true or false",
    "int": "a whole number",
    "components": 'a whole number, a list of them, or a text such as "1:6"',
    "covariance": 'a list of names, or a text such as "full,diag"',
    "columns": "a list of names",
    "priors": 'a table such as {mean_scale = 3}, or "richardson-green"',
}
_LARGEST = 10**6
# What two commands do not mean alike.
_NEVER_SHARED = ("output",)


def use_config(context: typer.Context, file: Path, parsers: Mapping[str, Callable[[str], Any]]) -> None:
    """Make the values of a configuration file the defaults of the command in ``context``.

    Parameters
    ----------
    context : typer.Context
    file : Path
    parsers : mapping of option to function
        Options whose text is read further than its type says; each raises `InputError` for what it cannot read.

    Raises
    ------
    InputError
        Naming file and key: the file cannot be read, a key is unknown, a value of the wrong type or not fit for use.
    """
    table, title = _own_table(_read(file), file)
    group: Any = None if context.parent is None else context.parent.command
    options = {name: _options(command) for name, command in group.commands.items()}
    configurable = {name: own for name, own in options.items() if "config" in own}
    everywhere = {key for own in configurable.values() for key in own} - {"config", *_NEVER_SHARED}
    shared = {key: value for key, value in table.items() if key not in configurable}
    _refuse_unknown(shared, everywhere | set(configurable), f"{file}: [{title}]")
    command = str(context.info_name)
    own = table.get(command, {})
    section = f"{title}.{command}" if title else command
    if not isinstance(own, dict):
        raise InputError(f"{file}: {command} = {own!r} is no table: write [{section}] and its options below")
    mine = options[command]
    _refuse_unknown(own, set(mine) - {"config"}, f"{file}: [{section}]")
    defaults: dict[str, Any] = {}
    for values, where in ((shared, title), (own, section)):
        for key, value in values.items():
            if key in mine and not (values is shared and _is_list_for_single(key, value, mine[key])):
                defaults[mine[key].parameter.name] = _checked(
                    context, mine[key], key, value, f"{file}: [{where}]", parsers
                )
    context.default_map = defaults


def _read(file: Path) -> dict[str, Any]:
    try:
        if file.exists() and not (file.is_file() or file.is_dir()):
            raise InputError(f"--config {file} is a device or pipe and no file: give a TOML file")
        if file.is_file() and file.stat().st_size > _LARGEST:
            raise InputError(f"--config {file} is too large for a configuration: give a TOML file")
        with file.open("rb") as opened:
            return tomllib.load(opened)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"--config {file} cannot be read ({reason}): give a TOML file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"--config {file} is not TOML ({error}): correct it") from None


def _own_table(document: dict[str, Any], file: Path) -> tuple[dict[str, Any], str]:
    """The table that is ours, and its title."""
    tool = document.get("tool", {})
    if isinstance(tool, dict) and "bayesgmm" in tool:
        table, title = tool["bayesgmm"], "tool.bayesgmm"
    elif "tool" in document or file.name == "pyproject.toml":
        raise InputError(f"{file} has no table [tool.bayesgmm]: add it, or give another file to --config")
    elif "bayesgmm" in document:
        table, title = document["bayesgmm"], "bayesgmm"
    else:
        table, title = document, ""
    if not isinstance(table, dict):
        raise InputError(f"{file}: {title} = {table!r} is no table: write [{title}] and the options below")
    return table, title


@dataclass(frozen=True)
class _Option:
    """A parameter of a command, and the type of its values."""

    parameter: Any
    kind: type


def _options(command: Any) -> dict[str, _Option]:
    """The options of a command under their names in a file: the long option, or the argument's name."""
    kinds = get_type_hints(unwrap(command.callback))
    named = {}
    for parameter in command.params:
        if parameter.name not in kinds:  # --help
            continue
        long = [name[2:] for name in parameter.opts if name.startswith("--")]
        kind = next((k for k in (*get_args(kinds[parameter.name]), kinds[parameter.name]) if k is not NoneType), str)
        named[long[0] if long else parameter.name] = _Option(parameter, kind)
    return named


def _refuse_unknown(table: Mapping[str, Any], known: set[str], where: str) -> None:
    for key in table:
        if key not in known:
            raise InputError(f"{_tidy(where)} has the unknown key {key!r}: choose among {', '.join(sorted(known))}")


def _is_list_for_single(key: str, value: Any, option: _Option) -> bool:
    """Whether a value shared by all commands is several, such as a range of counts, where a command takes one."""
    if key not in _LISTS or option.kind is str:
        return False
    return isinstance(value, list) or (isinstance(value, str) and any(mark in value for mark in ",:"))


def _checked(
    context: typer.Context,
    option: _Option,
    key: str,
    value: Any,
    where: str,
    parsers: Mapping[str, Callable[[str], Any]],
) -> Any:
    """A value of the file as the command line would have given it, and found fit there."""
    kind = option.kind
    given = _as_given(key, kind, value)
    if given is None:
        wanted = _WANTED.get(kind.__name__) or _WANTED.get(key, "a text in quotes")
        raise InputError(f"{_tidy(where)} {key} = {value!r} is of the wrong type: give {wanted}")
    try:
        if key in parsers and isinstance(given, str):
            parsers[key](given)
        option.parameter.process_value(context, given)
    except InputError as error:
        raise InputError(f"{_tidy(where)} {key}: {error}") from None
    except Exception as error:
        if not hasattr(error, "format_message"):  # what typer raises for a value out of range has it
            raise
        raise InputError(f"{_tidy(where)} {key}: {error.format_message().rstrip('.')}") from None
    return given


def _as_given(key: str, kind: type, value: Any) -> Any:
    """A value as the command line would have given it; None where it is of the wrong type."""
    if kind is bool or isinstance(value, bool):
        return value if kind is bool and isinstance(value, bool) else None
    if kind is int:
        return value if isinstance(value, int) else None
    if isinstance(value, str):
        return value
    if key == "priors" and isinstance(value, dict):
        return json.dumps(value, default=str)
    items = value if isinstance(value, list) else [value]
    if key not in _LISTS or not items or any(type(item) is not _LISTS[key] for item in items):
        return None
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(items)
    return line.getvalue()


def _tidy(where: str) -> str:
    """A place without the brackets of a table that has no title."""
    return where.replace(" []", "")
