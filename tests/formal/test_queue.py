"""Queues keep every item and its order."""

from types import ModuleType

import pytest
from amaranth import Mux, Signal, Value
from amaranth.lib import data

from formal.proof import Method, Proof, SeededBug, cases, check
from formal.proof_bench import ProofBench
from tilewright.hw import queue

_ITEM = data.StructLayout({"value": 3})


def queue_bench(unit: ModuleType, kind: str, depth: int) -> ProofBench:
    """One item is followed, whichever it is: `ahead` items are before it in the queue."""
    bench = ProofBench()
    dut = getattr(unit, kind)(_ITEM, depth)
    bench.add("dut", dut)
    bench.assume(~dut.push | dut.room)
    bench.assume(~dut.pop | dut.valid)
    count = bench.count(dut.push, less=dut.pop, bits=8, name="items")
    inside, gone = Signal(name="inside"), Signal(name="gone")
    ahead, value = Signal(8, name="ahead"), Signal(3, name="value")
    enters = bench.named(dut.push & bench.any_value(1, "chosen") & ~inside & ~gone, "enters")
    leaves = bench.named(inside & dut.pop & (ahead == 0), "leaves")
    bench.m.d.sync += [inside.eq(enters | (inside & ~leaves)), gone.eq(gone | leaves)]
    bench.m.d.sync += ahead.eq(Mux(enters, count - dut.pop, ahead - (inside & dut.pop)))
    with bench.m.If(enters):
        bench.m.d.sync += value.eq(dut.item.value)
    at_head = inside & (ahead == 0)
    bench.claim("there is room while fewer than `depth` items are inside", dut.room == (count < depth))
    bench.claim("it is valid while there are items", dut.valid == (count != 0))
    bench.claim("there are never more than `depth` items", count <= depth)
    bench.claim("each item is at the head in its turn, unchanged", dut.head.value == value, when=at_head)
    bench.claim("items ahead of another are inside, too", ahead < count, when=inside)
    bench.reach("the queue is full", count == depth)
    bench.reach("an item passed through", gone)
    bench.claim("its own count is right", bench.inner(dut, "count") == count)
    places = _queue_places if kind == "Queue" else _head_queue_places
    head, stored, before = places(bench, dut, count, ahead)
    _storage(bench, dut, depth, head, stored, before, inside & (before < stored), value)
    return bench


def _queue_places(bench: ProofBench, dut: queue.Queue, count: Value, ahead: Value) -> tuple[Value, ...]:
    """The pointer of the oldest item in the storage, their number, those before the followed one."""
    return bench.inner(dut, "head"), count, ahead


def _head_queue_places(
    bench: ProofBench, dut: queue.HeadQueue, count: Value, ahead: Value
) -> tuple[Value, ...]:
    behind = bench.inner(dut, "behind")
    bench.claim("all items but the head are in the storage", behind == count - dut.valid)
    return bench.inner(dut, "next"), behind, (ahead - 1)[: len(ahead)]


def _storage(
    bench: ProofBench,
    dut: queue.Queue | queue.HeadQueue,
    depth: int,
    head: Value,
    stored: Value,
    before: Value,
    waits: Value,
    value: Value,
) -> None:
    """What induction needs: where in the storage everything is."""
    tail = bench.inner(dut, "tail")
    apart = Mux(tail >= head, tail - head, tail + depth - head)
    bench.claim("the pointers are in the ring", (tail < depth) & (head < depth))
    bench.claim("the pointers are as far apart as there are items", apart == Mux(stored == depth, 0, stored))
    place = head + before
    row = bench.stored(dut, "storage", Mux(place >= depth, place - depth, place)[: len(tail)])
    bench.claim("the item lies in its place of the storage", row.value == value, when=waits)


_BUGS = {
    "Queue": (
        SeededBug(
            name="room for one item too many",
            old="m.d.comb += [self.room.eq(count != self.depth), self.valid.eq(count != 0)]",
            new="m.d.comb += [self.room.eq(count <= self.depth), self.valid.eq(count != 0)]",
            cycles=10,
        ),
    ),
    "HeadQueue": (
        SeededBug(
            name="an item that arrives overtakes",
            old="self.head.eq(Mux(more, read.data, self.item))",
            new="self.head.eq(Mux(self.push, self.item, read.data))",
            cycles=10,
        ),
    ),
}

PROOFS = tuple(
    Proof(
        name=f"{kind} of {depth}",
        unit=queue,
        bench=lambda unit, kind=kind, depth=depth: queue_bench(unit, kind, depth),
        method=Method.INDUCTION,
        cycles=2,
        reach_cycles=2 * depth + 3,
        bugs=bugs if depth == 3 else (),
    )
    for kind, bugs in _BUGS.items()
    for depth in (1, 3, 8)
)


@pytest.mark.parametrize("proof", cases(PROOFS))
def test_no_item_is_lost_or_overtaken(proof: Proof) -> None:
    check(proof)
