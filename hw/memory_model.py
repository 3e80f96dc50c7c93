"""The memory outside as gates, with stated parameters: for runs of the gates without a board."""

from amaranth import Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from tilewright.hw.axi import ID_BITS, Response, slave_pins
from tilewright.hw.interface import MEMORY_ADDRESS_BITS
from tilewright.hw.queue import Queue
from tilewright.isa.config import Config

LATENCY_BITS = 16
OUTSTANDING_BITS = 8
SIZE_BITS = 48
_TIME_BITS = 32
"""Cycles are compared modulo 2 ** 32: no burst waits for half of that."""

_ADDRESS = {"address": MEMORY_ADDRESS_BITS, "size": 3, "id": ID_BITS}
_READ = data.StructLayout(_ADDRESS | {"beats_minus_1": 8, "due": _TIME_BITS})
_WRITE = data.StructLayout(_ADDRESS)
_ANSWER = data.StructLayout({"id": ID_BITS, "error": 1, "due": _TIME_BITS})


class OutsideMemory(wiring.Component):
    """Answers bursts in order after `latency` cycles: docs/machine.md, "The memory outside".

    The bytes lie outside of it, behind combinational ports as wide as the bus. Latency: the first beat of a
    read burst `latency` cycles after its acceptance, the answer of a write burst `latency` cycles after its
    last beat. Throughput: one beat a cycle each way. Write beats wait for their address.

    Members:
        latency: In. At least 1 cycle.
        outstanding: In. Read bursts accepted and not completed, at most.
        size: In. Bytes; beats at or beyond are in error. A multiple of the bus.
        silent: In. From now on nothing is accepted or answered.
        read_address: Out. First byte of the word that is read, a multiple of the bus.
        read_enable: Out. `read_data` is used in this cycle.
        read_data: In. The word, in the same cycle.
        write_enable, write_address, write_data, write_strobe: Out. A word that is written in this cycle.
        aw*, w*, b*, ar*, r*: the pins of the bus.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__(
            {
                "latency": In(LATENCY_BITS),
                "outstanding": In(OUTSTANDING_BITS),
                "size": In(SIZE_BITS),
                "silent": In(1),
                "read_address": Out(MEMORY_ADDRESS_BITS),
                "read_enable": Out(1),
                "read_data": In(8 * config.bus_bytes),
                "write_enable": Out(1),
                "write_address": Out(MEMORY_ADDRESS_BITS),
                "write_data": Out(8 * config.bus_bytes),
                "write_strobe": Out(config.bus_bytes),
            }
            | slave_pins(config)
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        self._now = Signal(_TIME_BITS)
        m.d.sync += self._now.eq(self._now + 1)
        m.submodules.reads = reads = Queue(_READ, 1 << OUTSTANDING_BITS)
        m.submodules.writes = writes = Queue(_WRITE, config.outstanding_writes)
        m.submodules.answers = answers = Queue(_ANSWER, config.outstanding_writes)
        self._elaborate_read_address(m, reads)
        self._elaborate_read_data(m, reads)
        self._elaborate_write_address(m, writes)
        self._elaborate_write_data(m, writes, answers)
        self._elaborate_answer(m, answers)
        return m

    def _is_due(self, due: Value) -> Value:
        return ~(self._now - due)[_TIME_BITS - 1]

    def _word(self, address: Value) -> Value:
        """The address of the bus word that holds a byte."""
        bits = exact_log2(self.config.bus_bytes)
        return address[bits:] << bits

    def _elaborate_read_address(self, m: Module, reads: Queue) -> None:
        unfinished = Signal(OUTSTANDING_BITS + 1)
        completed = self.rvalid & self.rready & self.rlast
        m.d.comb += [
            self.arready.eq((unfinished < self.outstanding) & ~self.silent),
            reads.push.eq(self.arvalid & self.arready),
            reads.item.address.eq(self.araddr),
            reads.item.size.eq(self.arsize),
            reads.item.id.eq(self.arid),
            reads.item.beats_minus_1.eq(self.arlen),
            reads.item.due.eq(self._now + self.latency),
        ]
        m.d.sync += unfinished.eq(unfinished + reads.push - completed)

    def _elaborate_read_data(self, m: Module, reads: Queue) -> None:
        head = reads.head
        beat = Signal(8)
        address = Signal(MEMORY_ADDRESS_BITS, name="read_byte")
        outside = address >= self.size
        m.d.comb += [
            address.eq(head.address + (beat << head.size)),
            self.rvalid.eq(reads.valid & self._is_due(head.due) & ~self.silent),
            self.rlast.eq(beat == head.beats_minus_1),
            self.rid.eq(head.id),
            self.rresp.eq(Mux(outside, Response.SLVERR, Response.OKAY)),
            self.rdata.eq(Mux(outside, 0, self.read_data)),
            self.read_enable.eq(self.rvalid & ~outside),
            self.read_address.eq(self._word(address)),
            reads.pop.eq(self.rvalid & self.rready & self.rlast),
        ]
        with m.If(self.rvalid & self.rready):
            m.d.sync += beat.eq(Mux(self.rlast, 0, beat + 1))

    def _elaborate_write_address(self, m: Module, writes: Queue) -> None:
        m.d.comb += [
            self.awready.eq(writes.room & ~self.silent),
            writes.push.eq(self.awvalid & self.awready),
            writes.item.address.eq(self.awaddr),
            writes.item.size.eq(self.awsize),
            writes.item.id.eq(self.awid),
        ]

    def _elaborate_write_data(self, m: Module, writes: Queue, answers: Queue) -> None:
        beat = Signal(8, name="write_beat")
        failed = Signal()
        address = Signal(MEMORY_ADDRESS_BITS, name="write_byte")
        passed = self.wvalid & self.wready
        outside = address >= self.size
        m.d.comb += [
            address.eq(writes.head.address + (beat << writes.head.size)),
            self.wready.eq(writes.valid & answers.room & ~self.silent),
            self.write_enable.eq(passed & ~outside),
            self.write_address.eq(self._word(address)),
            self.write_data.eq(self.wdata),
            self.write_strobe.eq(self.wstrb),
            writes.pop.eq(passed & self.wlast),
            answers.push.eq(writes.pop),
            answers.item.id.eq(writes.head.id),
            answers.item.error.eq(failed | outside),
            answers.item.due.eq(self._now + self.latency),
        ]
        with m.If(passed):
            m.d.sync += beat.eq(Mux(self.wlast, 0, beat + 1))
            m.d.sync += failed.eq(~self.wlast & (failed | outside))

    def _elaborate_answer(self, m: Module, answers: Queue) -> None:
        m.d.comb += [
            self.bvalid.eq(answers.valid & self._is_due(answers.head.due) & ~self.silent),
            self.bid.eq(answers.head.id),
            self.bresp.eq(Mux(answers.head.error, Response.SLVERR, Response.OKAY)),
            answers.pop.eq(self.bvalid & self.bready),
        ]
