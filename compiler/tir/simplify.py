"""Index expressions made small: sums in normal form, quotients and minima decided where loops allow it.

Sums may take any order: arithmetic modulo 2⁶⁴ allows that. Quotients, minima and comparisons are decided for
what cannot overflow alone: loop variables and narrow data, not the elements of an int64 tensor.
"""

from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from math import gcd
from operator import is_

from tilewright.compiler.dtype import INDEX, DType
from tilewright.compiler.tir.affine import Affine
from tilewright.compiler.tir.bound import UNBOUNDED, Domain, is_bounded, lower, upper
from tilewright.compiler.tir.expr import Binary, BinaryOp, BufferLoad, Const, Expr, Select, Var
from tilewright.compiler.tir.stmt import Allocate, Block, For, IterKind, Stmt
from tilewright.compiler.tir.walk import (
    children,
    constant,
    loads_of,
    map_iters,
    map_store,
    map_stores,
    nodes,
    operands,
    rewrite,
    substitute,
    variables,
    with_children,
    with_operands,
)

_EMPTY: Domain = {}


def simplify(expr: Expr, domain: Domain = _EMPTY) -> Expr:
    """The same value for all variables in their loops; what is no index is left as it is written.

    Args:
        expr: any expression.
        domain: the loops around. Variables that are not in it may be anything.
    """
    if isinstance(expr, Const | Var):
        return expr
    return _simplified(expr, _loops_of(expr, domain))


_Loops = tuple[tuple[str, Expr], ...]


def _loops_of(expr: Expr, domain: Domain) -> _Loops:
    """Of the loops, those that decide what an expression is, in their order."""
    wanted, found = set(variables(expr)), list[tuple[str, Expr]]()
    for name in reversed(tuple(domain)):
        if name in wanted:
            extent = domain[name]
            found.append((name, extent))
            if not isinstance(extent, Const):
                wanted |= variables(extent)
    return tuple(found[::-1])


@lru_cache(maxsize=1 << 17)
def _simplified(expr: Expr, loops: _Loops) -> Expr:
    """`simplify`, once: schedules ask again and again for what they did not change."""
    domain = dict(loops)
    old = operands(expr)
    new = tuple([simplify(operand, domain) for operand in old])
    same = all(map(is_, old, new))
    return _simplify(expr if same else with_operands(expr, new), domain)


def simplify_stmt(stmt: Stmt, domain: Domain = _EMPTY) -> Stmt:
    """The statement with simple extents, shapes, indices and conditions; no loop or block is removed."""
    match stmt:
        case For(var=var, extent=extent, body=body, kind=kind, prefetch=prefetch, pipelining=pipelining):
            simple = _simplify_extent(extent, domain)
            inner = simplify_stmt(body, {**domain, var.name: simple})
            if simple is extent and inner is body:
                return stmt
            return For(var, simple, inner, kind, prefetch, pipelining)
        case Allocate(buffer=buffer, body=body):
            shape = tuple([_simplify_extent(extent, domain) for extent in buffer.shape])
            if all(map(is_, shape, buffer.shape)):
                return with_children(stmt, (simplify_stmt(body, domain),))
            return Allocate(replace(buffer, shape=shape), simplify_stmt(body, domain))
        case Block():
            return _simplify_block(stmt, tuple(domain.items()))
        case _:
            return with_children(stmt, tuple(simplify_stmt(child, domain) for child in children(stmt)))


def is_zero(expr: Expr, domain: Domain = _EMPTY) -> bool:
    """Whether the expression is known to be 0."""
    return constant(simplify(expr, domain)) == 0


def _simplify_extent(extent: Expr, domain: Domain) -> Expr:
    if isinstance(extent, Const):
        return extent
    # Variables of single trips stay in indices, whose dimensions they name, but tell nothing in an extent.
    single: dict[str, Expr] = {name: Const(0) for name, trips in domain.items() if constant(trips) == 1}
    return simplify(substitute(extent, single), domain)


@lru_cache(maxsize=1 << 12)
def _simplify_block(block: Block, loops: _Loops) -> Block:
    """A block in its loops, once: a step of a schedule changes few."""
    domain = dict(loops)
    # Indices of blocks have no loop of their own: their values are bounded where they are substituted.
    own = _reduced_to(block, domain)
    return map_stores(
        map_iters(block, lambda value: simplify(value, domain)),
        lambda store: map_store(store, lambda e: _simplify_around(e, own, domain)),
    )


def _reduced_to(block: Block, domain: Domain) -> frozenset[Expr]:
    """The elements that a block reduces to."""
    if not any(it.kind is IterKind.REDUCE for it in block.iters):
        return frozenset()
    own = (BufferLoad(store.buffer, store.indices) for store in block.stores)
    return frozenset(simplify(load, domain) for load in own)


def _simplify_around(expr: Expr, own: frozenset[Expr], domain: Domain) -> Expr:
    """The simple form, in which results of a reduction stay where they are: its form makes it known."""
    if expr.dtype.is_float or own.isdisjoint(loads_of(expr)):
        return simplify(expr, domain)

    def change(node: Expr) -> Expr:
        return node if any(each in own for each in nodes(node)) else _simplify(node, domain)

    return rewrite(expr, change)


def _simplify(expr: Expr, domain: Domain) -> Expr:
    if isinstance(expr, Select):
        return _select(expr)
    if not isinstance(expr, Binary) or expr.a.dtype not in (INDEX, DType.BOOL):
        return expr
    if expr.op.is_comparison:
        return _compare(expr, domain) if expr.a.dtype is INDEX else expr
    if expr.dtype is DType.BOOL:
        return _logic(expr)
    match expr.op:
        case BinaryOp.MIN | BinaryOp.MAX:
            return _extreme(expr, domain)
        case BinaryOp.FLOORDIV | BinaryOp.MOD:
            return _divide(expr, domain)
        case _:
            return _sum(expr)


