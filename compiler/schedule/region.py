"""The boxes of elements that accesses cover while inner loops run, in terms of the loops outside."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tilewright.compiler.tir.affine import Affine
from tilewright.compiler.tir.bound import Domain, lower
from tilewright.compiler.tir.expr import Binary, BinaryOp, Const, Expr, Var, maximum, minimum
from tilewright.compiler.tir.simplify import is_zero, simplify
from tilewright.compiler.tir.walk import constant, variables

_MONOTONE = (BinaryOp.FLOORDIV, BinaryOp.MIN, BinaryOp.MAX)


@dataclass(frozen=True)
class Span:
    """The indices low … low + extent − 1 of one dimension."""

    low: Expr
    extent: Expr


def index_bounds(index: Expr, inner: Sequence[str], domain: Domain) -> tuple[Expr, Expr] | None:
    """The least and the greatest value of an index; None if they cannot be told.

    Args:
        index: in terms of loop variables.
        inner: the loops that run, outer first.
        domain: all loops around the access.
    """
    sum_ = Affine.of(simplify(index, domain))
    ends = [_end(sum_, inner, domain, high) for high in (False, True)]
    if ends[0] is None or ends[1] is None:
        return None
    return simplify(ends[0].expr(), domain), simplify(ends[1].expr(), domain)


def span(indices: Iterable[tuple[Expr, Expr] | None], size: Expr, outer: Domain) -> Span:
    """The smallest span around several ranges of indices, inside of a dimension of that size.

    Args:
        indices: least and greatest values; None stands for the whole dimension.
        size: of the dimension.
        outer: the loops outside, which the ends are in terms of.
    """
    low: Expr | None = None
    high: Expr | None = None
    for ends in indices:
        if ends is None:
            return Span(Const(0), size)
        low = ends[0] if low is None else simplify(minimum(low, ends[0]), outer)
        high = ends[1] if high is None else simplify(maximum(high, ends[1]), outer)
    if low is None or high is None:
        return Span(Const(0), size)
    low = simplify(maximum(low, 0), outer)
    high = simplify(minimum(high, size - 1), outer)
    extent = simplify(high - low + 1, outer)
    # A tile that lies in a border altogether reads nothing.
    return Span(low, extent if lower(extent, outer) >= 0 else simplify(maximum(extent, 0), outer))


def stored_span(index: Expr, inner: Sequence[str], domain: Domain) -> Span | None:
    """The indices that a store writes while inner loops run; None unless it writes each of them."""
    sum_ = Affine.of(simplify(index, domain))
    if not _is_dense(sum_, inner, domain):
        return None
    ends = index_bounds(index, inner, domain)
    return None if ends is None else Span(ends[0], simplify(ends[1] - ends[0] + 1, domain))


def _is_dense(sum_: Affine, inner: Sequence[str], domain: Domain) -> bool:
    """Whether inner loops number the indices without holes, as digits do."""
    if any(variables(atom) & set(inner) for atom, _ in sum_.terms if not isinstance(atom, Var)):
        return False
    digits = [(atom.name, c) for atom, c in sum_.terms if isinstance(atom, Var) and atom.name in inner]
    reach: Expr = Const(1)
    for name, coefficient in reversed(digits):
        above = _reach(reach, name, coefficient, domain)
        if above is None:
            return False
        reach = above
    return True


def _reach(below: Expr, name: str, coefficient: int, domain: Domain) -> Expr | None:
    """The number of indices covered from the first on, with a digit put before those that cover `below`."""
    extent = domain[name]
    if constant(below) == coefficient:
        return simplify(coefficient * extent, domain)
    # The tail of a split: below = min(coefficient, whole - coefficient * name).
    if isinstance(below, Binary) and below.op is BinaryOp.MIN and constant(below.a) == coefficient:
        whole = simplify(below.b + coefficient * Var(name), domain)
        if is_zero((whole + (coefficient - 1)) // coefficient - extent, domain):
            return whole
    return None


def _end(sum_: Affine, inner: Sequence[str], domain: Domain, high: bool) -> Affine | None:
    """The largest (or least) value of a sum while loops run, the innermost eliminated first."""
    result: Affine | None = sum_
    for name in reversed(inner):
        result = None if result is None else _eliminate(result, name, domain, high)
    return result


def _eliminate(sum_: Affine, name: str, domain: Domain, high: bool) -> Affine | None:
    sum_ = _distributed(sum_, name)
    result = Affine((), sum_.constant)
    for atom, coefficient in sum_.terms:
        if name not in variables(atom):
            part: Affine | None = Affine(((atom, 1),), 0)
        else:
            part = _atom_end(atom, name, domain, (coefficient > 0) == high)
        if part is None:
            return None
        result += part.scaled(coefficient)
    return result


def _distributed(sum_: Affine, name: str) -> Affine:
    """8 · o + min(8, 60 − 8 · o) as min(8 · o + 8, 60), which has its ends where o has."""
    terms = [(atom, coefficient) for atom, coefficient in sum_.terms if name in variables(atom)]
    for atom, coefficient in terms:
        if len(terms) > 1 and isinstance(atom, Binary) and atom.op in (BinaryOp.MIN, BinaryOp.MAX):
            rest = sum_.without(atom)
            sides = [(rest + Affine.of(side).scaled(coefficient)).expr() for side in (atom.a, atom.b)]
            smaller = (atom.op is BinaryOp.MIN) == (coefficient > 0)
            return Affine.of((minimum if smaller else maximum)(sides[0], sides[1]))
    return sum_


def _atom_end(atom: Expr, name: str, domain: Domain, high: bool) -> Affine | None:
    if isinstance(atom, Var):
        return Affine.of(domain[name]) + Affine((), -1) if high else Affine((), 0)
    if not isinstance(atom, Binary):
        return None
    if atom.op is BinaryOp.MOD:
        return _remainder_end(atom, name, domain, high)
    if atom.op not in _MONOTONE or (atom.op is BinaryOp.FLOORDIV and (constant(atom.b) or 0) <= 0):
        return None
    sides = [_eliminate(Affine.of(side), name, domain, high) for side in (atom.a, atom.b)]
    if sides[0] is None or sides[1] is None:
        return None
    return Affine.of(simplify(Binary(atom.op, sides[0].expr(), sides[1].expr()), domain))


def _remainder_end(atom: Binary, name: str, domain: Domain, high: bool) -> Affine | None:
    divisor = constant(atom.b)
    ends = [_eliminate(Affine.of(atom.a), name, domain, side) for side in (False, True)]
    if divisor is None or divisor <= 0 or ends[0] is None or ends[1] is None:
        return None
    if is_zero(ends[0].expr() // divisor - ends[1].expr() // divisor, domain):
        return Affine.of(simplify(ends[high].expr() % divisor, domain))  # type: ignore[union-attr]  # both are there
    return Affine((), divisor - 1 if high else 0)
