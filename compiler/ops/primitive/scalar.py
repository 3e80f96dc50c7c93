"""The table of scalar functions: what each computes in numpy, on which elements, and its derivative."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.error import EvaluationError
from tilewright.compiler.ir.function import Value
from tilewright.numerics import elementary

Partial = Callable[..., Value | None]
"""Given a builder, the operands, the result and its cotangent: the cotangent of an operand."""

FLOATS, NUMBERS, BITS, ANY = "f", "fiu", "biu", "bfiu"
"""Kinds of elements, by numpy's letters."""
NAMES_OF_KINDS = {
    FLOATS: "floats",
    NUMBERS: "numbers",
    BITS: "integers or truth values",
    "iu": "integers",
    "b": "truth values",
}
"""For messages."""


@dataclass(frozen=True)
class Scalar:
    """A scalar function.

    Members:
        name: in attributes and in the text.
        arity: number of operands.
        compute: the function on arrays of one shape, in numpy.
        kinds: letters of numpy kinds of its operands; of `select` those of the last two.
        is_predicate: whether results are truth values; else they are of the operands' element type.
        partials: one an operand; None if it has no derivative, an empty tuple if that is 0 everywhere.
    """

    name: str
    arity: int
    compute: Callable[..., Any]
    kinds: str = FLOATS
    is_predicate: bool = False
    partials: tuple[Partial, ...] = ()

    def run(self, *arrays: Array) -> Array:
        """The function on arrays of one shape; floats that have no value give NaN or infinity."""
        with np.errstate(all="ignore"):
            result = np.asarray(self.compute(*arrays))
        return result if self.is_predicate else np.asarray(result, arrays[-1].dtype)

    def takes(self, dtype: DType) -> bool:
        """Whether operands may be of that type."""
        return dtype.numpy.kind in self.kinds


def divide(x: Array, y: Array) -> Array:
    """Quotients; those of integers round toward zero, and are 0 where the divisor is."""
    if x.dtype.kind == "f":
        return np.asarray(np.divide(x, y))
    floor = np.floor_divide(x, y)
    is_uneven = (np.remainder(x, y) != 0) & ((x < 0) != (y < 0)) & (y != 0)
    return np.asarray(floor + is_uneven.astype(x.dtype))


def _power(x: Array, y: Array) -> Array:
    if x.dtype.kind != "f" and (y < 0).any():
        raise EvaluationError("an exponent of integers must be 0 or more: cast to float32 before")
    return np.asarray(np.power(x, y))


def _erf(x: Array) -> Array:
    return np.asarray(np.frompyfunc(math.erf, 1, 1)(x.astype(np.float64))).astype(x.dtype)


def _elementary(
    of_float32: Callable[[Array], Array], of_others: Callable[[Array], Array]
) -> Callable[[Array], Array]:
    """In float32 the bits of every machine; libraries differ in their last ones."""
    return lambda x: of_float32(x) if x.dtype == np.float32 else of_others(x)


def _logical(logical: Callable[..., Any], bitwise: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *xs: (logical if xs[0].dtype.kind == "b" else bitwise)(*xs)


def table() -> dict[str, Scalar]:
    """All rows, by name."""
    from tilewright.compiler.ops.primitive import partial as p

    rows = (
        Scalar("neg", 1, np.negative, NUMBERS, partials=p.NEG),
        Scalar("abs", 1, np.abs, NUMBERS, partials=p.ABS),
        Scalar("sign", 1, np.sign, NUMBERS),
        Scalar("exp", 1, _elementary(elementary.exp, np.exp), partials=p.EXP),
        Scalar("log", 1, _elementary(elementary.log, np.log), partials=p.LOG),
        Scalar("sqrt", 1, np.sqrt, partials=p.SQRT),
        Scalar("sin", 1, np.sin, partials=p.SIN),
        Scalar("cos", 1, np.cos, partials=p.COS),
        Scalar("tan", 1, np.tan, partials=p.TAN),
        Scalar("asin", 1, np.arcsin, partials=p.ASIN),
        Scalar("acos", 1, np.arccos, partials=p.ACOS),
        Scalar("atan", 1, np.arctan, partials=p.ATAN),
        Scalar("sinh", 1, np.sinh, partials=p.SINH),
        Scalar("cosh", 1, np.cosh, partials=p.COSH),
        Scalar("tanh", 1, _elementary(elementary.tanh, np.tanh), partials=p.TANH),
        Scalar("erf", 1, _elementary(elementary.erf, _erf), partials=p.ERF),
        Scalar("floor", 1, np.floor),
        Scalar("ceil", 1, np.ceil),
        Scalar("round", 1, np.rint),
        Scalar("isnan", 1, np.isnan, is_predicate=True),
        Scalar("isinf", 1, np.isinf, is_predicate=True),
        Scalar("not", 1, np.invert, BITS),
        Scalar("add", 2, np.add, NUMBERS, partials=p.ADD),
        Scalar("sub", 2, np.subtract, NUMBERS, partials=p.SUB),
        Scalar("mul", 2, np.multiply, NUMBERS, partials=p.MUL),
        Scalar("div", 2, divide, NUMBERS, partials=p.DIV),
        Scalar("pow", 2, _power, NUMBERS, partials=p.POW),
        Scalar("max", 2, np.maximum, ANY, partials=p.MAX),
        Scalar("min", 2, np.minimum, ANY, partials=p.MIN),
        Scalar("mod", 2, np.mod, NUMBERS, partials=p.MOD),
        Scalar("fmod", 2, np.fmod, NUMBERS, partials=p.FMOD),
        Scalar("and", 2, _logical(np.logical_and, np.bitwise_and), BITS),
        Scalar("or", 2, _logical(np.logical_or, np.bitwise_or), BITS),
        Scalar("xor", 2, _logical(np.logical_xor, np.bitwise_xor), BITS),
        Scalar("shift_left", 2, np.left_shift, "iu"),
        Scalar("shift_right", 2, np.right_shift, "iu"),
        Scalar("equal", 2, np.equal, ANY, is_predicate=True),
        Scalar("less", 2, np.less, ANY, is_predicate=True),
        Scalar("select", 3, np.where, ANY, partials=p.SELECT),
    )
    return {row.name: row for row in rows}


SCALARS = table()
"""Each scalar function by its name."""
