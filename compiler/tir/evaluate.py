"""Expressions on numpy arrays: one evaluation for all points of an index grid."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.dtype import DType
from tilewright.compiler.tir.buffer import Buffer
from tilewright.compiler.tir.element_function import call
from tilewright.compiler.tir.error import TirError
from tilewright.compiler.tir.expr import (
    Binary,
    BinaryOp,
    BufferLoad,
    Cast,
    Const,
    ElementCall,
    Expr,
    Select,
    Var,
)
from tilewright.compiler.tir.printer import print_expr
from tilewright.numerics.saturate import to_integer

Array = NDArray[Any]
Points = Mapping[str, Array]
"""Values of the variables by name, int64, all shaped to broadcast over one grid."""

_OPERATIONS: dict[BinaryOp, Callable[[Any, Any], Any]] = {
    BinaryOp.ADD: np.add,
    BinaryOp.SUB: np.subtract,
    BinaryOp.MUL: np.multiply,
    BinaryOp.FLOORDIV: np.floor_divide,
    BinaryOp.MOD: np.remainder,
    BinaryOp.MIN: np.minimum,
    BinaryOp.MAX: np.maximum,
    BinaryOp.LT: np.less,
    BinaryOp.LE: np.less_equal,
    BinaryOp.EQ: np.equal,
    BinaryOp.NE: np.not_equal,
    BinaryOp.AND: np.logical_and,
    BinaryOp.OR: np.logical_or,
}


def evaluate(expr: Expr, points: Points, arrays: Mapping[str, Array], mask: Array | None = None) -> Array:
    """The values of an expression at the points, of a shape that broadcasts with the grid.

    Args:
        expr: the expression.
        points: the values of its variables.
        arrays: the contents of its buffers, by name.
        mask: where the value is used; elsewhere an index may leave its buffer.

    Raises:
        TirError: if an index that is used leaves its buffer.
    """
    match expr:
        case Const(value=value):
            return np.asarray(value, expr.dtype.numpy)
        case Var(name=name):
            return points[name]
        case Binary(op=op, a=a, b=b):
            return np.asarray(
                _OPERATIONS[op](evaluate(a, points, arrays, mask), evaluate(b, points, arrays, mask))
            )
        case Select():
            return _select(expr, points, arrays, mask)
        case Cast(type=dtype, value=value):
            return _cast(evaluate(value, points, arrays, mask), dtype)
        case BufferLoad():
            return _load(expr, points, arrays, mask)
        case ElementCall(function=function, arguments=arguments):
            return call(function, [evaluate(argument, points, arrays, mask) for argument in arguments])
        case _:
            raise TypeError(f"expr must be an expression of loop programs, not {expr!r}")


def _cast(values: Array, dtype: DType) -> Array:
    if values.dtype.kind == "f" and dtype.numpy.kind in "iu":
        return to_integer(values, dtype.numpy)
    # Out of the range of float32 is infinity, as compiled code has it.
    with np.errstate(over="ignore"):
        return values.astype(dtype.numpy)


def element_index(
    indices: tuple[Expr, ...], points: Points, arrays: Mapping[str, Array], mask: Array | None = None
) -> tuple[Array, ...]:
    """The values of the indices of one element of a buffer."""
    values = [evaluate(index, points, arrays, mask) for index in indices]
    return tuple(values if mask is None else [np.where(mask, value, 0) for value in values])


def check_inside(
    buffer: Buffer, indices: tuple[Expr, ...], index: tuple[Array, ...], shape: tuple[int, ...]
) -> None:
    """Refuse indices beyond a buffer, which numpy would take from its other end.

    Args:
        buffer: the accessed buffer.
        indices: at which expressions, for the error.
        index: their values.
        shape: the extents of the array.

    Raises:
        TirError: naming the first dimension and a value outside.
    """
    for dimension, (values, extent) in enumerate(zip(index, shape, strict=True)):
        outside = (values < 0) | (values >= extent)
        if outside.any():
            value = values.flat[int(outside.argmax())]
            raise TirError(
                f"index {dimension} of {print_expr(BufferLoad(buffer, indices))} must be from 0 to "
                f"{extent - 1}, not {value}: its shape is {list(shape)}"
            )


def _select(expr: Select, points: Points, arrays: Mapping[str, Array], mask: Array | None) -> Array:
    condition = evaluate(expr.condition, points, arrays, mask)
    yes = condition if mask is None else condition & mask
    no = ~condition if mask is None else ~condition & mask
    if not no.any():
        return evaluate(expr.then, points, arrays, yes)
    if not yes.any():
        return evaluate(expr.otherwise, points, arrays, no)
    then = evaluate(expr.then, points, arrays, yes)
    return np.asarray(np.where(condition, then, evaluate(expr.otherwise, points, arrays, no)))


def _load(expr: BufferLoad, points: Points, arrays: Mapping[str, Array], mask: Array | None) -> Array:
    array = arrays[expr.buffer.name]
    index = element_index(expr.indices, points, arrays, mask)
    if mask is not None and not mask.any():
        return np.zeros((), array.dtype)
    check_inside(expr.buffer, expr.indices, index, array.shape)
    return np.asarray(array[index])
