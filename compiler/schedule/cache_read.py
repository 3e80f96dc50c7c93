"""cache_read: a block reads a copy of a buffer."""

from dataclasses import dataclass, replace

from tilewright.compiler.schedule.loop_nest import (
    BodyScope,
    allocation_of,
    change_accesses,
    check_fresh,
    copy_nest,
    edit,
    edit_stmt,
    find_block,
    scope_body,
    writers,
)
from tilewright.compiler.schedule.primitive import Primitive
from tilewright.compiler.tir.buffer import Buffer, MemoryScope
from tilewright.compiler.tir.stmt import Block, PrimFunc
from tilewright.compiler.tir.walk import loads


@dataclass(frozen=True)
class CacheRead(Primitive):
    """A copy block `name` fills a buffer `name` in a scope, all of it, right before the block's loop nest."""

    block: str
    buffer: str
    scope: MemoryScope
    name: str

    def apply(self, function: PrimFunc) -> PrimFunc:
        """The function with the copy; `compute_at` then moves it and shrinks it.

        Raises:
            ScheduleError: if the block does not read the buffer, or the buffer is written in the block's
                own loops.
        """
        block = find_block(self, function, self.block)[-1]
        assert isinstance(block, Block)
        check_fresh(self, function, self.name)
        source = self._source(function, block)
        body = scope_body(allocation_of(function, self.buffer), function)
        body_scope = BodyScope.of(body)
        position = body_scope.position(block)
        if writers(body_scope.nests[position], self.buffer):
            raise self.refusal(
                function,
                f"{self.buffer} is written in the loops of {self.block}: use cache_write on its writer",
            )
        copy = replace(source, name=self.name, scope=self.scope, depth=1, align=())
        reading = change_accesses(block, self.buffer, lambda indices: indices, copy)
        nest = edit_stmt(body_scope.nests[position], {id(block): reading})
        assert nest is not None
        filling = copy_nest(self.name, [str(axis) for axis in range(len(copy.shape))], (source, copy))
        return edit(function, {id(body): body_scope.with_nests(position, filling, nest, buffers=[copy]).stmt})

    def _source(self, function: PrimFunc, block: Block) -> Buffer:
        own = {store.buffer.name for store in block.stores}
        read = {load.buffer.name: load.buffer for load in loads(block) if load.buffer.name not in own}
        if self.buffer not in read:
            names = ", ".join(read)
            raise self.refusal(
                function,
                f"block {self.block} must read buffer {self.buffer} and not write it: name one of {names}",
            )
        return read[self.buffer]
