"""The first fault is recorded, the lowest engine's of a cycle, and stays."""

from types import ModuleType

import pytest
from amaranth import Cat, Signal

from formal.proof import Method, Proof, SeededBug, cases, check
from formal.proof_bench import ProofBench
from tilewright.hw import fault
from tilewright.isa.fault import FaultEngine


def fault_bench(unit: ModuleType) -> ProofBench:
    """What is on record against what was reported in the cycle of the first fault."""
    bench = ProofBench()
    dut = unit.FaultRecorder()
    bench.add("dut", dut)
    reported = bench.named(dut.running & Cat(report.valid for report in dut.report).any(), "reported")
    earlier = bench.flag("earlier", up=reported)
    bench.claim("it says now if and only if this is the first fault", dut.now == (reported & ~earlier))
    bench.claim("it is halted behind the first fault, for ever", dut.halted == earlier)
    seen = Signal(fault.FAULT_RECORD)
    for code in FaultEngine:
        lowest = dut.report[code].valid & ~Cat(dut.report[low].valid for low in range(code)).any()
        with bench.m.If(reported & ~earlier & lowest):
            bench.m.d.sync += [seen.engine.eq(code), seen.cycle.eq(dut.cycle)]
            bench.m.d.sync += [seen.cause.eq(dut.report[code].cause), seen.index.eq(dut.report[code].index)]
    bench.claim(
        "the record is of the lowest engine that reported first", dut.record.as_value() == seen.as_value()
    )
    bench.reach("a fault of the last engine is on record", earlier & (seen.engine == max(FaultEngine)))
    bench.reach("a second fault comes", earlier & reported)
    return bench


PROOFS = (
    Proof(
        name="fault recorder",
        unit=fault,
        bench=fault_bench,
        method=Method.INDUCTION,
        cycles=1,
        reach_cycles=3,
        bugs=(
            SeededBug(
                name="the highest engine wins",
                old="for code in reversed(FaultEngine):",
                new="for code in FaultEngine:",
                cycles=3,
            ),
            SeededBug(
                name="a later fault takes the record",
                old="self.now.eq(self.running & ~self.halted & chosen.valid)",
                new="self.now.eq(self.running & chosen.valid)",
                cycles=3,
            ),
        ),
    ),
)


@pytest.mark.parametrize("proof", cases(PROOFS))
def test_the_first_fault_is_kept(proof: Proof) -> None:
    check(proof)
