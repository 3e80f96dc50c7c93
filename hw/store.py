"""The store engine: writes blocks of vectors to the memory outside."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from tilewright.hw.address_generator import AddressGenerator
from tilewright.hw.axi import ERROR_BIT, drive_constants, write_pins
from tilewright.hw.burst import BEATS_BITS, BURST_LENGTH, BurstGenerator
from tilewright.hw.interface import INDEX_BITS, MEMORY_ADDRESS_BITS, EngineControl
from tilewright.hw.queue import Queue
from tilewright.hw.store_data import StoreData, bank_members
from tilewright.isa.config import IN_FLIGHT, Config
from tilewright.isa.fault import Cause
from tilewright.isa.instruction import Store
from tilewright.isa.register import BASE_REGISTERS

_FLAG = data.StructLayout({"last": 1})
_INDEX = data.StructLayout({"index": INDEX_BITS})


class StoreEngine(wiring.Component):
    """Requests the write bursts of stores and sends their beats.

    Latency and throughput: docs/machine.md, "Store". The beats of a burst follow its address onto the bus,
    whether that is accepted or not: a slave may wait for both.

    Members:
        control: how the scoreboard runs it.
        bases: array of In. The base registers; their low 6 bits are 0.
        activation_read, weight_read, accumulator_read, parameter_read: Out. Requests to the banks.
        activation_data, weight_data, accumulator_data, parameter_data: array of In. The output of each bank.
        aw*, w*, b*: the pins.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__(
            {
                "control": Out(EngineControl(Store)),
                "bases": In(MEMORY_ADDRESS_BITS).array(BASE_REGISTERS),
            }
            | bank_members(config)
            | write_pins(config)
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        depth = self.config.outstanding_writes
        m.submodules.bursts = self._bursts = BurstGenerator(self.config, Store)
        m.submodules.generator = self._generator = AddressGenerator(self.config, Store)
        m.submodules.data = self._data = StoreData(self.config)
        m.submodules.lengths = self._lengths = Queue(BURST_LENGTH, depth)
        m.submodules.answers = self._answers = Queue(_FLAG, depth)
        drive_constants(m, self, "aw")
        self._elaborate_start(m)
        self._elaborate_address(m)
        self._elaborate_generator(m)
        self._connect_data(m)
        self._elaborate_answer(m)
        return m

    def _elaborate_start(self, m: Module) -> None:
        bursts, generator, control = self._bursts, self._generator, self.control
        for unit in (bursts, generator):
            m.d.comb += [unit.head.eq(control.head), unit.start.eq(control.start)]
        m.d.comb += control.ready.eq(bursts.ready)
        m.d.comb += [port.eq(base) for port, base in zip(bursts.bases, self.bases, strict=True)]

    def _elaborate_address(self, m: Module) -> None:
        """The write address register, and the room for bursts that are not answered."""
        request, answered = self._bursts.request, Signal()
        shown = Signal()  # First cycle of an address on the bus.
        room = Signal(range(self.config.outstanding_writes + 1), init=self.config.outstanding_writes)
        free = ~self.awvalid | self.awready
        granted = request.valid & request.ready
        m.d.comb += request.ready.eq(free & (room != 0))
        m.d.sync += [answered.eq(self.bvalid), room.eq(room - granted + answered), shown.eq(granted)]
        with m.If(free):
            m.d.sync += [
                self.awvalid.eq(granted),
                self.awaddr.eq(request.payload.address),
                self.awlen.eq(request.payload.beats_minus_1),
                self.awsize.eq(request.payload.size),
            ]
        m.d.comb += [
            self._answers.push.eq(granted),
            self._answers.item.last.eq(request.payload.last),
            self._lengths.push.eq(shown),
            self._lengths.item.beats_minus_1.eq(self.awlen),
        ]

    def _elaborate_generator(self, m: Module) -> None:
        """Beats are taken of bursts whose address was on the bus; `position` counts those of the burst."""
        action, lengths = self._generator.action, self._lengths
        position = Signal(BEATS_BITS)
        last = position == lengths.head.beats_minus_1
        m.d.comb += [
            self._generator.supply.eq(lengths.valid & self._data.room),
            self._data.begin.eq(self._generator.begin),
            self._data.first.eq(self._generator.first),
            self._data.action.eq(action),
            self._data.last.eq(last),
            lengths.pop.eq(action.valid & last),
        ]
        with m.If(action.valid):
            m.d.sync += position.eq(Mux(last, 0, position + 1))

    def _connect_data(self, m: Module) -> None:
        for name, member in self._data.signature.members.items():
            if name not in self.signature.members:
                continue
            ours, theirs = getattr(self, name), getattr(self._data, name)
            if member.dimensions:
                m.d.comb += [port.eq(output) for port, output in zip(theirs, ours, strict=True)]
            elif member.flow is In:
                m.d.comb += theirs.eq(ours)
            else:
                m.d.comb += ours.eq(theirs)

    def _elaborate_answer(self, m: Module) -> None:
        """The answer of its last burst finishes the oldest instruction. A bus fault, which is of the oldest,
        goes before an address fault in the same cycle."""
        control, index = self.control, Signal(INDEX_BITS)
        m.submodules.indices = indices = Queue(_INDEX, IN_FLIGHT)
        bus_fault = Signal()
        m.d.comb += [
            self.bready.eq(1),
            self._answers.pop.eq(self.bvalid),
            indices.push.eq(control.start),
            indices.item.index.eq(control.head.index),
            indices.pop.eq(control.finish),
            control.fault.valid.eq(bus_fault | self._data.outside),
            control.fault.cause.eq(Mux(bus_fault, Cause.BUS, Cause.ADDRESS)),
            control.fault.index.eq(Mux(bus_fault, indices.head.index, index)),
        ]
        m.d.sync += [
            index.eq(self._generator.action.index),
            control.finish.eq(self.bvalid & self._answers.head.last),
            bus_fault.eq(self.bvalid & self.bresp[ERROR_BIT]),
        ]
