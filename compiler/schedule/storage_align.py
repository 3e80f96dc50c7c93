"""storage_align: strides of a buffer that suit a memory."""

from dataclasses import dataclass, replace

from tilewright.compiler.schedule.loop_nest import edit, find_allocation, replace_buffer
from tilewright.compiler.schedule.primitive import Primitive
from tilewright.compiler.tir.buffer import Align
from tilewright.compiler.tir.stmt import Allocate, PrimFunc


@dataclass(frozen=True)
class StorageAlign(Primitive):
    """The stride of an axis of a buffer becomes k · factor + offset elements, to meet banks evenly."""

    buffer: str
    axis: int
    factor: int
    offset: int

    def apply(self, function: PrimFunc) -> PrimFunc:
        """The function whose buffer has this stride, instead of an earlier one of that axis.

        Raises:
            ScheduleError: if there is no such axis, or the offset is not from 0 to factor - 1.
        """
        allocation = find_allocation(self, function, self.buffer)[-1]
        assert isinstance(allocation, Allocate)
        rank = len(allocation.buffer.shape)
        if not (0 <= self.axis < rank and 0 <= self.offset < self.factor):
            raise self.refusal(
                function,
                f"axis must be from 0 to {rank - 1} and offset from 0 to factor - 1, "
                f"not {self.axis} and {self.offset}",
            )
        others = [align for align in allocation.buffer.align if align.axis != self.axis]
        new = replace(allocation.buffer, align=(*others, Align(self.axis, self.factor, self.offset)))
        return edit(function, {id(allocation): replace_buffer(allocation, new)})
