"""The addresses of a load or store on the chip, in order: one beat, or one vector of padding, a cycle."""

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from tilewright.hw.address import LoopAddress, LoopCounter, one_of
from tilewright.hw.burst import Transfers, holds_wide
from tilewright.hw.interface import record_layout
from tilewright.hw.queue import Queue
from tilewright.isa.config import IN_FLIGHT, Config
from tilewright.isa.instruction import Load, Store, specs

ADDRESS_BITS = specs(Load)["address"].bits
AXES = "zyx"
"""Of a block, outermost first."""
_MEMORY_SIDE = ("base", "offset", *(f"stride_{axis}" for axis in AXES))
_CONSTANT = ("memory", "index", "pad_value", "bytes")
"""What an action takes from its instruction as it is."""


def lane_bits(config: Config) -> int:
    """Bits that say where on the bus the narrowest beat lies, in units of such beats."""
    return exact_log2(config.bus_bytes) - Transfers.of(config).narrow.beat_bytes_log2


def action_layout(config: Config, kind: type[Load] | type[Store]) -> data.StructLayout:
    """What a load or store does on the chip in a cycle.

    `pad` or else a beat: number `part` of its vector, on bus lane `lane`. The vector lies at `address` of
    `memory`; `ends_vector` and `ends` say that this is its last action, and that of the instruction `index`.
    `pad_value` (load) and `bytes` (store) are those of the instruction.
    """
    record = record_layout(kind).members
    constant = {name: record[name] for name in _CONSTANT if name in record}
    flags = dict.fromkeys(("valid", "pad", "ends_vector", "ends"), 1)
    part_bits = Transfers.of(config).wide.vector_beats_log2
    return data.StructLayout(
        flags | constant | {"address": ADDRESS_BITS, "part": part_bits, "lane": lane_bits(config)}
    )


