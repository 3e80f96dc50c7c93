"""What the functions of elements take, give and mean."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.dtype import DType
from tilewright.compiler.tir.expr import Function
from tilewright.numerics import elementary
from tilewright.numerics.requantise import requantise
from tilewright.numerics.saturate import saturate, saturating_add

_INT32 = DType.INT32
_OF_TWO = (Function.SATURATING_ADD, Function.REQUANTISE, Function.DIVIDE)
_NARROWED = {Function.SATURATE_INT8: DType.INT8, Function.SATURATE_INT16: DType.INT16}
_OF_FLOAT: dict[Function, Callable[..., Any]] = {
    Function.DIVIDE: np.divide,
    Function.EXP: np.exp,
    Function.LOG: np.log,
    Function.TANH: np.tanh,
    Function.SQRT: np.sqrt,
    Function.ROUND: np.rint,
}


_OF_FLOAT32: dict[Function, Callable[..., Any]] = {
    Function.EXP: elementary.exp,
    Function.LOG: elementary.log,
    Function.TANH: elementary.tanh,
    Function.ERF: elementary.erf,
}


def arity(function: Function) -> int:
    """How many arguments it takes."""
    return 2 if function in _OF_TWO else 1


def result_type(function: Function, arguments: tuple[DType, ...]) -> DType | None:
    """The type of the result; None if it does not take arguments of these types."""
    if len(arguments) != arity(function):
        return None
    if arguments == (DType.FLOAT32,) and function in _OF_FLOAT32:
        return arguments[0]
    if function in _OF_FLOAT:
        return arguments[0] if arguments[0].is_float and len(set(arguments)) == 1 else None
    if function in _OF_FLOAT32 or any(dtype is not _INT32 for dtype in arguments):
        return None
    return _NARROWED.get(function, _INT32)


def call(function: Function, arguments: list[NDArray[Any]]) -> NDArray[Any]:
    """The result on arrays that broadcast with each other."""
    if function in _OF_FLOAT32 and arguments[0].dtype == np.float32:
        return np.asarray(_OF_FLOAT32[function](*arguments))
    if function in _OF_FLOAT:
        return np.asarray(_OF_FLOAT[function](*arguments), arguments[0].dtype)
    if function in _NARROWED:
        narrow = _NARROWED[function]
        return saturate(arguments[0], 8 * narrow.size_bytes).astype(narrow.numpy)
    binary = saturating_add if function is Function.SATURATING_ADD else requantise
    return np.asarray(binary(*arguments))
