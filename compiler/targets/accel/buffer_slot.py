"""Slots of buffers on the chip: as many as a buffer is deep, taken in turn, or again for equal contents."""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from tilewright.compiler.targets.accel.task_stream import EventKind
from tilewright.compiler.tir.buffer import Buffer
from tilewright.isa.encoding import IntArray
from tilewright.numerics.error import TilewrightError


class EnumerateError(TilewrightError):
    """A tensorised function that has no list of tasks."""


@dataclass
class BufferSlot:
    """Room for one instance of a buffer on the chip.

    Members:
        maker: the execution of the `Allocate` that made the instance which lies there.
        contents: what its loads are, if they alone make it.
        is_due: whether these are not among the tasks yet.
        users: executions of the `Allocate` that it serves.
    """

    maker: int = -1
    contents: bytes | None = None
    is_due: bool = False
    users: int = 0


class BufferSlots:
    """The slots of a buffer, as many as its depth."""

    def __init__(self, buffer: Buffer) -> None:
        self._buffer = buffer
        # Those that nobody uses, by identity: the one whose last use ended longest ago first.
        self._free = OrderedDict((id(each), each) for each in (BufferSlot() for _ in range(buffer.depth)))
        self._by_contents: dict[bytes, BufferSlot] = {}

    def use(self, maker: int, contents: bytes | None) -> BufferSlot:
        """The slot with the contents, or the oldest one, which `maker` takes."""
        slot = None if contents is None else self._by_contents.get(contents)
        if slot is None:
            slot = self._replaced(maker, contents)
        if not slot.users:
            del self._free[id(slot)]
        slot.users += 1
        return slot

    def leave(self, slot: BufferSlot) -> None:
        """A use ended."""
        slot.users -= 1
        if not slot.users:
            self._free[id(slot)] = slot

    def _replaced(self, maker: int, contents: bytes | None) -> BufferSlot:
        """The oldest slot, for other contents."""
        if not self._free:
            raise too_shallow(self._buffer)
        slot = next(iter(self._free.values()))
        if slot.contents is not None:
            del self._by_contents[slot.contents]
        slot.maker, slot.contents, slot.is_due = maker, contents, contents is not None
        if contents is not None:
            self._by_contents[contents] = slot
        return slot


def too_shallow(buffer: Buffer) -> EnumerateError:
    """More instances are in use at a time than the buffer is deep."""
    text = f"buffer {buffer.name!r} needs a depth of more than {buffer.depth}"
    return EnumerateError(f"{text}: give it an instance for each virtual thread")


@dataclass
class Served:
    """Which slots the executions of an `Allocate` had.

    Members:
        makers: int64[executions], the one whose instance each uses.
        fills: places among all events, with the execution whose loads stand there.
    """

    makers: IntArray
    fills: list[tuple[int, int]] = field(default_factory=list)


def serve(buffer: Buffer, contents: Sequence[bytes | None], events: Iterable[tuple[int, int, int]]) -> Served:
    """Run the executions of an `Allocate`.

    Args:
        buffer: what it allocates.
        contents: of each execution what its loads are; None where it has none.
        events: where executions enter, leave, and would fill: place among all events, kind, execution.

    Raises:
        EnumerateError: if more instances are in use at a time than the buffer is deep.
    """
    slots, taken = BufferSlots(buffer), [BufferSlot()] * len(contents)
    served = Served(np.zeros(len(contents), np.int64))
    for place, kind, execution in events:
        if kind == EventKind.ENTER:
            slot = taken[execution] = slots.use(execution, contents[execution])
            served.makers[execution] = slot.maker
        elif kind == EventKind.LEAVE:
            slots.leave(taken[execution])
        elif taken[execution].is_due:
            taken[execution].is_due = False
            served.fills.append((place, execution))
    return served
