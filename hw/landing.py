"""Where the beats of a load wait until the address generator takes them."""

from amaranth import Module, Mux, Signal, Value
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from tilewright.hw.interface import beat_layout
from tilewright.isa.config import Config
from tilewright.isa.memory import Memory


class Landing(wiring.Component):
    """A ring in block RAM with room for `outstanding_reads` bursts of the narrowest beats.

    The room is reserved when a burst is requested, so a beat is never refused.

    Latency: a beat at `beat` in cycle t can be taken in t + 1; taken in cycle w, it is at `taken` in w + 2
    (block RAM, then its output register). Throughput: one beat a cycle in and out.

    Members:
        beat: In. A beat of the bus.
        available: Out. There is a beat, from registers alone.
        take: In. Takes the oldest beat; only while `available`.
        taken: Out. The beat that was taken two cycles ago.
    """

    def __init__(self, config: Config) -> None:
        beats_each = config.burst_bytes // config.transfer_bytes(Memory.ACTIVATION)
        self.depth = config.outstanding_reads * beats_each
        self.beat_layout = beat_layout(config)
        super().__init__(
            {
                "beat": In(self.beat_layout),
                "available": Out(1),
                "take": In(1),
                "taken": Out(self.beat_layout),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        members = {name: shape for name, shape in self.beat_layout.members.items() if name != "valid"}
        m.submodules.ring = ring = memory.Memory(shape=data.StructLayout(members), depth=self.depth, init=[])
        write, read = ring.write_port(), ring.read_port()
        count = Signal(range(self.depth + 1))
        valid = Signal()
        m.d.comb += [self.available.eq(count != 0), write.en.eq(self.beat.valid)]
        m.d.sync += count.eq(count + self.beat.valid - self.take)
        m.d.sync += [valid.eq(self.take), self.taken.valid.eq(valid)]
        for name in members:
            m.d.comb += write.data[name].eq(self.beat[name])
            m.d.sync += self.taken[name].eq(read.data[name])
        self._elaborate_place(m, write.addr, self.beat.valid, name="tail")
        self._elaborate_place(m, read.addr, self.take, name="head")
        return m

    def _elaborate_place(self, m: Module, address: Value, step: Value, *, name: str) -> None:
        place = Signal(ceil_log2(self.depth), name=name)
        m.d.comb += address.eq(place)
        with m.If(step):
            m.d.sync += place.eq(Mux(place == self.depth - 1, 0, place + 1))
