"""The whole machine: host registers in front of the core."""

from amaranth import Module, ResetInserter, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from tilewright.hw.axi import master_pins
from tilewright.hw.core import Core
from tilewright.hw.registers import SLAVE_PINS, Registers
from tilewright.isa.config import Config
from tilewright.isa.memory import Engine

_TRACE_PINS = {
    "trace_running": Out(1),
    "trace_start": Out(len(Engine) + 1),
    "trace_finish": Out(len(Engine)),
}


class Machine(wiring.Component):
    """A Tilewright accelerator: an AXI4-Lite slave for the host, an AXI4 master for programs and data.

    One clock, `clk`, whose rising edge counts, and one reset, `rst`, which is synchronous and active high. A
    reset leaves the memories on the chip as they are.

    Args:
        config: its sizes.
        trace: with the outputs `trace_*`, for simulators and logic analysers.

    Members:
        s_axi_*: the host's registers (docs/isa.md).
        m_axi_*: the memory outside.
        interrupt: Out. Up from the cycle after a program's end until the host acknowledges it, or starts or
            resets the machine; a register.
        trace_running: Out. A program runs; cycle 0 is the first with it up.
        trace_start: Out. Bit e: engine e starts the head of its queue; the bit after them: fetch dispatches.
        trace_finish: Out. Bit e: the oldest instruction in flight of engine e finishes.
    """

    def __init__(self, config: Config, *, trace: bool = False) -> None:
        self.config, self.trace = config, trace
        super().__init__(
            {f"s_axi_{name}": member for name, member in SLAVE_PINS.items()}
            | {f"m_axi_{name}": member for name, member in master_pins(config).items()}
            | {"interrupt": Out(1)}
            | (_TRACE_PINS if trace else {})
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        clear, running, done = Signal(), Signal(), Signal()
        m.submodules.registers = registers = Registers(self.config)
        core = Core(self.config)
        m.submodules.core = ResetInserter(clear)(core)
        self._connect_pins(m, registers, core)
        # What clears nearly all registers is a register itself.
        starting = Signal()
        start = registers.start & ~running & ~starting & ~registers.reset
        m.d.sync += [starting.eq(start), clear.eq(start | registers.reset)]
        with m.If(clear):
            m.d.sync += [running.eq(starting), done.eq(0)]
        with m.Elif(core.end):
            m.d.sync += [running.eq(0), done.eq(1)]
        self._elaborate_interrupt(m, registers, end=core.end, clear=clear)
        m.d.comb += [core.running.eq(running), core.program.eq(registers.program)]
        m.d.comb += [registers.running.eq(running), registers.done.eq(done), registers.capture.eq(starting)]
        for name in ("faulted", "bus_idle", "record", "count"):
            m.d.comb += getattr(registers, name).eq(getattr(core, name))
        if self.trace:
            m.d.comb += [
                self.trace_running.eq(running),
                self.trace_start.eq(core.start),
                self.trace_finish.eq(core.finish),
            ]
        return m

    def _elaborate_interrupt(self, m: Module, registers: Registers, *, end: Value, clear: Value) -> None:
        with m.If(clear):
            m.d.sync += self.interrupt.eq(0)
        # The host cannot have meant an end that it has not seen yet.
        with m.Elif(end):
            m.d.sync += self.interrupt.eq(1)
        with m.Elif(registers.acknowledge):
            m.d.sync += self.interrupt.eq(0)
        m.d.comb += registers.interrupt.eq(self.interrupt)

    def _connect_pins(self, m: Module, registers: Registers, core: Core) -> None:
        slave = {f"s_axi_{name}": (member, registers) for name, member in SLAVE_PINS.items()}
        master = {f"m_axi_{name}": (member, core) for name, member in master_pins(self.config).items()}
        for name, (member, unit) in (slave | master).items():
            inner, outer = getattr(unit, name), getattr(self, name)
            m.d.comb += outer.eq(inner) if member.flow is Out else inner.eq(outer)
