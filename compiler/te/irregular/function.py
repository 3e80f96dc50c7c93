"""The functions that parsed Python may call, and what they are of numbers in loop programs."""

import builtins
import math
from collections.abc import Callable

import numpy as np

from tilewright.compiler.dtype import INDEX, DType
from tilewright.compiler.te.irregular.refusal import Refusal
from tilewright.compiler.te.irregular.value import (
    Array,
    Static,
    Term,
    Value,
    converted,
    joined,
    term_of,
    wide,
)
from tilewright.compiler.tir.expr import Binary, BinaryOp, Call, Cast, Const, Expr, Function, Select

_Called = Callable[..., Value]


def truth(term: Term) -> Expr:
    """A number as a condition.

    Raises:
        Refusal: if it is no truth value.
    """
    if term.dtype is not DType.BOOL:
        raise Refusal(f"a condition must be a comparison, not {term.dtype}: write `… != 0`")
    return term.expr


def quotient(left: Value, right: Value) -> Value:
    """a / b of floats, or of Python's integers."""
    if isinstance(left, Static) and isinstance(right, Static):
        if isinstance(right.value, int | float) and isinstance(left.value, int | float) and right.value:
            return Static(left.value / right.value)
        raise Refusal("this cannot be computed: divide numbers, not by 0")
    a, b = joined(term_of(left), term_of(right))
    if not a.dtype.is_float:
        if not a.weak:
            raise Refusal(f"/ of {a.dtype} gives a fraction: use //, or convert with np.float32(…) before")
        a, b = wide(a), wide(b)
    return Term(Call(Function.DIVIDE, (a.expr, b.expr), a.dtype), a.weak)


def _smallest(larger: bool) -> _Called:
    """min or max of Python: the first of equals."""

    def choose(first: Value, *others: Value) -> Value:
        result = term_of(first)
        for other in others:
            a, b = joined(result, term_of(other))
            condition = Binary(BinaryOp.LT, a.expr, b.expr) if larger else Binary(BinaryOp.LT, b.expr, a.expr)
            result = Term(Select(condition, b.expr, a.expr), a.weak)
        return result

    return _known_first(builtins.max if larger else builtins.min, choose)


def _known_first(function: Callable[..., object], otherwise: _Called) -> _Called:
    """The function itself where all arguments are known."""

    def call(*arguments: Value) -> Value:
        known = [argument.value for argument in arguments if isinstance(argument, Static)]
        return Static(function(*known)) if len(known) == len(arguments) else otherwise(*arguments)

    return call


def _numpy_pair(op: BinaryOp) -> _Called:
    def call(left: Value, right: Value) -> Value:
        a, b = joined(term_of(left), term_of(right))
        return Term(Binary(op, a.expr, b.expr))

    return call


def _absolute(value: Value) -> Value:
    term = term_of(value)
    zero = Const(0.0 if term.dtype.is_float else 0, term.dtype)
    return Term(Select(zero < term.expr, term.expr, zero - term.expr), term.weak)


def _in_python(function: Function) -> _Called:
    """Of `math`: in double precision, whatever the argument."""

    def call(value: Value) -> Value:
        return Term(Call(function, (wide(term_of(value)).expr,), DType.FLOAT64), weak=True)

    return call


def _in_numpy(function: Function) -> _Called:
    """In the type of the argument."""

    def call(value: Value) -> Value:
        term = term_of(value)
        if not term.dtype.is_float:
            if not term.weak:
                raise Refusal(
                    f"{function} of {term.dtype} must be of a float: convert with np.float32(…) before"
                )
            term = wide(term)
        return Term(Call(function, (term.expr,), term.dtype))

    return call


def _converted(kind: Value, value: Value) -> Value:
    """np.int32(…) and the like."""
    assert isinstance(kind, Static)
    try:
        dtype = DType.of(kind.value)  # type: ignore[arg-type]  # a class of numpy: what it names is checked
    except ValueError:
        raise Refusal(f"the type must be one of {', '.join(DType)}") from None
    return Term(_cast(term_of(value), dtype))


def _cast(term: Term, dtype: DType) -> Expr:
    if term.dtype is dtype:
        return term.expr
    if isinstance(term.expr, Const) and term.weak and DType.BOOL not in (dtype, term.dtype):
        return (
            converted(term, dtype).expr
            if dtype.is_float or not term.dtype.is_float
            else Cast(dtype, term.expr)
        )
    return Cast(dtype, term.expr)


def _integer(value: Value) -> Value:
    return Term(_cast(term_of(value), INDEX), weak=True)


def _float(value: Value) -> Value:
    return wide(term_of(value))


def _truth(value: Value) -> Value:
    return Term(_cast(term_of(value), DType.BOOL), weak=True)


def _length(value: Value) -> Value:
    if isinstance(value, Array) and value.shape:
        return Static(value.shape[0])
    if isinstance(value, Static) and isinstance(value.value, tuple):
        return Static(len(value.value))
    raise Refusal("len must be of a tensor with dimensions, or a tuple")


FUNCTIONS: dict[object, _Called] = {
    builtins.min: _smallest(larger=False),
    builtins.max: _smallest(larger=True),
    builtins.abs: _known_first(abs, _absolute),
    builtins.int: _known_first(int, _integer),
    builtins.float: _known_first(float, _float),
    builtins.bool: _known_first(bool, _truth),
    builtins.len: _length,
    math.exp: _known_first(math.exp, _in_python(Function.EXP)),
    math.log: _known_first(math.log, _in_python(Function.LOG)),
    math.sqrt: _known_first(math.sqrt, _in_python(Function.SQRT)),
    math.tanh: _known_first(math.tanh, _in_python(Function.TANH)),
    np.exp: _in_numpy(Function.EXP),
    np.log: _in_numpy(Function.LOG),
    np.sqrt: _in_numpy(Function.SQRT),
    np.tanh: _in_numpy(Function.TANH),
    np.rint: _in_numpy(Function.ROUND),
    np.abs: _absolute,
    np.minimum: _numpy_pair(BinaryOp.MIN),
    np.maximum: _numpy_pair(BinaryOp.MAX),
    np.generic: _converted,
}
"""By the function itself; np.generic stands for every type of numpy, which is the first argument then."""
