"""The load engine: brings padded blocks of vectors on chip."""

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tilewright.hw.address_generator import ADDRESS_BITS, AddressGenerator
from tilewright.hw.burst import BEATS_BITS, BURST_LENGTH, BurstGenerator, Transfers, holds_wide
from tilewright.hw.interface import (
    MEMORY_ADDRESS_BITS,
    BurstRequest,
    EngineControl,
    beat_layout,
    write_layout,
)
from tilewright.hw.landing import Landing
from tilewright.hw.queue import Queue
from tilewright.hw.request import BankRequest, delay
from tilewright.isa.config import Config
from tilewright.isa.fault import Cause
from tilewright.isa.instruction import Load
from tilewright.isa.memory import Memory
from tilewright.isa.register import BASE_REGISTERS


class LoadEngine(wiring.Component):
    """Requests the bursts of loads, lands their beats and writes the vectors.

    Latency and throughput: docs/machine.md, "Load". Of an action in cycle w: w + 1 the bank's address and
    an address fault; w + 2 the beat out of the landing, and a bus fault; w + 3 the beat's bytes, or padding;
    w + 4 the vector, put together of its beats, and its write.

    Members:
        control: how the scoreboard runs it.
        bases: array of In. The base registers; their low 6 bits are 0.
        request: Out. Bursts that want the read address channel.
        beat: In. Their beats, in order.
        activation_write, weight_write, accumulator_write, parameter_write: Out. Vectors for the banks.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.transfers = Transfers.of(config)
        writes = {f"{memory.label}_write": Out(write_layout(config, memory)) for memory in Memory}
        super().__init__(
            {
                "control": Out(EngineControl(Load)),
                "bases": In(MEMORY_ADDRESS_BITS).array(BASE_REGISTERS),
                "request": Out(BurstRequest),
                "beat": In(beat_layout(config)),
            }
            | writes
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.bursts = self._bursts = BurstGenerator(self.config, Load)
        m.submodules.generator = self._generator = AddressGenerator(self.config, Load)
        m.submodules.landing = self._landing = Landing(self.config)
        m.submodules.lengths = self._lengths = Queue(BURST_LENGTH, self.config.outstanding_reads)
        self._elaborate_request(m)
        self._elaborate_generator(m)
        outside = self._elaborate_writes(m)
        self._elaborate_fault(m, outside)
        return m

    def _elaborate_request(self, m: Module) -> None:
        """A burst stands while there is room for it to land."""
        bursts, control = self._bursts, self.control
        room = Signal(range(self.config.outstanding_reads + 1), init=self.config.outstanding_reads)
        granted = self.request.valid & self.request.ready
        m.d.comb += [
            bursts.head.eq(control.head),
            bursts.start.eq(control.start),
            control.ready.eq(bursts.ready),
            self.request.valid.eq(bursts.request.valid & (room != 0)),
            bursts.request.ready.eq(self.request.ready & (room != 0)),
        ]
        m.d.comb += [port.eq(base) for port, base in zip(bursts.bases, self.bases, strict=True)]
        names = self.request.payload.shape().members
        m.d.comb += [self.request.payload[name].eq(bursts.request.payload[name]) for name in names]
        m.d.sync += room.eq(room - granted + self._elaborate_landed(m, granted))

    def _elaborate_landed(self, m: Module, granted: Value) -> Value:
        """Whether the beat out of the landing ends its burst: by its count, whatever RLAST said."""
        lengths, taken = self._lengths, self._landing.taken
        position = Signal(BEATS_BITS)
        last = position == lengths.head.beats_minus_1
        m.d.comb += [
            lengths.push.eq(granted),
            lengths.item.beats_minus_1.eq(self.request.payload.beats_minus_1),
            lengths.pop.eq(taken.valid & last),
        ]
        with m.If(taken.valid):
            m.d.sync += position.eq(Mux(last, 0, position + 1))
        return lengths.pop

    def _elaborate_generator(self, m: Module) -> None:
        generator, landing = self._generator, self._landing
        m.d.comb += [
            generator.head.eq(self.control.head),
            generator.start.eq(self.control.start),
            generator.supply.eq(landing.available),
            landing.beat.eq(self.beat),
            landing.take.eq(generator.action.valid & ~generator.action.pad),
        ]
        self._actions = [generator.action]
        for age in range(1, 4):
            action = Signal(generator.action.shape(), name=f"action_{age}")
            m.d.sync += action.eq(self._actions[-1])
            self._actions.append(action)
        m.d.sync += self.control.finish.eq(self._actions[3].valid & self._actions[3].ends)

    def _elaborate_writes(self, m: Module) -> Value:
        """The banks' ports; whether the address of this action is outside of its bank."""
        vector = self._elaborate_vector(m)
        generator, outside = self._generator, []
        for memory in Memory:
            check = BankRequest(self.config, memory, address_bits=ADDRESS_BITS)
            m.submodules[f"{memory.label}_request"] = check
            m.d.comb += [
                check.start.eq(generator.begin),
                check.base.eq(generator.first),
                check.valid.eq(
                    generator.action.valid
                    & generator.action.ends_vector
                    & (generator.action.memory == memory)
                ),
                check.address.eq(generator.action.address),
            ]
            outside.append(check.outside)
            write = getattr(self, f"{memory.label}_write")
            request = delay(m, check.request, 3, name=f"{memory.label}_request")
            m.d.comb += [write[name].eq(request[name]) for name in check.request.shape().members]
            m.d.comb += write.data.eq(vector)
        return Cat(outside).any()

    def _elaborate_vector(self, m: Module) -> Signal:
        """The vector in the cycle of its write: beats go to their part, a pad to all parts."""
        action = self._actions[3]
        part = self._elaborate_part(m)
        vector = Signal(8 * self.config.vector_bytes(Memory.ACCUMULATOR), reset_less=True)
        for place in range(len(vector) // len(part)):
            with m.If(action.pad | (action.part == place)):
                m.d.sync += vector.word_select(place, len(part)).eq(part)
        return vector

    def _elaborate_part(self, m: Module) -> Signal:
        """What goes into the vector next: the bytes of a beat from its lane on, or padding."""
        action = self._actions[2]
        beat = self._landing.taken.data
        part = Signal(8 << self.transfers.wide.beat_bytes_log2, reset_less=True)
        lane_bits_log2 = self.transfers.narrow.beat_bytes_log2 + 3
        pad = action.pad_value.as_unsigned()
        upper = Mux(holds_wide(action.memory), pad[-1].replicate(8), pad)
        int32_bytes = Memory.ACCUMULATOR.element_bytes
        pads = Cat(upper if byte % int32_bytes else pad for byte in range(len(part) // 8))
        m.d.sync += part.eq(Mux(action.pad, pads, beat >> (action.lane << lane_bits_log2)))
        return part

    def _elaborate_fault(self, m: Module, outside: Value) -> None:
        """A bus fault is of an earlier action than an address fault in the same cycle.

        Between instructions the address generator rests, so the action after one in error names the same
        instruction.
        """
        fault, taken = self.control.fault, self._landing.taken
        address_fault = Signal()
        bus_fault = taken.valid & taken.error
        m.d.sync += address_fault.eq(outside)
        m.d.comb += [
            fault.valid.eq(address_fault | bus_fault),
            fault.cause.eq(Mux(bus_fault, Cause.BUS, Cause.ADDRESS)),
            fault.index.eq(self._actions[1].index),
        ]