def _select(expr: Select) -> Expr:
    if isinstance(expr.condition, Const):
        return expr.then if expr.condition.value else expr.otherwise
    return expr


def _sum(expr: Expr) -> Expr:
    sum_ = _merge_remainders(Affine.of(expr))
    largest = max((abs(coefficient) for _, coefficient in sum_.terms), default=0)
    # Coefficients are exact here and would have to wrap in the program.
    return sum_.expr() if max(largest, abs(sum_.constant)) < UNBOUNDED else expr


def _same(expr: Binary) -> bool:
    """Whether both sides are one sum, whatever its atoms are."""
    return Affine.of(expr.a) == Affine.of(expr.b)


def _compare(expr: Binary, domain: Domain) -> Expr:
    if _same(expr):
        return Const(expr.op in (BinaryOp.LE, BinaryOp.EQ), DType.BOOL)
    if not (is_bounded(expr.a) and is_bounded(expr.b)):
        return expr
    difference = (Affine.of(expr.a) - Affine.of(expr.b)).expr()
    low, high = lower(difference, domain), upper(difference, domain)
    known = {
        BinaryOp.LT: _known(high < 0, low >= 0),
        BinaryOp.LE: _known(high <= 0, low > 0),
        BinaryOp.EQ: _known(low == high == 0, low > 0 or high < 0),
        BinaryOp.NE: _known(low > 0 or high < 0, low == high == 0),
    }[expr.op]
    return expr if known is None else Const(known, DType.BOOL)


def _known(yes: bool, no: bool) -> bool | None:
    return yes if yes or no else None


def _logic(expr: Binary) -> Expr:
    absorbing = expr.op is BinaryOp.OR
    for side, other in ((expr.a, expr.b), (expr.b, expr.a)):
        if isinstance(side, Const):
            return side if bool(side.value) == absorbing else other
    return expr


def _extreme(expr: Binary, domain: Domain) -> Expr:
    if _same(expr):
        return expr.a
    if not (is_bounded(expr.a) and is_bounded(expr.b)):
        return expr
    difference = (Affine.of(expr.a) - Affine.of(expr.b)).expr()
    low, high = lower(difference, domain), upper(difference, domain)
    if low == high == 0:
        return expr.a
    smaller, larger = (expr.a, expr.b) if expr.op is BinaryOp.MIN else (expr.b, expr.a)
    if high <= 0:
        return smaller
    if low >= 0:
        return larger
    return expr


def _divide(expr: Binary, domain: Domain) -> Expr:
    """a // c and a % c, with a = c · whole + rest taken apart as far as the bounds of the rest allow."""
    divisor = constant(expr.b)
    if divisor is None or divisor <= 0 or not is_bounded(expr.a):
        return expr
    whole, rest = _parts(Affine.of(expr.a), divisor)
    quotient, remainder = _divide_rest(rest, divisor, domain)
    return ((whole + quotient) if expr.op is BinaryOp.FLOORDIV else remainder).expr()


def _parts(sum_: Affine, unit: int) -> tuple[Affine, Affine]:
    """whole and rest of sum = unit · whole + rest, by coefficients."""
    whole = Affine((), sum_.constant // unit)
    rest = Affine((), sum_.constant % unit)
    for atom, coefficient in sum_.terms:
        part = Affine(((atom, 1),), 0)
        if coefficient % unit:
            rest += part.scaled(coefficient)
        else:
            whole += part.scaled(coefficient // unit)
    return whole, rest


def _divide_rest(rest: Affine, divisor: int, domain: Domain) -> tuple[Affine, Affine]:
    for unit in _units(rest, divisor):
        whole, small = _parts(rest, unit)
        if not (lower(small.expr(), domain) >= 0 and upper(small.expr(), domain) < unit):
            continue
        if unit == divisor:
            return whole, small
        coarse = divisor // unit
        return _opaque(BinaryOp.FLOORDIV, whole, coarse), (
            _opaque(BinaryOp.MOD, whole, coarse).scaled(unit) + small
        )
    return _opaque(BinaryOp.FLOORDIV, rest, divisor), _opaque(BinaryOp.MOD, rest, divisor)


def _units(rest: Affine, divisor: int) -> Iterable[int]:
    """Divisors of the divisor that a part of the sum may be a multiple of, the largest first."""
    common = {gcd(coefficient, divisor) for _, coefficient in rest.terms} | {divisor}
    return sorted(common - {1}, reverse=True)


def _opaque(op: BinaryOp, sum_: Affine, divisor: int) -> Affine:
    if sum_.is_constant:
        value = sum_.constant // divisor if op is BinaryOp.FLOORDIV else sum_.constant % divisor
        return Affine((), value)
    return Affine.of(Binary(op, sum_.expr(), Const(divisor)))


def _merge_remainders(sum_: Affine) -> Affine:
    """a from k · c · (a // c) + k · (a % c), k times."""
    for atom, coefficient in sum_.terms:
        if not (isinstance(atom, Binary) and atom.op is BinaryOp.MOD):
            continue
        quotient = Binary(BinaryOp.FLOORDIV, atom.a, atom.b)
        divisor = constant(atom.b)
        if divisor is not None and sum_.coefficients.get(quotient) == coefficient * divisor:
            rest = sum_.without(atom).without(quotient)
            return _merge_remainders(rest + Affine.of(atom.a).scaled(coefficient))
    return sum_
