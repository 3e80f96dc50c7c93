"""No beat is lost, overtaken or changed where loads land."""

from dataclasses import replace
from types import ModuleType

import pytest
from amaranth import Mux, Signal

from formal.proof import Method, Proof, SeededBug, cases, check
from formal.proof_bench import ProofBench
from tilewright.hw import landing
from tilewright.isa.config import PRESETS

_CONFIG = replace(PRESETS["tiny"], burst_bytes=64, outstanding_reads=1)


def landing_bench(unit: ModuleType) -> ProofBench:
    """One beat is followed, whichever it is; bursts are requested only if there is room for their beats."""
    bench = ProofBench()
    dut = unit.Landing(_CONFIG)
    bench.add("dut", dut)
    count = bench.count(dut.beat.valid, less=dut.take, bits=8, name="beats")
    bench.assume(~dut.beat.valid | (count < dut.depth))
    bench.assume(~dut.take | dut.available)
    inside, gone, error = Signal(name="inside"), Signal(name="gone"), Signal(name="error")
    ahead, value = Signal(8, name="ahead"), Signal(len(dut.beat.data), name="value")
    enters = bench.named(dut.beat.valid & bench.any_value(1, "chosen") & ~inside & ~gone, "enters")
    leaves = bench.named(inside & dut.take & (ahead == 0), "leaves")
    bench.m.d.sync += [inside.eq(enters | (inside & ~leaves)), gone.eq(gone | leaves)]
    bench.m.d.sync += ahead.eq(Mux(enters, count - dut.take, ahead - (inside & dut.take)))
    with bench.m.If(enters):
        bench.m.d.sync += [value.eq(dut.beat.data), error.eq(dut.beat.error)]
    bench.claim("a beat is available while there are beats", dut.available == (count != 0))
    taken = bench.past(dut.take, 2, name="take")
    bench.claim("a beat that was taken comes two cycles later", dut.taken.valid == taken)
    same = (dut.taken.data == value) & (dut.taken.error == error)
    bench.claim("it is the one whose turn it was, unchanged", same, when=bench.past(leaves, 2, name="leaves"))
    bench.reach("the ring is full", count == dut.depth)
    bench.reach("a beat passed through", gone)
    _claim_ring(bench, dut, count, ahead, inside, value, error)
    return bench


def _claim_ring(bench, dut, count, ahead, inside, value, error) -> None:
    """What induction needs: where in the ring everything is."""
    head, tail = bench.inner(dut, "head"), bench.inner(dut, "tail")
    apart = Mux(tail >= head, tail - head, tail + dut.depth - head)
    bench.claim("the pointers are in the ring", (tail < dut.depth) & (head < dut.depth))
    bench.claim("they are as far apart as there are beats", apart == Mux(count == dut.depth, 0, count))
    bench.claim("the ring is never more than full", count <= dut.depth)
    bench.claim("its own count is right", bench.inner(dut, "count") == count)
    bench.claim("beats ahead of another are inside, too", ahead < count, when=inside)
    place = head + ahead
    row = bench.stored(dut, "ring", Mux(place >= dut.depth, place - dut.depth, place)[: len(tail)])
    bench.claim("the beat lies in its place", (row.data == value) & (row.error == error), when=inside)


PROOFS = (
    Proof(
        name="landing",
        unit=landing,
        bench=landing_bench,
        method=Method.INDUCTION,
        cycles=3,
        reach_cycles=20,
        bugs=(
            SeededBug(
                name="a beat can be taken as it arrives",
                old="self.available.eq(count != 0)",
                new="self.available.eq((count != 0) | self.beat.valid)",
                cycles=6,
            ),
            SeededBug(
                name="a beat counts once it is out of the ring",
                old="self.taken.valid.eq(valid)",
                new="self.taken.valid.eq(self.take)",
                cycles=6,
            ),
        ),
    ),
)


@pytest.mark.parametrize("proof", cases(PROOFS))
def test_no_beat_is_lost_or_overtaken(proof: Proof) -> None:
    check(proof)
