"""Tilings of what the vector engine does alone: windows over one block of channels at a time."""

from dataclasses import dataclass
from functools import cache

from tilewright.compiler.targets.accel.cost.bound import (
    ASSUMED_LATENCY_CYCLES,
    read_cycles,
    sizes,
    write_cycles,
)
from tilewright.compiler.targets.accel.cost.space import parts
from tilewright.compiler.targets.accel.tiling import TilingError
from tilewright.isa.config import INSTRUCTION_BYTES, Config
from tilewright.isa.memory import Memory
from tilewright.isa.timing import item_interval, vector_depth

_MAX_DEPTH = 4


@dataclass(frozen=True, kw_only=True)
class Windows:
    """Sizes of windows over feature maps; channels in blocks of `cols`.

    Members:
        blocks, height, width: of the results.
        kernel, strides, dilations: (y, x).
        operands: feature maps that are read: two for a sum and for what has a residual.
        parameter_vectors: of a block.
        keeps_accumulators: whether a first instruction leaves accumulators for a second one.
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

    def inputs(self, results: int, axis: int) -> int:
        """Input pixels along an axis that this many results need."""
        return (results - 1) * self.strides[axis] + (self.kernel[axis] - 1) * self.dilations[axis] + 1


@dataclass(frozen=True, kw_only=True)
class WindowTiling:
    """The tile sizes and buffer depths of windows.

    Members:
        height, width: results of a tile.
        input_depth: of each operand's buffer.
        result_depth, accumulator_depth, parameter_depth: of the other buffers.
        cycles: estimated for all windows.
    """

    height: int
    width: int
    input_depth: int
    result_depth: int
    accumulator_depth: int
    parameter_depth: int
    cycles: int


@cache
def choose_windows(windows: Windows, config: Config) -> WindowTiling:
    """The tiling with the fewest estimated cycles.

    Raises:
        TilingError: if not even one result fits the machine.
    """
    tilings = (
        _tiling(windows, config, height, width)
        for height in parts(windows.height)
        for width in parts(windows.width)
        if max(height, width) < 4096
    )
    found = [tiling for tiling in tilings if tiling is not None]
    if not found:
        raise TilingError(_refusal(windows, config))
    return min(found, key=lambda tiling: tiling.cycles)


def _tiling(windows: Windows, config: Config, height: int, width: int) -> WindowTiling | None:
    read = windows.inputs(height, 0) * windows.inputs(width, 1)
    depth = config.activation_vectors
    banks = max(1, (config.activation_banks - 1) // windows.operands)
    accumulators = config.accumulator_banks * (config.accumulator_vectors // (height * width))
    parameters = _slots(config, Memory.PARAMETER, windows.parameter_vectors)
    # With two banks and two operands, an operand shares its bank with the results.
    room = depth // 2 if config.activation_banks < 1 + windows.operands else depth
    if (
        read > room
        or height * width > room
        or not parameters
        or (windows.keeps_accumulators and not accumulators)
    ):
        return None
    input_depth = min(banks * (room // read), _MAX_DEPTH)
    return WindowTiling(
        height=height,
        width=width,
        input_depth=input_depth,
        result_depth=min(room // (height * width), _MAX_DEPTH),
        accumulator_depth=max(1, min(accumulators, _MAX_DEPTH)),
        parameter_depth=min(parameters, windows.blocks),
        cycles=_cycles(windows, config, height, width, input_depth),
    )


def _slots(config: Config, memory: Memory, vectors: int) -> int:
    return config.banks(memory) * (config.depth(memory) // vectors) if vectors else 1


def _cycles(windows: Windows, config: Config, height: int, width: int, input_depth: int) -> int:
    """Engines side by side, but for the loads of the first tile and the results of the last one."""
    tiles = [
        (count_y * count_x * windows.blocks, _Tile(windows, config, rows, columns))
        for rows, count_y in sizes(windows.height, height)
        for columns, count_x in sizes(windows.width, width)
    ]
    first, last = tiles[0][1], tiles[-1][1]
    alone = (
        first.load + ASSUMED_LATENCY_CYCLES + last.work + vector_depth(config.requant_interval) + last.store
    )
    if input_depth == 1 and (len(tiles) > 1 or tiles[0][0] > 1):
        return alone + sum(count * (tile.load + tile.work + tile.store) for count, tile in tiles)
    parameters = windows.blocks * read_cycles(config, 1, 4 * config.cols * windows.parameter_vectors)
    busy = (
        parameters + sum(count * tile.load for count, tile in tiles),
        sum(count * tile.work for count, tile in tiles),
        sum(count * tile.store for count, tile in tiles),
    )
    return max(busy) + alone


@dataclass(frozen=True)
class _Tile:
    """Cycles of the engines for a tile of results of one block."""

    windows: Windows
    config: Config
    height: int
    width: int

    @property
    def load(self) -> int:
        """Cycles of the bus for operands and instructions."""
        windows, cols = self.windows, self.config.cols
        rows = min(windows.inputs(self.height, 0), windows.inputs(windows.height, 0))
        operand = read_cycles(self.config, rows, windows.inputs(self.width, 1) * cols)
        instructions = windows.operands + 2 + windows.keeps_accumulators
        fetch = instructions * INSTRUCTION_BYTES // self.config.bus_bytes
        return windows.operands * operand + fetch

    @property
    def work(self) -> int:
        """Cycles of the vector engine."""
        windows, interval = self.windows, self.config.requant_interval
        results, reduced = self.height * self.width, windows.kernel[0] * windows.kernel[1]
        requantised, read = int(windows.parameter_vectors > 0), windows.parameter_vectors
        if not windows.keeps_accumulators:
            return read + results * reduced * item_interval(requantised, reduced, interval)
        # The second instruction waits for the first one's last accumulator.
        first, second = results * reduced, results * item_interval(requantised, 1, interval)
        return read + first + second + vector_depth(interval) + 1

    @property
    def store(self) -> int:
        """Cycles of the bus for results."""
        return write_cycles(self.config, self.height, self.width * self.config.cols)


def _refusal(windows: Windows, config: Config) -> str:
    needs = {
        Memory.ACTIVATION: windows.inputs(1, 0) * windows.inputs(1, 1),
        Memory.PARAMETER: windows.parameter_vectors,
    }
    short = [
        f"a bank of {memory.label} memory must hold {need} vectors, not {config.depth(memory)}"
        for memory, need in needs.items()
        if need > config.depth(memory)
    ]
    return "not even one result fits the machine: " + ("; ".join(short) or "it has too few banks")
