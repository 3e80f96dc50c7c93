"""What the vector engine does alone: windows over one block of channels at a time, and their tilings."""

from dataclasses import dataclass

from tilewright.compiler.targets.accel.cost.problem import ASSUMED_LATENCY_CYCLES, Number
from tilewright.isa.config import Config
from tilewright.isa.memory import Memory
from tilewright.isa.sliding import WINDOW_TAPS, chunks_of_row, fits_windows, sliding_items


@dataclass(frozen=True, kw_only=True)
class Windows:
    """Sizes of windows over feature maps; channels in blocks of `cols`.

    Members:
        blocks, height, width: of the results.
        kernel, strides, dilations: (y, x).
        operands: feature maps that are read: two for a sum and for what has a residual.
        parameter_vectors: of a block.
        keeps_accumulators: whether a first instruction leaves accumulators for a second one.
        has_weights: whether inputs are multiplied by weights and summed, as in a depthwise convolution.
        source: height and width of the input in memory; None if windows read nothing beside it.
        before: rows above and columns left of it that they read.
    """

    blocks: int
    height: int
    width: int
    kernel: tuple[int, int] = (1, 1)
    strides: tuple[int, int] = (1, 1)
    dilations: tuple[int, int] = (1, 1)
    operands: int = 1
    parameter_vectors: int = 0
    keeps_accumulators: bool = False
    has_weights: bool = False
    source: tuple[int, int] | None = None
    before: tuple[int, int] = (0, 0)

    def inputs(self, results: Number, axis: int) -> Number:
        """Input pixels along an axis that this many results need."""
        return (results - 1) * self.strides[axis] + (self.kernel[axis] - 1) * self.dilations[axis] + 1

    def loaded(self, first: int, results: int, axis: int) -> int:
        """Input pixels along an axis that lie in memory, of those that results from `first` on need."""
        count = self.inputs(results, axis)
        if self.source is None:
            return int(count)
        begin = first * self.strides[axis] - self.before[axis]
        return int(max(0, min(begin + count, self.source[axis]) - max(begin, 0)))

    @property
    def reduced(self) -> int:
        """Input pixels of a result."""
        return self.kernel[0] * self.kernel[1]

    def chunks(self, config: Config) -> int:
        """Chunks of a row of the kernel over which the machine's window slides; 0: it does not."""
        if not self.has_weights or config.vector_taps < WINDOW_TAPS:
            return 0
        step, off = divmod(self.strides[1], self.dilations[1])
        chunks = 0 if off else chunks_of_row(self.kernel[1], step)
        return chunks * fits_windows(self.kernel[0], chunks, config.requant_interval)

    def items(self, height: Number, width: Number, config: Config) -> Number:
        """Items of the instruction that reduces the inputs of height x width results."""
        return sliding_items(height, width, *self.kernel, self.chunks(config))

    def least_items(self, config: Config) -> int:
        """Items of a result at least: how fast results come."""
        return self.kernel[0] * (self.chunks(config) or self.kernel[1])


@dataclass(frozen=True, kw_only=True)
class WindowTiling:
    """The tile sizes and buffer depths of windows on a machine; or many at once, as arrays.

    Members:
        windows, config: what is tiled, for which machine.
        height, width: results of a tile.
        first_height: of the first row of tiles, if another there.
        input_depth: of each operand's buffer.
        result_depth, accumulator_depth, parameter_depth: of the other buffers.
        latency_cycles: of the memory outside.
        cycles: estimated for all windows, if they were.
    """

    windows: Windows
    config: Config
    height: Number
    width: Number
    first_height: Number | None = None
    input_depth: Number
    result_depth: Number
    accumulator_depth: Number
    parameter_depth: int
    latency_cycles: int = ASSUMED_LATENCY_CYCLES
    cycles: int = 0

    @property
    def heights(self) -> list[int]:
        """Of the rows of tiles, in their order."""
        whole = self.windows.height
        first = min(self.first_height or self.height, whole)
        return [first, *(min(self.height, whole - row) for row in range(first, whole, self.height))]

    @property
    def widths(self) -> list[int]:
        """Of the tiles of a row."""
        whole = self.windows.width
        return [min(self.width, whole - column) for column in range(0, whole, self.width)]


@dataclass(frozen=True, kw_only=True)
class WindowRoom:
    """How many buffers of each kind fit the chip, for tiles of some height and width at most.

    Members:
        inputs: of each operand.
        results, accumulators, parameters: of the others.
    """

    inputs: Number
    results: Number
    accumulators: Number
    parameters: int

    @property
    def is_enough(self) -> Number:
        """Whether there is room for one of each."""
        has_all = (self.inputs > 0) & (self.results > 0) & (self.accumulators > 0)
        return has_all & (self.parameters > 0)


def window_room(windows: Windows, config: Config, height: Number, width: Number) -> WindowRoom:
    """What fits, where input and results each have banks of their own, or halves of one.

    Args:
        windows: sizes.
        config: the machine.
        height, width: of a tile at most; ints, or int64[n] for many at once.
    """
    read, written = windows.inputs(height, 0) * windows.inputs(width, 1), height * width
    banks = max(1, (config.activation_banks - 1) // windows.operands)
    # With two banks and two operands, an operand shares its bank with the results.
    shares = config.activation_banks < 1 + windows.operands
    room = config.activation_vectors // 2 if shares else config.activation_vectors
    return WindowRoom(
        inputs=banks * (room // read),
        results=room // written,
        accumulators=_slots(config, Memory.ACCUMULATOR, written) if windows.keeps_accumulators else 1,
        parameters=_slots(config, Memory.PARAMETER, vectors) if (vectors := windows.parameter_vectors) else 1,
    )


def _slots(config: Config, memory: Memory, vectors: Number) -> Number:
    return config.banks(memory) * (config.depth(memory) // vectors)
