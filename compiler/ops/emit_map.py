"""Scalar functions, broadcasting, promotion of numbers and folding of what is known: for `emit`."""

from collections.abc import Callable, Sequence

import numpy as np

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.array import Literal
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.error import OperatorError
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ir.operator import Operator, expect
from tilewright.compiler.ir.size import AnySize
from tilewright.compiler.ir.type import Shape
from tilewright.compiler.ops.primitive.assume import Assume
from tilewright.compiler.ops.primitive.broadcast import Broadcast
from tilewright.compiler.ops.primitive.cast import Cast
from tilewright.compiler.ops.primitive.map import Map

Number = bool | int | float
Operand = Value | Number
"""Numbers take the element type of the values beside them."""

FOLDED_ELEMENTS = 1024
"""Constants of at most so many elements are computed while building."""
INEXACT = frozenset(
    ["exp", "log", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "erf", "pow"]
)
"""Functions whose last bits depend on the machine: they are not folded."""


def apply(b: Builder, function: str, *operands: Operand) -> Value:
    """A scalar function on operands that are broadcast to one shape; of `select`, the first is bool."""
    typed = operands[1:] if function == "select" else operands
    dtype = next((x.type.dtype for x in typed if isinstance(x, Value)), None)
    if dtype is None:
        raise OperatorError(f"{function} must have a tensor among its operands, not numbers alone: cast one")
    first = [DType.BOOL] if function == "select" else []
    dtypes = [*first, *[dtype] * len(typed)]
    values = [promote(b, x, each) for x, each in zip(operands, dtypes, strict=True)]
    return _known(b, function, values) or fold(b, Map(function), *broadcast(b, *values))


def promote(b: Builder, x: Operand, dtype: DType) -> Value:
    """A number as a constant of that type, which must hold it; a value as it is."""
    if isinstance(x, Value):
        return x
    array = np.asarray(x)
    is_held = (
        dtype.is_float
        or (dtype is DType.BOOL and isinstance(x, bool | np.bool_))
        or (dtype.is_integer and float(x).is_integer() and _is_within(int(x), dtype))
    )
    expect(is_held, f"{x!r} must be a value of {dtype}: cast the other operand")
    return b.constant(array.astype(dtype.numpy))


def _is_within(x: int, dtype: DType) -> bool:
    limits = np.iinfo(dtype.value)
    return int(limits.min) <= x <= int(limits.max)


def _known(b: Builder, function: str, values: Sequence[Value]) -> Value | None:
    """The first operand, where the second one changes nothing."""
    neutral = {"sub": 0, "mul": 1, "div": 1, "add": 0}.get(function)
    if neutral is None or (function == "add" and values[0].type.dtype.is_float):
        return None
    x, y = values
    for one, other in ((x, y), (y, x)) if function in ("add", "mul") else ((x, y),):
        literal = b.literal(other)
        if literal is not None and not other.type.rank and literal.array == neutral:
            return one
    return None


def fold(b: Builder, operator: Operator, *operands: Value) -> Value:
    """The operator's result; as a constant, if that is known, small and the same on every machine."""
    literals = [b.literal(x) for x in operands]
    known = [each.array for each in literals if each is not None and each.array.size <= FOLDED_ELEMENTS]
    is_exact = not (isinstance(operator, Map) and operator.function in INEXACT)
    if known and len(known) == len(operands) and is_exact and not operator.size_names:
        (tensor,) = operator.infer(*(x.type for x in operands))
        if tensor.is_known and tensor.elements <= FOLDED_ELEMENTS:
            return b.constant(Literal(operator.run(*known)[0]))
    return b.emit(operator, *operands)


def broadcast(b: Builder, *values: Value) -> list[Value]:
    """Values in the one shape that numpy would give them."""
    shape = joint_shape(*(value.type.shape for value in values))
    return [broadcast_to(b, value, shape) for value in values]


def joint_shape(*shapes: Shape) -> Shape:
    """The shape to which these are broadcast; of symbolic sizes that may differ, a number or the first one.

    Raises:
        OperatorError: for two numbers that differ, and neither is 1.
    """
    rank = max(map(len, shapes))
    result: list[AnySize] = []
    for place in range(-rank, 0):
        sizes = list(dict.fromkeys(shape[place] for shape in shapes if len(shape) >= -place))
        others = [size for size in sizes if size != 1] or [1]
        numbers = [size for size in others if isinstance(size, int)]
        if len(numbers) > 1:
            listed = ", ".join(str(list(shape)) for shape in shapes)
            raise OperatorError(f"shapes must agree or be 1 in each axis, from the last one on, not {listed}")
        result.append((numbers or others)[0])
    return tuple(result)


