"""The host's side of the machine: an AXI4-Lite slave in front of the register table."""

from amaranth import Cat, Const, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from tilewright.hw.core import PROGRAM
from tilewright.hw.counter import COUNTERS
from tilewright.hw.fault import FAULT_RECORD
from tilewright.isa.config import Config
from tilewright.isa.instruction import ISA_VERSION
from tilewright.isa.register import (
    ALIGNED,
    BASE_ALIGNMENT_BYTES,
    BASE_REGISTERS,
    MAGIC,
    REGISTERS,
    SPACE_BYTES,
    WORD_BYTES,
    Control,
    Register,
    RegisterAccess,
    Status,
)

WORD_BITS = 8 * WORD_BYTES
ADDRESS_BITS = exact_log2(SPACE_BYTES)

SLAVE_PINS = {
    "awvalid": In(1),
    "awready": Out(1),
    "awaddr": In(ADDRESS_BITS),
    "awprot": In(3),
    "wvalid": In(1),
    "wready": Out(1),
    "wdata": In(WORD_BITS),
    "wstrb": In(WORD_BYTES),
    "bvalid": Out(1),
    "bready": In(1),
    "bresp": Out(2),
    "arvalid": In(1),
    "arready": Out(1),
    "araddr": In(ADDRESS_BITS),
    "arprot": In(3),
    "rvalid": Out(1),
    "rready": In(1),
    "rdata": Out(WORD_BITS),
    "rresp": Out(2),
}
"""Pins of the AXI4-Lite slave, by AXI's names."""


