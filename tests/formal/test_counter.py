"""Every cycle of an engine is counted as exactly one of busy, waiting, stalled, idle; every byte once."""

from types import ModuleType

import pytest
from amaranth import Mux, Signal

from formal.proof import Method, Proof, SeededBug, cases, check
from formal.proof_bench import ProofBench
from tilewright.hw import counter
from tilewright.isa.memory import Engine


def counter_bench(unit: ModuleType) -> ProofBench:
    """Counts against sums of the bench; what is counted late is in the registers named `is`."""
    bench = ProofBench()
    dut = unit.Counters()
    bench.add("dut", dut)
    cycles = bench.count(dut.running, bits=unit.COUNTER_BITS, name="cycles")
    bench.claim("cycles are counted while it runs", dut.count.cycles == cycles)
    for engine in Engine:
        _claim_engine(bench, unit, dut, engine)
    for index, name in enumerate(unit.TRAFFIC):
        _claim_bytes(bench, unit, dut, index, name)
    bench.reach(
        "all classes were seen", dut.count.load_stalled & dut.count.load_waiting & dut.count.load_busy
    )
    return bench


def _claim_engine(bench: ProofBench, unit: ModuleType, dut: counter.Counters, engine: Engine) -> None:
    occupied, heading, ready = dut.occupied[engine], dut.heading[engine], dut.tokens_ready[engine]
    idle = bench.past(dut.running & ~occupied & ~heading, name=f"{engine.label}_idle")
    ran = bench.past(dut.running, name=f"{engine.label}_ran")
    late = [bench.inner(dut, f"{engine.label}_is_{name}") for name in unit.ENGINE_COUNTERS]
    bench.claim(f"{engine.label}: each cycle is of exactly one class", sum(late, start=idle) == ran)
    for name, seen in zip(unit.ENGINE_COUNTERS, late, strict=True):
        count = dut.count[f"{engine.label}_{name}"]
        counted = count == (bench.past(count) + bench.past(seen))[: unit.COUNTER_BITS]
        bench.claim(f"{engine.label}: {name} grows by one for each of its cycles", counted)
    expected = (occupied, ~occupied & heading & ~ready, ~occupied & heading & ready)
    for name, condition, seen in zip(unit.ENGINE_COUNTERS, expected, late, strict=True):
        same = seen == bench.past(dut.running & condition)
        bench.claim(f"{engine.label}: {name} is what the machine's page says", same)


def _claim_bytes(bench: ProofBench, unit: ModuleType, dut: counter.Counters, index: int, name: str) -> None:
    accepted = dut.accepted[index]
    size = Mux(accepted.valid, (accepted.beats_minus_1 + 1) << accepted.size, 0)
    total = Signal(unit.COUNTER_BITS, name=f"{name}_sum")
    bench.m.d.sync += total.eq(total + bench.past(size, name=f"{name}_size"))
    bench.claim(f"{name}: the bytes of all bursts are counted", dut.count[f"{name}_bytes"] == total)


PROOFS = (
    Proof(
        name="counters",
        unit=counter,
        bench=counter_bench,
        method=Method.INDUCTION,
        cycles=2,
        reach_cycles=8,
        bugs=(
            SeededBug(
                name="an occupied engine also waits",
                old="            idle_head & ~self.tokens_ready[engine],",
                new="            self.heading[engine] & ~self.tokens_ready[engine],",
                cycles=3,
            ),
            SeededBug(
                name="a burst counts one beat less",
                old="(accepted.beats_minus_1 + 1) << accepted.size",
                new="accepted.beats_minus_1 << accepted.size",
                cycles=4,
            ),
        ),
    ),
)


@pytest.mark.parametrize("proof", cases(PROOFS))
def test_every_cycle_is_of_one_class(proof: Proof) -> None:
    check(proof)
