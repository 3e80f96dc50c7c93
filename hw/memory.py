"""The memories on the chip: banks of block RAM with one read and one write port each."""

from amaranth import Module, Mux, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from tilewright.hw.interface import read_layout, write_layout
from tilewright.isa.config import Config
from tilewright.isa.memory import Memory


class BankedMemory(wiring.Component):
    """The banks of one memory.

    Claims see to it that at most one reader and one writer use a bank in a cycle, and that no address is read
    and written in one cycle; so the requests of all readers are merged without arbitration.

    Latency: a request in cycle t is at `data` of its bank in cycle t + 2 (block RAM, then its output
    register).
    Throughput: one read and one write a cycle in each bank.

    Members:
        read: array of In. Requests, one for each reader.
        write: array of In. Writes, one for each writer.
        data: array of Out. The output of each bank.
    """

    def __init__(self, config: Config, kind: Memory, *, readers: int, writers: int) -> None:
        self.config = config
        self.kind = kind
        super().__init__(
            {
                "read": In(read_layout(config, kind)).array(readers),
                "write": In(write_layout(config, kind)).array(writers),
                "data": Out(8 * config.vector_bytes(kind)).array(config.banks(kind)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for bank in range(self.config.banks(self.kind)):
            self._elaborate_bank(m, bank)
        return m

    def _elaborate_bank(self, m: Module, bank: int) -> None:
        width = 8 * self.config.vector_bytes(self.kind)
        storage = memory.Memory(shape=width, depth=self.config.depth(self.kind), init=[])
        m.submodules[f"bank_{bank}"] = storage
        read, write = storage.read_port(), storage.write_port()
        hits = [request.enable & (request.bank == bank) for request in self.read]
        m.d.comb += read.en.eq(_any(hits))
        m.d.comb += read.addr.eq(_merge(hits, [request.vector for request in self.read]))
        # Without a reset it fits into the block RAM's own output register, which has an enable.
        output = Signal(width, name=f"output_{bank}", reset_less=True)
        taken = Signal(name=f"taken_{bank}")
        m.d.sync += taken.eq(read.en)
        with m.If(taken):
            m.d.sync += output.eq(read.data)
        m.d.comb += self.data[bank].eq(output)
        hits = [request.enable & (request.bank == bank) for request in self.write]
        m.d.comb += write.en.eq(_any(hits))
        m.d.comb += write.addr.eq(_merge(hits, [request.vector for request in self.write]))
        m.d.comb += write.data.eq(_merge(hits, [request.data for request in self.write]))


def _any(bits: list) -> Signal:
    result = 0
    for bit in bits:
        result = result | bit
    return result


def _merge(hits: list, values: list) -> Signal:
    """The one value whose hit is up, 0 if none: AND-OR, shallower than a priority chain."""
    return _any([Mux(hit, value, 0) for hit, value in zip(hits, values, strict=True)])
