"""Fetch: reads the program over the bus, checks each instruction, dispatches it to its engine's queue."""

from amaranth import Array, Cat, Module, Mux, Signal, Value
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from tilewright.hw.decode import Decoder, dispatched_layout
from tilewright.hw.interface import FAULT, INDEX_BITS, MEMORY_ADDRESS_BITS, BurstRequest, beat_layout
from tilewright.hw.queue import Queue
from tilewright.isa.config import INSTRUCTION_BYTES, Config
from tilewright.isa.fault import Cause
from tilewright.isa.instruction import HEADER_BITS, INSTRUCTION_BITS
from tilewright.isa.memory import Engine

_WORD = data.StructLayout({"word": INSTRUCTION_BITS, "error": 1})


class FetchState(enum.Enum):
    """What happens to the instruction at the head of the fetch buffer."""

    HEAD = 0
    CHECK = 1
    DISPATCH = 2
    DRAIN = 3


def _bus_members(config: Config) -> dict[str, wiring.Member]:
    """What fetch has in common with its reader: the program, and the way to it."""
    return {
        "running": In(1),
        "halted": In(1),
        "address": In(MEMORY_ADDRESS_BITS),
        "length": In(INDEX_BITS),
        "request": Out(BurstRequest),
        "beat": In(beat_layout(config)),
        "idle": Out(1),
    }


