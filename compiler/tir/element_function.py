"""The functions of elements: the types of their arguments and results, and their values in numpy."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.dtype import DType
from tilewright.compiler.tir.expr import ElementFunction
from tilewright.numerics import elementary
from tilewright.numerics.requantise import requantise
from tilewright.numerics.saturate import saturate, saturating_add

_INT32 = DType.INT32
_OF_INTEGERS: dict[ElementFunction, Callable[..., Any]] = {
    ElementFunction.BIT_AND: np.bitwise_and,
    ElementFunction.BIT_OR: np.bitwise_or,
    ElementFunction.BIT_XOR: np.bitwise_xor,
    ElementFunction.SHIFT_LEFT: np.left_shift,
    ElementFunction.SHIFT_RIGHT: np.right_shift,
}
_OF_TWO = (
    ElementFunction.SATURATING_ADD,
    ElementFunction.REQUANTISE,
    ElementFunction.DIVIDE,
    ElementFunction.FMOD,
    ElementFunction.POWER,
    *_OF_INTEGERS,
)
_NARROWED = {ElementFunction.SATURATE_INT8: DType.INT8, ElementFunction.SATURATE_INT16: DType.INT16}
_OF_FLOAT: dict[ElementFunction, Callable[..., Any]] = {
    ElementFunction.DIVIDE: np.divide,
    ElementFunction.EXP: np.exp,
    ElementFunction.LOG: np.log,
    ElementFunction.TANH: np.tanh,
    ElementFunction.ERF: lambda x: np.frompyfunc(math.erf, 1, 1)(x.astype(np.float64)),
    ElementFunction.SQRT: np.sqrt,
    ElementFunction.ROUND: np.rint,
    ElementFunction.ABSOLUTE: np.abs,
    ElementFunction.FLOOR: np.floor,
    ElementFunction.CEIL: np.ceil,
    ElementFunction.SIN: np.sin,
    ElementFunction.COS: np.cos,
    ElementFunction.TAN: np.tan,
    ElementFunction.ASIN: np.arcsin,
    ElementFunction.ACOS: np.arccos,
    ElementFunction.ATAN: np.arctan,
    ElementFunction.SINH: np.sinh,
    ElementFunction.COSH: np.cosh,
    ElementFunction.FMOD: np.fmod,
    ElementFunction.POWER: np.power,
}

_OF_FLOAT32: dict[ElementFunction, Callable[..., Any]] = {
    ElementFunction.EXP: elementary.exp,
    ElementFunction.LOG: elementary.log,
    ElementFunction.TANH: elementary.tanh,
    ElementFunction.ERF: elementary.erf,
}


def arity(function: ElementFunction) -> int:
    """The number of its arguments."""
    return 2 if function in _OF_TWO else 1


def result_type(function: ElementFunction, arguments: tuple[DType, ...]) -> DType | None:
    """The type of the result; None if it does not take arguments of these types."""
    if len(arguments) != arity(function):
        return None
    first, is_one = arguments[0], len(set(arguments)) == 1
    if function in _OF_INTEGERS or (function is ElementFunction.POWER and first.is_integer):
        return first if first.is_integer and is_one else None
    if function in _OF_FLOAT:
        return first if first.is_float and is_one else None
    if any(dtype is not _INT32 for dtype in arguments):
        return None
    return _NARROWED.get(function, _INT32)


def call(function: ElementFunction, arguments: list[NDArray[Any]]) -> NDArray[Any]:
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
    binary = saturating_add if function is ElementFunction.SATURATING_ADD else requantise
    return np.asarray(binary(*arguments))
