"""Bounds of index expressions over loops whose extents may depend on outer variables.

The variables are eliminated from the innermost outwards, and a minimum is followed on both of its sides: so
8 · o + i with i < min(8, 60 − 8 · o) is known to stay below 60.
"""

from collections.abc import Mapping
from functools import lru_cache

from tilewright.compiler.dtype import INDEX, DType
from tilewright.compiler.tir.affine import Affine
from tilewright.compiler.tir.expr import Binary, BinaryOp, Cast, Const, Expr, Parameter, Select, Var
from tilewright.compiler.tir.walk import constant

Domain = Mapping[str, Expr]
"""Extents of loop variables by name, outer loops first; a variable runs from 0 to extent − 1."""

UNBOUNDED = 1 << 62
"""Stands for infinity: sums of it with indices of real arrays stay far beyond any of them."""


_INDEX_LIMIT = 1 << 31
"""Loop variables stay below it, and so do their coefficients: a product of both is far from 2⁶³."""


def is_bounded(expr: Expr) -> bool:
    """Whether an int64 expression cannot overflow, at any depth.

    So are sums of loop variables and of data of at most 32 bits, with coefficients and constants of at most
    31 bits. Elements of int64 tensors may be anything.
    """
    return _weight(expr) is not None


@lru_cache(maxsize=1 << 16)
def _weight(expr: Expr) -> int | None:
    """A bound of the magnitude of the value when every loop variable is 1; None beyond `_INDEX_LIMIT`."""
    match expr:
        case Const(value=value):
            weight: int | None = abs(int(value)) if isinstance(value, int) else None
        case Binary():
            weight = _binary_weight(expr)
        case Select(then=then, otherwise=otherwise):
            sides = _weight(then), _weight(otherwise)
            weight = None if None in sides else max(side for side in sides if side is not None)
        case Cast(value=value):
            weight = 1 if _is_narrow(value.dtype) else None
        case Var() if not isinstance(expr, Parameter):
            weight = 1
        case _:
            weight = 1 if _is_narrow(expr.dtype) else None
    return None if weight is None or weight > _INDEX_LIMIT else weight


def _binary_weight(expr: Binary) -> int | None:
    a, b = _weight(expr.a), _weight(expr.b)
    if a is None or b is None:
        return None
    if expr.op in (BinaryOp.ADD, BinaryOp.SUB):
        return a + b
    return a * b if expr.op is BinaryOp.MUL else max(a, b)


def _is_narrow(dtype: DType) -> bool:
    return not dtype.is_float and dtype.size_bytes < INDEX.size_bytes


def lower(expr: Expr, domain: Domain) -> int:
    """A value that the expression is never below; at most −`UNBOUNDED` // 2 if there is none."""
    return _lower(Affine.of(expr), domain)


def upper(expr: Expr, domain: Domain) -> int:
    """A value that the expression is never above; at least `UNBOUNDED` // 2 if there is none."""
    return -_lower(Affine.of(expr).scaled(-1), domain)


def _lower(sum_: Affine, domain: Domain) -> int:
    for atom, coefficient in sum_.terms:
        if isinstance(atom, Binary) and atom.op in (BinaryOp.MIN, BinaryOp.MAX):
            return _follow(sum_, atom, coefficient, domain)
    sum_ = _relax(sum_, domain)
    name = _innermost(sum_, domain)
    if name is None:
        return sum_.constant
    rest, coefficient = sum_.without(Var(name)), sum_.coefficient(name)
    if coefficient < 0:
        rest += (Affine.of(domain[name]) + Affine((), -1)).scaled(coefficient)
    return _lower(rest, domain)


def _follow(sum_: Affine, atom: Binary, coefficient: int, domain: Domain) -> int:
    """The lower bound of a sum with a minimum or maximum in it: from those with either side in its place."""
    rest = sum_.without(atom)
    sides = [_lower(rest + Affine.of(side).scaled(coefficient), domain) for side in (atom.a, atom.b)]
    return min(sides) if (atom.op is BinaryOp.MIN) == (coefficient > 0) else max(sides)


def _relax(sum_: Affine, domain: Domain) -> Affine:
    """A lower sum in which only variables of the domain are left."""
    result = sum_
    for atom, coefficient in sum_.terms:
        if isinstance(atom, Var) and atom.name in domain:
            continue
        low, high = _atom_bounds(atom, domain)
        result = result.without(atom) + Affine((), coefficient * (low if coefficient > 0 else high))
    return result


def _innermost(sum_: Affine, domain: Domain) -> str | None:
    inside = {atom.name for atom, _ in sum_.terms if isinstance(atom, Var)}
    return next((name for name in reversed(list(domain)) if name in inside), None) if inside else None


def _atom_bounds(atom: Expr, domain: Domain) -> tuple[int, int]:
    if isinstance(atom, Select):
        sides = [(lower(e, domain), upper(e, domain)) for e in (atom.then, atom.otherwise)]
        return min(low for low, _ in sides), max(high for _, high in sides)
    if isinstance(atom, Binary):
        return _binary_bounds(atom, domain)
    return -UNBOUNDED, UNBOUNDED


def _binary_bounds(atom: Binary, domain: Domain) -> tuple[int, int]:
    low, high = lower(atom.a, domain), upper(atom.a, domain)
    divisor = constant(atom.b)
    if atom.op is BinaryOp.MUL:
        ends = [x * y for x in (low, high) for y in (lower(atom.b, domain), upper(atom.b, domain))]
        return min(ends), max(ends)
    if divisor is None or divisor <= 0:
        return -UNBOUNDED, UNBOUNDED
    if atom.op is BinaryOp.FLOORDIV:
        return low // divisor, high // divisor
    if atom.op is BinaryOp.MOD:
        return _remainder_bounds(low, high, divisor)
    return -UNBOUNDED, UNBOUNDED


def _remainder_bounds(low: int, high: int, divisor: int) -> tuple[int, int]:
    if low // divisor == high // divisor:
        return low % divisor, high % divisor
    return 0, divisor - 1
