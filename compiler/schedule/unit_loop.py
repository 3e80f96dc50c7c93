"""unit_loop: a loop of one trip, where a block has none to name."""

from dataclasses import dataclass

from tilewright.compiler.schedule.loop_nest import check_fresh, edit, find_block
from tilewright.compiler.schedule.primitive import Primitive
from tilewright.compiler.tir.expr import Const, Var
from tilewright.compiler.tir.stmt import For, PrimFunc


@dataclass(frozen=True)
class UnitLoop(Primitive):
    """A loop of a single trip directly around a block: other blocks can be attached to it."""

    block: str
    name: str

    def apply(self, function: PrimFunc) -> PrimFunc:
        """The function with the loop around the block.

        Raises:
            ScheduleError: if there is no such block, or the name is taken.
        """
        block = find_block(self, function, self.block)[-1]
        check_fresh(self, function, self.name)
        return edit(function, {id(block): For(Var(self.name), Const(1), block)})
