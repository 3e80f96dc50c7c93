"""The output side of the matrix engine: adds the array's results to the accumulators."""

from amaranth import Cat, Module, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from tilewright.hw.address import one_of
from tilewright.hw.array import sum_bits
from tilewright.hw.interface import INDEX_BITS, read_layout, write_layout
from tilewright.hw.queue import Queue
from tilewright.hw.request import READ_LATENCY, BankRequest, bank_hits, delay
from tilewright.isa.config import IN_FLIGHT, Config
from tilewright.isa.instruction import Matrix, specs
from tilewright.isa.memory import Memory

ADDRESS_BITS = specs(Matrix)["accumulator"].bits
LANE_BITS = 8 * Memory.ACCUMULATOR.element_bytes

DESCRIPTOR = data.StructLayout({"base": ADDRESS_BITS, "index": INDEX_BITS})
"""What the output side knows of an instruction in flight: first accumulator, place in the program."""

STREAM = data.StructLayout({"valid": 1, "first": 1, "last": 1, "adds": 1})
"""A vector of the stream: there is one; first of its tile; last of its instruction; adds, else overwrites."""


class Accumulate(wiring.Component):
    """Adds a stream of results to consecutive accumulators, or overwrites them.

    Latency: flags of a result in cycle t; its address in a register in t + 1, its request in t + 2, the old
    value and the result in t + `result_delay`, the sum and its write one cycle later.
    Throughput: one result a cycle. A sum can be read `ACCUMULATOR_DISTANCE` cycles after the old value.

    Members:
        push: In. An instruction starts, with `descriptor`.
        descriptor: In. What to know of it.
        stream: In. The flags of a result, `result_delay` cycles before the result.
        result: array of In. Sums of products, one a column.
        accumulator_read: Out. Request of the old value.
        accumulator_data: array of In. The output of each bank.
        accumulator_write: Out. The write of the new value, a register.
        outside: Out. The address register leaves its bank: combinational, to be registered as a fault.
        index: Out. The instruction that the address register is for.
        finish: Out. The last result of an instruction is written in this cycle.
    """

    result_delay = 2 + READ_LATENCY

    def __init__(self, config: Config) -> None:
        memory = Memory.ACCUMULATOR
        self.config = config
        super().__init__(
            {
                "push": In(1),
                "descriptor": In(DESCRIPTOR),
                "stream": In(STREAM),
                "result": In(signed(sum_bits(config.rows))).array(config.cols),
                "accumulator_read": Out(read_layout(config, memory)),
                "accumulator_data": In(8 * config.vector_bytes(memory)).array(config.banks(memory)),
                "accumulator_write": Out(write_layout(config, memory)),
                "outside": Out(1),
                "index": Out(INDEX_BITS),
                "finish": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        current = data.View(STREAM, delay(m, self.stream.as_value(), 1, name="current"))
        request = self._elaborate_address(m, current)
        adds = delay(m, current.adds, 1, name="adds")
        m.d.comb += [
            self.accumulator_read.eq(request),
            self.accumulator_read.enable.eq(request.enable & adds),
        ]
        self._elaborate_sum(m, request)
        finish = delay(m, current.valid & current.last, self.result_delay, name="finish")
        m.d.comb += self.finish.eq(finish)
        return m

    def _elaborate_address(self, m: Module, current: data.View) -> data.View:
        """The address register and its request, from the oldest descriptor."""
        m.submodules.descriptors = descriptors = Queue(DESCRIPTOR, IN_FLIGHT)
        m.submodules.address_request = requests = BankRequest(
            self.config, Memory.ACCUMULATOR, address_bits=ADDRESS_BITS
        )
        m.d.comb += [descriptors.push.eq(self.push), descriptors.item.eq(self.descriptor)]
        m.d.comb += descriptors.pop.eq(self.stream.valid & self.stream.last)
        address, begin = Signal(ADDRESS_BITS, reset_less=True), self.stream.valid & self.stream.first
        with m.If(begin):
            m.d.sync += [address.eq(descriptors.head.base), self.index.eq(descriptors.head.index)]
        with m.Elif(self.stream.valid):
            m.d.sync += address.eq(address + 1)
        m.d.comb += [requests.start.eq(begin), requests.base.eq(descriptors.head.base)]
        m.d.comb += [requests.valid.eq(current.valid), requests.address.eq(address)]
        m.d.comb += self.outside.eq(requests.outside)
        return requests.request

    def _elaborate_sum(self, m: Module, request: data.View) -> None:
        read = self.accumulator_read
        hits = bank_hits(m, read, banks=len(self.accumulator_data), cycles=READ_LATENCY)
        old = one_of(hits, list(self.accumulator_data))
        lanes: list[Value] = []
        for col, result in enumerate(self.result):
            lane = Signal(LANE_BITS, name=f"sum_{col}", reset_less=True)
            m.d.sync += lane.eq(old.word_select(col, LANE_BITS) + result)
            lanes.append(lane)
        place = data.View(request.shape(), delay(m, request.as_value(), READ_LATENCY + 1, name="place"))
        write = self.accumulator_write
        m.d.comb += [write.enable.eq(place.enable), write.bank.eq(place.bank)]
        m.d.comb += [write.vector.eq(place.vector), write.data.eq(Cat(*lanes))]
