"""The read channels of the bus, shared by fetch and load."""

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tilewright.hw.axi import ERROR_BIT, ReadId, drive_constants, read_pins
from tilewright.hw.interface import BurstRequest, beat_layout
from tilewright.isa.config import Config


class ReadChannel(wiring.Component):
    """Puts the bursts of fetch and load on the bus, one after the other, and brings their beats back.

    Latency: granted in cycle g, on the bus from g + 1; a beat on the bus in cycle b is given on in b + 1.
    Throughput: one burst and one beat a cycle. If both ask, the one not granted last wins, at first fetch.
    RLAST is ignored: fetch, load and bus monitor count the beats that they asked for.

    Members:
        fetch_request, load_request: In. Bursts to be read.
        fetch_beat, load_beat: Out. Beats of their bursts, registers; they must be taken at once.
        ar*, r*: the pins.
    """

    def __init__(self, config: Config) -> None:
        super().__init__(
            {
                "fetch_request": In(BurstRequest),
                "load_request": In(BurstRequest),
                "fetch_beat": Out(beat_layout(config)),
                "load_beat": Out(beat_layout(config)),
            }
            | read_pins(config)
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        drive_constants(m, self, "ar")
        self._elaborate_grant(m)
        self._elaborate_beats(m)
        return m

    def _elaborate_grant(self, m: Module) -> None:
        fetch, load = self.fetch_request, self.load_request
        free = Signal()
        fetch_next = Signal(init=1)
        m.d.comb += [
            free.eq(~self.arvalid | self.arready),
            fetch.ready.eq(free & (fetch_next | ~load.valid)),
            load.ready.eq(free & (~fetch_next | ~fetch.valid)),
        ]
        with m.If(free):
            m.d.sync += self.arvalid.eq(fetch.valid | load.valid)
        with m.If(free & (fetch.valid | load.valid)):
            fetch_wins = fetch.valid & (fetch_next | ~load.valid)
            m.d.sync += [
                fetch_next.eq(~fetch_wins),
                self.arid.eq(Mux(fetch_wins, ReadId.FETCH, ReadId.LOAD)),
                self.araddr.eq(Mux(fetch_wins, fetch.payload.address, load.payload.address)),
                self.arlen.eq(Mux(fetch_wins, fetch.payload.beats_minus_1, load.payload.beats_minus_1)),
                self.arsize.eq(Mux(fetch_wins, fetch.payload.size, load.payload.size)),
            ]

    def _elaborate_beats(self, m: Module) -> None:
        m.d.comb += self.rready.eq(1)
        for beat, owner in ((self.fetch_beat, ReadId.FETCH), (self.load_beat, ReadId.LOAD)):
            m.d.sync += [
                beat.valid.eq(self.rvalid & (self.rid == owner)),
                beat.data.eq(self.rdata),
                beat.error.eq(self.rresp[ERROR_BIT]),
            ]
