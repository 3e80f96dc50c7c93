"""The cycles of a tiled convolution, estimated in closed form: array and bus side by side.

The first tile is looked at part by part, for its loads have little to hide behind. Candidates are many, so
sizes may be arrays, one element a candidate; the event model looks at the best more closely.
"""

from dataclasses import dataclass
from functools import reduce

import numpy as np

from tilewright.compiler.targets.accel.cost.burst import BURST_CYCLES, INSTRUCTION_CYCLES
from tilewright.compiler.targets.accel.cost.problem import BufferDepths, Number, TileSizes
from tilewright.isa.config import INSTRUCTION_BYTES, Config
from tilewright.isa.timing import ACCUMULATOR_DISTANCE, tile_period

_UNHIDDEN = 16
"""One of this many load cycles is taken to be waited for."""


def cycles_of(tile_sizes: TileSizes, depths: BufferDepths, threads: Number) -> Number:
    """Cycles of the whole convolution, for one set of tile sizes or for many.

    Args:
        tile_sizes: without other sizes in the first row of tiles.
        depths: of its buffers.
        threads: output blocks of an outer tile that are interleaved by reduction tiles.
    """
    matrix, load = _matrix(tile_sizes, threads), _loads(tile_sizes, depths, threads)
    store = _store(tile_sizes)
    blocks = tile_sizes.convolution.out_blocks * tile_sizes.tiles * _average_tile(tile_sizes)
    drain = _whole(blocks * tile_sizes.accumulator_vectors)
    busy = _most(_overlapped(matrix, load), _whole(blocks * store), drain)
    # Without double buffering, a buffer is filled while nobody can use it.
    exposed = ((depths.inputs == 1) | (depths.weights == 1)) & (load.steps > 1)
    busy = np.where(exposed, np.maximum(busy, matrix + load.total), busy)
    busy = np.where(depths.accumulators == 1, np.maximum(busy, matrix + drain), busy)
    # What is hidden is not free: the less of it, the more surely it stays hidden.
    busy = busy + load.total // _UNHIDDEN
    part = matrix // (load.steps * load.blocks * tile_sizes.reduction_tiles)
    return busy + tile_sizes.accumulator_vectors + store + np.maximum(0, (threads - 1) * (store - part))


def array_and_bus_cycles(
    tile_sizes: TileSizes, depths: BufferDepths, threads: Number
) -> tuple[Number, Number]:
    """Cycles for which the array is busy, and the bus with loads, of the whole convolution."""
    return _matrix(tile_sizes, threads), _loads(tile_sizes, depths, threads).total


def store_cycles(tile_sizes: TileSizes) -> Number:
    """Cycles of the bus for the results of the average tile of a block."""
    return _whole(_store(tile_sizes) * _average_tile(tile_sizes))


def _most(*numbers: Number) -> Number:
    return reduce(np.maximum, numbers)


def _whole(number: Number) -> Number:
    """The number truncated to an integer."""
    return np.trunc(number).astype(np.int64)


@dataclass(frozen=True, kw_only=True)
class _Loads:
    """Cycles of the bus for tiles of results and outer tiles of output blocks.

    Members:
        inputs: of a tile, for a whole outer tile.
        weights: of one block.
        inputs_again, weights_again: how much of these each further outer tile, or tile, loads anew.
        further: instructions and residuals of a tile and outer tile.
        tiles, outer_tiles, blocks, reduction_tiles, threads: how many there are; blocks: of an outer tile.
    """

    inputs: Number
    weights: Number
    inputs_again: Number
    weights_again: Number
    further: Number
    tiles: Number
    outer_tiles: Number
    blocks: Number
    reduction_tiles: Number
    threads: Number

    @property
    def steps(self) -> Number:
        """Tiles of all outer tiles."""
        return self.tiles * self.outer_tiles

    @property
    def later(self) -> list[tuple[Number, Number]]:
        """Cycles of steps but the first, and of how many: they are loaded while others are computed."""
        tiles, outer_tiles, weights = self.tiles - 1, self.outer_tiles - 1, self.weights * self.blocks
        inputs, weights_again = self.inputs * self.inputs_again, weights * self.weights_again
        return [
            (self.further + self.inputs + weights_again, tiles),
            (self.further + inputs + weights, outer_tiles),
            (self.further + inputs + weights_again, tiles * outer_tiles),
        ]

    @property
    def total(self) -> Number:
        """Cycles of all steps."""
        first = self.inputs + self.weights * self.blocks + self.further
        return first + sum(cycles * count for cycles, count in self.later)


