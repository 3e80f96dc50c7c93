"""The data path of the store engine: from a vector's address to its beat on the bus."""

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from tilewright.hw.address import one_of
from tilewright.hw.address_generator import ADDRESS_BITS, action_layout
from tilewright.hw.burst import Transfers, holds_wide
from tilewright.hw.interface import read_layout
from tilewright.hw.queue import Queue
from tilewright.hw.request import READ_LATENCY, BankRequest, bank_hits, delay
from tilewright.isa.config import Config
from tilewright.isa.instruction import Store
from tilewright.isa.memory import Memory
from tilewright.isa.timing import STORE_BEAT, STORE_BEATS

_CARRIED = ("valid", "part", "lane", "bytes")
"""What of an action goes with its vector."""


class StoreData(wiring.Component):
    """Reads vectors and puts their beats on the bus.

    Latency: of an action in cycle w: w + 1 the request to the bank; w + 3 the vector at the output of its
    bank; w + 4 in a register; w + 5 one beat of it, on the lanes of its address; w + STORE_BEAT on the bus.
    On a bus that makes beats wait, they do so in a queue in front of the pins. Throughput: one beat a cycle.

    Members:
        begin, first: In. As of the address generator.
        action: In. The action of this cycle; only while `room`.
        last: In. Its beat is the last of its burst.
        room: Out. There is room for one more beat, from registers alone.
        outside: Out. The action before this cycle was outside of its operand's bank, a register.
        activation_read, weight_read, accumulator_read, parameter_read: Out. Requests to the banks.
        activation_data, weight_data, accumulator_data, parameter_data: array of In. The output of each bank.
        w*: the pins.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.transfers = Transfers.of(config)
        bus_bytes = config.bus_bytes
        self.info = data.StructLayout(
            {name: shape for name, shape in action_layout(config, Store).members.items() if name in _CARRIED}
            | {"last": 1, "wide": 1}
        )
        self.beat = data.StructLayout({"data": 8 * bus_bytes, "strobe": bus_bytes, "last": 1})
        super().__init__(
            {
                "begin": In(1),
                "first": In(ADDRESS_BITS),
                "action": In(action_layout(config, Store)),
                "last": In(1),
                "room": Out(1),
                "outside": Out(1),
                "wdata": Out(8 * bus_bytes),
                "wstrb": Out(bus_bytes),
                "wlast": Out(1),
                "wvalid": Out(1),
                "wready": In(1),
            }
            | bank_members(config)
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.beats = self._beats = Queue(self.beat, STORE_BEATS)
        self._elaborate_info(m)
        self._elaborate_requests(m)
        self._elaborate_data(m)
        self._elaborate_strobe(m)
        self._elaborate_pins(m)
        return m

    def _elaborate_info(self, m: Module) -> None:
        """What is known of the action of 0, 1 … 5 cycles ago."""
        info = Signal(self.info)
        m.d.comb += [info[name].eq(self.action[name]) for name in _CARRIED]
        m.d.comb += [info.last.eq(self.last), info.wide.eq(holds_wide(self.action.memory))]
        self._info = [info]
        for age in range(1, STORE_BEAT):
            older = Signal(self.info, name=f"info_{age}")
            m.d.sync += older.eq(self._info[-1])
            self._info.append(older)

    def _elaborate_requests(self, m: Module) -> None:
        outside = []
        self._hits: list[Value] = []
        for memory in Memory:
            unit = BankRequest(self.config, memory, address_bits=ADDRESS_BITS)
            m.submodules[f"{memory.label}_request"] = unit
            read = getattr(self, f"{memory.label}_read")
            m.d.comb += [
                unit.start.eq(self.begin),
                unit.base.eq(self.first),
                unit.valid.eq(self.action.valid & (self.action.memory == memory)),
                unit.address.eq(self.action.address),
                read.eq(unit.request),
            ]
            outside.append(unit.outside)
            banks = self.config.banks(memory)
            self._hits += bank_hits(m, unit.request, banks=banks, cycles=READ_LATENCY)
        m.d.sync += self.outside.eq(Cat(outside).any())

    def _elaborate_data(self, m: Module) -> None:
        """w + 4: the vector, of whichever memory; 0 if it was not read. w + 5: its beat, on all lanes."""
        outputs = [output for memory in Memory for output in getattr(self, f"{memory.label}_data")]
        vector = Signal(8 * self.config.vector_bytes(Memory.ACCUMULATOR), reset_less=True)
        m.d.sync += vector.eq(one_of(self._hits, outputs))
        info = self._info[4]
        part_bits = 8 << self.transfers.wide.beat_bytes_log2
        part = Signal(part_bits)
        m.d.comb += part.eq(vector.word_select(info.part, part_bits))
        bus_bits = len(self.wdata)
        beat = Signal(bus_bits, reset_less=True)
        m.d.sync += beat.eq(
            self.transfers.choose(info.wide, lambda t: _repeat(part, 8 << t.beat_bytes_log2, bus_bits))
        )
        m.d.comb += self._beats.item.data.eq(beat)

    def _elaborate_strobe(self, m: Module) -> None:
        """The bytes of the beat that are among the first `bytes` of the vector; none of a vector outside."""
        _, asked, counted, _, placed, _ = self._info
        choose = self.transfers.choose
        whole, cut = Signal(), Signal()
        parts = choose(asked.wide, lambda t: asked.bytes >> t.beat_bytes_log2)
        m.d.sync += [
            whole.eq(~self.outside & (asked.part < parts)),
            cut.eq(~self.outside & (asked.part == parts)),
        ]
        tail = choose(counted.wide, lambda t: counted.bytes[: t.beat_bytes_log2])
        full = choose(counted.wide, lambda t: (1 << (1 << t.beat_bytes_log2)) - 1)
        some = Cat(place < tail for place in range(1 << self.transfers.wide.beat_bytes_log2))
        mask = Signal(self.config.bus_bytes, reset_less=True)
        m.d.sync += mask.eq(Mux(whole, full, Mux(cut, some, 0)))
        mask = delay(m, mask, 1, name="mask", reset_less=True)
        strobe = Signal(self.config.bus_bytes, reset_less=True)
        m.d.sync += strobe.eq(mask << (placed.lane << self.transfers.narrow.beat_bytes_log2))
        m.d.comb += self._beats.item.strobe.eq(strobe)

    def _elaborate_pins(self, m: Module) -> None:
        beats, ready = self._beats, self._info[5]
        room = Signal(range(STORE_BEATS + 1), name="free", init=STORE_BEATS)
        m.d.comb += [
            beats.push.eq(ready.valid),
            beats.item.last.eq(ready.last),
            self.wvalid.eq(beats.valid),
            self.wdata.eq(beats.head.data),
            self.wstrb.eq(beats.head.strobe),
            self.wlast.eq(beats.head.last),
            beats.pop.eq(self.wvalid & self.wready),
            self.room.eq(room != 0),
        ]
        m.d.sync += room.eq(room - self.action.valid + beats.pop)


def bank_members(config: Config) -> dict[str, wiring.Member]:
    """The read ports of all banks, as their reader sees them."""
    requests = {f"{memory.label}_read": Out(read_layout(config, memory)) for memory in Memory}
    outputs = {
        f"{memory.label}_data": In(8 * config.vector_bytes(memory)).array(config.banks(memory))
        for memory in Memory
    }
    return requests | outputs


def _repeat(value: Value, period: int, bits: int) -> Value:
    """The lowest `period` bits of `value`, over and over."""
    return value[:period].replicate(bits // period)
