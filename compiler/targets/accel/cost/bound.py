"""About how many cycles a cut convolution takes, in closed form: array and bus side by side.

The first tile is looked at part by part, for its loads have little to hide behind. Candidates are many, so
sizes may be arrays, one element a candidate; the event model looks at the best more closely.
"""

from dataclasses import dataclass
from functools import reduce

import numpy as np

from tilewright.compiler.targets.accel.cost.problem import Cut, Number, Versions
from tilewright.isa.config import INSTRUCTION_BYTES, Config
from tilewright.isa.timing import ACCUMULATOR_DISTANCE, GENERATOR_SETUP, tile_period

ASSUMED_LATENCY_CYCLES = 40
"""Of the memory outside, unknown when a program is compiled: between a fast one and a slow one."""
_BURST_CYCLES = ASSUMED_LATENCY_CYCLES + 8
"""A burst's room is taken for so long beside its beats."""
_INSTRUCTION_CYCLES = GENERATOR_SETUP
"""What load and store lose from one instruction to the next."""
_UNHIDDEN = 16
"""A cycle in so many of loads is taken to be waited for."""


def cycles_of(cut: Cut, versions: Versions, threads: Number) -> Number:
    """Cycles of the whole convolution, of one cut or of many.

    Args:
        cut: how it is cut, without other sizes in the first row of tiles.
        versions: of its buffers.
        threads: output blocks of a group that take turns, a chunk each.
    """
    matrix, load = _matrix(cut, threads), _loads(cut, versions, threads)
    store = _store(cut)
    blocks = cut.convolution.out_blocks * cut.tiles * _average_tile(cut)
    drain = _whole(blocks * cut.sum_vectors)
    busy = _most(_overlapped(matrix, load), _whole(blocks * store), drain)
    # Without a second version, a buffer is filled while nobody can use it.
    exposed = ((versions.inputs == 1) | (versions.weights == 1)) & (load.steps > 1)
    busy = np.where(exposed, np.maximum(busy, matrix + load.total), busy)
    busy = np.where(versions.sums == 1, np.maximum(busy, matrix + drain), busy)
    # What is hidden is not free: the less of it, the more surely it stays hidden.
    busy = busy + load.total // _UNHIDDEN
    part = matrix // (load.steps * load.blocks * cut.chunks)
    return busy + cut.sum_vectors + store + np.maximum(0, (threads - 1) * (store - part))


def _most(*numbers: Number) -> Number:
    return reduce(np.maximum, numbers)


def _whole(number: Number) -> Number:
    """Without what is behind the point."""
    return np.trunc(number).astype(np.int64)


@dataclass(frozen=True, kw_only=True)
class _Loads:
    """Cycles of the bus for tiles of results and groups of output blocks.

    Members:
        inputs: of a tile, for a whole group.
        weights: of one block.
        inputs_again, weights_again: how much of these each further group, or tile, loads anew.
        further: instructions and residuals of a tile and group.
        tiles, groups, blocks, chunks, threads: how many there are; blocks: of a group.
    """

    inputs: Number
    weights: Number
    inputs_again: Number
    weights_again: Number
    further: Number
    tiles: Number
    groups: Number
    blocks: Number
    chunks: Number
    threads: Number

    @property
    def steps(self) -> Number:
        """Tiles of all groups."""
        return self.tiles * self.groups

    @property
    def later(self) -> list[tuple[Number, Number]]:
        """Cycles of steps but the first, and of how many: they are loaded while others are computed."""
        tiles, groups, weights = self.tiles - 1, self.groups - 1, self.weights * self.blocks
        inputs, weights_again = self.inputs * self.inputs_again, weights * self.weights_again
        return [
            (self.further + self.inputs + weights_again, tiles),
            (self.further + inputs + weights, groups),
            (self.further + inputs + weights_again, tiles * groups),
        ]

    @property
    def total(self) -> Number:
        """Of all steps."""
        first = self.inputs + self.weights * self.blocks + self.further
        return first + sum(cycles * count for cycles, count in self.later)


def _overlapped(matrix: Number, load: _Loads) -> Number:
    """Cycles of array and bus side by side: part by part in the first step, step by step in the others."""
    step = matrix // load.steps
    block = step // load.blocks
    others = (load.blocks - load.threads) * np.maximum(block, load.weights)
    later = sum(np.maximum(step, cycles) * count for cycles, count in load.later)
    return _first_turn(block, load) + others + later


def _first_turn(block: Number, load: _Loads) -> Number:
    """Cycles until the first blocks are done whose turn it is, chunk by chunk.

    For each chunk, the bus brings the inputs and the weights of each thread. The array begins a chunk once
    its inputs and first weights are there; it ends a chunk at least one part after the last weights:

        array = max(array, bus + inputs + weights) + threads * part
        bus += inputs + threads * weights
        array = max(array, bus + part)

    Each term grows evenly with the chunks before it, so that the largest is of the first or the last chunk.
    """
    chunks, threads, weights = load.chunks, load.threads, load.weights // load.chunks
    part, inputs = block // chunks, load.inputs // load.chunks
    bus, array = inputs + threads * weights, threads * part
    return _most(
        inputs + weights + chunks * array,
        (chunks - 1) * bus + inputs + weights + array,
        bus + part + (chunks - 1) * array,
        chunks * bus + part,
    )


