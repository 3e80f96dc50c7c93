"""The first fault of a program."""

from amaranth import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from tilewright.hw.interface import CAUSE_BITS, FAULT, INDEX_BITS
from tilewright.isa.fault import FaultEngine

CYCLE_BITS = 64

FAULT_RECORD = data.StructLayout({"cycle": CYCLE_BITS, "engine": 3, "index": INDEX_BITS, "cause": CAUSE_BITS})


class FaultRecorder(wiring.Component):
    """Records the lowest (cycle, engine, instruction, cause).

    Within a cycle each engine reports its oldest instruction, so the order of engines is all that is left.

    Latency: `halted` and `record` one cycle after the fault.

    Members:
        running: In. Faults count.
        cycle: In. The number of this cycle.
        report: array of In. One for each `FaultEngine`.
        now: Out. A fault is recorded in this cycle; `halted` follows.
        halted: Out. There was a fault before this cycle.
        record: Out. What it was.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "running": In(1),
                "cycle": In(CYCLE_BITS),
                "report": In(FAULT).array(len(FaultEngine)),
                "now": Out(1),
                "halted": Out(1),
                "record": Out(FAULT_RECORD),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        chosen = Signal(FAULT)
        engine = Signal(3)
        for code in reversed(FaultEngine):
            with m.If(self.report[code].valid):
                m.d.comb += [chosen.eq(self.report[code]), engine.eq(code)]
        m.d.comb += self.now.eq(self.running & ~self.halted & chosen.valid)
        with m.If(self.now):
            m.d.sync += [
                self.halted.eq(1),
                self.record.cycle.eq(self.cycle),
                self.record.engine.eq(engine),
                self.record.index.eq(chosen.index),
                self.record.cause.eq(chosen.cause),
            ]
        return m
