"""What names and expressions of a parsed Python function stand for, and how types meet."""

from dataclasses import dataclass

import numpy as np

from tilewright.compiler.dtype import INDEX, DType
from tilewright.compiler.te.irregular.refusal import Refusal
from tilewright.compiler.tir.buffer import Buffer
from tilewright.compiler.tir.expr import Cast, Const, Expr, Load


@dataclass(frozen=True)
class Term:
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
    """What is known now: captured, or given as an argument that is no tensor."""

    value: object


@dataclass(frozen=True)
class Array:
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
    def term(self) -> Term:
        """What it holds."""
        return Term(Load(self.buffer, ()), self.weak)


Value = Term | Static | Array | tuple["Value", ...]


def term_of(value: Value) -> Term:
    """A value as a number.

    Raises:
        Refusal: if it is none.
    """
    match value:
        case Term():
            return value
        case Static(value=bool() | np.bool_() as given):
            return Term(Const(bool(given), DType.BOOL), isinstance(given, bool))
        case Static(value=np.generic() as given):
            return Term(Const(given.item(), DType.of(given.dtype)))
        case Static(value=int() as given):
            return Term(Const(given, INDEX), weak=True)
        case Static(value=float() as given):
            return Term(Const(given, DType.FLOAT64), weak=True)
        case Array(buffer=buffer):
            raise Refusal(f"{buffer.name} must be indexed, an element at a time")
        case Static(value=np.ndarray()):
            raise Refusal("a captured array must be an argument, to be given as a tensor")
        case _:
            raise Refusal(f"a number is needed here, not {value!r}")


def converted(term: Term, dtype: DType) -> Term:
    """The number in another type, where numpy takes it as that without being asked.

    Raises:
        Refusal: if it does not: an element of another type, or a fraction for an integer.
    """
    if term.dtype is dtype:
        return Term(term.expr)
    numeric = DType.BOOL not in (term.dtype, dtype)
    if not term.weak or not numeric or (term.dtype.is_float and not dtype.is_float):
        raise Refusal(f"{term.dtype} must be {dtype} here: convert it, with np.{dtype}(…)")
    if isinstance(term.expr, Const):
        return Term(_constant(term.expr.value, dtype))
    return Term(Cast(dtype, term.expr))


def _constant(value: int | float, dtype: DType) -> Const:
    if dtype.is_float:
        return Const(float(value), dtype)
    ends = np.iinfo(dtype.value)
    if not ends.min <= value <= ends.max:
        raise Refusal(f"{value} must be from {ends.min} to {ends.max}, to be {dtype}")
    return Const(int(value), dtype)


def joined(a: Term, b: Term) -> tuple[Term, Term]:
    """Two operands in one type: that of the element among them, or the wider one of Python's.

    Raises:
        Refusal: if both are elements, of different types.
    """
    if a.dtype is b.dtype:
        weak = a.weak and b.weak
        return Term(a.expr, weak), Term(b.expr, weak)
    if a.weak and b.weak:
        dtype = DType.FLOAT64 if a.dtype.is_float or b.dtype.is_float else a.dtype
        return Term(converted(a, dtype).expr, True), Term(converted(b, dtype).expr, True)
    return (converted(a, b.dtype), b) if a.weak else (a, converted(b, a.dtype))


def wide(term: Term) -> Term:
    """The number as Python's float.

    Raises:
        Refusal: if it is a truth value.
    """
    if term.dtype is DType.BOOL:
        raise Refusal("a number is needed here, not a truth value: choose between two with `a if … else b`")
    if isinstance(term.expr, Const):
        return Term(Const(float(term.expr.value), DType.FLOAT64), weak=True)
    return Term(term.expr if term.dtype is DType.FLOAT64 else Cast(DType.FLOAT64, term.expr), weak=True)
