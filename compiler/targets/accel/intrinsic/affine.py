"""Index expressions compiled: strides over the loops of an instruction, and a base that outer loops set."""

from collections.abc import Callable, Mapping, Sequence

from tilewright.compiler.tir.affine import Affine
from tilewright.compiler.tir.expr import Binary, BinaryOp, Cast, Const, Expr, Select, Var
from tilewright.compiler.tir.walk import variables

Env = Mapping[str, int]
"""Values of loop variables by name."""
Number = Callable[[Env], int]
"""An index expression as a function of the variables."""


def split(total: Affine, names: Sequence[str]) -> tuple[tuple[int, ...], Affine] | None:
    """Strides of the variables `names`, and the sum without them; None if one is inside of another atom."""
    strides = tuple(total.coefficient(name) for name in names)
    rest = tuple((atom, c) for atom, c in total.terms if not (isinstance(atom, Var) and atom.name in names))
    if any(not variables(atom).isdisjoint(names) for atom, _ in rest):
        return None
    return strides, Affine(rest, total.constant)


def compiled_sum(total: Affine) -> Number:
    """A sum as a function: fast where its atoms are variables."""
    constant = total.constant
    if total.is_constant:
        return lambda env: constant
    named = [(atom.name, c) for atom, c in total.terms if isinstance(atom, Var)]
    if len(named) < len(total.terms):
        parts = [(compiled(atom), c) for atom, c in total.terms]
        return lambda env: constant + sum([c * part(env) for part, c in parts])
    if len(named) == 1:
        name, factor = named[0]
        return lambda env: constant + factor * env[name]
    return lambda env: constant + sum([c * env[name] for name, c in named])


_FUNCTIONS: Mapping[BinaryOp, Callable[[int, int], int]] = {
    BinaryOp.ADD: lambda a, b: a + b,
    BinaryOp.SUB: lambda a, b: a - b,
    BinaryOp.MUL: lambda a, b: a * b,
    BinaryOp.FLOORDIV: lambda a, b: a // b,
    BinaryOp.MOD: lambda a, b: a % b,
    BinaryOp.MIN: min,
    BinaryOp.MAX: max,
    BinaryOp.LT: lambda a, b: int(a < b),
    BinaryOp.LE: lambda a, b: int(a <= b),
    BinaryOp.EQ: lambda a, b: int(a == b),
    BinaryOp.NE: lambda a, b: int(a != b),
    BinaryOp.AND: lambda a, b: int(bool(a and b)),
    BinaryOp.OR: lambda a, b: int(bool(a or b)),
}


def compiled(expression: Expr) -> Number:
    """An index expression as a function of its variables.

    Raises:
        TypeError: if it reads a buffer.
    """
    match expression:
        case Const(value=value):
            number = int(value)
            return lambda env: number
        case Var(name=name):
            return lambda env: env[name]
        case Binary() if (total := Affine.of(expression)).terms != ((expression, 1),):
            return compiled_sum(total)
        case Binary(op=op, a=a, b=b):
            function, left, right = _FUNCTIONS[op], compiled(a), compiled(b)
            return lambda env: function(left(env), right(env))
        case Select(condition=condition, then=then, otherwise=otherwise):
            holds, yes, no = compiled(condition), compiled(then), compiled(otherwise)
            return lambda env: yes(env) if holds(env) else no(env)
        case Cast(value=inner):
            return compiled(inner)
    raise TypeError(f"an index must be made of numbers and variables, not of {expression!r}")
