"""``--where "age > 18"``: which rows are used, by a condition on the columns.

The condition is parsed as Python and never run as such: comparisons, ``and``, ``or``, ``not``, ``in`` with a list, the four
operations, numbers, texts and column names are carried out here, one by one, and nothing else is accepted.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesgmm.data.errors import InputError
from bayesgmm.data.frames import listed

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["rows_where"]

_LONGEST = 2000
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_OPERATIONS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_QUOTED = re.compile(r"""`([^`]+)`|("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')""")


def rows_where(frame: pd.DataFrame, condition: str) -> np.ndarray:
    """Which rows meet a condition.

    Parameters
    ----------
    frame : DataFrame (N, any)
        Its columns' names stand in the condition as they are, or in backticks where they are no single word.
    condition : str
        Such as ``age > 18 and region in ("north", "east")``. A comparison with a missing value is false.

    Returns
    -------
    ndarray (N,) of bool

    Raises
    ------
    InputError
        It is no condition, names no column of the data, or compares texts with numbers.
    """
    if not isinstance(condition, str) or not condition.strip():
        raise InputError('--where is empty: give a condition, such as "age > 18"')
    if len(condition) > _LONGEST:
        raise InputError(f"--where is {len(condition):,} characters long: give at most {_LONGEST:,}")
    text, quoted = _unquoted(condition.strip())
    try:
        tree = ast.parse(text, mode="eval")
        value = _Evaluation(frame, quoted, condition).of(tree.body)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"--where {condition!r} cannot be read: write it as in \"age > 18 and region == 'north'\", names of several "
            "words in backticks"
        ) from None
    if not (isinstance(value, np.ndarray) and value.dtype == bool):
        raise InputError(f"--where {condition!r} is no condition: compare a column with something, as in age > 18")
    return value


def _unquoted(condition: str) -> tuple[str, dict[str, str]]:
    """Names in backticks as words of their own; what stands in quotation marks is left as it is."""
    quoted: dict[str, str] = {}

    def word(match: re.Match[str]) -> str:
        if match[1] is None:
            return match[0]
        name = f"_quoted_{len(quoted)}_"
        quoted[name] = match[1]
        return name

    return _QUOTED.sub(word, condition), quoted


class _Evaluation:
    """A parsed condition, carried out on a frame."""

    def __init__(self, frame: pd.DataFrame, quoted: dict[str, str], condition: str) -> None:
        self.frame, self.quoted, self.condition = frame, quoted, condition

    def of(self, node: ast.expr) -> Any:
        """The value of a part: an array (N,) or a constant."""
        match node:
            case ast.BoolOp(op, parts):
                both = np.logical_and if isinstance(op, ast.And) else np.logical_or
                return both.reduce([self._truth(part) for part in parts])
            case ast.UnaryOp(ast.Not(), part):
                return ~self._truth(part)
            case ast.UnaryOp(ast.USub() | ast.UAdd() as op, part):
                value = self._number(part)
                return -value if isinstance(op, ast.USub) else value
            case ast.BinOp(left, op, right) if type(op) in _OPERATIONS:
                with np.errstate(all="ignore"):
                    return _OPERATIONS[type(op)](self._number(left), self._number(right))
            case ast.Compare():
                return self._comparison(node)
            case ast.Name(name):
                return self._column(self.quoted.get(name, name))
            case ast.Constant(bool() | str() as value):
                return value
            case ast.Constant(int() | float() as value):
                return float(value)
        raise InputError(
            f"--where {self.condition!r}: {ast.unparse(node)[:60]!r} is not allowed; use comparisons, and, or, not, in, "
            "+ - * /, column names, numbers and texts"
        )

    def _comparison(self, node: ast.Compare) -> np.ndarray:
        result = np.ones(len(self.frame), dtype=bool)
        left = node.left
        for op, right in zip(node.ops, node.comparators, strict=True):
            if isinstance(op, ast.In | ast.NotIn):
                found = self._is_in(left, right)
                result &= found if isinstance(op, ast.In) else ~found
            elif type(op) in _COMPARISONS:
                result &= self._compared(_COMPARISONS[type(op)], left, right)
            else:
                raise InputError(f"--where {self.condition!r}: use == and != to compare, not is")
            left = right
        return result

    def _compared(self, compare: Callable[[Any, Any], Any], left: ast.expr, right: ast.expr) -> np.ndarray:
        a, b = self.of(left), self.of(right)
        kinds = {_kind(value) for value in (a, b)}
        if len(kinds) > 1:
            raise InputError(
                f"--where {self.condition!r} compares {ast.unparse(left)[:40]!r} with {ast.unparse(right)[:40]!r}, of which "
                "one is text and the other is not; put texts in quotation marks, and numbers not"
            )
        arrays = [np.broadcast_to(np.asarray(value), (len(self.frame),)) for value in (a, b)]
        present = _present(arrays[0]) & _present(arrays[1])
        result = np.zeros(len(self.frame), dtype=bool)
        result[present] = compare(arrays[0][present], arrays[1][present])
        return result

    def _is_in(self, left: ast.expr, right: ast.expr) -> np.ndarray:
        if not isinstance(right, ast.List | ast.Tuple | ast.Set) or not right.elts:
            raise InputError(f"--where {self.condition!r}: give a list after in, such as ('north', 'east')")
        return np.logical_or.reduce([self._compared(operator.eq, left, one) for one in right.elts])

    def _truth(self, node: ast.expr) -> np.ndarray:
        value = self.of(node)
        if not (isinstance(value, np.ndarray) and value.dtype == bool):
            raise InputError(f"--where {self.condition!r}: {ast.unparse(node)[:60]!r} is no condition; compare it")
        return value

    def _number(self, node: ast.expr) -> Any:
        value = self.of(node)
        if _kind(value) != "number":
            raise InputError(f"--where {self.condition!r}: {ast.unparse(node)[:60]!r} is no number to calculate with")
        return value

    def _column(self, name: str) -> np.ndarray:
        from pandas.api import types

        if name not in self.frame.columns:
            raise InputError(
                f"--where {self.condition!r}: there is no column {name!r}; the data has {listed(list(self.frame.columns))}"
            )
        column = self.frame[name]
        if types.is_bool_dtype(column.dtype):
            return column.to_numpy(dtype=bool, na_value=False)
        if types.is_numeric_dtype(column.dtype):
            return column.to_numpy(dtype=float, na_value=np.nan)
        return np.array([None if missing else str(x) for x, missing in zip(column, column.isna(), strict=True)], object)


def _kind(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return {"b": "truth", "f": "number"}.get(value.dtype.kind, "text")
    return "text" if isinstance(value, str) else "truth" if isinstance(value, bool) else "number"


def _present(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind == "f":
        return ~np.isnan(values)
    return np.array([value is not None for value in values]) if values.dtype == object else np.ones(len(values), bool)
