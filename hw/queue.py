"""A queue of our own: its latency and its counts are part of the contract, a library's may change."""

from amaranth import Module, Mux, Signal, Value
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2


def _signature(shape: data.Layout) -> wiring.Signature:
    ends = {"push": In(1), "item": In(shape), "pop": In(1), "head": Out(shape)}
    return wiring.Signature(ends | {"room": Out(1), "valid": Out(1)})


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
        super().__init__(_signature(shape))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.storage = storage = memory.Memory(shape=self.shape, depth=self.depth, init=[])
        write, read = storage.write_port(), storage.read_port(domain="comb")
        count = Signal(range(self.depth + 1))
        m.d.sync += count.eq(count + self.push - self.pop)
        m.d.comb += [self.room.eq(count != self.depth), self.valid.eq(count != 0)]
        # Whatever is at the tail's place is no item yet: the write need not know of the push.
        m.d.comb += [write.en.eq(self.room), write.data.eq(self.item), self.head.eq(read.data)]
        m.d.comb += write.addr.eq(_pointer(m, self.push, self.depth, "tail"))
        m.d.comb += read.addr.eq(_pointer(m, self.pop, self.depth, "head"))
        return m


class HeadQueue(wiring.Component):
    """A queue whose head is a register: for heads that much depends on.

    Latency, throughput and members: as of `Queue`; `head` too is from registers alone.
    """

    def __init__(self, shape: data.Layout, depth: int) -> None:
        self.shape = shape
        self.depth = depth
        super().__init__(_signature(shape))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.storage = storage = memory.Memory(shape=self.shape, depth=self.depth, init=[])
        write, read = storage.write_port(), storage.read_port(domain="comb")
        count = Signal(range(self.depth + 1))
        behind = Signal(range(self.depth + 1))
        # As in a queue. An item that goes past the storage is written nevertheless.
        take, more = self.pop | ~self.valid, behind != 0
        m.d.comb += [write.en.eq(self.room), write.data.eq(self.item), self.room.eq(count != self.depth)]
        m.d.comb += write.addr.eq(_pointer(m, self.push, self.depth, "tail"))
        m.d.comb += read.addr.eq(_pointer(m, take & (more | self.push), self.depth, "next"))
        m.d.sync += count.eq(count + self.push - self.pop)
        m.d.sync += behind.eq(behind + self.push - (take & (more | self.push)))
        with m.If(take):
            m.d.sync += [self.valid.eq(more | self.push), self.head.eq(Mux(more, read.data, self.item))]
        return m


def _pointer(m: Module, step: Value, depth: int, name: str) -> Signal:
    """A place in a ring, which moves on with each step."""
    pointer = Signal(ceil_log2(depth), name=name)
    with m.If(step):
        m.d.sync += pointer.eq(Mux(pointer == depth - 1, 0, pointer + 1))
    return pointer
