"""versions: several instances of a buffer at a time."""

from dataclasses import dataclass, replace

from tilewright.compiler.schedule.nest import edit, find_allocation, replace_buffer
from tilewright.compiler.schedule.primitive import Primitive
from tilewright.compiler.tir.stmt import Allocate, Function

_MOST_VERSIONS = 1024
"""More than any memory has banks for; instances are counted one by one where they are placed."""


@dataclass(frozen=True)
class Versions(Primitive):
    """`count` instances of a buffer, which iterations take in turns: one is filled while one is used."""

    buffer: str
    count: int

    def apply(self, function: Function) -> Function:
        """The function whose buffer has `count` instances.

        Raises:
            ScheduleError: if count is out of range, or no buffer of that name is allocated.
        """
        if not 1 <= self.count <= _MOST_VERSIONS:
            raise self.refusal(function, f"the count must be from 1 to {_MOST_VERSIONS}, not {self.count}")
        allocation = find_allocation(self, function, self.buffer)[-1]
        assert isinstance(allocation, Allocate)
        return edit(
            function,
            {id(allocation): replace_buffer(allocation, replace(allocation.buffer, versions=self.count))},
        )


def double_buffer(buffer: str) -> Versions:
    """Two instances of a buffer."""
    return Versions(buffer, 2)
