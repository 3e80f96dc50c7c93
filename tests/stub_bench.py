"""A machine without engines, with the ports of the RTL bench: it copies beats and raises events.

Host registers (32 bits): 0x00 start (cycles to run), 0x04 source, 0x08 destination. While it runs, the
beat at source + k * bus_bytes is written to destination + k * bus_bytes in cycle k; there is a dispatch in
each cycle, a start of engine e in cycles divisible by e + 2, its finish one cycle later. A silent memory
holds it.
"""

from amaranth import Elaboratable, Module, ResetInserter, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tilewright.isa.memory import Engine

START, SOURCE, DESTINATION = 0x00, 0x04, 0x08

_OUTSIDE = {
    "reset": In(1),
    "latency": In(16),
    "outstanding": In(8),
    "size": In(48),
    "silent": In(1),
    "read_enable": Out(1),
    "read_address": Out(64),
    "write_enable": Out(1),
    "write_address": Out(64),
    "trace_running": Out(1),
    "trace_start": Out(len(Engine) + 1),
    "trace_finish": Out(len(Engine)),
}
_REGISTERS = {
    "s_axi_awvalid": In(1),
    "s_axi_awready": Out(1),
    "s_axi_awaddr": In(12),
    "s_axi_wvalid": In(1),
    "s_axi_wready": Out(1),
    "s_axi_wdata": In(32),
    "s_axi_wstrb": In(4),
    "s_axi_bvalid": Out(1),
    "s_axi_bready": In(1),
    "s_axi_bresp": Out(2),
    "s_axi_arvalid": In(1),
    "s_axi_arready": Out(1),
    "s_axi_araddr": In(12),
    "s_axi_rvalid": Out(1),
    "s_axi_rready": In(1),
    "s_axi_rdata": Out(32),
    "s_axi_rresp": Out(2),
}


class StubBench(wiring.Component):
    """See the module."""

    def __init__(self, bus_bytes: int) -> None:
        self.bus_bytes = bus_bytes
        data = {
            "read_data": In(8 * bus_bytes),
            "write_data": Out(8 * bus_bytes),
            "write_strobe": Out(bus_bytes),
        }
        super().__init__(_OUTSIDE | _REGISTERS | data)
        self._registers = {address: Signal(32) for address in (START, SOURCE, DESTINATION)}
        self._cycle = Signal(32)

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        self._silent = Signal()
        m.d.sync += self._silent.eq(self.silent)
        self._elaborate_write(m)
        self._elaborate_read(m)
        self._elaborate_run(m)
        self._elaborate_trace(m)
        return ResetInserter(self.reset)(m)

    def _elaborate_write(self, m: Module) -> None:
        m.d.comb += self.s_axi_awready.eq(self.s_axi_wvalid & ~self.s_axi_bvalid)
        m.d.comb += self.s_axi_wready.eq(self.s_axi_awvalid & ~self.s_axi_bvalid)
        with m.If(self.s_axi_awvalid & self.s_axi_awready):
            m.d.sync += self.s_axi_bvalid.eq(1)
            m.d.sync += self.s_axi_bresp.eq(2)
            with m.Switch(self.s_axi_awaddr):
                for address, register in self._registers.items():
                    with m.Case(address):
                        m.d.sync += register.eq(self.s_axi_wdata)
                        m.d.sync += self.s_axi_bresp.eq(0)
        with m.If(self.s_axi_bvalid & self.s_axi_bready):
            m.d.sync += self.s_axi_bvalid.eq(0)

    def _elaborate_read(self, m: Module) -> None:
        m.d.comb += self.s_axi_arready.eq(~self.s_axi_rvalid)
        with m.If(self.s_axi_arvalid & self.s_axi_arready):
            m.d.sync += self.s_axi_rvalid.eq(1)
            with m.Switch(self.s_axi_araddr):
                for address, register in self._registers.items():
                    with m.Case(address):
                        m.d.sync += self.s_axi_rdata.eq(register)
        with m.If(self.s_axi_rvalid & self.s_axi_rready):
            m.d.sync += self.s_axi_rvalid.eq(0)

    def _elaborate_run(self, m: Module) -> None:
        start = self._registers[START]
        m.d.comb += self.trace_running.eq(start != 0)
        m.d.comb += self.read_enable.eq(self.trace_running)
        m.d.comb += self.write_enable.eq(self.trace_running & ~self._silent)
        m.d.comb += self.read_address.eq(self._registers[SOURCE] + self._cycle * self.bus_bytes)
        m.d.comb += self.write_address.eq(self._registers[DESTINATION] + self._cycle * self.bus_bytes)
        m.d.comb += self.write_data.eq(self.read_data)
        m.d.comb += self.write_strobe.eq(~0)
        with m.If(self.trace_running & ~self._silent):
            m.d.sync += start.eq(start - 1)
            m.d.sync += self._cycle.eq(self._cycle + 1)
        with m.If(~self.trace_running):
            m.d.sync += self._cycle.eq(0)

    def _elaborate_trace(self, m: Module) -> None:
        running = self.trace_running & ~self._silent
        for engine in Engine:
            m.d.comb += self.trace_start[engine].eq(running & (self._cycle % (engine + 2) == 0))
            m.d.comb += self.trace_finish[engine].eq(running & (self._cycle % (engine + 2) == 1))
        m.d.comb += self.trace_start[len(Engine)].eq(running)
