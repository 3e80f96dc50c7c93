"""cache_write: a block writes a buffer of its own, from which a copy goes out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tilewright.compiler.schedule.loop_nest import (
    BodyScope,
    allocation_of,
    change_accesses,
    check_fresh,
    copy_nest,
    edit,
    edit_stmt,
    find_alike,
    readers,
    scope_body,
    writers,
)
from tilewright.compiler.schedule.primitive import Primitive
from tilewright.compiler.tir.buffer import Buffer, MemoryScope
from tilewright.compiler.tir.expr import Expr, Var
from tilewright.compiler.tir.stmt import Block, PrimFunc, Stmt


@dataclass(frozen=True)
class CacheWrite(Primitive):
    """The block writes a buffer `name` in a scope; a copy block `name`, behind its loop nest, copies it all.

    Of a block with several outputs there is a buffer {name}_0, {name}_1, … for each; one block copies them.
    """

    block: str
    scope: MemoryScope
    name: str

    def apply(self, function: PrimFunc) -> PrimFunc:
        """The function with the copy; `reverse_compute_at` then moves it and shrinks both.

        Raises:
            ScheduleError: if the block's buffers are allocated at different places, or others use them in
                its loops.
        """
        block = find_alike(self, function, self.block)
        targets = [store.buffer for store in block.stores]
        names = [f"{self.name}_{number}" if block.more else self.name for number in range(len(targets))]
        check_fresh(self, function, *dict.fromkeys((self.name, *names)))
        body = self._body(function, targets)
        body_scope = BodyScope.of(body)
        position = body_scope.position(block)
        for target in targets:
            self._check_alone(function, block, target.name, body_scope)
        own = [
            replace(target, name=name, scope=self.scope, depth=1, align=())
            for target, name in zip(targets, names, strict=True)
        ]
        nest = edit_stmt(body_scope.nests[position], {id(block): _writing(block, targets, own)})
        assert nest is not None
        copy = copy_nest(self.name, _axes(block), *zip(own, targets, strict=True))
        return edit(function, {id(body): body_scope.with_nests(position, nest, copy, buffers=own).stmt})

    def _body(self, function: PrimFunc, targets: Sequence[Buffer]) -> Stmt:
        """The one body in which all targets are live."""
        bodies = [scope_body(allocation_of(function, target.name), function) for target in targets]
        if len({id(BodyScope.of(body).nests[0]) for body in bodies}) > 1:
            names = " and ".join(target.name for target in targets)
            raise self.refusal(
                function,
                f"{names}, which {self.block} stores to, must be allocated at one place: "
                "apply this before one of them is attached alone",
            )
        return bodies[0]

    def _check_alone(self, function: PrimFunc, block: Block, name: str, body_scope: BodyScope) -> None:
        others = [other for other in writers(function.body, name) if other is not block]
        inside = readers(body_scope.nests[body_scope.position(block)], name)
        for other in (*others, *inside):
            raise self.refusal(
                function,
                f"{name} must be used by {self.block} alone in its loops, not by {other.name}: "
                f"apply this before {other.name} is attached",
            )


def _writing(block: Block, targets: Sequence[Buffer], own: Sequence[Buffer]) -> Stmt:
    """The block that writes its own buffers."""
    result: Stmt = block
    for target, new in zip(targets, own, strict=True):
        result = change_accesses(result, target.name, lambda indices: indices, new)
    return result


def _axes(block: Block) -> list[str]:
    """Names for the dimensions: those of the block's indices where it stores by them, else numbers."""
    return [_axis(block.name, index, position) for position, index in enumerate(block.body.indices)]


def _axis(block: str, index: Expr, position: int) -> str:
    prefix = f"v_{block}_"
    if isinstance(index, Var) and index.name.startswith(prefix):
        return index.name.removeprefix(prefix)
    return str(position)
