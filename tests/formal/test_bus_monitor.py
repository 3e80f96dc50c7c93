"""Silence on the bus is counted to the cycle; a time-out comes neither early nor late."""

from types import ModuleType

import pytest
from amaranth import Cat, Mux, Signal

from formal.proof import Method, Proof, SeededBug, cases, check
from formal.proof_bench import ProofBench
from tilewright.hw import bus_monitor
from tilewright.hw.burst import BEATS_BITS

_CHANNELS = ("ar", "r", "aw", "w", "b")
_MOST = 1 << 15
"""Beats or bursts outstanding: more than any configuration allows."""


def monitor_bench(unit: ModuleType) -> ProofBench:
    """The counters of the machine's page (Timeout) beside the unit; the host keeps to one time-out."""
    bench = ProofBench()
    dut = unit.BusMonitor()
    bench.add("dut", dut, driven=(dut.timeout,))
    bench.m.d.comb += dut.timeout.eq(bench.any_constant(unit.TIMEOUT_BITS, "limit"))
    shown = {name: getattr(dut, f"{name}valid") for name in _CHANNELS}
    passed = {name: valid & getattr(dut, f"{name}ready") for name, valid in shown.items()}
    reads, writes, silence = Signal(16), Signal(16), Signal(unit.TIMEOUT_BITS)
    pending = bench.named(Cat(*shown.values()).any() | (reads != 0) | (writes != 0), "pending")
    silent = bench.named(dut.running & pending & ~Cat(*passed.values()).any(), "is_silent")
    # An answer that nobody asked for breaks AXI.
    bench.assume(~dut.rvalid | (reads != 0))
    bench.assume(~dut.bvalid | (writes != 0))
    bench.assume((reads < _MOST) & (writes < _MOST))
    bench.m.d.sync += [
        reads.eq(reads + Mux(passed["ar"], dut.arlen + 1, 0) - passed["r"]),
        writes.eq(writes + passed["aw"] - passed["b"]),
        silence.eq(Mux(silent, silence + 1, 0)),
    ]
    bench.claim("it is idle while nothing is shown or unanswered", dut.idle == ~pending)
    expired = (dut.timeout != 0) & (silence == dut.timeout)
    bench.claim(
        "it expires after exactly as many cycles of silence as the host allows", dut.expired == expired
    )
    bench.claim("beats to be read are counted", bench.inner(dut, "reads") == reads)
    bench.claim("bursts to be written are counted", bench.inner(dut, "writes") == writes)
    bench.claim("cycles of silence are counted", bench.inner(dut, "silence") == silence)
    moved = Cat(bench.past(Cat(*passed.values()).any(), age) for age in (1, 2, 3)).any()
    bench.claim(
        "with 3 cycles allowed, none expires within 3 cycles of a handshake",
        ~dut.expired,
        when=moved & (dut.timeout >= 3),
    )
    bench.reach("a time-out of 3 cycles expires", dut.expired & (dut.timeout == 3))
    bench.reach("a long burst is outstanding", reads == 1 << BEATS_BITS)
    return bench


PROOFS = (
    Proof(
        name="bus monitor",
        unit=bus_monitor,
        bench=monitor_bench,
        method=Method.INDUCTION,
        cycles=4,
        reach_cycles=6,
        bugs=(
            SeededBug(
                name="handshakes do not end silence",
                old="self.running & ~moving & ~self.idle",
                new="self.running & ~self.idle",
                cycles=6,
            ),
            SeededBug(
                name="an unanswered write is no reason to wait",
                old="~shown & (reads == 0) & (writes == 0)",
                new="~shown & (reads == 0)",
                cycles=6,
            ),
        ),
    ),
)


@pytest.mark.parametrize("proof", cases(PROOFS))
def test_a_time_out_comes_when_it_is_due(proof: Proof) -> None:
    check(proof)
