"""set_scope: a buffer in another memory."""

from dataclasses import dataclass, replace

from tilewright.compiler.schedule.loop_nest import edit, find_allocation, replace_buffer
from tilewright.compiler.schedule.primitive import Primitive
from tilewright.compiler.tir.buffer import MemoryScope
from tilewright.compiler.tir.stmt import Allocate, PrimFunc


@dataclass(frozen=True)
class SetScope(Primitive):
    """The buffer of a stage in a memory of the target; parameters stay where the caller has them."""

    buffer: str
    scope: MemoryScope

    def apply(self, function: PrimFunc) -> PrimFunc:
        """The function whose buffer lies in the scope.

        Raises:
            ScheduleError: if no buffer of that name is allocated: parameters are not.
        """
        allocation = find_allocation(self, function, self.buffer)[-1]
        assert isinstance(allocation, Allocate)
        return edit(
            function,
            {id(allocation): replace_buffer(allocation, replace(allocation.buffer, scope=self.scope))},
        )
