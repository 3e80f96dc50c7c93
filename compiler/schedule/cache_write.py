"""cache_write: a block writes a buffer of its own, from which a copy goes out."""

from dataclasses import dataclass, replace

from tilewright.compiler.schedule.nest import (
    Level,
    allocation_of,
    change_accesses,
    check_fresh,
    copy_nest,
    edit,
    edit_stmt,
    find_single,
    level_body,
    readers,
    writers,
)
from tilewright.compiler.schedule.primitive import Primitive
from tilewright.compiler.tir.buffer import Scope
from tilewright.compiler.tir.expr import Expr, Var
from tilewright.compiler.tir.stmt import Block, Function


@dataclass(frozen=True)
class CacheWrite(Primitive):
    """The block writes a buffer `name` in a scope; a copy block `name`, behind its nest, copies it all."""

    block: str
    scope: Scope
    name: str

    def apply(self, function: Function) -> Function:
        """As said above; `reverse_compute_at` then moves the copy and shrinks both."""
        block = find_single(self, function, self.block)[-1]
        assert isinstance(block, Block)
        check_fresh(self, function, self.name)
        target = block.body.buffer
        body = level_body(allocation_of(function, target.name), function)
        level = Level.of(body)
        position = level.position(block)
        self._check_alone(function, block, level)
        own = replace(target, name=self.name, scope=self.scope, versions=1, align=())
        writing = change_accesses(block, target.name, lambda indices: indices, own)
        nest = edit_stmt(level.nests[position], {id(block): writing})
        assert nest is not None
        copy = copy_nest(self.name, _axes(block), own, target)
        return edit(function, {id(body): level.with_nests(position, nest, copy, buffers=[own]).stmt})

    def _check_alone(self, function: Function, block: Block, level: Level) -> None:
        name = block.body.buffer.name
        others = [other for other in writers(function.body, name) if other is not block]
        inside = readers(level.nests[level.position(block)], name)
        for other in (*others, *inside):
            raise self.refusal(
                function,
                f"{name} must be used by {self.block} alone in its loops, not by {other.name}: "
                f"apply this before {other.name} is attached",
            )


def _axes(block: Block) -> list[str]:
    """Names for the dimensions: those of the block's indices where it stores by them, else numbers."""
    return [_axis(block.name, index, position) for position, index in enumerate(block.body.indices)]


def _axis(block: str, index: Expr, position: int) -> str:
    prefix = f"v_{block}_"
    if isinstance(index, Var) and index.name.startswith(prefix):
        return index.name.removeprefix(prefix)
    return str(position)