def _unary(function: str) -> Callable[[Builder, Value], Value]:
    def emit(b: Builder, x: Value) -> Value:
        return apply(b, function, x)

    emit.__doc__ = f"`{function}` of each element."
    return emit


def _binary(function: str) -> Callable[[Builder, Operand, Operand], Value]:
    def emit(b: Builder, x: Operand, y: Operand) -> Value:
        return apply(b, function, x, y)

    emit.__doc__ = f"`{function}` of each two elements."
    return emit


neg, abs, sign, exp = _unary("neg"), _unary("abs"), _unary("sign"), _unary("exp")
log, sqrt, sin, cos, tan = _unary("log"), _unary("sqrt"), _unary("sin"), _unary("cos"), _unary("tan")
asin, acos, atan = _unary("asin"), _unary("acos"), _unary("atan")
sinh, cosh, tanh, erf = _unary("sinh"), _unary("cosh"), _unary("tanh"), _unary("erf")
floor, ceil, round = _unary("floor"), _unary("ceil"), _unary("round")
isnan, isinf, logical_not = _unary("isnan"), _unary("isinf"), _unary("not")
add, sub, mul, div, pow = _binary("add"), _binary("sub"), _binary("mul"), _binary("div"), _binary("pow")
maximum, minimum, mod, fmod = _binary("max"), _binary("min"), _binary("mod"), _binary("fmod")
logical_and, logical_or, logical_xor = _binary("and"), _binary("or"), _binary("xor")
shift_left, shift_right = _binary("shift_left"), _binary("shift_right")
equal, less = _binary("equal"), _binary("less")


def greater(b: Builder, x: Operand, y: Operand) -> Value:
    """Whether x > y."""
    return less(b, y, x)


def less_equal(b: Builder, x: Operand, y: Operand) -> Value:
    """Whether x <= y; never for NaN."""
    return logical_or(b, less(b, x, y), equal(b, x, y))


def greater_equal(b: Builder, x: Operand, y: Operand) -> Value:
    """Whether x >= y; never for NaN."""
    return less_equal(b, y, x)


def select(b: Builder, condition: Operand, x: Operand, y: Operand) -> Value:
    """x where the condition holds, y elsewhere."""
    return apply(b, "select", condition, x, y)


def reciprocal(b: Builder, x: Value) -> Value:
    """1 / x."""
    return div(b, 1, x)


def square(b: Builder, x: Value) -> Value:
    """x · x."""
    return mul(b, x, x)


def sigmoid(b: Builder, x: Value) -> Value:
    """1 / (1 + exp(-x)), by tanh, which overflows nowhere."""
    return mul(b, add(b, tanh(b, mul(b, x, 0.5)), 1), 0.5)


def relu(b: Builder, x: Value) -> Value:
    """max(x, 0)."""
    return maximum(b, x, 0)


def cast(b: Builder, x: Value, dtype: DType) -> Value:
    """Elements of another type; x itself, if they are."""
    return x if x.type.dtype is dtype else fold(b, Cast(dtype), x)


def assume(b: Builder, x: Value, shape: Sequence[AnySize]) -> Value:
    """x, of which these sizes are known."""
    return x if x.type.shape == tuple(shape) else b.emit(Assume(tuple(shape)), x)


def repeat(b: Builder, x: Value, shape: Sequence[AnySize], axes: Sequence[int]) -> Value:
    """x, whose axes are these of the result, along the others again and again."""
    is_same = x.type.shape == tuple(shape) and tuple(axes) == tuple(range(x.type.rank))
    return x if is_same else b.emit(Broadcast(tuple(shape), tuple(axes)), x)


def broadcast_to(b: Builder, x: Value, shape: Sequence[AnySize]) -> Value:
    """x in that shape, as numpy would; sizes that may differ are assumed to be equal."""
    lead = len(shape) - x.type.rank
    expect(lead >= 0, f"{x.type} cannot be broadcast to fewer axes: {list(shape)}")
    own = zip(x.type.shape, tuple(shape)[lead:], strict=True)
    x = assume(b, x, [size if size == 1 else wanted for size, wanted in own])
    return repeat(b, x, shape, range(lead, len(shape)))
