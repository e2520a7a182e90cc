"""Two instructions that numba lacks, for code that must be quick to compile: a call by address and a bare matrix product.

numba links the machine code of every callee into its caller and optimises it again: a deep chain of calls pays for the
E-step at each level. `apart` keeps callees apart: the caller's code holds only their name and finds their address
at its first call, when they are loaded from disk or compiled. What is never called is never compiled.

`multiply_add` is BLAS as `numpy.dot` reaches it, without the checks of shapes and layouts, whose compilation takes longer
than the rest of a kernel's, and adding to its result in place.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from typing import Any

import llvmlite.binding
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import ConcreteTemplate, infer_global
from numba.extending import intrinsic, lower_builtin

__all__ = ["CALLED_BY_COMPILED", "apart", "multiply_add", "power_of_two"]

_CHAR, _INT32, _INT, _DOUBLE = ir.IntType(8), ir.IntType(32), ir.IntType(64), ir.DoubleType()
_POINTER = _CHAR.as_pointer()
_RESOLVER = "bayesgmm_resolve"
# Options of functions that only compiled code calls: unpacking arguments from Python takes a fifth of their compilation.
CALLED_BY_COMPILED = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
_APART: dict[str, tuple[Any, Any]] = {}


def _address_of(name: bytes) -> int:
    """Address of the compiled function of that name and signature; zero if there is none."""
    if name.decode() not in _APART:
        return 0
    dispatcher, signature = _APART[name.decode()]
    dispatcher.compile(signature)
    compiled = dispatcher.overloads[signature.args]
    return int(compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name))


# Compiled code on disk refers to this one symbol; it is called once per caller and callee.
_resolver = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_char_p)(_address_of)
llvmlite.binding.add_symbol(_RESOLVER, ctypes.cast(_resolver, ctypes.c_void_p).value)


def apart(signature: Any) -> Callable[[Any], Callable[..., Any]]:
    """Decorator of a function under ``njit`` that compiled callers reach by its address, instead of linking it.

    Parameters
    ----------
    signature : numba signature
        The one it is compiled for. Compiled callers' arguments are converted to it. What it returns needs no reference count:
        a number, or nothing.

    Returns
    -------
    decorator
        Of numba Dispatchers. The function it gives is called like the Dispatcher, from Python too, and has it as its attribute
        ``dispatcher``.

    Notes
    -----
    The name that a caller keeps holds the signature: code on disk that was compiled for another one raises RuntimeError and
    never calls.
    """
    return lambda dispatcher: _apart(dispatcher, signature)


def _apart(dispatcher: Any, signature: Any) -> Callable[..., Any]:
    function = dispatcher.py_func
    name = f"{function.__module__}.{function.__qualname__}{signature}"
    _APART[name] = dispatcher, signature

    @functools.wraps(function)
    def call(*args: Any) -> Any:
        return dispatcher(*args)

    call.dispatcher = dispatcher  # type: ignore[attr-defined]
    infer_global(call, typing_key=name)(type("Apart", (ConcreteTemplate,), {"cases": [signature]}))

    @lower_builtin(name, *signature.args)
    def codegen(context: Any, builder: Any, _: Any, args: Any) -> Any:
        convention = context.call_conv
        kind = convention.get_function_type(signature.return_type, signature.args).as_pointer()
        cell = cgutils.add_global_variable(builder.module, _POINTER, "address_of_callee")
        cell.linkage = "internal"
        cell.initializer = ir.Constant(_POINTER, None)
        with cgutils.if_unlikely(builder, cgutils.is_null(builder, builder.load(cell))):
            resolve = cgutils.get_or_insert_function(builder.module, ir.FunctionType(_POINTER, [_POINTER]), _RESOLVER)
            builder.store(builder.call(resolve, [context.insert_const_string(builder.module, name)]), cell)
            with cgutils.if_unlikely(builder, cgutils.is_null(builder, builder.load(cell))):
                remedy = "compiled code on disk is older than the package: remove the *.nbi and *.nbc files of its __pycache__"
                convention.return_user_exc(builder, RuntimeError, (remedy,))
        callee = builder.bitcast(builder.load(cell), kind)
        status, result = convention.call_function(builder, callee, signature.return_type, signature.args, args)
        with cgutils.if_unlikely(builder, status.is_error):
            convention.return_status_propagate(builder, status)
        return result

    return call


@intrinsic
def power_of_two(typingctx: Any, rounded: Any) -> tuple[Any, Any]:
    """2^k of the double ``rounded`` = 1.5 * 2^52 + k, which holds k in the low bits of its mantissa."""

    def codegen(context: Any, builder: Any, _: Any, args: Any) -> Any:
        exponent = builder.add(builder.bitcast(args[0], _INT), ir.Constant(_INT, 1023))
        return builder.bitcast(builder.shl(exponent, ir.Constant(_INT, 52)), _DOUBLE)

    return types.float64(types.float64), codegen


@intrinsic
def multiply_add(
    typingctx: Any, a: Any, b: Any, transposed: Any, c: Any, m: Any, n: Any, k: Any, beta: Any
) -> tuple[Any, Any]:
    """c = a b + beta c, or a b' + beta c if ``transposed``, for C-ordered arrays: a (m, k), b (k, n), c (m, n).

    Leading axes are taken as one; arrays may have more rows and columns than take part. Nothing is checked.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        def laid_out(position: int) -> tuple[Any, Any]:
            array = context.make_array(signature.args[position])(context, builder, args[position])
            return builder.bitcast(array.data, _POINTER), cgutils.unpack_tuple(builder, array.shape)[-1]

        (a_data, a_lead), (b_data, b_lead), (c_data, c_lead) = laid_out(0), laid_out(1), laid_out(3)
        one = cgutils.alloca_once_value(builder, ir.Constant(_DOUBLE, 1.0))
        scale = cgutils.alloca_once_value(builder, args[7])
        flag = builder.select(args[2], ir.Constant(_CHAR, ord("t")), ir.Constant(_CHAR, ord("n")))
        plain, kind = ir.Constant(_CHAR, ord("n")), ir.Constant(_CHAR, ord("d"))
        arguments = [_CHAR] * 3 + [_INT] * 3 + [_POINTER, _POINTER, _INT, _POINTER, _INT, _POINTER, _POINTER, _INT]
        gemm = cgutils.get_or_insert_function(builder.module, ir.FunctionType(_INT32, arguments), "numba_xxgemm")
        # BLAS counts columns first: c' = b' a'.
        builder.call(
            gemm,
            [
                kind, flag, plain, args[5], args[4], args[6], builder.bitcast(one, _POINTER), b_data, b_lead, a_data, a_lead,
                builder.bitcast(scale, _POINTER), c_data, c_lead,
            ],
        )  # fmt: skip
        return context.get_dummy_value()

    sizes = (types.intp, types.intp, types.intp, types.float64)
    return types.void(a, b, types.boolean, c, *sizes), codegen
