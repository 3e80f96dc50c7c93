"""The matrix engine: streams activation slices through weight tiles and sums up in the accumulators."""

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tilewright.hw.accumulate import STREAM, Accumulate
from tilewright.hw.address import LoopCounter, LoopNest
from tilewright.hw.array import ELEMENT_BITS, SystolicArray
from tilewright.hw.interface import EngineControl, read_layout, record_layout, write_layout
from tilewright.hw.request import READ_LATENCY, BankRequest, BankReturn, delay
from tilewright.isa.config import Config
from tilewright.isa.fault import Cause
from tilewright.isa.instruction import Matrix, specs
from tilewright.isa.memory import Memory
from tilewright.isa.timing import ACCUMULATOR_DISTANCE

FIELDS = specs(Matrix)
TILE_LOOPS = ("ky", "kx", "ci")
LOOPS = (*TILE_LOOPS, "y", "x")

RETURN_DELAY = 1 + READ_LATENCY + 1
"""From an address register to the data behind the bank multiplexer: request, bank, multiplexer."""


def count_bits(loops: tuple[str, ...]) -> list[int]:
    """Width of the count of each loop."""
    return [FIELDS[f"n_{loop}"].bits for loop in loops]


class WeightPreload(wiring.Component):
    """Fetches the weights of an instruction, tile by tile of `rows` vectors, one tile ahead of the stream.

    Latency: the address of row r is in a register 1 + r cycles after `start`, or after the `swap` to the tile
    before. Throughput: a row a cycle.

    Members:
        start: In. An instruction starts: fetch its first tile.
        open: In. It may start in this cycle: no tile is left, and what depends on `head` alone follows it.
        head: In. That instruction; read while `open`.
        swap: In. The stream of the fetched tile begins, so that the next one may be fetched.
        fetched: Out. The last row of the tile is in the address register or was, and no swap has come since.
            A register.
        first_tile: Out. The tile fetched is the instruction's first.
        last_tile: Out. The tile fetched is the instruction's last.
        row_0: Out. The address register holds row 0 of a tile.
        outside: Out. The address leaves its bank: combinational, to be registered as a fault.
        request: Out. The request of a row, a register.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__(
            {
                "start": In(1),
                "open": In(1),
                "head": In(record_layout(Matrix)),
                "swap": In(1),
                "fetched": Out(1),
                "first_tile": Out(1),
                "last_tile": Out(1),
                "row_0": Out(1),
                "outside": Out(1),
                "request": Out(read_layout(config, Memory.WEIGHT)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        proceed, busy = Signal(), Signal()
        m.d.comb += proceed.eq(self.swap & ~self.last_tile)
        self._elaborate_tiles(m, proceed)
        self._elaborate_rows(m, proceed, busy)
        # Tiles are dense: behind the last row of one the register holds row 0 of the next.
        address = Signal(FIELDS["weight"].bits, reset_less=True)
        with m.If(self.open):
            m.d.sync += address.eq(self.head.weight)
        with m.Elif(busy):
            m.d.sync += address.eq(address + 1)
        self._elaborate_request(m, busy, address)
        return m

    def _elaborate_tiles(self, m: Module, proceed: Value) -> None:
        m.submodules.tiles = tiles = LoopCounter(count_bits(TILE_LOOPS))
        m.d.comb += [tiles.start.eq(self.open), tiles.step.eq(proceed)]
        m.d.comb += [tiles.count[place].eq(self.head[f"n_{loop}"]) for place, loop in enumerate(TILE_LOOPS)]
        m.d.comb += self.last_tile.eq(tiles.done)
        m.d.sync += self.first_tile.eq(self.start | (self.first_tile & ~self.swap))

    def _elaborate_rows(self, m: Module, proceed: Value, busy: Signal) -> None:
        """The row of the address register; their number is a power of two, so it is 0 again after a tile."""
        row = Signal(range(self.config.rows))
        m.d.sync += self.fetched.eq((busy & (row == self.config.rows - 2)) | (self.fetched & ~self.swap))
        m.d.sync += self.row_0.eq(self.start | proceed)
        with m.If(busy):
            m.d.sync += row.eq(row + 1)
        with m.If(self.start | proceed):
            m.d.sync += busy.eq(1)
        with m.Elif(row == self.config.rows - 1):
            m.d.sync += busy.eq(0)

    def _elaborate_request(self, m: Module, busy: Signal, address: Signal) -> None:
        m.submodules.place = place = BankRequest(self.config, Memory.WEIGHT, address_bits=len(address))
        m.d.comb += [place.start.eq(self.open), place.base.eq(self.head.weight)]
        m.d.comb += [place.valid.eq(busy), place.address.eq(address)]
        m.d.comb += [self.outside.eq(place.outside), self.request.eq(place.request)]


class ActivationStream(wiring.Component):
    """Fetches the activation slices of one tile after the other.

    While no slice of an instruction is left, what depends on `instruction` alone follows it, so that none of
    it waits for `begin`, which comes late in its cycle.

    Latency: the address of slice m is in a register 1 + m cycles after `begin`. Throughput: a slice a cycle.

    Members:
        begin: In. The stream of a tile begins; only while `free` is up.
        first_tile: In. It is the instruction's first; read with `begin` only.
        instruction: In. Whose tile it is; stable until the last one begins.
        settle: In. The stream must wait for the sums of the one before.
        free: Out. The stream before is over, or its last slice is in the address register; with `settle`, its
            sums will be there when this one reads them.
        stream: Out. What the address register holds.
        index: Out. The instruction of the address register.
        outside: Out. The address leaves its bank: combinational, to be registered as a fault.
        request: Out. The request of a slice, a register.
        slice: Out. The part of the vector, a register beside the request.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.address_bits = FIELDS["activation"].bits
        self.place = BankRequest(
            config, Memory.ACTIVATION, address_bits=self.address_bits, slices=config.slices
        )
        record = record_layout(Matrix)
        super().__init__(
            {
                "begin": In(1),
                "first_tile": In(1),
                "instruction": In(record),
                "settle": In(1),
                "free": Out(1),
                "stream": Out(STREAM),
                "index": Out(record["index"].shape),
                "outside": Out(1),
                "request": Out(read_layout(config, Memory.ACTIVATION)),
                "slice": Out(self.place.slice.shape()),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        active, follow, tile_end = Signal(), Signal(), Signal()
        m.submodules.nest = nest = LoopNest(count_bits(LOOPS), self.address_bits)
        last = self.stream.valid & nest.done
        m.d.comb += follow.eq(~active | last)
        m.d.sync += active.eq(self.begin | (active & ~last))
        self._connect_nest(m, nest, follow)
        m.d.comb += tile_end.eq(nest.ends[len(TILE_LOOPS)])
        m.d.comb += nest.step.eq(self.begin | (self.stream.valid & ~tile_end))
        m.d.comb += self.stream.last.eq(nest.done)
        self._elaborate_stream(m, follow, tile_end)
        m.submodules.place = self.place
        m.d.comb += [self.place.start.eq(follow), self.place.base.eq(self.instruction.activation)]
        m.d.comb += [self.place.valid.eq(self.stream.valid), self.place.address.eq(nest.address[0])]
        m.d.comb += [self.outside.eq(self.place.outside), self.request.eq(self.place.request)]
        m.d.comb += self.slice.eq(self.place.slice)
        return m

    def _connect_nest(self, m: Module, nest: LoopNest, follow: Value) -> None:
        m.d.comb += [nest.start.eq(follow), nest.base[0].eq(self.instruction.activation)]
        for place, loop in enumerate(LOOPS):
            m.d.comb += nest.count[place].eq(self.instruction[f"n_{loop}"])
            m.d.comb += nest.stride[0][place].eq(self.instruction[f"stride_{loop}"])

    def _elaborate_stream(self, m: Module, follow: Value, tile_end: Value) -> None:
        busy = self.stream.valid
        m.d.sync += [busy.eq(self.begin | (busy & ~tile_end)), self.stream.first.eq(self.begin)]
        with m.If(self.begin):
            m.d.sync += self.stream.adds.eq(~self.first_tile | self.instruction.accumulate)
        with m.If(follow):
            m.d.sync += self.index.eq(self.instruction.index)
        recent = [busy]
        for age in range(1, ACCUMULATOR_DISTANCE - 2):
            recent.append(delay(m, recent[-1], 1, name=f"busy_{age}"))
        settled = Signal(init=1)
        m.d.sync += settled.eq(~(self.begin | Cat(*recent).any()))
        m.d.comb += self.free.eq(Mux(self.settle, settled, ~busy | tile_end))


class MatrixEngine(wiring.Component):
    """Runs matrix instructions, the preload of one overlapping the streams of the one before.

    The stream of a tile begins when its weights are fetched, the stream before is over and, if the
    instruction adds to other accumulators than the one before, what that one adds will be seen. In the same
    cycle the preload of the next tile begins.

    Latency and throughput: docs/machine.md, *Matrix*; a tile takes max(vectors, `rows`) cycles.

    Members:
        control: To and from the scoreboard; `ready`, `finish` and `fault` are registers.
        activation_read, weight_read, accumulator_read: Out. Requests, one a cycle each.
        activation_data, weight_data, accumulator_data: arrays of In. The output of each bank.
        accumulator_write: Out. One write a cycle, a register.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        members = {"control": Out(EngineControl(Matrix))}
        for memory in (Memory.ACTIVATION, Memory.WEIGHT, Memory.ACCUMULATOR):
            bits = 8 * config.vector_bytes(memory)
            members[f"{memory.label}_read"] = Out(read_layout(config, memory))
            members[f"{memory.label}_data"] = In(bits).array(config.banks(memory))
        members["accumulator_write"] = Out(write_layout(config, Memory.ACCUMULATOR))
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.preload = preload = WeightPreload(self.config)
        m.submodules.activations = activations = ActivationStream(self.config)
        m.submodules.array = array = SystolicArray(self.config)
        m.submodules.output = output = Accumulate(self.config)
        instruction = Signal(record_layout(Matrix), reset_less=True)
        self._elaborate_control(m, instruction, preload, activations)
        self._connect_weights(m, preload, array)
        self._connect_activations(m, activations, array)
        self._connect_output(m, activations, array, output)
        self._elaborate_fault(m, instruction, preload, activations, output)
        return m

    def _elaborate_control(
        self, m: Module, instruction: Signal, preload: WeightPreload, activations: ActivationStream
    ) -> None:
        begin, waiting = Signal(), Signal()
        m.d.comb += begin.eq(preload.fetched & activations.free)
        with m.If(self.control.start):
            m.d.sync += waiting.eq(1)
        with m.Elif(begin & preload.last_tile):
            m.d.sync += waiting.eq(0)
        m.d.comb += self.control.ready.eq(~waiting)
        # What is taken follows the head until it starts: a start is known late in its cycle.
        with m.If(~waiting):
            m.d.sync += instruction.eq(self.control.head)
        m.d.comb += [preload.start.eq(self.control.start), preload.open.eq(~waiting)]
        m.d.comb += [preload.head.eq(self.control.head), preload.swap.eq(begin)]
        m.d.comb += [activations.begin.eq(begin), activations.first_tile.eq(preload.first_tile)]
        m.d.comb += activations.instruction.eq(instruction)
        previous_base = Signal.like(instruction.accumulator, reset_less=True)
        with m.If(begin & preload.last_tile):
            m.d.sync += previous_base.eq(instruction.accumulator)
        moved = instruction.accumulate & (instruction.accumulator != previous_base)
        # A register, because the first stream is `rows` cycles away.
        m.d.sync += activations.settle.eq(moved & preload.first_tile)

    def _connect_weights(self, m: Module, preload: WeightPreload, array: SystolicArray) -> None:
        m.submodules.weight_return = returned = BankReturn(self.config, Memory.WEIGHT)
        m.d.comb += [self.weight_read.eq(preload.request), returned.request.eq(preload.request)]
        m.d.comb += [to.eq(bank) for to, bank in zip(returned.data, self.weight_data, strict=True)]
        m.d.comb += array.load.eq(delay(m, preload.row_0, RETURN_DELAY, name="load"))
        for col, weight in enumerate(array.weight):
            m.d.comb += weight.eq(returned.vector.word_select(col, ELEMENT_BITS))

    def _connect_activations(self, m: Module, activations: ActivationStream, array: SystolicArray) -> None:
        m.submodules.activation_return = returned = BankReturn(self.config, Memory.ACTIVATION)
        m.d.comb += [self.activation_read.eq(activations.request), returned.request.eq(activations.request)]
        m.d.comb += [to.eq(bank) for to, bank in zip(returned.data, self.activation_data, strict=True)]
        first = activations.stream.valid & activations.stream.first
        m.d.comb += array.swap.eq(delay(m, first, RETURN_DELAY - 1, name="swap"))
        part = delay(m, activations.slice, RETURN_DELAY - 1, name="slice", reset_less=True)
        parts = returned.vector.word_select(part, ELEMENT_BITS * self.config.rows)
        for row, activation in enumerate(array.activation):
            m.d.comb += activation.eq(parts.word_select(row, ELEMENT_BITS))

    def _connect_output(
        self, m: Module, activations: ActivationStream, array: SystolicArray, output: Accumulate
    ) -> None:
        m.d.comb += [output.push.eq(self.control.start)]
        m.d.comb += output.descriptor.base.eq(self.control.head.accumulator)
        m.d.comb += output.descriptor.index.eq(self.control.head.index)
        ahead = RETURN_DELAY + array.latency - output.result_delay
        m.d.comb += output.stream.eq(delay(m, activations.stream.as_value(), ahead, name="stream"))
        m.d.comb += [to.eq(result) for to, result in zip(output.result, array.result, strict=True)]
        m.d.comb += self.accumulator_read.eq(output.accumulator_read)
        m.d.comb += [
            to.eq(bank) for to, bank in zip(output.accumulator_data, self.accumulator_data, strict=True)
        ]
        m.d.comb += [
            self.accumulator_write.eq(output.accumulator_write),
            self.control.finish.eq(output.finish),
        ]

    def _elaborate_fault(
        self,
        m: Module,
        instruction: Signal,
        preload: WeightPreload,
        activations: ActivationStream,
        output: Accumulate,
    ) -> None:
        """The oldest instruction first: results come after their vectors, and those after their weights."""
        fault = self.control.fault
        found = output.outside | activations.outside | preload.outside
        m.d.sync += [fault.valid.eq(found), fault.cause.eq(Mux(found, Cause.ADDRESS, Cause.NONE))]
        index = Mux(activations.outside, activations.index, instruction.index)
        m.d.sync += fault.index.eq(Mux(output.outside, output.index, index))
