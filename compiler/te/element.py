"""Functions of elements, as expressions."""

from tilewright.compiler.dtype import DType
from tilewright.compiler.te.stage import ElementType, element_type
from tilewright.compiler.tir.element_function import result_type
from tilewright.compiler.tir.error import TirError
from tilewright.compiler.tir.expr import (
    Cast,
    ElementCall,
    ElementFunction,
    Expr,
    ExprLike,
    Select,
    as_expr,
    maximum,
    minimum,
)


def constant(value: int | float, dtype: ElementType) -> Expr:
    """A number of a type.

    Raises:
        TirError: if tensors have no such type.
    """
    return as_expr(value, element_type(dtype))


def cast(value: Expr, dtype: ElementType) -> Expr:
    """The value in another type.

    A narrower integer takes the low bits. A float becomes the nearest integer towards 0, saturated where the
    type has not that, and NaN becomes 0 (`numerics.saturate.to_integer`).

    Raises:
        TirError: if tensors have no such type, or the value is no expression.
    """
    wanted = element_type(dtype)
    if not isinstance(value, Expr):
        raise TirError(f"the value to cast must be an expression, not {value!r}: use constant() for numbers")
    return value if value.dtype is wanted else Cast(wanted, value)


def select(condition: Expr, then: Expr, otherwise: Expr | float) -> Expr:
    """`then` where the condition holds, else `otherwise`; the other one is not evaluated."""
    return Select(condition, then, as_expr(otherwise, then.dtype))


def clamp(value: Expr, lo: ExprLike, hi: ExprLike) -> Expr:
    """min(max(value, lo), hi)."""
    return minimum(maximum(value, lo), hi)


def requantise(value: Expr, scale: Expr) -> Expr:
    """An int32 sum by an int32 packed scale (`numerics/`), int32."""
    return call(ElementFunction.REQUANTISE, value, scale)


def saturating_add(a: Expr, b: Expr) -> Expr:
    """The int32 nearest to the sum of two."""
    return call(ElementFunction.SATURATING_ADD, a, b)


def saturate(value: Expr, dtype: ElementType) -> Expr:
    """The int8 or int16 nearest to an int32.

    Raises:
        TirError: for another type.
    """
    functions = {DType.INT8: ElementFunction.SATURATE_INT8, DType.INT16: ElementFunction.SATURATE_INT16}
    narrow = element_type(dtype)
    if narrow not in functions:
        raise TirError(f"the type to saturate to must be int8 or int16, not {narrow}: use clamp() and cast()")
    return call(functions[narrow], value)


def call(function: ElementFunction, *arguments: Expr) -> Expr:
    """A function of elements.

    Raises:
        TirError: if it does not take these types.
    """
    types = tuple(argument.dtype for argument in arguments)
    dtype = result_type(function, types)
    if dtype is None:
        raise TirError(f"{function} must not be applied to ({', '.join(types)}): cast the arguments")
    return ElementCall(function, arguments, dtype)
