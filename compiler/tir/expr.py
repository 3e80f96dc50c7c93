"""Expressions of loop programs: immutable values with operators, compared by structure.

Integer arithmetic on indices is exact; `//` and `%` are floor division and its remainder. Arithmetic on
elements is in the type of the operands, which must agree: nothing is converted without a `Cast`.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Union

import numpy as np

from tilewright.compiler.dtype import INDEX, DType
from tilewright.compiler.tir.value import value

if TYPE_CHECKING:
    from tilewright.compiler.tir.buffer import Buffer

ExprLike = Union["Expr", int]


class BinaryOp(StrEnum):
    """The operator of a `Binary`, by its printed form."""

    ADD = "+"
    SUB = "-"
    MUL = "*"
    FLOORDIV = "//"
    MOD = "%"
    MIN = "min"
    MAX = "max"
    LT = "<"
    LE = "<="
    EQ = "=="
    NE = "!="
    AND = "and"
    OR = "or"

    @property
    def is_comparison(self) -> bool:
        """Whether the result is a truth value of two numbers."""
        return self in (BinaryOp.LT, BinaryOp.LE, BinaryOp.EQ, BinaryOp.NE)


class ElementFunction(StrEnum):
    """Functions of elements that every target has under the same meaning (`numerics/`)."""

    SATURATING_ADD = "saturating_add"
    """int32, int32 -> int32."""
    SATURATE_INT8 = "saturate_int8"
    """int32 -> int8, the nearest."""
    SATURATE_INT16 = "saturate_int16"
    """int32 -> int16, the nearest."""
    REQUANTISE = "requantise"
    """int32 value, int32 packed scale -> int32."""
    DIVIDE = "divide"
    """The quotient of two floats of one type, rounded to the nearest."""
    EXP = "exp"
    LOG = "log"
    TANH = "tanh"
    ERF = "erf"
    """In float32 these four have the same bits everywhere (`numerics.elementary`)."""
    SQRT = "sqrt"
    ROUND = "round"
    """Half to even."""
    ABSOLUTE = "absolute"
    FLOOR = "floor"
    CEIL = "ceil"
    SIN = "sin"
    COS = "cos"
    TAN = "tan"
    ASIN = "asin"
    ACOS = "acos"
    ATAN = "atan"
    SINH = "sinh"
    COSH = "cosh"
    """Of a float32 or float64."""
    FMOD = "fmod"
    """The remainder of two floats, with the sign of the first."""
    POWER = "power"
    """Of two numbers of one type; exponents of integers are not negative, their powers wrap."""
    BIT_AND = "bit_and"
    BIT_OR = "bit_or"
    BIT_XOR = "bit_xor"
    SHIFT_LEFT = "shift_left"
    SHIFT_RIGHT = "shift_right"
    """Of two integers of one type; by as many bits as there are, or more, all are shifted out."""


class Expr:
    """Any expression; use a subclass."""

    @property
    def dtype(self) -> DType:
        """The type of its value."""
        raise NotImplementedError

    def __add__(self, other: ExprLike) -> "Expr":
        return Binary(BinaryOp.ADD, self, as_expr(other, self.dtype))

    def __radd__(self, other: int) -> "Expr":
        return Binary(BinaryOp.ADD, as_expr(other, self.dtype), self)

    def __sub__(self, other: ExprLike) -> "Expr":
        return Binary(BinaryOp.SUB, self, as_expr(other, self.dtype))

    def __rsub__(self, other: int) -> "Expr":
        return Binary(BinaryOp.SUB, as_expr(other, self.dtype), self)

    def __mul__(self, other: ExprLike) -> "Expr":
        return Binary(BinaryOp.MUL, self, as_expr(other, self.dtype))

    def __rmul__(self, other: int) -> "Expr":
        return Binary(BinaryOp.MUL, as_expr(other, self.dtype), self)

    def __floordiv__(self, other: ExprLike) -> "Expr":
        return Binary(BinaryOp.FLOORDIV, self, as_expr(other, self.dtype))

    def __mod__(self, other: ExprLike) -> "Expr":
        return Binary(BinaryOp.MOD, self, as_expr(other, self.dtype))

    def __neg__(self) -> "Expr":
        return Binary(BinaryOp.SUB, Const(0, self.dtype), self)

    def __lt__(self, other: ExprLike) -> "Expr":
        return Binary(BinaryOp.LT, self, as_expr(other, self.dtype))

    def __le__(self, other: ExprLike) -> "Expr":
        return Binary(BinaryOp.LE, self, as_expr(other, self.dtype))

    def __gt__(self, other: ExprLike) -> "Expr":
        return Binary(BinaryOp.LT, as_expr(other, self.dtype), self)

    def __ge__(self, other: ExprLike) -> "Expr":
        return Binary(BinaryOp.LE, as_expr(other, self.dtype), self)

    def equal(self, other: ExprLike) -> "Expr":
        """Whether both have one value; `==` compares structure."""
        return Binary(BinaryOp.EQ, self, as_expr(other, self.dtype))

    def __bool__(self) -> bool:
        raise TypeError("an expression must be combined with both() or either(), not with and, or, if")


@value
class Const(Expr):
    """A number."""

    value: int | float
    type: DType = INDEX

    @property
    def dtype(self) -> DType:
        """Its type."""
        return self.type


@value
class Var(Expr):
    """A loop variable or an index of a block; its name is unique in a function."""

    name: str

    @property
    def dtype(self) -> DType:
        """Variables are indices."""
        return INDEX


@value
class Parameter(Var):
    """A parameter of the combine of a `Reducer`: stands for an element of a type."""

    type: DType

    @property
    def dtype(self) -> DType:
        """The type of the element."""
        return self.type


@value
class Binary(Expr):
    """Two operands of one type."""

    op: BinaryOp
    a: Expr
    b: Expr

    @property
    def dtype(self) -> DType:
        """The type of the operands, or bool."""
        return DType.BOOL if self.op.is_comparison else self.a.dtype


@value
class Select(Expr):
    """`then` where `condition` holds, else `otherwise`; the other one is not evaluated."""

    condition: Expr
    then: Expr
    otherwise: Expr

    @property
    def dtype(self) -> DType:
        """The type of both."""
        return self.then.dtype


@value
class Cast(Expr):
    """The value in another type; a narrower integer takes the low bits."""

    type: DType
    value: Expr

    @property
    def dtype(self) -> DType:
        """The type converted to."""
        return self.type


@value
class BufferLoad(Expr):
    """An element of a buffer."""

    buffer: "Buffer"
    indices: tuple[Expr, ...]

    @property
    def dtype(self) -> DType:
        """The element type of the buffer."""
        return self.buffer.dtype


@value
class ElementCall(Expr):
    """A function of elements."""

    function: ElementFunction
    arguments: tuple[Expr, ...]
    type: DType

    @property
    def dtype(self) -> DType:
        """The type of the result."""
        return self.type


def as_expr(value: ExprLike | float, dtype: DType = INDEX) -> Expr:
    """The expression itself, or a constant of `dtype`; numpy's numbers are numbers."""
    if isinstance(value, Expr):
        return value
    return Const(value.item() if isinstance(value, np.generic) else value, dtype)


def both(conditions: Sequence[Expr]) -> Expr:
    """Whether all hold."""
    result = conditions[0]
    for condition in conditions[1:]:
        result = Binary(BinaryOp.AND, result, condition)
    return result


def either(conditions: Sequence[Expr]) -> Expr:
    """Whether one holds."""
    result = conditions[0]
    for condition in conditions[1:]:
        result = Binary(BinaryOp.OR, result, condition)
    return result


def minimum(a: ExprLike, b: ExprLike) -> Expr:
    """The smaller one."""
    return _pair(BinaryOp.MIN, a, b)


def maximum(a: ExprLike, b: ExprLike) -> Expr:
    """The larger one."""
    return _pair(BinaryOp.MAX, a, b)


def _pair(op: BinaryOp, a: ExprLike, b: ExprLike) -> Expr:
    dtype = next((value.dtype for value in (a, b) if isinstance(value, Expr)), INDEX)
    return Binary(op, as_expr(a, dtype), as_expr(b, dtype))
