"""The values of names and expressions of a parsed Python function, and the promotion of their types."""

from dataclasses import dataclass

import numpy as np

from tilewright.compiler.dtype import INDEX, DType
from tilewright.compiler.te.irregular.unsupported import UnsupportedConstructError
from tilewright.compiler.tir.buffer import Buffer
from tilewright.compiler.tir.expr import BufferLoad, Cast, Const, Expr


@dataclass(frozen=True)
class RuntimeNumber:
    """A number that is known when the program runs.

    Members:
        expr: it.
        weak: whether it has a type of Python's own (int, float, bool), which gives way to an element's, as
            in numpy.
    """

    expr: Expr
    weak: bool = False

    @property
    def dtype(self) -> DType:
        """The type of its expression."""
        return self.expr.dtype


@dataclass(frozen=True)
class Static:
    """A value known at compile time: captured, or an argument that is no tensor."""

    value: object


@dataclass(frozen=True)
class TensorValue:
    """A tensor: given, allocated or an output."""

    buffer: Buffer

    @property
    def shape(self) -> tuple[int, ...]:
        """Its extents."""
        return tuple(int(extent.value) for extent in self.buffer.shape if isinstance(extent, Const))


@dataclass(frozen=True)
class Local:
    """A variable: a buffer of rank 0."""

    buffer: Buffer
    weak: bool

    @property
    def number(self) -> RuntimeNumber:
        """The number that it holds."""
        return RuntimeNumber(BufferLoad(self.buffer, ()), self.weak)


PythonValue = RuntimeNumber | Static | TensorValue | tuple["PythonValue", ...]


def number_of(value: PythonValue) -> RuntimeNumber:
    """A value as a number.

    Raises:
        UnsupportedConstructError: if it is none.
    """
    match value:
        case RuntimeNumber():
            return value
        case Static(value=bool() | np.bool_() as given):
            return RuntimeNumber(Const(bool(given), DType.BOOL), isinstance(given, bool))
        case Static(value=np.generic() as given):
            return RuntimeNumber(Const(given.item(), DType.of(given.dtype)))
        case Static(value=int() as given):
            return RuntimeNumber(Const(given, INDEX), weak=True)
        case Static(value=float() as given):
            return RuntimeNumber(Const(given, DType.FLOAT64), weak=True)
        case TensorValue(buffer=buffer):
            raise UnsupportedConstructError(f"{buffer.name} must be indexed, an element at a time")
        case Static(value=np.ndarray()):
            raise UnsupportedConstructError("a captured array must be an argument, to be given as a tensor")
        case _:
            raise UnsupportedConstructError(f"a number is needed here, not {value!r}")


def converted(number: RuntimeNumber, dtype: DType) -> RuntimeNumber:
    """The number in another type, where numpy takes it as that without being asked.

    Raises:
        UnsupportedConstructError: if it does not: an element of another type, or a fraction for an integer.
    """
    if number.dtype is dtype:
        return RuntimeNumber(number.expr)
    numeric = DType.BOOL not in (number.dtype, dtype)
    if not number.weak or not numeric or (number.dtype.is_float and not dtype.is_float):
        raise UnsupportedConstructError(
            f"{number.dtype} must be {dtype} here: convert it, with np.{dtype}(…)"
        )
    if isinstance(number.expr, Const):
        return RuntimeNumber(_constant(number.expr.value, dtype))
    return RuntimeNumber(Cast(dtype, number.expr))


def _constant(value: int | float, dtype: DType) -> Const:
    if dtype.is_float:
        return Const(float(value), dtype)
    ends = np.iinfo(dtype.value)
    if not ends.min <= value <= ends.max:
        raise UnsupportedConstructError(f"{value} must be from {ends.min} to {ends.max}, to be {dtype}")
    return Const(int(value), dtype)


def joined(a: RuntimeNumber, b: RuntimeNumber) -> tuple[RuntimeNumber, RuntimeNumber]:
    """Two operands in one type: that of the element among them, or the wider one of Python's.

    Raises:
        UnsupportedConstructError: if both are elements, of different types.
    """
    if a.dtype is b.dtype:
        weak = a.weak and b.weak
        return RuntimeNumber(a.expr, weak), RuntimeNumber(b.expr, weak)
    if a.weak and b.weak:
        dtype = DType.FLOAT64 if a.dtype.is_float or b.dtype.is_float else a.dtype
        return RuntimeNumber(converted(a, dtype).expr, True), RuntimeNumber(converted(b, dtype).expr, True)
    return (converted(a, b.dtype), b) if a.weak else (a, converted(b, a.dtype))


def wide(number: RuntimeNumber) -> RuntimeNumber:
    """The number as Python's float.

    Raises:
        UnsupportedConstructError: if it is a truth value.
    """
    if number.dtype is DType.BOOL:
        raise UnsupportedConstructError(
            "a number is needed here, not a truth value: choose between two with `a if … else b`"
        )
    if isinstance(number.expr, Const):
        return RuntimeNumber(Const(float(number.expr.value), DType.FLOAT64), weak=True)
    return RuntimeNumber(
        number.expr if number.dtype is DType.FLOAT64 else Cast(DType.FLOAT64, number.expr), weak=True
    )
