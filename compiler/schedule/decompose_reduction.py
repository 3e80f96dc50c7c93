"""decompose_reduction: the init of a reduction as a block of its own."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tilewright.compiler.schedule.loop_nest import (
    allocation_of,
    check_fresh,
    contains,
    edit,
    find_block,
    find_loop,
    reduces_over,
    simplified,
    stored_buffers,
    writers,
)
from tilewright.compiler.schedule.primitive import Primitive
from tilewright.compiler.tir.expr import BufferLoad, Const, Expr, Var
from tilewright.compiler.tir.stmt import Block, For, Iter, IterKind, PrimFunc, Seq, Stmt
from tilewright.compiler.tir.walk import map_store, nodes, substitute, variables


@dataclass(frozen=True)
class DecomposeReduction(Primitive):
    """A block `name`, in a loop nest right before a loop around the block, stores the init.

    The block only updates then. The loop and those inside of it that the block does not reduce over are
    repeated around the init, as {name}_{axis}.
    """

    block: str
    loop: str
    name: str

    def apply(self, function: PrimFunc) -> PrimFunc:
        """The function with a block of its own for the init.

        Raises:
            ScheduleError: if the block has no init, the loop is not around all loops that the block
                reduces over, or the init reads what is computed inside.
        """
        path = find_block(self, function, self.block)
        loop, block = find_loop(self, function, self.loop)[-1], path[-1]
        assert isinstance(block, Block)
        assert isinstance(loop, For)
        if block.init is None or not contains(loop, block):
            raise self.refusal(
                function,
                f"{self.block} must have an init, and {self.loop} be around it: "
                "name a reduction and its loop",
            )
        position = path.index(loop)
        self._check_outside(function, block, loop, path[:position])
        self._check_reads(function, block, loop)
        around = [stmt for stmt in path[position:] if isinstance(stmt, For)]
        kept = [each for each in around if not reduces_over(block, each.var.name)]
        self._check_loops(function, block, kept, around)
        init = self._init(function, block, kept)
        updating = replace(block, init=None, more_init=())
        result = edit(function, {id(block): updating})
        # The block was changed inside of the loop, which is another one since.
        loop = find_loop(self, result, self.loop)[-1]
        return simplified(edit(result, {id(loop): Seq((init, loop))}))

    def _check_outside(self, function: PrimFunc, block: Block, loop: For, outside: Sequence[Stmt]) -> None:
        for stmt in outside:
            if isinstance(stmt, For) and reduces_over(block, stmt.var.name):
                raise self.refusal(
                    function,
                    f"{block.name} reduces over {stmt.var.name} too, which is around {self.loop}: "
                    "name that, or a loop outside of it",
                )
        for buffer in stored_buffers(block):
            allocation = allocation_of(function, buffer.name)
            if allocation is not None and contains(loop, allocation[-1]):
                raise self.refusal(
                    function, f"{buffer.name} must be allocated around {self.loop}: name a loop inside"
                )

    def _check_reads(self, function: PrimFunc, block: Block, loop: For) -> None:
        """Refuse an init of what is there inside of the loop only."""
        for init in block.inits:
            for load in (node for node in nodes(init.value) if isinstance(node, BufferLoad)):
                if writers(loop, load.buffer.name):
                    raise self.refusal(
                        function,
                        f"{load.buffer.name}, which the init reads, must be there before {self.loop}: "
                        "name a loop inside, or attach it after this",
                    )

    def _check_loops(
        self, function: PrimFunc, block: Block, kept: Sequence[For], around: Sequence[For]
    ) -> None:
        gone = {each.var.name for each in around} - {each.var.name for each in kept}
        used = {name for it in block.iters if it.kind is not IterKind.REDUCE for name in variables(it.value)}
        used |= {name for each in kept for name in variables(each.extent)}
        if used & gone:
            raise self.refusal(
                function,
                f"{sorted(used & gone)[0]} must be reduced over alone: apply this before it is fused",
            )

    def _init(self, function: PrimFunc, block: Block, kept: Sequence[For]) -> Stmt:
        """The loop nest of the init, under names of its own."""
        loops: dict[str, Expr] = {
            each.var.name: Var(f"{self.name}_{each.var.name.removeprefix(f'{block.name}_')}") for each in kept
        }
        iters = [it for it in block.iters if it.kind is not IterKind.REDUCE]
        inside: dict[str, Expr] = {
            it.var.name: Var(f"v_{self.name}_{it.var.name.removeprefix(f'v_{block.name}_')}") for it in iters
        }
        check_fresh(
            self,
            function,
            self.name,
            *(v.name for v in (*loops.values(), *inside.values()) if isinstance(v, Var)),
        )
        zero = {it.var.name: Const(0) for it in block.iters if it.kind is IterKind.REDUCE}
        values = {**loops, **inside, **zero}
        stores = [map_store(store, lambda expr: substitute(expr, values)) for store in block.inits]
        named = tuple(
            Iter(Var(v.name), IterKind.SPATIAL, substitute(it.value, loops))
            for it, v in zip(iters, inside.values(), strict=True)
            if isinstance(v, Var)
        )
        stmt: Stmt = Block(self.name, named, stores[0], more=tuple(stores[1:]))
        for each in reversed(kept):
            var = loops[each.var.name]
            assert isinstance(var, Var)
            stmt = For(var, substitute(each.extent, loops), stmt, each.kind)
        return stmt
