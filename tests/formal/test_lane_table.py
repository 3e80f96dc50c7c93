"""A lane clamps every value and looks up what was written last."""

from types import ModuleType

import pytest
from amaranth import Mux, Signal, Value

from formal.proof import Method, Proof, SeededBug, cases, check
from formal.proof_bench import ProofBench
from tilewright.hw import lane_table


def table_bench(unit: ModuleType) -> ProofBench:
    """What lies in the later stages is what lay in the first; one entry is followed, whichever it is."""
    bench = ProofBench()
    dut = unit.LaneTable()
    later = dut.control[1:]
    bench.add("dut", dut, driven=tuple(control.as_value() for control in later))
    for before, control in zip(dut.control, later, strict=False):
        bench.m.d.sync += control.eq(before)
    first, stage, _ = dut.control
    bench.assume(~(first.lookup & first.write_table))
    bench.assume(first.valid | ~(first.lookup | first.write_table))
    bench.assume(first.narrow | ~(first.lookup | first.write_table))
    clamped = bench.named(_clamped(dut.y, first, unit.LANE_BITS), "clamped")
    element = clamped[: unit.ELEMENT_BITS]
    entry = bench.any_constant(unit.ELEMENT_BITS, "followed")
    content = Signal(unit.ELEMENT_BITS, name="content")
    written = bench.past(element, name="element")
    with bench.m.If(stage.write_table & (stage.entry == entry)):
        bench.m.d.sync += content.eq(written)
    plain = bench.past(clamped.as_unsigned(), 3, name="plain")
    became = bench.past(first.valid & ~first.lookup, 3, name="became")
    bench.claim("a result is min(max(y, lo), hi), or y as it is", dut.result == plain, when=became)
    of_entry = first.lookup & (element == (entry ^ (1 << (unit.ELEMENT_BITS - 1))))
    looked_up = bench.past(of_entry, 3, name="looked_up")
    # It is read in the second stage: what was written up to then counts.
    expected = bench.past(content, 2, name="content")
    bench.claim("a look-up gives the entry written last", dut.result == expected, when=looked_up)
    bench.claim("the entry lies in the table", bench.stored(dut, "table", entry) == content)
    bench.reach("a written entry is looked up", looked_up & (dut.result != 0))
    bench.reach(
        "a result is clamped", became & bench.past(first.narrow & (dut.y > first.hi), 3, name="above")
    )
    return bench


def _clamped(y: Value, control: Value, bits: int) -> Value:
    """docs/machine.md, Meaning: min(max(y, lo), hi)."""
    at_least = Mux(y > control.lo, y, control.lo)
    narrow = Mux(at_least < control.hi, at_least, control.hi)
    return Mux(control.narrow, narrow, y)[:bits]


PROOFS = (
    Proof(
        name="lane table",
        unit=lane_table,
        bench=table_bench,
        method=Method.INDUCTION,
        cycles=4,
        reach_cycles=8,
        map_memories=False,
        bugs=(
            SeededBug(
                name="hi does not win over lo",
                old="above = (self.y > control.hi) | (control.lo > control.hi)",
                new="above = self.y > control.hi",
                cycles=5,
            ),
            SeededBug(
                name="entry 0 is that of 0",
                old="read.addr.eq(element ^ (1 << (ELEMENT_BITS - 1)))",
                new="read.addr.eq(element)",
                cycles=8,
            ),
        ),
    ),
)


@pytest.mark.parametrize("proof", cases(PROOFS))
def test_values_are_clamped_and_looked_up(proof: Proof) -> None:
    check(proof)
