"""inline: a stage computed where it is read."""

from dataclasses import dataclass

from tilewright.compiler.schedule.nest import (
    Level,
    edit,
    edit_stmt,
    find_allocation,
    find_block,
    simplified,
    writers,
)
from tilewright.compiler.schedule.primitive import Primitive
from tilewright.compiler.tir.affine import Affine
from tilewright.compiler.tir.expr import Expr, Load, Var
from tilewright.compiler.tir.printer import print_expr
from tilewright.compiler.tir.stmt import Allocate, Block, Function, IterKind
from tilewright.compiler.tir.walk import blocks, loads, map_exprs, rewrite, substitute, variables


@dataclass(frozen=True)
class Inline(Primitive):
    """Every read of the block's buffer becomes what the block computes there; block and buffer are gone."""

    block: str

    def apply(self, function: Function) -> Function:
        """As said above."""
        block = find_block(self, function, self.block)[-1]
        assert isinstance(block, Block)
        allocation = find_allocation(self, function, block.body.buffer.name)[-1]
        assert isinstance(allocation, Allocate)
        self._check(function, allocation, block)
        bases = self._bases(function, block)
        level = Level.of(allocation.body)
        nest = level.nests[level.position(block)]
        rest = edit_stmt(allocation.body, {id(nest): None})
        if rest is None or len(list(blocks(nest))) > 1:
            raise self.refusal(
                function, f"{self.block} must have loops of its own: inline it before it is attached to"
            )

        def read(expr: Expr) -> Expr:
            if not isinstance(expr, Load) or expr.buffer.name != allocation.buffer.name:
                return expr
            at = {name: expr.indices[position] - base for position, (name, base) in enumerate(bases)}
            return substitute(block.body.value, at)

        inlined = map_exprs(rest, lambda expr: rewrite(expr, read))
        return simplified(edit(function, {id(allocation): inlined}))

    def _check(self, function: Function, allocation: Allocate, block: Block) -> None:
        name = allocation.buffer.name
        folds = any(it.kind is IterKind.REDUCE for it in block.iters)
        if folds or block.init is not None or any(load.buffer.name == name for load in loads(block)):
            raise self.refusal(function, f"{self.block} must not fold: use compute_at")
        if len(writers(function.body, name)) > 1:
            raise self.refusal(function, f"{name} must be written by {self.block} alone")

    def _bases(self, function: Function, block: Block) -> list[tuple[str, Expr]]:
        """For each dimension the index of the block that it is, and what is added to that."""
        own = {it.var.name for it in block.iters}
        result = []
        for index in block.body.indices:
            sum_ = Affine.of(index)
            (name, *more) = [*(variables(index) & own), ""]
            base = sum_.without(Var(name)).expr()
            if more != [""] or sum_.coefficient(name) != 1 or variables(base) & own:
                raise self.refusal(
                    function, f"{self.block} must store by one index a dimension, not {print_expr(index)}"
                )
            result.append((name, base))
        if {name for name, _ in result} != own:
            raise self.refusal(function, f"every index of {self.block} must be in the element that it stores")
        return result
