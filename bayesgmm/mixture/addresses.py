"""Compiled functions called by address, so that one compiled density serves every structure and every prior.

A structure's maps and a prior's terms are C functions of their own (`numba.cfunc`). What calls them takes their addresses as
integers, and hands over arrays as integers too: nothing has to be compiled anew for another structure or prior.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from llvmlite import ir
from numba import cfunc, types
from numba.extending import intrinsic

__all__ = [
    "ADD_TERM",
    "CONSTRAIN",
    "LIKELIHOOD",
    "PULL_BACK",
    "add_term",
    "address_of",
    "call_constrain",
    "call_likelihood",
    "call_pullback",
    "doubles",
    "integers",
]

# (u, K, D, numbers, factors): u -> factors (G, D, D), by the numbers that the parts bring (`Part.numbers`).
CONSTRAIN = types.int64(*[types.int64] * 5)
# (u, K, D, numbers, factors, d_factors, d_u): adds the gradient with respect to u.
PULL_BACK = types.int64(*[types.int64] * 7)
# (data, K, D, G, weights, means, factors, counts, d_means, d_factors): the log likelihood of the rows that ``data`` describes;
# writes its gradient with respect to free log weights, means and factors into the last three.
LIKELIHOOD = types.float64(*[types.int64] * 10)
# (x, numbers, gradient): the value of a term of the log density; adds its gradient.
ADD_TERM = types.float64(*[types.int64] * 3)


@cache
def _compiled(function: Callable[..., Any], signature: Any) -> Any:
    return cfunc(signature, cache=True, error_model="numpy")(function)


def address_of(function: Callable[..., Any], signature: Any) -> int:
    """Address of a plain function compiled to a C function, at its first use and then kept on disk."""
    return int(_compiled(function, signature).address)


def _pointer_to(kind: Any) -> Any:
    @intrinsic
    def as_pointer(typingctx: Any, address: Any) -> Any:
        signature = types.CPointer(kind)(address)

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.inttoptr(args[0], context.get_value_type(signature.return_type))

        return signature, codegen

    return as_pointer


# An integer address as a pointer, for `numba.carray`.
doubles = _pointer_to(types.float64)
integers = _pointer_to(types.int64)


def _caller(signature: Any) -> Any:
    """A function that numba compiles to a call of the C function at its first argument."""
    integer = ir.IntType(64)
    result = ir.DoubleType() if signature.return_type == types.float64 else integer
    kind = ir.FunctionType(result, [integer] * len(signature.args))

    def emit(builder: Any, address: Any, args: Any) -> Any:
        return builder.call(builder.inttoptr(address, kind.as_pointer()), args)

    return signature, emit


def _codegen(emit: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return emit(builder, args[0], list(args[1:]))

    return codegen


@intrinsic
def call_constrain(typingctx: Any, address: Any, u: Any, k: Any, d: Any, numbers: Any, factors: Any) -> Any:
    """Call the map at ``address`` with the addresses of its arrays."""
    signature, emit = _caller(CONSTRAIN)
    return signature.return_type(*[types.int64] * 6), _codegen(emit)


@intrinsic
def call_pullback(
    typingctx: Any, address: Any, u: Any, k: Any, d: Any, numbers: Any, factors: Any, d_factors: Any, d_u: Any
) -> Any:
    """Call the gradient of the map at ``address`` with the addresses of its arrays."""
    signature, emit = _caller(PULL_BACK)
    return signature.return_type(*[types.int64] * 8), _codegen(emit)


@intrinsic
def call_likelihood(
    typingctx: Any, address: Any, data: Any, k: Any, d: Any, g: Any, weights: Any, means: Any, factors: Any, counts: Any,
    d_means: Any, d_factors: Any,
) -> Any:  # fmt: skip
    """Call the log likelihood at ``address`` with the addresses of its arrays."""
    signature, emit = _caller(LIKELIHOOD)
    return signature.return_type(*[types.int64] * 11), _codegen(emit)


@intrinsic
def add_term(typingctx: Any, address: Any, x: Any, numbers: Any, gradient: Any) -> Any:
    """Call the term of a density at ``address`` with the addresses of its arrays."""
    signature, emit = _caller(ADD_TERM)
    return signature.return_type(*[types.int64] * 4), _codegen(emit)
