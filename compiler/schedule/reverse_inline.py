"""reverse_inline: a consumer computed where its producer is."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tilewright.compiler.schedule.fit import bases
from tilewright.compiler.schedule.loop_nest import (
    BodyScope,
    allocation_of,
    contains,
    domain_of,
    edit,
    find_allocation,
    find_block,
    find_single,
    is_plain,
    path_to,
    readers,
    scope_body,
    simplified,
    stored_buffers,
    writers,
)
from tilewright.compiler.schedule.primitive import Primitive
from tilewright.compiler.schedule.region import stored_span
from tilewright.compiler.tir.bound import Domain
from tilewright.compiler.tir.buffer import Buffer
from tilewright.compiler.tir.expr import BufferLoad, Expr
from tilewright.compiler.tir.simplify import is_zero
from tilewright.compiler.tir.stmt import Allocate, Block, PrimFunc, Stmt
from tilewright.compiler.tir.walk import (
    block_indices,
    blocks,
    loads,
    map_store,
    rewrite,
    substitute,
    variables,
)


@dataclass(frozen=True)
class ReverseInline(Primitive):
    """The producer stores what the block makes of each element; the block and the buffer between are gone.

    The block must read that buffer element by element, all of it, and be the only one that does.
    """

    block: str
    producer: str

    def apply(self, function: PrimFunc) -> PrimFunc:
        """The function whose producer stores the block's results; the buffer between is gone.

        Raises:
            ScheduleError: if another block reads that buffer, or it is not read whole, once, at one index
                a dimension; if something between the two needs the old order.
        """
        block = find_block(self, function, self.block)[-1]
        producer = find_single(self, function, self.producer)[-1]
        assert isinstance(block, Block)
        assert isinstance(producer, Block)
        between = producer.body.buffer
        path = find_allocation(self, function, between.name)
        allocation = path[-1]
        assert isinstance(allocation, Allocate)
        self._check_alone(function, block, producer, between)
        body_scope = BodyScope.of(allocation.body)
        nest = body_scope.nests[body_scope.position(block)]
        found = self._elements(function, block, nest, between, domain_of(path))
        self._check_order(function, block, producer, body_scope)
        merged = _merged(block, producer, found, between)
        changes: dict[int, Stmt | None] = {id(nest): None, id(producer): merged}
        return simplified(edit(function, changes, unwrap={id(allocation)}))

    def _check_alone(self, function: PrimFunc, block: Block, producer: Block, between: Buffer) -> None:
        for each in (block, producer):
            if not is_plain(each):
                raise self.refusal(function, f"{each.name} must not reduce: use reverse_compute_at")
        used = [*writers(function.body, between.name), *readers(function.body, between.name)]
        if any(each not in (block, producer) for each in used) or block not in used:
            raise self.refusal(
                function, f"{between.name} must be read by {self.block} alone: use reverse_compute_at"
            )
        for target in stored_buffers(block):
            if not contains(scope_body(allocation_of(function, target.name), function), producer):
                raise self.refusal(
                    function,
                    f"{target.name} must be allocated around {self.producer} too: use reverse_compute_at",
                )

    def _elements(
        self, function: PrimFunc, block: Block, nest: Stmt, between: Buffer, outer: Domain
    ) -> list[tuple[str | None, Expr]]:
        """For each dimension the index of the block that it is, and what is added to that."""
        read = [load.indices for load in loads(block) if load.buffer.name == between.name]
        found = bases(block, read[0])
        loops = set(domain_of(path_to(nest, block)))
        exprs = [expr for store in block.stores for expr in (store.value, *store.indices)]
        direct = any(variables(expr) & loops for expr in exprs) or len(list(blocks(nest))) > 1
        if (
            len(set(read)) > 1
            or isinstance(found, str)
            or direct
            or _names(found) != {it.var.name for it in block.iters}
        ):
            raise self.refusal(
                function,
                f"{self.block} must read {between.name} at one index a dimension, in loops of its own: "
                "use reverse_compute_at",
            )
        if not _covers(block, read[0], nest, between, outer):
            raise self.refusal(
                function, f"{self.block} must read all of {between.name} once: use reverse_compute_at"
            )
        return found

    def _check_order(self, function: PrimFunc, block: Block, producer: Block, body_scope: BodyScope) -> None:
        """Refuse to read or write earlier what is only there, or still used, later."""
        passed = body_scope.nests[body_scope.position(producer) : body_scope.position(block) + 1]
        others = {load.buffer.name for load in loads(block)} - {producer.body.buffer.name}
        targets = [buffer.name for buffer in stored_buffers(block)]
        users = [writer for nest in passed for name in others for writer in writers(nest, name)]
        users += [user for nest in passed for name in targets for user in writers(nest, name)]
        users += [user for nest in passed for name in targets for user in readers(nest, name)]
        for user in users:
            if user is not block:
                raise self.refusal(
                    function,
                    f"{self.block} must not run before {user.name}, which is behind {self.producer}: "
                    "use reverse_compute_at",
                )


def _names(found: Sequence[tuple[str | None, Expr]]) -> set[str]:
    return {name for name, _ in found if name is not None}


def _covers(block: Block, read: Sequence[Expr], nest: Stmt, between: Buffer, outer: Domain) -> bool:
    """Whether the loops of the block's own run over all of a buffer, each in one dimension."""
    inner = domain_of(path_to(nest, block))
    values = block_indices(block)
    used: set[str] = set()
    for index, extent in zip(read, between.shape, strict=True):
        at = substitute(index, values)
        item = stored_span(at, list(inner), {**outer, **inner})
        mine = variables(at) & set(inner)
        if (
            item is None
            or mine & used
            or not is_zero(item.low, outer)
            or not is_zero(item.extent - extent, outer)
        ):
            return False
        used |= mine
    return True


def _merged(
    block: Block, producer: Block, found: Sequence[tuple[str | None, Expr]], between: Buffer
) -> Block:
    """The producer's block with the consumer's store of the consumer's value."""
    at = {
        name: index - base
        for (name, base), index in zip(found, producer.body.indices, strict=True)
        if name is not None
    }

    def change(expr: Expr) -> Expr:
        return substitute(
            rewrite(
                expr,
                lambda e: (
                    producer.body.value if isinstance(e, BufferLoad) and e.buffer.name == between.name else e
                ),
            ),
            at,
        )

    first, *more = (map_store(store, change) for store in block.stores)
    return replace(producer, body=first, more=tuple(more))
