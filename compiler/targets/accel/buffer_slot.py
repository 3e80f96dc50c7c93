"""Slots of buffers on the chip: as many as a buffer is deep, taken in turn, or again for equal contents."""

from collections import OrderedDict, deque
from dataclasses import dataclass, field

from tilewright.compiler.targets.accel.task import Instance, Task
from tilewright.compiler.tir.buffer import Buffer
from tilewright.numerics.error import TilewrightError


class EnumerateError(TilewrightError):
    """A tensorised function that has no list of tasks."""


@dataclass
class BufferSlot:
    """Room for one instance of a buffer on the chip.

    Members:
        instance: what lies there; None at first.
        contents: what its loads are, if they alone make it.
        waiting: those of its loads that are not among the tasks yet.
        users: executions of the `Allocate` that it serves.
    """

    instance: Instance | None = None
    contents: object = None
    waiting: deque[Task] = field(default_factory=deque)
    users: int = 0


class BufferSlots:
    """The slots of a buffer, as many as its depth."""

    def __init__(self, buffer: Buffer) -> None:
        self._buffer = buffer
        # Those that nobody uses, by identity: the one whose last use ended longest ago first.
        self._free = OrderedDict((id(each), each) for each in (BufferSlot() for _ in range(buffer.depth)))
        self._by_contents: dict[object, BufferSlot] = {}

    def use(self, contents: object) -> tuple[BufferSlot, bool]:
        """The slot with the contents, or the oldest one, and whether it has them already."""
        slot = None if contents is None else self._by_contents.get(contents)
        found = slot is not None
        if slot is None:
            slot = self._replaced(contents)
        if not slot.users:
            del self._free[id(slot)]
        slot.users += 1
        return slot, found

    def leave(self, slot: BufferSlot) -> None:
        """A use ended."""
        slot.users -= 1
        if not slot.users:
            self._free[id(slot)] = slot

    def _replaced(self, contents: object) -> BufferSlot:
        """The oldest slot, for other contents."""
        if not self._free:
            text = f"buffer {self._buffer.name!r} needs a depth of more than {self._buffer.depth}"
            raise EnumerateError(f"{text}: give it an instance for each virtual thread")
        slot = next(iter(self._free.values()))
        if slot.contents is not None:
            del self._by_contents[slot.contents]
        slot.contents = contents
        if contents is not None:
            self._by_contents[contents] = slot
        return slot
