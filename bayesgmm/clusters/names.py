"""What groups are called: by number, from 0 as in every table and file, or by names of the user's."""

from __future__ import annotations

from collections.abc import Sequence

from ..data import InputError

__all__ = ["checked_names", "group_names"]


def checked_names(names: Sequence[str]) -> tuple[str, ...]:
    """Names on one line each, for however many groups there will be.

    Raises
    ------
    InputError
        A name is empty, a number, or given twice.
    """
    if isinstance(names, str):
        raise InputError(f"names={names!r} is one text; give a list with a name for each group")
    given = tuple(" ".join(str(name).split()) for name in names)
    if not all(given):
        raise InputError("names has an empty name; give each group a name")
    number = next((name for name in given if name.isdigit()), None)
    if number is not None:
        raise InputError(f"names has {number!r}, which a group without a name could be called; give words")
    twice = next((name for i, name in enumerate(given) if name in given[:i]), None)
    if twice is not None:
        raise InputError(f"names has {twice!r} twice; give each group its own")
    return given


def group_names(names: Sequence[str] | None, n_groups: int, what: str = "groups") -> list[str]:
    """Names of the groups, in their order; their numbers where none are given.

    Raises
    ------
    InputError
        There is another number of groups, or as `checked_names`.
    """
    if names is None:
        return [str(g) for g in range(n_groups)]
    given = checked_names(names)
    if len(given) != n_groups:
        raise InputError(
            f"names has {len(given)} names and there are {n_groups} {what}; give one for each, in their order"
        )
    return list(given)