class Registers(wiring.Component):
    """Holds what the host writes and shows what the machine says.

    Latency: a read answers two cycles after its address; a write takes effect one cycle after its address and
    data are both there. Throughput: one read and one write at a time, side by side.

    Members:
        s_axi_*: the slave's pins.
        capture: In. A program is started: take what the host wrote at the end of this cycle.
        program: Out. What the host had written at the last `capture`.
        start, reset, acknowledge: Out. The host asks for it, in this cycle only.
        running, done, faulted, bus_idle, interrupt, record, count: In. What the machine says.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__(
            {f"s_axi_{name}": member for name, member in SLAVE_PINS.items()}
            | {
                "capture": In(1),
                "program": Out(PROGRAM),
                "start": Out(1),
                "reset": Out(1),
                "acknowledge": Out(1),
                "running": In(1),
                "done": In(1),
                "faulted": In(1),
                "bus_idle": In(1),
                "interrupt": In(1),
                "record": In(FAULT_RECORD),
                "count": In(COUNTERS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self._written = {
            row.name: Signal(row.bits, name=row.name)
            for row in REGISTERS.values()
            if row.access is RegisterAccess.WRITE and row.name != "control"
        }
        self._elaborate_write(m)
        self._elaborate_read(m)
        self._elaborate_program(m)
        return m

    # --- the program ---------------------------------------------------------------------------------------

    def _elaborate_program(self, m: Module) -> None:
        """A copy, so that a host may write what the next program needs while one runs."""
        digest = int.from_bytes(self.config.digest(), "little")
        written = Signal(PROGRAM)
        m.d.comb += [
            written.address.eq(self._written["program_address"]),
            written.length.eq(self._written["program_length"]),
            written.timeout.eq(self._written["timeout"]),
            written.mismatch.eq(self._written["expected_digest"] != digest),
        ]
        for index in range(BASE_REGISTERS):
            m.d.comb += written.bases[index].eq(self._written[f"base_{index}"])
        with m.If(self.capture):
            m.d.sync += self.program.eq(written)

    def _value(self, row: Register) -> Value:
        """What a register reads as."""
        if row.name in self._written:
            return self._written[row.name]
        if row.name in COUNTERS.members:
            return self.count[row.name]
        return {
            "magic": Const(MAGIC, 32),
            "isa_version": Const(ISA_VERSION, 32),
            "config_digest": Const(int.from_bytes(self.config.digest(), "little"), 64),
            "control": Const(0, 32),
            "status": Cat(getattr(self, bit.name.lower()) for bit in Status if bit.name),
            "fault": Cat(self.record.cause, Const(0, 4), self.record.engine),
            "fault_instruction": self.record.index,
            "fault_cycle": self.record.cycle,
        }[row.name]

    # --- reads ---------------------------------------------------------------------------------------------

    def _elaborate_read(self, m: Module) -> None:
        """The address is registered first: the multiplexer over the whole map has a cycle of its own."""
        address = Signal(ADDRESS_BITS, name="read_address")
        looking = Signal()
        m.d.comb += self.s_axi_arready.eq(~looking & ~self.s_axi_rvalid)
        with m.If(self.s_axi_arvalid & self.s_axi_arready):
            m.d.sync += [address.eq(self.s_axi_araddr), looking.eq(1)]
        with m.If(looking):
            m.d.sync += [looking.eq(0), self.s_axi_rvalid.eq(1), self.s_axi_rdata.eq(0)]
            with m.Switch(address[exact_log2(WORD_BYTES) :]):
                for row in REGISTERS.values():
                    for word in range(row.words):
                        with m.Case(row.offset // WORD_BYTES + word):
                            m.d.sync += self.s_axi_rdata.eq(_word(self._value(row), word))
        with m.If(self.s_axi_rvalid & self.s_axi_rready):
            m.d.sync += self.s_axi_rvalid.eq(0)

    # --- writes --------------------------------------------------------------------------------------------

    def _elaborate_write(self, m: Module) -> None:
        """Address and data come in any order; the write happens when both are there and can be answered."""
        address = Signal(ADDRESS_BITS, name="write_address")
        data = Signal(WORD_BITS, name="write_data")
        strobe = Signal(WORD_BYTES, name="write_strobe")
        has_address, has_data, write = (Signal(name=name) for name in ("has_address", "has_data", "write"))
        m.d.comb += [self.s_axi_awready.eq(~has_address), self.s_axi_wready.eq(~has_data)]
        m.d.comb += write.eq(has_address & has_data & ~self.s_axi_bvalid)
        with m.If(self.s_axi_awvalid & self.s_axi_awready):
            m.d.sync += [address.eq(self.s_axi_awaddr), has_address.eq(1)]
        with m.If(self.s_axi_wvalid & self.s_axi_wready):
            m.d.sync += [data.eq(self.s_axi_wdata), strobe.eq(self.s_axi_wstrb), has_data.eq(1)]
        with m.If(self.s_axi_bvalid & self.s_axi_bready):
            m.d.sync += self.s_axi_bvalid.eq(0)
        with m.If(write):
            m.d.sync += [has_address.eq(0), has_data.eq(0), self.s_axi_bvalid.eq(1)]
        mask = Cat(bit.replicate(8) for bit in strobe)
        with m.If(write), m.Switch(address[exact_log2(WORD_BYTES) :]):
            for row in REGISTERS.values():
                for word in range(row.words):
                    with m.Case(row.offset // WORD_BYTES + word):
                        self._elaborate_word(m, row, word, data, mask)

    def _elaborate_word(self, m: Module, row: Register, word: int, data: Value, mask: Value) -> None:
        if row.name == "control":
            asked = {
                Control.START: self.start,
                Control.RESET: self.reset,
                Control.ACKNOWLEDGE: self.acknowledge,
            }
            m.d.comb += [signal.eq((data & mask & bit).any()) for bit, signal in asked.items()]
        elif row.access is RegisterAccess.WRITE:
            register = self._written[row.name].word_select(word, WORD_BITS)
            low_bits = BASE_ALIGNMENT_BYTES - 1 if row.name in ALIGNED and word == 0 else 0
            m.d.sync += register.eq(((data & mask) | (register & ~mask)) & ~low_bits)


def _word(value: Value, word: int) -> Value:
    return value[word * WORD_BITS : (word + 1) * WORD_BITS]
