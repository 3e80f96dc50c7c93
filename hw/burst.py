"""From a load's or store's block to the bursts that bring it: run by run, split at burst boundaries."""

from collections.abc import Callable
from dataclasses import dataclass

from amaranth import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.hdl import ValueLike
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from tilewright.hw.address import LoopCounter, one_of
from tilewright.hw.interface import BURST, MEMORY_ADDRESS_BITS, record_layout
from tilewright.hw.queue import Queue
from tilewright.isa.config import Config
from tilewright.isa.instruction import Load, Store
from tilewright.isa.memory import Memory
from tilewright.isa.register import BASE_REGISTERS

BEATS_BITS = 8
"""Of the beats of a burst, less one."""

BURST_LENGTH = data.StructLayout({"beats_minus_1": BEATS_BITS})
"""What is kept of a burst until its last beat."""

LAST_BURST = data.StructLayout(dict(BURST.members) | {"last": 1})
"""A burst, and whether it is the last of its instruction."""


@dataclass(frozen=True)
class Transfer:
    """How vectors cross the bus, as powers of two."""

    beat_bytes_log2: int
    vector_beats_log2: int
    burst_beats_log2: int

    @classmethod
    def of(cls, config: Config, memory: Memory) -> "Transfer":
        """That of the vectors of `memory`."""
        beat = config.transfer_bytes(memory)
        return cls(
            beat_bytes_log2=exact_log2(beat),
            vector_beats_log2=exact_log2(config.vector_bytes(memory) // beat),
            burst_beats_log2=exact_log2(config.burst_bytes // beat),
        )

    @property
    def vector_bytes(self) -> int:
        """Bytes of a vector."""
        return 1 << (self.beat_bytes_log2 + self.vector_beats_log2)


@dataclass(frozen=True)
class Transfers:
    """The two ways of crossing the bus: int8 vectors are narrow, int32 vectors wide."""

    narrow: Transfer
    wide: Transfer

    @classmethod
    def of(cls, config: Config) -> "Transfers":
        """Those of a configuration."""
        return cls(Transfer.of(config, Memory.ACTIVATION), Transfer.of(config, Memory.ACCUMULATOR))

    def choose(self, wide: Value, what: Callable[[Transfer], ValueLike]) -> Value:
        """`what` of the transfer in use: a function from `Transfer` to a value."""
        if self.narrow == self.wide:
            return Value.cast(what(self.wide))
        return Mux(wide, what(self.wide), what(self.narrow))


def holds_wide(memory: Value) -> Value:
    """Whether a memory, given by its code, holds int32 vectors."""
    codes = [code for code in Memory if code.element_bytes == Memory.ACCUMULATOR.element_bytes]
    return memory.matches(*codes)


class BurstGenerator(wiring.Component):
    """Makes the bursts of one block after the other, in the order of planes, rows, vectors.

    A run is a row if its vectors are dense in memory, else a vector. A burst ends at a multiple of
    `burst_bytes` or at its run's end.

    Latency: started in cycle t, the first burst stands at t + DMA_SETUP: t takes the fields and the base
    register, t + 1 adds them, t + 2 finds the burst's length. Throughput: one burst a cycle. The next start
    may come one cycle after the last burst is granted.

    Members:
        head: In. The instruction.
        start: In. It is taken at the end of this cycle; only while `ready`.
        bases: array of In. The base registers.
        ready: Out. No burst is to come, from registers alone.
        request: Out. The bursts.
    """

    def __init__(self, config: Config, kind: type[Load] | type[Store]) -> None:
        self.transfers = Transfers.of(config)
        self.boundary = exact_log2(config.burst_bytes)
        super().__init__(
            {
                "head": In(record_layout(kind)),
                "start": In(1),
                "bases": In(MEMORY_ADDRESS_BITS).array(BASE_REGISTERS),
                "ready": Out(1),
                "request": Out(stream.Signature(LAST_BURST)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        counts = [self.head[name].shape().width for name in ("n_z", "n_y", "n_x")]
        m.submodules.counter = self._counter = LoopCounter(counts)
        m.submodules.bursts = self._bursts = Queue(LAST_BURST, 2)
        self._wide = Signal(reset_less=True)
        self._dense = Signal(reset_less=True)
        self._taken = Signal(self.head.shape(), reset_less=True)
        self._base = Signal(MEMORY_ADDRESS_BITS, reset_less=True)
        self._setup, self._advance, self._first, self._run_ends = Signal(), Signal(), Signal(), Signal()
        self._elaborate_start(m)
        self._elaborate_step(m)
        self._elaborate_run(m)
        self._elaborate_burst(m)
        self._elaborate_length(m)
        self._elaborate_request(m)
        return m

    def _elaborate_start(self, m: Module) -> None:
        """Cycle t: what is taken follows the head until an instruction with bursts starts."""
        head, busy = self.head, Signal()
        wide = holds_wide(head.memory)
        starts = self.start & (head.n_y != 0) & (head.n_x != 0)
        m.d.comb += self.ready.eq(~busy)
        m.d.sync += self._setup.eq(starts)
        with m.If(~busy):
            m.d.sync += [
                busy.eq(starts),
                self._taken.eq(head),
                self._base.eq(Array(self.bases)[head.base]),
                self._wide.eq(wide),
                self._dense.eq(head.stride_x == self.transfers.choose(wide, lambda t: t.vector_bytes)),
            ]
        with m.Elif(self.request.valid & self.request.ready & self.request.payload.last):
            m.d.sync += busy.eq(0)

    def _elaborate_step(self, m: Module) -> None:
        """Cycle t + 1 loads the loops over runs; from t + 2 on they step from run to run."""
        taken, counter = self._taken, self._counter
        counts = (taken.n_z, taken.n_y, Mux(self._dense, 1, taken.n_x))
        m.d.comb += [port.eq(count) for port, count in zip(counter.count, counts, strict=True)]
        self._step = Signal()
        m.d.comb += [
            self._step.eq(self._advance & self._run_ends & ~counter.ends[0]),
            counter.start.eq(self._setup),
            counter.step.eq(self._step),
        ]

    def _elaborate_run(self, m: Module) -> None:
        """Where the run begins, and where its plane and row did: at first the sum of t + 1, then a stride on.

        64 bits are long: each stride has an adder of its own, so that the choice is not before the carry.
        """
        taken, setup = self._taken, self._setup
        strides = (taken.stride_z, taken.stride_y, taken.stride_x)
        names = ("plane", "row", "run")
        begun = [Signal(MEMORY_ADDRESS_BITS, name=name, reset_less=True) for name in names]
        advance = [bit & ~setup for bit in self._counter.advance]
        sums = [address + stride for address, stride in zip(begun, strides, strict=True)]
        following = Signal(MEMORY_ADDRESS_BITS)
        m.d.comb += following.eq(one_of([setup, *advance], [self._base + taken.offset, *sums]))
        for level, address in enumerate(begun):
            with m.If(setup | (self._step & Cat(advance[: level + 1]).any())):
                m.d.sync += address.eq(following)
        self._run = begun[-1]

    def _elaborate_burst(self, m: Module) -> None:
        """From t + 2 on, a burst a cycle: from the run's address, or from where the last one ended."""
        active = Signal()
        item = self._bursts.item
        block = Signal(MEMORY_ADDRESS_BITS - self.boundary, reset_less=True)
        m.d.comb += [
            self._advance.eq(active & self._bursts.room),
            self._bursts.push.eq(self._advance),
            item.address.eq(Mux(self._first, self._run, block << self.boundary)),
            item.size.eq(self.transfers.choose(self._wide, lambda t: t.beat_bytes_log2)),
            item.last.eq(self._run_ends & self._counter.ends[0]),
        ]
        with m.If(self._setup):
            m.d.sync += [active.eq(1), self._first.eq(1)]
        with m.Elif(self._advance):
            m.d.sync += [active.eq(~item.last), self._first.eq(self._run_ends)]
            m.d.sync += block.eq(item.address[self.boundary :] + 1)

    def _elaborate_run_length(self, m: Module) -> tuple[Signal, Signal]:
        """Beats of a run, less one, and whether it surely needs several bursts; set in cycle t + 1."""
        more = Mux(self._dense, self._taken.n_x - 1, 0)[: len(self._taken.n_x)]
        beats = self._choose(lambda t: Cat(Const((1 << t.vector_beats_log2) - 1, t.vector_beats_log2), more))
        length = Signal(len(beats), reset_less=True)
        long = Signal(reset_less=True)
        with m.If(self._setup):
            m.d.sync += length.eq(beats)
            m.d.sync += long.eq(self._choose(lambda t: beats[t.burst_beats_log2 :].any()))
        return length, long

    def _elaborate_length(self, m: Module) -> None:
        """Beats of a burst, less one.

        The place of a run's last beat, counted from the boundary before the run, says at the run's first
        burst how many follow (`left`) and how long the last of them is (`tail`).
        """
        length, long = self._elaborate_run_length(m)
        low = self._choose(lambda t: self._run[t.beat_bytes_log2 : self.boundary])
        full = self._choose(lambda t: (1 << t.burst_beats_log2) - 1)
        place = Signal(len(length) + 1)
        left = Signal.like(place, name="left", reset_less=True)
        tail = Signal(BEATS_BITS, reset_less=True)
        fits = ~long & (length[:BEATS_BITS] <= full ^ low)
        final = left == 1
        beats = Mux(self._first, Mux(fits, length, full ^ low), Mux(final, tail, full))
        m.d.comb += [
            place.eq(length + low),
            self._run_ends.eq(Mux(self._first, fits, final)),
            self._bursts.item.beats_minus_1.eq(beats),
        ]
        with m.If(self._advance & self._first):
            m.d.sync += left.eq(self._choose(lambda t: place[t.burst_beats_log2 :]))
            m.d.sync += tail.eq(self._choose(lambda t: place[: t.burst_beats_log2]))
        with m.Elif(self._advance):
            m.d.sync += left.eq(left - 1)

    def _choose(self, what: Callable[[Transfer], ValueLike]) -> Value:
        return self.transfers.choose(self._wide, what)

    def _elaborate_request(self, m: Module) -> None:
        """Two bursts are kept, so that a grant in this cycle need not be known to go on."""
        m.d.comb += [
            self.request.valid.eq(self._bursts.valid),
            self.request.payload.eq(self._bursts.head),
            self._bursts.pop.eq(self.request.valid & self.request.ready),
        ]