class InstructionReader(wiring.Component):
    """Requests the program in bursts and puts its beats together to instructions.

    Latency: a request as soon as there is room; two cycles from an instruction's last beat on the bus to
    `head`.
    Throughput: one instruction in max(1, 64 / bus bytes) cycles.

    Members:
        running, halted: In. Requests stand from the second cycle of `running` until `halted`.
        address, length: In. First byte (a multiple of 64) and instructions of the program.
        request: Out. Bursts of whole instructions.
        beat: In. Beats of the read data channel.
        valid, head: Out. The oldest instruction not popped.
        pop: In. Drops it and gives its room back.
        idle: Out. No request stands and no read is outstanding.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__(_bus_members(config) | {"valid": Out(1), "head": Out(_WORD), "pop": In(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.buffer = buffer = Queue(_WORD, self.config.fetch_buffer_instructions)
        m.d.comb += [self.valid.eq(buffer.valid), self.head.eq(buffer.head), buffer.pop.eq(self.pop)]
        self._elaborate_request(m)
        self._elaborate_assembly(m, buffer)
        return m

    def _elaborate_request(self, m: Module) -> None:
        capacity = self.config.fetch_buffer_instructions
        armed = Signal()
        m.d.sync += armed.eq(self.running)
        place = Signal(MEMORY_ADDRESS_BITS - exact_log2(INSTRUCTION_BYTES))
        count = Signal(range(self.config.burst_bytes // INSTRUCTION_BYTES + 1))
        granted, grant_beats = self._elaborate_port(m, place, count)
        self._elaborate_next(m, ~armed, granted, place, count)
        reserved = Signal(range(capacity + 1))
        outstanding = Signal(range(capacity * INSTRUCTION_BYTES // self.config.bus_bytes + 1))
        stands = armed & (count != 0) & (reserved + count <= capacity) & ~self.halted
        m.d.comb += self.request.valid.eq(stands)
        m.d.sync += reserved.eq(reserved + Mux(granted, count, 0) - self.pop)
        m.d.sync += outstanding.eq(outstanding + Mux(granted, grant_beats, 0) - self.beat.valid)
        m.d.comb += self.idle.eq(~stands & (outstanding == 0))

    def _elaborate_next(self, m: Module, begin: Value, granted: Value, place: Signal, count: Signal) -> None:
        """Where the next burst begins and its instructions, at most to the boundary; 0 behind the last."""
        per_burst = self.config.burst_bytes // INSTRUCTION_BYTES
        remaining = Signal(INDEX_BITS)
        left = Signal(INDEX_BITS)
        first = self.address[exact_log2(INSTRUCTION_BYTES) :]
        to_boundary = Signal.like(count)
        m.d.comb += to_boundary.eq(per_burst - first[: exact_log2(per_burst)])
        m.d.comb += left.eq(remaining - count)
        with m.If(begin):
            m.d.sync += [place.eq(first), remaining.eq(self.length)]
            m.d.sync += count.eq(Mux(self.length < to_boundary, self.length, to_boundary))
        with m.Elif(granted):
            m.d.sync += [place.eq(place + count), remaining.eq(left)]
            m.d.sync += count.eq(Mux(left < per_burst, left, per_burst))

    def _elaborate_port(self, m: Module, place: Signal, count: Signal) -> tuple[Signal, Signal]:
        beats_each = INSTRUCTION_BYTES // self.config.bus_bytes
        granted = Signal()
        beats = Signal(9)
        m.d.comb += [
            granted.eq(self.request.valid & self.request.ready),
            beats.eq(count << exact_log2(beats_each)),
            self.request.payload.address.eq(place << exact_log2(INSTRUCTION_BYTES)),
            self.request.payload.beats_minus_1.eq(beats - 1),
            self.request.payload.size.eq(exact_log2(self.config.bus_bytes)),
        ]
        return granted, beats

    def _elaborate_assembly(self, m: Module, buffer: Queue) -> None:
        width = 8 * self.config.bus_bytes
        beats = INSTRUCTION_BITS // width
        earlier = Signal(INSTRUCTION_BITS - width)
        error = Signal()
        position = Signal(range(beats))
        with m.If(self.beat.valid):
            m.d.sync += earlier.eq(Cat(earlier, self.beat.data)[width:])
            m.d.sync += position.eq(position + 1)
            m.d.sync += error.eq(Mux(position == beats - 1, 0, error | self.beat.error))
        m.d.comb += [
            buffer.push.eq(self.beat.valid & (position == beats - 1)),
            buffer.item.word.eq(Cat(earlier, self.beat.data)),
            buffer.item.error.eq(error | self.beat.error),
        ]


class Fetch(wiring.Component):
    """Reads, checks and dispatches the program's instructions in order.

    Latency: see docs/machine.md, "Fetch". Throughput: one instruction in three cycles.

    Members:
        running, halted, address, length, request, beat, idle: as of the instruction reader.
        mismatch: In. The program was made for another configuration.
        room: In. For each engine, its queue has room.
        dispatch: Out. For each engine, `item` goes to its queue in this cycle.
        item: Out. The instruction.
        dispatched: Out. An instruction (also finish) is dispatched in this cycle.
        index: Out. Instructions dispatched before.
        stuck: Out. Nothing can be dispatched until a queue has room, or ever.
        drained: Out. finish was dispatched.
        fault: Out. A fault of the instruction, or of the whole program.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__(
            _bus_members(config)
            | {
                "mismatch": In(1),
                "room": In(len(Engine)),
                "dispatch": Out(len(Engine)),
                "item": Out(dispatched_layout(config)),
                "dispatched": Out(1),
                "index": Out(INDEX_BITS),
                "stuck": Out(1),
                "drained": Out(1),
                "fault": Out(FAULT),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.reader = self._reader = reader = InstructionReader(self.config)
        m.submodules.decoder = decoder = Decoder(self.config)
        wiring.connect(m, wiring.flipped(self.request), reader.request)
        for name in ("running", "halted", "address", "length", "beat"):
            m.d.comb += getattr(reader, name).eq(getattr(self, name))
        m.d.comb += self.idle.eq(reader.idle)
        self._state = Signal(FetchState)
        self._checked = Signal(data.StructLayout({"cause": 4, "finish": 1, "engine": 2}))
        self._elaborate_check(m, decoder)
        self._elaborate_dispatch(m)
        self._elaborate_whole_program(m)
        return m

    def _elaborate_check(self, m: Module, decoder: Decoder) -> None:
        """HEAD takes the instruction over, CHECK its decoding; DISPATCH waits for room."""
        word = Signal(_WORD)
        # A register: an instruction is checked two cycles after the one before it was dispatched, or later.
        last = Signal()
        m.d.sync += last.eq(self.index + 1 == self.length)
        m.d.comb += [decoder.word.eq(word.word), decoder.last.eq(last)]
        cause = Mux(decoder.illegal, Cause.ILLEGAL, Mux(decoder.outside, Cause.ADDRESS, 0))
        with m.If((self._state == FetchState.HEAD) & self._reader.valid & ~self.halted):
            m.d.sync += [word.eq(self._reader.head), self._state.eq(FetchState.CHECK)]
        with m.If(self._state == FetchState.CHECK):
            m.d.sync += [
                self._state.eq(FetchState.DISPATCH),
                self._checked.cause.eq(Mux(word.error, Cause.BUS, cause)),
                self._checked.finish.eq(decoder.finish),
                self._checked.engine.eq(decoder.engine),
                self.item.index.eq(self.index),
                self.item.fields.eq(word.word[HEADER_BITS:]),
            ]
            for name in ("nop", "wait", "signal", "claims"):
                m.d.sync += self.item[name].eq(getattr(decoder, name))

    def _elaborate_dispatch(self, m: Module) -> None:
        room = Array(self.room)[self._checked.engine]
        ready = Signal()
        wrong = self._checked.cause != 0
        m.d.comb += [
            ready.eq((self._state == FetchState.DISPATCH) & ~self.halted & ~wrong),
            self.dispatched.eq(ready & (self._checked.finish | room)),
            self.stuck.eq(self.drained | (ready & ~self._checked.finish & ~room)),
            self.drained.eq(self._state == FetchState.DRAIN),
            self._reader.pop.eq(self.dispatched),
        ]
        for engine in Engine:
            takes = self.dispatched & ~self._checked.finish & (self._checked.engine == engine)
            m.d.comb += self.dispatch[engine].eq(takes)
        with m.If(self.dispatched):
            m.d.sync += self.index.eq(self.index + 1)
            m.d.sync += self._state.eq(Mux(self._checked.finish, FetchState.DRAIN, FetchState.HEAD))

    def _elaborate_whole_program(self, m: Module) -> None:
        """Faults: of the program in cycle 0, later of the instruction that is in DISPATCH."""
        first = Signal(init=1)
        with m.If(self.running):
            m.d.sync += first.eq(0)
        empty = self.length == 0
        with m.If(first & self.running & (empty | self.mismatch)):
            m.d.comb += self.fault.valid.eq(1)
            m.d.comb += self.fault.cause.eq(Mux(empty, Cause.ILLEGAL, Cause.CONFIG))
        with m.Elif((self._state == FetchState.DISPATCH) & ~self.halted & (self._checked.cause != 0)):
            m.d.comb += self.fault.valid.eq(1)
            m.d.comb += self.fault.cause.eq(self._checked.cause)
            m.d.comb += self.fault.index.eq(self.index)