def _loads(cut: Cut, versions: Versions, threads: Number) -> _Loads:
    convolution = cut.convolution
    parts = cut.chunks * cut.config.slices
    tile, chunk = _average_tile(cut), _average_chunk(cut)
    one_input = _read_cycles(cut.config, _input_rows(cut), _input_row_bytes(cut))
    inputs = _whole(cut.chunks * one_input * tile * chunk)
    residuals = _whole(_store(cut) * cut.group_blocks * tile) if convolution.residual else 0
    return _Loads(
        inputs=np.where(versions.inputs < cut.chunks, inputs * -(-cut.group_blocks // threads), inputs),
        weights=_whole(parts * _one_weight(cut) * chunk),
        inputs_again=versions.inputs < cut.chunks * cut.tiles,
        weights_again=versions.weights < cut.group_blocks * parts,
        further=residuals + _fetch(cut),
        tiles=cut.tiles,
        groups=cut.groups,
        blocks=cut.group_blocks,
        chunks=cut.chunks,
        threads=threads,
    )


def _matrix(cut: Cut, threads: Number) -> Number:
    """Cycles of the array, with what it loses where sums change from one instruction to the next."""
    convolution, rows = cut.convolution, cut.config.rows
    kernel = convolution.kernel[0] * convolution.kernel[1]
    tiles = cut.config.slices * kernel * convolution.in_blocks
    streams = sum(
        count_y
        * count_x
        * np.maximum(convolution.sums(height, 0) * convolution.sums(width, 1), tile_period(0, rows))
        for height, count_y in _sizes(convolution.out_height, cut.height)
        for width, count_x in _sizes(convolution.out_width, cut.width)
    )
    moves = np.where(threads > 1, cut.tiles * (cut.chunks * cut.config.slices - 1), 0)
    return convolution.out_blocks * (tiles * streams + moves * (ACCUMULATOR_DISTANCE - 1))


def _sizes(extent: int, part: Number) -> list[tuple[Number, Number]]:
    """`sizes` of one or many; where nothing is left, the last part comes 0 times."""
    rest = extent % part
    return [(part, extent // part), (rest, rest > 0)]


def sizes(extent: int, part: int) -> list[tuple[int, int]]:
    """Sizes of the parts and how often each comes."""
    rest = extent % part
    return [(part, extent // part), *([(rest, 1)] if rest else [])]


def _average_tile(cut: Cut) -> Number:
    """How much of a whole tile the average one is: the last ones may be smaller."""
    convolution = cut.convolution
    return convolution.out_height * convolution.out_width / (cut.tiles * cut.height * cut.width)


def _average_chunk(cut: Cut) -> Number:
    """How much of a whole chunk the average one is."""
    kernel, taps = cut.convolution.kernel, cut.taps
    whole = cut.chunks * cut.chunk_blocks * taps[0] * taps[1]
    return cut.convolution.in_blocks * kernel[0] * kernel[1] / whole


def _input_rows(cut: Cut) -> Number:
    return cut.chunk_blocks * cut.convolution.inputs(cut.height, cut.taps[0], 0)


def _input_row_bytes(cut: Cut) -> Number:
    return cut.convolution.inputs(cut.width, cut.taps[1], 1) * cut.config.cols


def _one_weight(cut: Cut) -> Number:
    whole = cut.chunk_blocks == cut.convolution.in_blocks
    rows = np.where(whole, 1, cut.taps[0] * cut.taps[1])
    return _read_cycles(cut.config, rows, cut.weight_vectors * cut.config.cols // rows)


def _store(cut: Cut) -> Number:
    """Cycles of the bus for the results of one tile and block."""
    config = cut.config
    return np.maximum(*_bus_cycles(config, cut.height, cut.width * config.cols, config.outstanding_writes))


def _read_cycles(config: Config, rows: Number, row_bytes: Number) -> Number:
    """`read_cycles` of many."""
    return np.maximum(*_bus_cycles(config, rows, row_bytes, config.outstanding_reads)) + _INSTRUCTION_CYCLES


def read_cycles(config: Config, rows: int, row_bytes: int) -> int:
    """Cycles of the bus for a load of rows, each dense in memory."""
    beats, bursts = _bus_cycles(config, rows, row_bytes, config.outstanding_reads)
    return int(max(beats, bursts)) + _INSTRUCTION_CYCLES


def write_cycles(config: Config, rows: int, row_bytes: int) -> int:
    """Cycles of the bus for a store of rows."""
    return int(max(_bus_cycles(config, rows, row_bytes, config.outstanding_writes)))


def _bus_cycles(config: Config, rows: Number, row_bytes: Number, outstanding: int) -> tuple[Number, Number]:
    """Cycles for the beats of rows, and for their bursts, of which so many are under way: the more count."""
    bursts = rows * -(-row_bytes // config.burst_bytes)
    beats = rows * row_bytes // min(config.bus_bytes, config.cols)
    return beats, bursts * _BURST_CYCLES // outstanding


def _fetch(cut: Cut) -> Number:
    """Cycles of the bus for the instructions of a step."""
    instructions = cut.group_blocks * (2 + 3 * cut.chunks * cut.config.slices)
    return instructions * INSTRUCTION_BYTES // cut.config.bus_bytes
