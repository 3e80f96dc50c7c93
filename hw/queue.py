"""A queue of our own: its latency and its counts are part of the contract, a library's may change."""

from amaranth import Module, Signal
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2


class Queue(wiring.Component):
    """A first-in first-out queue in distributed RAM.

    Latency: pushed in cycle t, at the head of an empty queue in cycle t + 1; popped in cycle t, its room is
    there in t + 1.
    Throughput: one push and one pop a cycle.

    Members:
        push: In. Takes `item`; only while `room` is up.
        item: In. What is pushed.
        room: Out. There is room for an item, from registers alone.
        valid: Out. There is an item at the head, from registers alone.
        head: Out. The oldest item, if valid.
        pop: In. Drops the head; only while `valid` is up.
    """

    def __init__(self, shape: data.Layout, depth: int) -> None:
        self.shape = shape
        self.depth = depth
        super().__init__(
            {
                "push": In(1),
                "item": In(shape),
                "room": Out(1),
                "valid": Out(1),
                "head": Out(shape),
                "pop": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.storage = storage = memory.Memory(shape=self.shape, depth=self.depth, init=[])
        write, read = storage.write_port(), storage.read_port(domain="comb")
        count = Signal(range(self.depth + 1))
        m.d.sync += count.eq(count + self.push - self.pop)
        m.d.comb += [self.room.eq(count != self.depth), self.valid.eq(count != 0)]
        m.d.comb += [write.en.eq(self.push), write.data.eq(self.item), self.head.eq(read.data)]
        self._elaborate_pointer(m, write.addr, self.push)
        self._elaborate_pointer(m, read.addr, self.pop)
        return m

    def _elaborate_pointer(self, m: Module, address: Signal, step: Signal) -> None:
        pointer = Signal(ceil_log2(self.depth))
        m.d.comb += address.eq(pointer)
        with m.If(step):
            last = pointer == self.depth - 1
            with m.If(last):
                m.d.sync += pointer.eq(0)
            with m.Else():
                m.d.sync += pointer.eq(pointer + 1)
