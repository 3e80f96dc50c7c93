"""compute_at: a stage computed inside the loops of its consumers, as far as they need it there."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tilewright.compiler.schedule.fit import (
    LoopIndex,
    clipped,
    fitted,
    loop_indices,
    rebased,
    whole_where_fixed,
)
from tilewright.compiler.schedule.loop_nest import (
    BodyScope,
    contains,
    domain_of,
    edit,
    find_alike,
    find_allocations,
    find_loop,
    path_to,
    readers,
    simplified,
    stored_buffers,
    writers,
)
from tilewright.compiler.schedule.primitive import Primitive
from tilewright.compiler.schedule.region import Span, index_bounds, span
from tilewright.compiler.tir.buffer import Buffer
from tilewright.compiler.tir.expr import BufferLoad, Expr
from tilewright.compiler.tir.simplify import is_zero
from tilewright.compiler.tir.stmt import Allocate, Block, For, Opaque, PrimFunc, Stmt
from tilewright.compiler.tir.walk import block_indices, blocks, loads, nodes, statements, substitute


@dataclass(frozen=True)
class ComputeAt(Primitive):
    """The loop nest of a block moves to the start of a loop's body, and its buffers are allocated there.

    Loops and buffers shrink to the box of what the consumers inside read in one iteration, clipped to the
    buffer: low ends and extents may depend on the loops outside. Computing an element twice is allowed.
    """

    block: str
    loop: str

    def apply(self, function: PrimFunc) -> PrimFunc:
        """The function with the block in the loop, before what reads it.

        Raises:
            ScheduleError: if the loop is the block's own or not around all readers, or the block's loops
                are shared, split or fused.
        """
        block = find_alike(self, function, self.block)
        paths = find_allocations(self, function, block)
        allocation = paths[-1][-1]
        assert isinstance(allocation, Allocate)
        body_scope = BodyScope.of(allocation.body)
        nest = body_scope.nests[body_scope.position(block)]
        loop = self._loop(function, allocation, nest)
        buffers = [store.buffer for store in block.stores]
        consumers = self._consumers(function, allocation, buffers, loop)
        self._check_alone(function, nest, block)
        outer = domain_of((*paths[-1], *path_to(allocation.body, loop)))
        spans = _read_spans(function, loop, consumers, buffers, outer)
        found = self._loop_indices(function, nest, block, domain_of(paths[-1]))
        spans = whole_where_fixed(spans, found, allocation.buffer, outer)
        body = _with_first(loop.body, _fit(nest, block, found, spans, outer))
        for buffer in reversed(buffers):
            body, small = rebased(body, buffer, spans)
            body = Allocate(small, body)
        changes: dict[int, Stmt | None] = {id(nest): None, id(loop): replace(loop, body=body)}
        return simplified(edit(function, changes, unwrap={id(path[-1]) for path in paths}))

    def _loop(self, function: PrimFunc, allocation: Allocate, nest: Stmt) -> For:
        loop = find_loop(self, function, self.loop)[-1]
        assert isinstance(loop, For)
        if contains(nest, loop):
            raise self.refusal(
                function, f"{self.loop} is a loop of {self.block} itself: name one of its consumer"
            )
        if not contains(allocation.body, loop):
            raise self.refusal(
                function,
                f"{self.loop} must be inside of where {allocation.buffer.name} is allocated: "
                "stages move inwards only",
            )
        return loop

    def _consumers(
        self, function: PrimFunc, allocation: Allocate, buffers: Sequence[Buffer], loop: For
    ) -> list[Block]:
        """The blocks that read the buffers, all of them in the loop."""
        found = {id(each): each for buffer in buffers for each in readers(allocation.body, buffer.name)}
        names = " and ".join(buffer.name for buffer in buffers)
        if not found:
            raise self.refusal(
                function, f"no block reads {names}: there is nothing to attach {self.block} to: leave it"
            )
        for reader in found.values():
            if isinstance(reader, Opaque):
                raise self.refusal(
                    function,
                    f"{reader.name} reads all of {names}, at no loop: leave {self.block} where it is",
                )
            if not contains(loop, reader):
                raise self.refusal(
                    function,
                    f"{self.loop} must be around all that read {names}, {reader.name} too: "
                    f"attach {reader.name} first, or name a loop around both",
                )
        return [reader for reader in found.values() if isinstance(reader, Block)]

    def _check_alone(self, function: PrimFunc, nest: Stmt, block: Block) -> None:
        """Refuse blocks that would move along although they are needed elsewhere."""
        inside = {stmt.buffer.name for stmt in statements(nest) if isinstance(stmt, Allocate)}
        others = [other for buffer in stored_buffers(block) for other in writers(function.body, buffer.name)]
        others += [
            other
            for other in blocks(nest)
            if not inside.issuperset(buffer.name for buffer in stored_buffers(other))
        ]
        for other in others:
            if other is not block:
                raise self.refusal(
                    function, f"block {other.name} shares its loops or buffer: attach {self.block} before it"
                )

    def _loop_indices(
        self, function: PrimFunc, nest: Stmt, block: Block, around: dict[str, Expr]
    ) -> tuple[LoopIndex, ...]:
        result = []
        for dimension, loop_index in enumerate(loop_indices(nest, block, block.body.indices, around)):
            if isinstance(loop_index, str):
                raise self.refusal(
                    function,
                    f"dimension {dimension} of {block.body.buffer.name} is stored at {loop_index}, by "
                    f"several loops: attach {self.block} before its loops are split or fused",
                )
            result.append(loop_index)
        return tuple(result)


def _read_spans(
    function: PrimFunc,
    loop: For,
    consumers: Sequence[Block],
    buffers: Sequence[Buffer],
    outer: dict[str, Expr],
) -> tuple[Span, ...]:
    """The spans of the buffers that the consumers read in one iteration of the loop, by dimension."""
    shape, names = buffers[0].shape, {buffer.name for buffer in buffers}
    given = {buffer.name for buffer in function.parameters[: -function.outputs]}
    reads: list[list[tuple[Expr, Expr] | None]] = [[] for _ in shape]
    for consumer in consumers:
        inside = domain_of(path_to(loop.body, consumer))
        values = block_indices(consumer)
        for load in loads(consumer):
            if load.buffer.name not in names:
                continue
            for dimension, index in enumerate(load.indices):
                at = substitute(index, values)
                ends = index_bounds(at, list(inside), {**outer, **inside})
                known = ends is not None and all(_depends_on(end) <= given for end in ends)
                reads[dimension].append(ends if known else None)
    return tuple(span(ends, size, outer) for ends, size in zip(reads, shape, strict=True))


def _depends_on(index: Expr) -> set[str]:
    """The buffers whose elements an index is made of: other than inputs they may not be filled yet."""
    return {node.buffer.name for node in nodes(index) if isinstance(node, BufferLoad)}


def _fit(
    nest: Stmt, block: Block, found: Sequence[LoopIndex], spans: Sequence[Span], outer: dict[str, Expr]
) -> Stmt:
    """The loop nest, which runs over what is needed of what it stores."""
    loops = domain_of(path_to(nest, block))
    changed: dict[str, Span] = {}
    bases: dict[str, Expr] = {}
    for loop_index, item, size in zip(found, spans, block.body.buffer.shape, strict=True):
        if loop_index.loop is None:
            continue
        own = Span(loop_index.base, loops[loop_index.loop])
        whole = is_zero(own.low, outer) and is_zero(own.extent - size, outer)
        changed[loop_index.loop] = item if whole else clipped(item, own, {**outer, **loops})
        bases[loop_index.loop] = loop_index.base
    return fitted(nest, changed, bases)


def _with_first(body: Stmt, nest: Stmt) -> Stmt:
    body_scope = BodyScope.of(body)
    return BodyScope(body_scope.buffers, (nest, *body_scope.nests)).stmt
