"""What a program's run cost: cycles, what each engine did in them, bytes moved."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from tilewright.isa.memory import Engine

COUNTER_BITS = 64
ENGINE_COUNTERS = ("busy", "waiting", "stalled")
TRAFFIC = ("fetch", "load", "store")

COUNTERS = data.StructLayout(
    {"cycles": COUNTER_BITS}
    | {f"{engine.label}_{name}": COUNTER_BITS for engine in Engine for name in ENGINE_COUNTERS}
    | {f"{name}_bytes": COUNTER_BITS for name in TRAFFIC}
)

ACCEPTED = data.StructLayout({"valid": 1, "beats_minus_1": 8, "size": 3})
"""A burst is accepted on an address channel in this cycle."""


class Counters(wiring.Component):
    """Counts while the machine runs; keeps the counts until it is reset.

    Latency: `cycles` is the number of this cycle; the others lag by up to two cycles, which nobody sees once
    the machine has stopped.

    Members:
        running: In.
        occupied, heading, tokens_ready: In. For each engine: an instruction is in flight, starting ones
            included; there is an instruction at the head of its queue; that one's tokens are there.
        accepted: array of In. Bursts of fetch, load and store.
        count: Out.
    """

    def __init__(self) -> None:
        engines = len(Engine)
        super().__init__(
            {
                "running": In(1),
                "occupied": In(engines),
                "heading": In(engines),
                "tokens_ready": In(engines),
                "accepted": In(ACCEPTED).array(len(TRAFFIC)),
                "count": Out(COUNTERS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.sync += self.count.cycles.eq(self.count.cycles + self.running)
        for engine in Engine:
            self._elaborate_engine(m, engine)
        for index, name in enumerate(TRAFFIC):
            self._elaborate_bytes(m, self.accepted[index], self.count[f"{name}_bytes"])
        return m

    def _elaborate_engine(self, m: Module, engine: Engine) -> None:
        """The classes are registered first: they come from the path that bounds the clock."""
        idle_head = self.heading[engine] & ~self.occupied[engine]
        classes = (
            self.occupied[engine],
            idle_head & ~self.tokens_ready[engine],
            idle_head & self.tokens_ready[engine],
        )
        for name, value in zip(ENGINE_COUNTERS, classes, strict=True):
            seen = Signal(name=f"{engine.label}_is_{name}")
            count = self.count[f"{engine.label}_{name}"]
            m.d.sync += [seen.eq(self.running & value), count.eq(count + seen)]

    def _elaborate_bytes(self, m: Module, accepted: data.View, count: Signal) -> None:
        size = Signal(16)
        m.d.sync += size.eq(Mux(accepted.valid, (accepted.beats_minus_1 + 1) << accepted.size, 0))
        m.d.sync += count.eq(count + size)
