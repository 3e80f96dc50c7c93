"""A fault stops the machine: nothing starts behind it, the program ends, and what it was stays readable."""

from types import ModuleType

import pytest
from amaranth import Cat, Signal

from formal.proof import Method, Proof, SeededBug, cases, check
from formal.proof_bench import ProofBench
from tilewright.hw import core
from tilewright.isa.config import PRESETS
from tilewright.isa.fault import Cause, FaultEngine
from tilewright.isa.memory import Engine

_CONFIG = PRESETS["tiny"]
_CUT = (
    "Fetch",
    "LoadEngine",
    "MatrixEngine",
    "VectorEngine",
    "StoreEngine",
    "BankedMemory",
    "ReadChannel",
    "BusMonitor",
    "HeadQueue",
    "Queue",
    "Scoreboard",
)


def core_bench(unit: ModuleType) -> ProofBench:
    """The wiring between fetch, scoreboard, engines and bus, each by its own proof; faults are real."""
    bench = ProofBench()
    made = {name: bench.cut(unit, name) for name in _CUT}
    dut = unit.Core(_CONFIG)
    bench.add("dut", dut)
    fetch, board, monitor = (made[name][0] for name in ("Fetch", "Scoreboard", "BusMonitor"))
    bench.assume(~bench.past(dut.running) | dut.running)
    for claim in (fetch.dispatch == 0, fetch.dispatched == 0, fetch.fault.valid == 0, ~fetch.request.valid):
        bench.assume(~fetch.halted | claim)
    bench.assume(board.enable | (board.start == 0))
    bench.assume((board.run & ~board.start) == 0)
    reports = [made[name][0].control.fault for name in _CUT[1:5]]
    system = bench.named(_deadlock(board, fetch, made) | monitor.expired, "system_fault")
    faulty = bench.named(
        dut.running & (Cat(report.valid for report in reports).any() | fetch.fault.valid | system), "faulty"
    )
    over = bench.flag("fault_before", up=faulty)
    bench.claim("a fault is on record behind its cycle, for ever", dut.faulted == over)
    kept = dut.record.as_value() == bench.past(dut.record.as_value())
    bench.claim("the first fault stays on record", kept, when=bench.past(over))
    _claim_stop(bench, dut, made, fetch, board, over)
    _claim_record(bench, dut, reports, faulty, over, system, monitor)
    _claim_end(bench, dut, board, fetch, made, monitor, over)
    return bench


def _deadlock(board, fetch, made):
    """docs/machine.md, Faults, Deadlock at t."""
    heads = Cat(queue.valid for queue in made["HeadQueue"])
    nothing_starts = (heads & board.tokens_ready) == 0
    return heads.any() & (board.in_flight == 0) & nothing_starts & fetch.stuck & fetch.idle


def _claim_stop(bench, dut, made, fetch, board, over) -> None:
    bench.claim(
        "behind a fault nothing is fetched or dispatched", fetch.halted & ~fetch.dispatched, when=over
    )
    bench.claim("behind a fault nothing starts", ~board.enable & (dut.start == 0), when=over)
    units = (made[name][0] for name in _CUT[1:5])
    engines = (Engine.LOAD, Engine.MATRIX, Engine.VECTOR, Engine.STORE)
    for engine, unit in zip(engines, units, strict=True):
        bench.claim(f"{engine.label} is told nothing new", ~unit.control.start, when=over)
        bench.claim(f"{engine.label} takes only heads of its queue", unit.control.start == board.run[engine])
    bench.claim("before a fault starts are allowed while it runs", board.enable == (dut.running & ~over))


def _claim_record(bench, dut, reports, faulty, over, system, monitor) -> None:
    first = bench.past(bench.named(faulty & ~over, "first_fault"))
    cycle = Signal(len(dut.record.cycle), name="cycle")
    bench.m.d.sync += cycle.eq(cycle + dut.running)
    bench.claim("the cycle of the fault is on record", dut.record.cycle == bench.past(cycle), when=first)
    alone = bench.named(system & ~Cat(report.valid for report in reports).any(), "only_system")
    engine = dut.record.engine == FaultEngine.SYSTEM
    fetch_fault = bench.past(dut._fetch.fault.valid)
    of_system = first & bench.past(alone) & ~fetch_fault
    bench.claim("deadlock and time-out are faults of the system", engine, when=of_system)
    named = (dut.record.cause == Cause.DEADLOCK) | (dut.record.cause == Cause.TIMEOUT)
    bench.claim("and named so", named, when=of_system)
    bench.claim("its own cycles are right", dut.count.cycles == cycle)
    bench.reach("a deadlock is on record", dut.faulted & (dut.record.cause == Cause.DEADLOCK))
    bench.reach("a time-out is on record", dut.faulted & (dut.record.cause == Cause.TIMEOUT))


def _claim_end(bench, dut, board, fetch, made, monitor, over) -> None:
    """docs/machine.md, End: nothing else is waited for, so a program with a fault ends with what runs."""
    abandoned = bench.flag("abandoned", up=dut.running & monitor.expired)
    computing = board.in_flight[Engine.MATRIX] | board.in_flight[Engine.VECTOR]
    queued = Cat(queue.valid for queue in made["HeadQueue"]).any()
    none = board.in_flight == 0
    after_fault = dut.running & none & fetch.idle
    bench.claim(
        "behind a fault it ends when what runs has ended", dut.end == after_fault, when=over & ~abandoned
    )
    bench.claim(
        "behind a time-out it waits for no bus", dut.end == (dut.running & ~computing), when=abandoned
    )
    finished = dut.running & fetch.drained & ~queued & none
    bench.claim(
        "without a fault it ends with finish, when all is done", dut.end == finished, when=~over & ~abandoned
    )
    bench.claim("load and store are given up at a time-out", bench.inner(dut, "_abandoned") == abandoned)
    bench.claim("a time-out is a fault", over, when=abandoned)
    bench.reach("a program ends behind a fault", dut.end & over)


PROOFS = (
    Proof(
        name="core",
        unit=core,
        bench=core_bench,
        method=Method.INDUCTION,
        cycles=2,
        reach_cycles=5,
        bugs=(
            SeededBug(
                name="engines start behind a fault",
                old="self._scoreboard.enable.eq(self.running & ~self._faults.halted),",
                new="self._scoreboard.enable.eq(self.running),",
                cycles=5,
            ),
            SeededBug(
                name="a program with a fault waits for finish",
                old="self.end.eq(self.running & ~in_flight.any() & self._fetch.idle)",
                new="self.end.eq(self.running & finished)",
                cycles=5,
            ),
            SeededBug(
                name="a time-out behind another fault is not heard",
                old="with m.If(self.running & expired):",
                new="with m.If(self.running & expired & ~faults.halted):",
                cycles=6,
            ),
        ),
    ),
)


@pytest.mark.parametrize("proof", cases(PROOFS))
def test_a_fault_stops_the_machine(proof: Proof) -> None:
    check(proof)