def _overlapped(matrix: Number, load: _Loads) -> Number:
    """Cycles of array and bus side by side: part by part in the first step, step by step in the others."""
    step = matrix // load.steps
    block = step // load.blocks
    others = (load.blocks - load.threads) * np.maximum(block, load.weights)
    later = sum(np.maximum(step, cycles) * count for cycles, count in load.later)
    return _first_slot(block, load) + others + later


def _first_slot(block: Number, load: _Loads) -> Number:
    """Cycles until the blocks of the first interleave slot are done, reduction tile by reduction tile.

    For each reduction tile, the bus loads the inputs and the weights of each thread. The array begins a
    reduction tile once its inputs and first weights are there; it ends it at least one part after the last
    weights:

        array = max(array, bus + inputs + weights) + threads * part
        bus += inputs + threads * weights
        array = max(array, bus + part)

    Each term grows linearly with the reduction tiles before it, so that the first or the last one has the
    largest.
    """
    reduction_tiles, threads = load.reduction_tiles, load.threads
    part = block // reduction_tiles
    inputs, weights = load.inputs // reduction_tiles, load.weights // reduction_tiles
    bus, array = inputs + threads * weights, threads * part
    return _most(
        inputs + weights + reduction_tiles * array,
        (reduction_tiles - 1) * bus + inputs + weights + array,
        bus + part + (reduction_tiles - 1) * array,
        reduction_tiles * bus + part,
    )


