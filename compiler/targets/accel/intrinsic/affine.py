"""Index expressions compiled: strides over the loops of an instruction, and a base that outer loops set."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tilewright.compiler.targets.accel.intrinsic.iteration import Iterations
from tilewright.compiler.tir.affine import Affine
from tilewright.compiler.tir.expr import Binary, BinaryOp, Cast, Const, Expr, Select, Var
from tilewright.compiler.tir.walk import variables
from tilewright.isa.encoding import IntArray

Number = Callable[[Iterations], IntArray]
"""An index expression as a function of the variables: a column, or one number (an array without axes) for all
iterations."""


def split(total: Affine, names: Sequence[str]) -> tuple[tuple[int, ...], Affine] | None:
    """Strides of the variables `names`, and the sum without them; None if one is inside of another atom."""
    strides = tuple(total.coefficient(name) for name in names)
    rest = tuple((atom, c) for atom, c in total.terms if not (isinstance(atom, Var) and atom.name in names))
    if any(not variables(atom).isdisjoint(names) for atom, _ in rest):
        return None
    return strides, Affine(rest, total.constant)


def compiled_sum(total: Affine) -> Number:
    """A sum as a function."""
    constant = np.array(total.constant)
    parts = [(compiled(atom), c) for atom, c in total.terms]

    def value(rows: Iterations) -> IntArray:
        found = constant
        for part, coefficient in parts:
            found = found + coefficient * part(rows)
        return found

    return value


_FUNCTIONS: Mapping[BinaryOp, Callable[[IntArray, IntArray], IntArray]] = {
    BinaryOp.ADD: np.add,
    BinaryOp.SUB: np.subtract,
    BinaryOp.MUL: np.multiply,
    BinaryOp.FLOORDIV: np.floor_divide,
    BinaryOp.MOD: np.mod,
    BinaryOp.MIN: np.minimum,
    BinaryOp.MAX: np.maximum,
    BinaryOp.LT: np.less,
    BinaryOp.LE: np.less_equal,
    BinaryOp.EQ: np.equal,
    BinaryOp.NE: np.not_equal,
    BinaryOp.AND: np.logical_and,
    BinaryOp.OR: np.logical_or,
}


def compiled(expression: Expr) -> Number:
    """An index expression as a function of its variables.

    Raises:
        TypeError: if it reads a buffer.
    """
    match expression:
        case Const(value=value):
            number = np.array(int(value))
            return lambda rows: number
        case Var(name=name):
            return lambda rows: rows[name]
        case Binary() if (total := Affine.of(expression)).terms != ((expression, 1),):
            return compiled_sum(total)
        case Binary(op=op, a=a, b=b):
            function, left, right = _FUNCTIONS[op], compiled(a), compiled(b)
            # Of conditions, 1 where they hold.
            return lambda rows: np.asarray(function(left(rows), right(rows)), np.int64)
        case Select(condition=condition, then=then, otherwise=otherwise):
            holds, yes, no = compiled(condition), compiled(then), compiled(otherwise)
            return lambda rows: np.where(holds(rows) != 0, yes(rows), no(rows))
        case Cast(value=inner):
            return compiled(inner)
    raise TypeError(f"an index must be made of numbers and variables, not of {expression!r}")
