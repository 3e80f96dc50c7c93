"""split_select: a block of two values as two loop nests with numeric extents."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import reduce

from tilewright.compiler.schedule.loop_nest import (
    Path,
    check_fresh,
    domain_of,
    edit,
    find_single,
    is_plain,
    simplified,
    substitute_stmt,
)
from tilewright.compiler.schedule.primitive import Primitive
from tilewright.compiler.schedule.region import Span
from tilewright.compiler.tir.affine import Affine
from tilewright.compiler.tir.bound import Domain, upper
from tilewright.compiler.tir.expr import Binary, BinaryOp, Expr, Select, Var, maximum, minimum
from tilewright.compiler.tir.simplify import simplify
from tilewright.compiler.tir.stmt import Block, For, Iter, PrimFunc, Seq, Stmt
from tilewright.compiler.tir.walk import block_indices, constant, map_store, substitute, variables

Spans = Mapping[str, Span]
"""By loop."""


@dataclass(frozen=True)
class SplitSelect(Primitive):
    """for i: t[i] = select(inside, a, b) → for i, if any is outside: t[i] = b; then for i inside: t[i] = a.

    The condition must be comparisons that all hold, each of one loop. Where nothing is outside, the first
    loop nest, of block {block}_fill, has no iteration; where all of it is, the second has none. So a border
    is filled, and what is inside computed, without an iteration that is guarded.
    """

    block: str

    def apply(self, function: PrimFunc) -> PrimFunc:
        """The function with the two loop nests.

        Raises:
            ScheduleError: if the block reduces, its value is no select, or the condition is not made of
                comparisons of one loop of the block's own each, which steps by 1.
        """
        path = find_single(self, function, self.block)
        block = path[-1]
        assert isinstance(block, Block)
        if not is_plain(block) or not isinstance(block.body.value, Select):
            raise self.refusal(
                function, f"{self.block} must assign a select, and not reduce: there is nothing to split"
            )
        loops = _own_loops(path)
        domain = domain_of(path)
        spans = self._spans(function, block, loops, domain)
        fill = self._fill(function, block, loops, spans, domain)
        inside = _nest(replace(block, body=replace(block.body, value=block.body.value.then)), loops)
        moved = {name: Var(name) + span.low for name, span in spans.items()}
        inside = _resized(substitute_stmt(inside, moved), {name: span.extent for name, span in spans.items()})
        nests: Stmt = inside if fill is None else Seq((fill, inside))
        return simplified(edit(function, {id(loops[0] if loops else block): nests}))

    def _spans(
        self, function: PrimFunc, block: Block, loops: tuple[For, ...], domain: Domain
    ) -> dict[str, Span]:
        """The steps of each loop in the condition for which it holds."""
        assert isinstance(block.body.value, Select)
        condition = substitute(block.body.value.condition, block_indices(block))
        own = {loop.var.name: loop.extent for loop in loops}
        lows: dict[str, Expr] = {}
        ends: dict[str, Expr] = {}
        for total in self._sums(function, condition):
            name, rest, sign = self._step(function, total, own)
            # name + rest ≥ 0, or rest − name ≥ 0.
            if sign > 0:
                lows[name] = maximum(lows.get(name, 0), rest.scaled(-1).expr())
            else:
                ends[name] = minimum(ends.get(name, own[name]), (rest + Affine((), 1)).expr())
        found = {}
        for name in own:
            if name in lows or name in ends:
                low = simplify(lows.get(name, own[name] * 0), domain)
                end = simplify(ends.get(name, own[name]), domain)
                # All of a tile may lie outside, on either side.
                low = simplify(minimum(low, own[name]), domain)
                found[name] = Span(low, simplify(maximum(end - low, 0), domain))
        return found

    def _sums(self, function: PrimFunc, condition: Expr) -> Iterator[Affine]:
        """Sums that must not be negative."""
        match condition:
            case Binary(op=BinaryOp.AND, a=a, b=b):
                yield from self._sums(function, a)
                yield from self._sums(function, b)
            case Binary(op=BinaryOp.LE, a=a, b=b):
                yield Affine.of(b) - Affine.of(a)
            case Binary(op=BinaryOp.LT, a=a, b=b):
                yield Affine.of(b) - Affine.of(a) + Affine((), -1)
            case _ if constant(condition) is None:
                raise self.refusal(
                    function,
                    f"the condition of {self.block} must be comparisons < and <= that all hold: "
                    "write it so, or leave the block whole",
                )

    def _step(self, function: PrimFunc, total: Affine, own: Mapping[str, Expr]) -> tuple[str, Affine, int]:
        """The loop that a comparison is of, the sum without it, and the sign by which it is in it."""
        used = [name for name in own if name in variables(total.expr())]
        rest = total.without(Var(used[0])) if used else total
        sign = total.coefficient(used[0]) if used else 0
        if len(used) != 1 or abs(sign) != 1 or used[0] in variables(rest.expr()):
            raise self.refusal(
                function,
                f"each comparison of {self.block} must be of one of its loops, which steps by 1, not of "
                f"{', '.join(used) or 'none'}: apply this before the loops are split",
            )
        return used[0], rest, sign

    def _fill(
        self,
        function: PrimFunc,
        block: Block,
        loops: tuple[For, ...],
        spans: Spans,
        domain: Domain,
    ) -> Stmt | None:
        """The loop nest of what is outside, under names of its own; None if that is nothing."""
        own = {loop.var.name: loop.extent for loop in loops}
        missing = [simplify(own[name] - span.extent, domain) for name, span in spans.items()]
        outside = simplify(reduce(lambda a, b: a + b, missing), domain) if missing else None
        if outside is None or upper(outside, domain) <= 0:
            return None
        assert isinstance(block.body.value, Select)
        names = {loop.var.name: f"{loop.var.name}_fill" for loop in loops}
        names |= {it.var.name: f"{it.var.name}_fill" for it in block.iters}
        check_fresh(self, function, f"{self.block}_fill", *names.values())
        renamed: dict[str, Expr] = {old: Var(new) for old, new in names.items()}
        body = replace(block.body, value=block.body.value.otherwise)
        filling = Block(
            f"{self.block}_fill",
            tuple(
                Iter(Var(names[it.var.name]), it.kind, substitute(it.value, renamed)) for it in block.iters
            ),
            map_store(body, lambda expr: substitute(expr, renamed)),
        )
        nest: Stmt = filling
        for loop in reversed(loops):
            extent = substitute(loop.extent, renamed)
            if loop is loops[0]:
                # Numeric extents alone: 0 where all is inside.
                extent = extent * minimum(outside, 1)
            nest = replace(loop, var=Var(names[loop.var.name]), extent=extent, body=nest)
        return nest


def _own_loops(path: Path) -> tuple[For, ...]:
    """The loops that are around a block alone, outermost first."""
    loops: list[For] = []
    for stmt in reversed(path[:-1]):
        if not isinstance(stmt, For):
            break
        loops.insert(0, stmt)
    return tuple(loops)


def _nest(block: Stmt, loops: tuple[For, ...]) -> Stmt:
    for loop in reversed(loops):
        block = replace(loop, body=block)
    return block


def _resized(stmt: Stmt, extents: Mapping[str, Expr]) -> Stmt:
    """Loops directly inside of one another, some of other extents."""
    if not isinstance(stmt, For):
        return stmt
    extent = extents.get(stmt.var.name, stmt.extent)
    return replace(stmt, extent=extent, body=_resized(stmt.body, extents))
