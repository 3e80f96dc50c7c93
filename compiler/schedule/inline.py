"""inline: a stage computed where it is read."""

from dataclasses import dataclass

from tilewright.compiler.schedule.fit import bases
from tilewright.compiler.schedule.loop_nest import (
    BodyScope,
    domain_of,
    edit,
    edit_stmt,
    find_alike,
    find_allocations,
    is_plain,
    path_to,
    readers,
    simplified,
    writers,
)
from tilewright.compiler.schedule.primitive import Primitive
from tilewright.compiler.tir.expr import BufferLoad, Expr
from tilewright.compiler.tir.stmt import Allocate, Block, Opaque, PrimFunc, Stmt
from tilewright.compiler.tir.walk import blocks, map_exprs, rewrite, substitute, variables


@dataclass(frozen=True)
class Inline(Primitive):
    """Every read of the block's buffer becomes what the block computes there; block and buffer are gone."""

    block: str

    def apply(self, function: PrimFunc) -> PrimFunc:
        """The function in which each reader computes the block's element itself.

        Raises:
            ScheduleError: if another block writes the buffer, an opaque call reads all of it, or the
                block does not store at one index a dimension.
        """
        block = find_alike(self, function, self.block)
        outer, *others = (path[-1] for path in find_allocations(self, function, block))
        assert isinstance(outer, Allocate)
        for store in block.stores:
            self._check(function, store.buffer.name, block)
        found = self._bases(function, block)
        body_scope = BodyScope.of(outer.body)
        nest = body_scope.nests[body_scope.position(block)]
        fixed = self._fixed(function, block, nest, {name for name, _ in found})
        rest = edit_stmt(outer.body, {id(nest): None}, {id(each) for each in others})
        if rest is None or len(list(blocks(nest))) > 1:
            raise self.refusal(
                function, f"{self.block} must have loops of its own: inline it before it is attached to"
            )
        values = {store.buffer.name: store.value for store in block.stores}

        def read(expr: Expr) -> Expr:
            if not isinstance(expr, BufferLoad) or expr.buffer.name not in values:
                return expr
            at = {
                name: expr.indices[position] - base
                for position, (name, base) in enumerate(found)
                if name is not None
            }
            return substitute(values[expr.buffer.name], {**fixed, **at})

        inlined = map_exprs(rest, lambda expr: rewrite(expr, read))
        return simplified(edit(function, {id(outer): inlined}))

    def _check(self, function: PrimFunc, name: str, block: Block) -> None:
        if not is_plain(block):
            raise self.refusal(function, f"{self.block} must not reduce: use compute_at")
        for writer in writers(function.body, name):
            if writer is not block:
                raise self.refusal(
                    function,
                    f"{name} must be written by {self.block} alone, not by {writer.name}: use compute_at",
                )
        for reader in readers(function.body, name):
            if isinstance(reader, Opaque):
                raise self.refusal(
                    function,
                    f"{reader.name} reads all of {name}: it must stay a buffer, so leave {self.block}",
                )

    def _bases(self, function: PrimFunc, block: Block) -> list[tuple[str | None, Expr]]:
        """For each dimension the index of the block that it is, and what is added to that."""
        result = bases(block, block.body.indices)
        if isinstance(result, str):
            raise self.refusal(
                function,
                f"{self.block} must store by one index a dimension, not {result}: use compute_at",
            )
        return result

    def _fixed(
        self, function: PrimFunc, block: Block, nest: Stmt, stored: set[str | None]
    ) -> dict[str, Expr]:
        """The values of the indices that are not in the stored element: none may run in the block's loops."""
        loops = set(domain_of(path_to(nest, block)))
        fixed = {it.var.name: it.value for it in block.iters if it.var.name not in stored}
        if any(variables(value) & loops for value in fixed.values()):
            raise self.refusal(
                function, f"every index of {self.block} must be in the element that it stores: use compute_at"
            )
        return fixed
