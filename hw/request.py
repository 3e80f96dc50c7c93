"""From an address to the data: the bank request with its range check, and the way back from the banks."""

from amaranth import Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from tilewright.hw.address import one_of
from tilewright.hw.interface import read_layout
from tilewright.isa.config import Config
from tilewright.isa.memory import Memory

READ_LATENCY = 2
"""From a request to the data at the output of its bank (`BankedMemory`)."""


def delay(m: Module, value: Value, cycles: int, *, name: str, reset_less: bool = False) -> Value:
    """`value` of `cycles` cycles ago, through as many registers; data beside a flag needs no reset."""
    for age in range(1, cycles + 1):
        register = Signal.like(value, name=f"{name}_{age}", reset_less=reset_less)
        m.d.sync += register.eq(value)
        value = register
    return value


class BankRequest(wiring.Component):
    """Makes requests out of an operand's addresses, and finds those outside of the operand's bank.

    The operand's bank is that of its first address. Latency: an address in cycle i is a request in cycle
    i + 1. Throughput: one a cycle.

    Args:
        address_bits: width of addresses, in slices.
        slices: parts of a vector that addresses count, a power of two.

    Members:
        start: In. `base` is the operand's first address from the next cycle on.
        base: In. First address.
        valid: In. `address` is used in this cycle.
        address: In. Address of this cycle.
        outside: Out. The address is used and outside of the bank: combinational, to be registered as a fault.
        request: Out. The request, a register; not enabled for an address outside.
        slice: Out. The part of the vector, a register beside the request.
    """

    def __init__(self, config: Config, memory: Memory, *, address_bits: int, slices: int = 1) -> None:
        self.slice_bits = exact_log2(slices)
        self.bank_position = self.slice_bits + exact_log2(config.depth(memory))
        super().__init__(
            {
                "start": In(1),
                "base": In(address_bits),
                "valid": In(1),
                "address": In(address_bits),
                "outside": Out(1),
                "request": Out(read_layout(config, memory)),
                "slice": Out(self.slice_bits),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bank = self.address[self.bank_position :]
        home = Signal.like(bank, reset_less=True)
        with m.If(self.start):
            m.d.sync += home.eq(self.base[self.bank_position :])
        inside = Signal()
        m.d.comb += [inside.eq(bank == home), self.outside.eq(self.valid & ~inside)]
        m.d.sync += [
            self.request.enable.eq(self.valid & inside),
            self.request.bank.eq(bank),
            self.request.vector.eq(self.address[self.slice_bits : self.bank_position]),
            self.slice.eq(self.address[: self.slice_bits]),
        ]
        return m


class BankReturn(wiring.Component):
    """Picks the data of a request out of the outputs of all banks.

    Latency: the vector is in a register 3 cycles after its request. Throughput: one a cycle.

    Members:
        request: In. What the banks were asked.
        data: array of In. The output of each bank.
        vector: Out. The data; 0 where nothing was asked.
    """

    def __init__(self, config: Config, memory: Memory) -> None:
        bits = 8 * config.vector_bytes(memory)
        super().__init__(
            {
                "request": In(read_layout(config, memory)),
                "data": In(bits).array(config.banks(memory)),
                "vector": Out(bits),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        hits = bank_hits(m, self.request, banks=len(self.data), cycles=READ_LATENCY)
        m.d.sync += self.vector.eq(one_of(hits, list(self.data)))
        return m


def bank_hits(m: Module, request: Value, *, banks: int, cycles: int) -> list[Value]:
    """One flag a bank, a register, up `cycles` cycles after a request to that bank."""
    asked = Signal(banks)
    m.d.comb += asked.eq(request.enable << request.bank)
    return list(delay(m, asked, cycles, name="asked"))