def _loads(tile_sizes: TileSizes, depths: BufferDepths, threads: Number) -> _Loads:
    convolution = tile_sizes.convolution
    parts = tile_sizes.reduction_tiles * tile_sizes.config.slices
    tile, reduction_tile = _average_tile(tile_sizes), _average_reduction_tile(tile_sizes)
    one_input = _read_cycles(tile_sizes, _input_rows(tile_sizes), _input_row_bytes(tile_sizes))
    inputs = _whole(tile_sizes.reduction_tiles * one_input * tile * reduction_tile)
    residuals = _whole(_store(tile_sizes) * tile_sizes.outer_blocks * tile) if convolution.residual else 0
    return _Loads(
        inputs=np.where(
            depths.inputs < tile_sizes.reduction_tiles,
            inputs * -(-tile_sizes.outer_blocks // threads),
            inputs,
        ),
        weights=_whole(parts * _one_weight(tile_sizes) * reduction_tile),
        inputs_again=depths.inputs < tile_sizes.reduction_tiles * tile_sizes.tiles,
        weights_again=depths.weights < tile_sizes.outer_blocks * parts,
        further=residuals + _fetch(tile_sizes),
        tiles=tile_sizes.tiles,
        outer_tiles=tile_sizes.outer_tiles,
        blocks=tile_sizes.outer_blocks,
        reduction_tiles=tile_sizes.reduction_tiles,
        threads=threads,
    )


def _matrix(tile_sizes: TileSizes, threads: Number) -> Number:
    """Cycles of the array, with what it loses where accumulators change from one instruction to the next."""
    convolution, rows = tile_sizes.convolution, tile_sizes.config.rows
    kernel = convolution.kernel[0] * convolution.kernel[1]
    tiles = tile_sizes.config.slices * kernel * convolution.in_blocks
    streams = sum(
        count_y
        * count_x
        * np.maximum(
            convolution.accumulators(height, 0) * convolution.accumulators(width, 1), tile_period(0, rows)
        )
        for height, count_y in _sizes(convolution.out_height, tile_sizes.height)
        for width, count_x in _sizes(convolution.out_width, tile_sizes.width)
    )
    moves = np.where(
        threads > 1, tile_sizes.tiles * (tile_sizes.reduction_tiles * tile_sizes.config.slices - 1), 0
    )
    return convolution.out_blocks * (tiles * streams + moves * (ACCUMULATOR_DISTANCE - 1))


def _sizes(extent: int, part: Number) -> list[tuple[Number, Number]]:
    """`sizes` of one or many; where nothing is left, the last part comes 0 times."""
    rest = extent % part
    return [(part, extent // part), (rest, rest > 0)]


def sizes(extent: int, part: int) -> list[tuple[int, int]]:
    """Sizes of the parts and how often each comes."""
    rest = extent % part
    return [(part, extent // part), *([(rest, 1)] if rest else [])]


def _average_tile(tile_sizes: TileSizes) -> Number:
    """How much of a whole tile the average one is: the last ones may be smaller."""
    convolution = tile_sizes.convolution
    return (
        convolution.out_height
        * convolution.out_width
        / (tile_sizes.tiles * tile_sizes.height * tile_sizes.width)
    )


def _average_reduction_tile(tile_sizes: TileSizes) -> Number:
    """How much of a whole reduction tile the average one is."""
    kernel, taps = tile_sizes.convolution.kernel, tile_sizes.taps
    whole = tile_sizes.reduction_tiles * tile_sizes.reduction_blocks * taps[0] * taps[1]
    return tile_sizes.convolution.in_blocks * kernel[0] * kernel[1] / whole


def _input_rows(tile_sizes: TileSizes) -> Number:
    return tile_sizes.reduction_blocks * tile_sizes.convolution.inputs(
        tile_sizes.height, tile_sizes.taps[0], 0
    )


def _input_row_bytes(tile_sizes: TileSizes) -> Number:
    return tile_sizes.convolution.inputs(tile_sizes.width, tile_sizes.taps[1], 1) * tile_sizes.config.cols


def _one_weight(tile_sizes: TileSizes) -> Number:
    whole = tile_sizes.reduction_blocks == tile_sizes.convolution.in_blocks
    rows = np.where(whole, 1, tile_sizes.taps[0] * tile_sizes.taps[1])
    return _read_cycles(tile_sizes, rows, tile_sizes.weight_vectors * tile_sizes.config.cols // rows)


def _store(tile_sizes: TileSizes) -> Number:
    """Cycles of the bus for the results of one tile and block."""
    config = tile_sizes.config
    return many_write_cycles(
        config, tile_sizes.height, tile_sizes.width * config.cols, tile_sizes.latency_cycles
    )


def _read_cycles(tile_sizes: TileSizes, rows: Number, row_bytes: Number) -> Number:
    return many_read_cycles(tile_sizes.config, rows, row_bytes, tile_sizes.latency_cycles)


def many_read_cycles(config: Config, rows: Number, row_bytes: Number, latency_cycles: int) -> Number:
    """Cycles of the bus for a load of rows, each dense in memory; at least, for bursts may be shorter."""
    cycles = _bus_cycles(config, rows, row_bytes, config.outstanding_reads, latency_cycles)
    return np.maximum(*cycles) + INSTRUCTION_CYCLES


def many_write_cycles(config: Config, rows: Number, row_bytes: Number, latency_cycles: int) -> Number:
    """Cycles of the bus for a store of rows, at least."""
    return np.maximum(*_bus_cycles(config, rows, row_bytes, config.outstanding_writes, latency_cycles))


def _bus_cycles(
    config: Config, rows: Number, row_bytes: Number, outstanding: int, latency_cycles: int
) -> tuple[Number, Number]:
    """Cycles for the beats of rows, and for their bursts, `outstanding` at a time: the larger counts."""
    bursts = rows * -(-row_bytes // config.burst_bytes)
    beats = rows * row_bytes // min(config.bus_bytes, config.cols)
    return beats, bursts * (latency_cycles + BURST_CYCLES) // outstanding


def _fetch(tile_sizes: TileSizes) -> Number:
    """Cycles of the bus for the instructions of a step."""
    instructions = tile_sizes.outer_blocks * (2 + 3 * tile_sizes.reduction_tiles * tile_sizes.config.slices)
    return instructions * INSTRUCTION_BYTES // tile_sizes.config.bus_bytes
