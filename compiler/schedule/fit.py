"""Loop nests that run for a part of the elements only, and buffers that hold no more than that part."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tilewright.compiler.schedule.loop_nest import (
    change_accesses,
    domain_of,
    path_to,
    substitute_stmt,
)
from tilewright.compiler.schedule.region import Span
from tilewright.compiler.tir.affine import Affine
from tilewright.compiler.tir.bound import Domain, lower, upper
from tilewright.compiler.tir.buffer import Buffer
from tilewright.compiler.tir.expr import Const, Expr, Var, maximum, minimum
from tilewright.compiler.tir.printer import print_expr
from tilewright.compiler.tir.simplify import is_zero, simplify
from tilewright.compiler.tir.stmt import Block, For, Stmt
from tilewright.compiler.tir.walk import block_indices, rewrite_stmt, substitute, variables


@dataclass(frozen=True)
class LoopIndex:
    """The index of one dimension of an access: the variable of a loop of its own, plus a base.

    Members:
        loop: the loop's name; None where no loop of the loop nest is in the index.
        base: the rest of the index.
    """

    loop: str | None
    base: Expr


def loop_indices(
    nest: Stmt, block: Block, indices: Sequence[Expr], outer: dict[str, Expr]
) -> tuple[LoopIndex | str, ...]:
    """The index of each dimension of an access by its loop; the printed index where no single loop gives it.

    Args:
        nest: the loops that may be changed, around the block.
        block: the one of the access.
        indices: of the access, in terms of the block's own.
        outer: the loops around the loop nest.
    """
    loops = domain_of(path_to(nest, block))
    domain = {**outer, **loops}
    values = block_indices(block)
    sums = [Affine.of(simplify(substitute(index, values), domain)) for index in indices]
    return tuple(_loop_index(sum_, loops, [other for other in sums if other is not sum_]) for sum_ in sums)


def _loop_index(sum_: Affine, loops: dict[str, Expr], others: Sequence[Affine]) -> LoopIndex | str:
    used = variables(sum_.expr()) & set(loops)
    if not used:
        return LoopIndex(None, sum_.expr())
    name = next(iter(used))
    base = sum_.without(Var(name))
    alone = len(used) == 1 and sum_.coefficient(name) == 1 and name not in variables(base.expr())
    if not alone or any(name in variables(other.expr()) for other in others):
        return print_expr(sum_.expr())
    return LoopIndex(name, base.expr())


def bases(block: Block, indices: Sequence[Expr]) -> list[tuple[str | None, Expr]] | str:
    """For each dimension the index of the block that it is, and what is added to that.

    None stands for no index, where all is added; a text is an index that is no such sum, or that comes twice.
    """
    own = {it.var.name for it in block.iters}
    result: list[tuple[str | None, Expr]] = []
    for index in indices:
        sum_ = Affine.of(index)
        used = variables(index) & own
        name = next(iter(used), None)
        base = sum_ if name is None else sum_.without(Var(name))
        twice = name is not None and name in [other for other, _ in result]
        if (
            len(used) > 1
            or twice
            or variables(base.expr()) & own
            or sum_.coefficient(name or "") not in (0, 1)
        ):
            return print_expr(index)
        result.append((name, base.expr()))
    return result


def fitted(nest: Stmt, spans: dict[str, Span], bases: dict[str, Expr]) -> Stmt:
    """The loop nest with loops that run over spans.

    Args:
        nest: the loops and blocks.
        spans: what the index of each loop that changes is to run over, by the loop's name.
        bases: what the index adds to the variable of the loop.
    """
    moved = {name: Var(name) + (item.low - bases[name]) for name, item in spans.items()}

    def shrink(stmt: Stmt) -> Stmt:
        if isinstance(stmt, For) and stmt.var.name in spans:
            return replace(stmt, extent=spans[stmt.var.name].extent)
        return stmt

    return rewrite_stmt(substitute_stmt(nest, moved), shrink)


def whole_where_fixed(
    spans: Sequence[Span], found: Sequence[LoopIndex], buffer: Buffer, outer: dict[str, Expr]
) -> tuple[Span, ...]:
    """The spans, but the whole dimension where the writer has no loop to shrink and stores elsewhere."""
    result = []
    for item, loop_index, size in zip(spans, found, buffer.shape, strict=True):
        fixed = loop_index.loop is None and not is_zero(item.low - loop_index.base, outer)
        result.append(Span(Const(0), size) if fixed else item)
    return tuple(result)


def clipped(item: Span, own: Span, domain: Domain) -> Span:
    """The part of a span that lies in another one: in what a loop of its own runs over."""
    low, end, own_end = item.low, item.low + item.extent, own.low + own.extent
    if lower(low - own.low, domain) < 0:
        low = simplify(maximum(low, own.low), domain)
    if upper(end - own_end, domain) > 0:
        end = simplify(minimum(end, own_end), domain)
    if low is item.low and end == item.low + item.extent:
        return item
    return Span(low, simplify(maximum(end - low, 0), domain))


def rebased(stmt: Stmt, buffer: Buffer, spans: Sequence[Span]) -> tuple[Stmt, Buffer]:
    """The statement with a buffer that holds the spans only, and that buffer."""
    small = replace(buffer, shape=tuple(item.extent for item in spans))

    def change(indices: tuple[Expr, ...]) -> tuple[Expr, ...]:
        return tuple(
            index if is_zero(item.low) else index - item.low
            for index, item in zip(indices, spans, strict=True)
        )

    return change_accesses(stmt, buffer.name, change, small), small
