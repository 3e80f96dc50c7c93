"""The functions that parsed Python may call, and what they are of numbers in loop programs."""

import builtins
import math
from collections.abc import Callable

import numpy as np

from tilewright.compiler.dtype import INDEX, DType
from tilewright.compiler.te.irregular.unsupported import UnsupportedConstructError
from tilewright.compiler.te.irregular.value import (
    PythonValue,
    RuntimeNumber,
    Static,
    TensorValue,
    converted,
    joined,
    number_of,
    wide,
)
from tilewright.compiler.tir.expr import (
    Binary,
    BinaryOp,
    Cast,
    Const,
    ElementCall,
    ElementFunction,
    Expr,
    Select,
)

_Called = Callable[..., PythonValue]


def truth(number: RuntimeNumber) -> Expr:
    """A number as a condition.

    Raises:
        UnsupportedConstructError: if it is no truth value.
    """
    if number.dtype is not DType.BOOL:
        raise UnsupportedConstructError(
            f"a condition must be a comparison, not {number.dtype}: write `… != 0`"
        )
    return number.expr


def quotient(left: PythonValue, right: PythonValue) -> PythonValue:
    """a / b of floats, or of Python's integers."""
    if isinstance(left, Static) and isinstance(right, Static):
        if isinstance(right.value, int | float) and isinstance(left.value, int | float) and right.value:
            return Static(left.value / right.value)
        raise UnsupportedConstructError("this cannot be computed: divide numbers, not by 0")
    a, b = joined(number_of(left), number_of(right))
    if not a.dtype.is_float:
        if not a.weak:
            raise UnsupportedConstructError(
                f"/ of {a.dtype} gives a fraction: use //, or convert with np.float32(…) before"
            )
        a, b = wide(a), wide(b)
    return RuntimeNumber(ElementCall(ElementFunction.DIVIDE, (a.expr, b.expr), a.dtype), a.weak)


def _smallest(larger: bool) -> _Called:
    """min or max of Python: the first of equals."""

    def choose(first: PythonValue, *others: PythonValue) -> PythonValue:
        result = number_of(first)
        for other in others:
            a, b = joined(result, number_of(other))
            condition = Binary(BinaryOp.LT, a.expr, b.expr) if larger else Binary(BinaryOp.LT, b.expr, a.expr)
            result = RuntimeNumber(Select(condition, b.expr, a.expr), a.weak)
        return result

    return _known_first(builtins.max if larger else builtins.min, choose)


def _known_first(function: Callable[..., object], otherwise: _Called) -> _Called:
    """The function itself where all arguments are known."""

    def call(*arguments: PythonValue) -> PythonValue:
        known = [argument.value for argument in arguments if isinstance(argument, Static)]
        return Static(function(*known)) if len(known) == len(arguments) else otherwise(*arguments)

    return call


def _numpy_pair(op: BinaryOp) -> _Called:
    def call(left: PythonValue, right: PythonValue) -> PythonValue:
        a, b = joined(number_of(left), number_of(right))
        return RuntimeNumber(Binary(op, a.expr, b.expr))

    return call


def _absolute(value: PythonValue) -> PythonValue:
    number = number_of(value)
    zero = Const(0.0 if number.dtype.is_float else 0, number.dtype)
    return RuntimeNumber(Select(zero < number.expr, number.expr, zero - number.expr), number.weak)


def _in_python(function: ElementFunction) -> _Called:
    """Of `math`: in double precision, whatever the argument."""

    def call(value: PythonValue) -> PythonValue:
        return RuntimeNumber(ElementCall(function, (wide(number_of(value)).expr,), DType.FLOAT64), weak=True)

    return call


def _in_numpy(function: ElementFunction) -> _Called:
    """In the type of the argument."""

    def call(value: PythonValue) -> PythonValue:
        number = number_of(value)
        if not number.dtype.is_float:
            if not number.weak:
                raise UnsupportedConstructError(
                    f"{function} of {number.dtype} must be of a float: convert with np.float32(…) before"
                )
            number = wide(number)
        return RuntimeNumber(ElementCall(function, (number.expr,), number.dtype))

    return call


def _converted(kind: PythonValue, value: PythonValue) -> PythonValue:
    """np.int32(…) and the like."""
    assert isinstance(kind, Static)
    try:
        dtype = DType.of(kind.value)  # type: ignore[arg-type]  # a class of numpy: what it names is checked
    except ValueError:
        raise UnsupportedConstructError(f"the type must be one of {', '.join(DType)}") from None
    return RuntimeNumber(_cast(number_of(value), dtype))


def _cast(number: RuntimeNumber, dtype: DType) -> Expr:
    if number.dtype is dtype:
        return number.expr
    if isinstance(number.expr, Const) and number.weak and DType.BOOL not in (dtype, number.dtype):
        return (
            converted(number, dtype).expr
            if dtype.is_float or not number.dtype.is_float
            else Cast(dtype, number.expr)
        )
    return Cast(dtype, number.expr)


def _integer(value: PythonValue) -> PythonValue:
    return RuntimeNumber(_cast(number_of(value), INDEX), weak=True)


def _float(value: PythonValue) -> PythonValue:
    return wide(number_of(value))


def _truth(value: PythonValue) -> PythonValue:
    return RuntimeNumber(_cast(number_of(value), DType.BOOL), weak=True)


def _length(value: PythonValue) -> PythonValue:
    if isinstance(value, TensorValue) and value.shape:
        return Static(value.shape[0])
    if isinstance(value, Static) and isinstance(value.value, tuple):
        return Static(len(value.value))
    raise UnsupportedConstructError("len must be of a tensor with dimensions, or a tuple")


FUNCTIONS: dict[object, _Called] = {
    builtins.min: _smallest(larger=False),
    builtins.max: _smallest(larger=True),
    builtins.abs: _known_first(abs, _absolute),
    builtins.int: _known_first(int, _integer),
    builtins.float: _known_first(float, _float),
    builtins.bool: _known_first(bool, _truth),
    builtins.len: _length,
    math.exp: _known_first(math.exp, _in_python(ElementFunction.EXP)),
    math.log: _known_first(math.log, _in_python(ElementFunction.LOG)),
    math.sqrt: _known_first(math.sqrt, _in_python(ElementFunction.SQRT)),
    math.tanh: _known_first(math.tanh, _in_python(ElementFunction.TANH)),
    np.exp: _in_numpy(ElementFunction.EXP),
    np.log: _in_numpy(ElementFunction.LOG),
    np.sqrt: _in_numpy(ElementFunction.SQRT),
    np.tanh: _in_numpy(ElementFunction.TANH),
    np.rint: _in_numpy(ElementFunction.ROUND),
    np.abs: _absolute,
    np.minimum: _numpy_pair(BinaryOp.MIN),
    np.maximum: _numpy_pair(BinaryOp.MAX),
    np.generic: _converted,
}
"""By the function itself; np.generic stands for every type of numpy, which is the first argument then."""