class PaddingCounter(wiring.Component):
    """Counts through positions of padding, then inside, then of padding again, over and over.

    Latency: at the first position one cycle after `start`, at the next one cycle after `step`.

    Members:
        start: In. Take the lengths and begin; wins over `step`.
        length: array of In. Positions before, inside, after; not all 0; read with `start` only.
        step: In. Go to the next position; from the last to the first.
        inside: Out. This position is no padding.
        inside_ends: Out. It is the last of those.
        ends: Out. It is the last of all.
    """

    def __init__(self, bits: int) -> None:
        super().__init__(
            {
                "start": In(1),
                "length": In(bits).array(3),
                "step": In(1),
                "inside": Out(1),
                "inside_ends": Out(1),
                "ends": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lengths = [Signal.like(length, name=f"length_{zone}") for zone, length in enumerate(self.length)]
        used, single, zone = (Signal(3, name=name) for name in ("used", "single", "zone"))
        given_used = Cat(length != 0 for length in self.length)
        given_single = Cat(length == 1 for length in self.length)
        with m.If(self.start):
            m.d.sync += [length.eq(given) for length, given in zip(lengths, self.length, strict=True)]
            m.d.sync += [used.eq(given_used), single.eq(given_single)]
        following = used & Cat(0, zone[0], zone[:2].any())
        again = Mux(following.any(), following, used)
        entered = Signal(3)
        m.d.comb += entered.eq(_lowest(Mux(self.start, given_used, again)))
        sources = [Mux(self.start, new, old) for new, old in zip(self.length, lengths, strict=True)]
        zone_ends = self._elaborate_count(
            m, one_of(list(entered), sources), (entered & Mux(self.start, given_single, single)).any()
        )
        with m.If(self.start | (self.step & zone_ends)):
            m.d.sync += zone.eq(entered)
        m.d.comb += [
            self.inside.eq(zone[1]),
            self.inside_ends.eq(zone[1] & zone_ends),
            self.ends.eq(zone_ends & ~following.any()),
        ]
        return m

    def _elaborate_count(self, m: Module, length: Value, single: Value) -> Signal:
        """Counts down from the length of the zone that is entered; a register tells its last position."""
        count, last = Signal.like(self.length[0], name="count"), Signal(name="last")
        with m.If(self.start | (self.step & last)):
            m.d.sync += [count.eq(length), last.eq(single)]
        with m.Elif(self.step):
            m.d.sync += [count.eq(count - 1), last.eq(count == 2)]
        return last


def _lowest(flags: Value) -> Value:
    """The lowest flag that is up, alone."""
    return flags & (~flags + 1)[: len(flags)]


class AddressGenerator(wiring.Component):
    """Generates the addresses of the blocks of up to `IN_FLIGHT` instructions one after the other.

    Latency: started in cycle t, first action at t + GENERATOR_SETUP or later, and GENERATOR_SETUP after the
        last action
    of the predecessor. Throughput: one action a cycle.

    Members:
        head: In. The instruction.
        start: In. It is taken at the end of this cycle.
        supply: In. A beat can be taken in this cycle.
        begin: Out. In the next cycle it is at an instruction's first vector, which lies at `first`.
        first: Out. Its address.
        action: Out. What is done in this cycle.
    """

    def __init__(self, config: Config, kind: type[Load] | type[Store]) -> None:
        self.transfers = Transfers.of(config)
        self.lane_position = self.transfers.narrow.beat_bytes_log2
        self.lane_bits = lane_bits(config)
        record = record_layout(kind).members
        self.on_chip = {name: shape for name, shape in record.items() if name not in _MEMORY_SIDE}
        lanes = dict.fromkeys(("lane", *(f"lane_{axis}" for axis in AXES)), self.lane_bits)
        self.entry = data.StructLayout(self.on_chip | lanes)
        super().__init__(
            {
                "head": In(record_layout(kind)),
                "start": In(1),
                "supply": In(1),
                "begin": Out(1),
                "first": Out(ADDRESS_BITS),
                "action": Out(action_layout(config, kind)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.started = self._started = Queue(self.entry, IN_FLIGHT)
        bits = self.head.n_x.shape().width
        m.submodules.row, m.submodules.plane = self._row, self._plane = (
            PaddingCounter(bits),
            PaddingCounter(bits),
        )
        m.submodules.planes = self._planes = LoopCounter([self.head.n_z.shape().width])
        m.submodules.chip = self._chip = LoopAddress(3, ADDRESS_BITS)
        self._step = Signal()
        self._elaborate_started(m)
        self._elaborate_action(m)
        self._elaborate_loops(m)
        self._elaborate_address(m)
        if self.lane_bits:
            self._elaborate_lane(m)
        return m

    def _elaborate_started(self, m: Module) -> None:
        """What is started waits until its predecessor's last action is over."""
        item, head = self._started.item, self.head
        lane = slice(self.lane_position, self.lane_position + self.lane_bits)
        m.d.comb += [
            self._started.push.eq(self.start),
            self._started.pop.eq(self.begin),
            item.lane.eq(head.offset[lane]),
            self.first.eq(self._started.head.address),
        ]
        m.d.comb += [item[name].eq(head[name]) for name in self.on_chip]
        m.d.comb += [item[f"lane_{axis}"].eq(head[f"stride_{axis}"][lane]) for axis in AXES]

    def _elaborate_action(self, m: Module) -> None:
        busy, part = Signal(name="busy"), Signal.like(self.action.part, name="part")
        kept, wide = Signal(self.entry, name="kept", reset_less=True), Signal(name="wide", reset_less=True)
        action = self.action
        part_ends = part == self.transfers.choose(wide, lambda t: (1 << t.vector_beats_log2) - 1)
        m.d.comb += [
            self.begin.eq(~busy & self._started.valid),
            action.pad.eq(~(self._row.inside & self._plane.inside)),
            action.valid.eq(busy & (action.pad | self.supply)),
            action.part.eq(part),
            action.ends_vector.eq(action.pad | part_ends),
            action.ends.eq(action.ends_vector & self._row.ends & self._plane.ends & self._planes.ends[0]),
            self._step.eq(action.valid & action.ends_vector),
        ]
        m.d.comb += [action[name].eq(kept[name]) for name in _CONSTANT if name in self.entry.members]
        with m.If(self.begin):
            wide_next = holds_wide(self._started.head.memory)
            m.d.sync += [busy.eq(1), kept.eq(self._started.head), wide.eq(wide_next)]
        with m.Elif(action.valid & action.ends):
            m.d.sync += busy.eq(0)
        with m.If(action.valid & ~action.pad):
            m.d.sync += part.eq(Mux(part_ends, 0, part + 1))

    def _elaborate_loops(self, m: Module) -> None:
        row, plane, planes, head = self._row, self._plane, self._planes, self._started.head
        lengths = ("pad_left", "n_x", "pad_right"), ("pad_top", "n_y", "pad_bottom")
        for counter, names in zip((row, plane), lengths, strict=True):
            given = [head[name] if name in self.entry.members else 0 for name in names]
            m.d.comb += [port.eq(length) for port, length in zip(counter.length, given, strict=True)]
            m.d.comb += counter.start.eq(self.begin)
        m.d.comb += [
            row.step.eq(self._step),
            plane.step.eq(self._step & row.ends),
            planes.start.eq(self.begin),
            planes.step.eq(self._step & row.ends & plane.ends & ~planes.ends[0]),
            planes.count[0].eq(head.n_z),
        ]

    def _elaborate_address(self, m: Module) -> None:
        head, row, plane = self._started.head, self._row, self._plane
        advance = (row.ends & plane.ends & ~self._planes.ends[0], row.ends & ~plane.ends, ~row.ends)
        stride_x = head.chip_stride_x if "chip_stride_x" in self.entry.members else 1
        strides = (head.chip_stride_z, head.chip_stride_y, stride_x)
        m.d.comb += [
            self._chip.start.eq(self.begin),
            self._chip.step.eq(self._step),
            self._chip.advance.eq(Cat(*advance)),
            self._chip.base.eq(head.address),
            self.action.address.eq(self._chip.address),
        ]
        m.d.comb += [port.eq(stride) for port, stride in zip(self._chip.stride, strides, strict=True)]

    def _elaborate_lane(self, m: Module) -> None:
        """The lane follows the vectors that lie in memory: base registers begin at a multiple of the bus."""
        m.submodules.lane = lane = LoopAddress(3, self.lane_bits)
        head, row, plane = self._started.head, self._row, self._plane
        next_row = row.inside_ends & ~plane.inside_ends
        next_plane = row.inside_ends & plane.inside_ends
        m.d.comb += [
            lane.start.eq(self.begin),
            lane.step.eq(self._step & ~self.action.pad),
            lane.advance.eq(Cat(next_plane, next_row, ~row.inside_ends)),
            lane.base.eq(head.lane),
            self.action.lane.eq(lane.address),
        ]
        m.d.comb += [port.eq(head[f"lane_{axis}"]) for port, axis in zip(lane.stride, AXES, strict=True)]
