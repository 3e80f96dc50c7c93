"""buffer_depth: several instances of a buffer at a time, as in double buffering."""

from dataclasses import dataclass, replace

from tilewright.compiler.schedule.loop_nest import edit, find_allocation, replace_buffer
from tilewright.compiler.schedule.primitive import Primitive
from tilewright.compiler.tir.stmt import Allocate, PrimFunc

_DEPTH_MAXIMUM = 1024
"""More than any memory has banks for; instances are counted one by one where they are allocated."""


@dataclass(frozen=True)
class BufferDepth(Primitive):
    """Iterations take `depth` instances of a buffer in turn: one is filled while another is used."""

    buffer: str
    depth: int

    def apply(self, function: PrimFunc) -> PrimFunc:
        """The function whose buffer has `depth` instances.

        Raises:
            ScheduleError: if count is out of range, or no buffer of that name is allocated.
        """
        if not 1 <= self.depth <= _DEPTH_MAXIMUM:
            raise self.refusal(function, f"the depth must be from 1 to {_DEPTH_MAXIMUM}, not {self.depth}")
        allocation = find_allocation(self, function, self.buffer)[-1]
        assert isinstance(allocation, Allocate)
        return edit(
            function,
            {id(allocation): replace_buffer(allocation, replace(allocation.buffer, depth=self.depth))},
        )


def double_buffer(buffer: str) -> BufferDepth:
    """Two instances of a buffer."""
    return BufferDepth(buffer, 2)
