"""What the functions of elements take, give and mean."""

import math
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
_OF_INTEGERS: dict[Function, Callable[..., Any]] = {
    Function.BIT_AND: np.bitwise_and,
    Function.BIT_OR: np.bitwise_or,
    Function.BIT_XOR: np.bitwise_xor,
    Function.SHIFT_LEFT: np.left_shift,
    Function.SHIFT_RIGHT: np.right_shift,
}
_OF_TWO = (
    Function.SATURATING_ADD,
    Function.REQUANTISE,
    Function.DIVIDE,
    Function.FMOD,
    Function.POWER,
    *_OF_INTEGERS,
)
_NARROWED = {Function.SATURATE_INT8: DType.INT8, Function.SATURATE_INT16: DType.INT16}
_OF_FLOAT: dict[Function, Callable[..., Any]] = {
    Function.DIVIDE: np.divide,
    Function.EXP: np.exp,
    Function.LOG: np.log,
    Function.TANH: np.tanh,
    Function.ERF: lambda x: np.frompyfunc(math.erf, 1, 1)(x.astype(np.float64)),
    Function.SQRT: np.sqrt,
    Function.ROUND: np.rint,
    Function.ABSOLUTE: np.abs,
    Function.FLOOR: np.floor,
    Function.CEIL: np.ceil,
    Function.SIN: np.sin,
    Function.COS: np.cos,
    Function.TAN: np.tan,
    Function.ASIN: np.arcsin,
    Function.ACOS: np.arccos,
    Function.ATAN: np.arctan,
    Function.SINH: np.sinh,
    Function.COSH: np.cosh,
    Function.FMOD: np.fmod,
    Function.POWER: np.power,
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
    first, is_one = arguments[0], len(set(arguments)) == 1
    if function in _OF_INTEGERS or (function is Function.POWER and first.is_integer):
        return first if first.is_integer and is_one else None
    if function in _OF_FLOAT:
        return first if first.is_float and is_one else None
    if any(dtype is not _INT32 for dtype in arguments):
        return None
    return _NARROWED.get(function, _INT32)


def call(function: Function, arguments: list[NDArray[Any]]) -> NDArray[Any]:
    """The result on arrays that broadcast with each other."""
    if function in _OF_FLOAT32 and arguments[0].dtype == np.float32:
        return np.asarray(_OF_FLOAT32[function](*arguments))
    if function in _OF_INTEGERS:
        return np.asarray(_OF_INTEGERS[function](*arguments))
    if function in _OF_FLOAT:
        return np.asarray(_OF_FLOAT[function](*arguments), arguments[0].dtype)
    if function in _NARROWED:
        narrow = _NARROWED[function]
        return saturate(arguments[0], 8 * narrow.size_bytes).astype(narrow.numpy)
    binary = saturating_add if function is Function.SATURATING_ADD else requantise
    return np.asarray(binary(*arguments))
