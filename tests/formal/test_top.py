"""A program ends once, the interrupt tells it, and a start is heard only between programs."""

from types import ModuleType

import pytest

from formal.proof import Method, Proof, SeededBug, cases, check
from formal.proof_bench import ProofBench
from tilewright.hw import top
from tilewright.isa.config import PRESETS


def machine_bench(unit: ModuleType) -> ProofBench:
    """The host asks for anything at any time, and the core ends when it likes."""
    bench = ProofBench()
    cores, made = bench.cut(unit, "Core"), bench.cut(unit, "Registers")
    dut = unit.Machine(PRESETS["tiny"], trace=True)
    bench.add("dut", dut)
    (core,), (host,) = cores, made
    running, done, interrupt = host.running, host.done, dut.interrupt
    # The core is reset with `clear`, which is the unit's own; its end is that of a program that runs.
    bench.assume(~core.end | core.running)
    reset = bench.past(host.reset, name="reset")
    begins = bench.past(host.capture, name="begins")
    clear = bench.named(reset | host.capture, "clears")
    ended = bench.past(core.end & ~clear, name="ended")
    bench.claim("a program runs from the cycle behind its capture", running, when=begins)
    was = bench.past(running, name="ran")
    bench.claim(
        "it runs until it ends, or the host resets it",
        running,
        when=was & ~ended & ~bench.past(clear, name="cleared"),
    )
    bench.claim("nothing runs that was not started", was | begins, when=running)
    bench.claim("it does not run on behind its end", ~running, when=ended)
    bench.claim("a reset ends it", ~running, when=bench.past(reset & ~host.capture))
    bench.claim(
        "a start is heard only while nothing runs",
        ~bench.past(running) & bench.past(host.start),
        when=host.capture,
    )
    bench.claim(
        "done is of the last program, until the next start or reset",
        done == bench.flag("over", up=core.end & ~clear, down=clear),
    )
    told = bench.flag("told", up=core.end & ~clear, down=clear | host.acknowledge)
    bench.claim("the interrupt is up from an end to its acknowledgement", interrupt == told)
    bench.claim("it never runs and is done", ~(running & done))
    bench.claim(
        "the core runs as the host sees it", (core.running == running) & (dut.trace_running == running)
    )
    for name in ("faulted", "bus_idle", "record", "count"):
        seen, shown = getattr(host, name), getattr(core, name)
        same = (seen.as_value() if hasattr(seen, "as_value") else seen) == (
            shown.as_value() if hasattr(shown, "as_value") else shown
        )
        bench.claim(f"the host can read {name} whatever the core does", same)
    bench.reach("a second program runs", running & bench.flag("one_over", up=done))
    bench.reach("an end is acknowledged", done & ~interrupt)
    return bench


_END = "        with m.Elif(end):\n            m.d.sync += self.interrupt.eq(1)\n"
_ACKNOWLEDGE = "        with m.Elif(registers.acknowledge):\n            m.d.sync += self.interrupt.eq(0)\n"

PROOFS = (
    Proof(
        name="machine",
        unit=top,
        bench=machine_bench,
        method=Method.INDUCTION,
        cycles=2,
        reach_cycles=9,
        bugs=(
            SeededBug(
                name="a start is heard while a program runs",
                old="start = registers.start & ~running & ~starting & ~registers.reset",
                new="start = registers.start & ~starting & ~registers.reset",
                cycles=6,
            ),
            SeededBug(
                name="an acknowledgement hides an end that it cannot mean",
                old=_END + _ACKNOWLEDGE,
                new=_ACKNOWLEDGE + _END,
                cycles=6,
            ),
        ),
    ),
)


@pytest.mark.parametrize("proof", cases(PROOFS))
def test_a_program_ends_once_and_the_host_is_told(proof: Proof) -> None:
    check(proof)
