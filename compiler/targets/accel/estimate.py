"""About how many cycles a cut convolution takes, in closed form: array and bus side by side.

The first tile is looked at part by part, for its loads have little to hide behind. Candidates are many:
`rehearsal` looks at the best of them more closely.
"""

from dataclasses import dataclass

from tilewright.compiler.targets.accel.cut import Cut, Versions
from tilewright.isa.config import INSTRUCTION_BYTES, Config
from tilewright.isa.timing import ACCUMULATOR_DISTANCE, WALK_SETUP, tile_period

ASSUMED_LATENCY_CYCLES = 40
"""Of the memory outside, unknown when a program is compiled: between a fast one and a slow one."""
_BURST_CYCLES = ASSUMED_LATENCY_CYCLES + 8
"""A burst's room is taken for so long beside its beats."""
_INSTRUCTION_CYCLES = WALK_SETUP
"""What load and store lose from one instruction to the next."""
_UNHIDDEN = 16
"""A cycle in so many of loads is taken to be waited for."""


def cycles_of(cut: Cut, versions: Versions, threads: int) -> int:
    """Cycles of the whole convolution.

    Args:
        cut: how it is cut.
        versions: of its buffers.
        threads: output blocks of a group that take turns, a chunk each.
    """
    matrix = _matrix(cut, threads)
    store = _store(cut)
    blocks = cut.convolution.out_blocks * cut.tiles * _average_tile(cut)
    load = _loads(cut, versions, threads)
    drain = int(blocks * cut.sum_vectors)
    busy = max(_overlapped(matrix, load), int(blocks * store), drain)
    # Without a second version, a buffer is filled while nobody can use it.
    if 1 in (versions.inputs, versions.weights) and load.steps > 1:
        busy = max(busy, matrix + load.total)
    if versions.sums == 1:
        busy = max(busy, matrix + drain)
    # What is hidden is not free: the less of it, the more surely it stays hidden.
    busy += load.total // _UNHIDDEN
    part = matrix // (load.steps * load.blocks * cut.chunks)
    return busy + cut.sum_vectors + store + max(0, (threads - 1) * (store - part))


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

    inputs: int
    weights: int
    inputs_again: bool
    weights_again: bool
    further: int
    tiles: int
    groups: int
    blocks: int
    chunks: int
    threads: int

    @property
    def steps(self) -> int:
        """Tiles of all groups."""
        return self.tiles * self.groups

    @property
    def later(self) -> list[tuple[int, int]]:
        """Cycles of steps but the first, and of how many: they are loaded while others are computed."""
        tiles, groups, weights = self.tiles - 1, self.groups - 1, self.weights * self.blocks
        inputs, weights_again = self.inputs * self.inputs_again, weights * self.weights_again
        return [
            (self.further + self.inputs + weights_again, tiles),
            (self.further + inputs + weights, groups),
            (self.further + inputs + weights_again, tiles * groups),
        ]

    @property
    def total(self) -> int:
        """Of all steps."""
        first = self.inputs + self.weights * self.blocks + self.further
        return first + sum(cycles * count for cycles, count in self.later)


def _overlapped(matrix: int, load: _Loads) -> int:
    """Cycles of array and bus side by side: part by part in the first step, step by step in the others."""
    step = matrix // load.steps
    block = step // load.blocks
    others = (load.blocks - load.threads) * max(block, load.weights)
    return _first_turn(block, load) + others + sum(max(step, cycles) * count for cycles, count in load.later)


def _first_turn(block: int, load: _Loads) -> int:
    """Cycles until the first blocks are done whose turn it is, chunk by chunk."""
    part, inputs, weights = (cycles // load.chunks for cycles in (block, load.inputs, load.weights))
    bus = array = 0
    for _ in range(load.chunks):
        bus += inputs
        array = max(array, bus + weights) + load.threads * part
        bus += load.threads * weights
        array = max(array, bus + part)
    return array


def _loads(cut: Cut, versions: Versions, threads: int) -> _Loads:
    convolution = cut.convolution
    parts = cut.chunks * cut.config.slices
    tile, chunk = _average_tile(cut), _average_chunk(cut)
    inputs = int(cut.chunks * read_cycles(cut.config, _input_rows(cut), _input_row_bytes(cut)) * tile * chunk)
    if versions.inputs < cut.chunks:
        inputs *= -(-cut.group_blocks // threads)
    return _Loads(
        inputs=inputs,
        weights=int(parts * _one_weight(cut) * chunk),
        inputs_again=versions.inputs < cut.chunks * cut.tiles,
        weights_again=versions.weights < cut.group_blocks * parts,
        further=int(_store(cut) * cut.group_blocks * tile if convolution.residual else 0) + _fetch(cut),
        tiles=cut.tiles,
        groups=cut.groups,
        blocks=cut.group_blocks,
        chunks=cut.chunks,
        threads=threads,
    )


def _matrix(cut: Cut, threads: int) -> int:
    """Cycles of the array, with what it loses where sums change from one instruction to the next."""
    convolution, rows = cut.convolution, cut.config.rows
    kernel = convolution.kernel[0] * convolution.kernel[1]
    tiles = cut.config.slices * kernel * convolution.in_blocks
    streams = sum(
        count_y * count_x * tile_period(convolution.sums(height, 0) * convolution.sums(width, 1), rows)
        for height, count_y in sizes(convolution.out_height, cut.height)
        for width, count_x in sizes(convolution.out_width, cut.width)
    )
    moves = cut.tiles * (cut.chunks * cut.config.slices - 1) if threads > 1 else 0
    return convolution.out_blocks * (tiles * streams + moves * (ACCUMULATOR_DISTANCE - 1))


def sizes(extent: int, part: int) -> list[tuple[int, int]]:
    """Sizes of the parts and how often each comes."""
    rest = extent % part
    return [(part, extent // part), *([(rest, 1)] if rest else [])]


def _average_tile(cut: Cut) -> float:
    """How much of a whole tile the average one is: the last ones may be smaller."""
    convolution = cut.convolution
    return convolution.out_height * convolution.out_width / (cut.tiles * cut.height * cut.width)


def _average_chunk(cut: Cut) -> float:
    """How much of a whole chunk the average one is."""
    kernel, taps = cut.convolution.kernel, cut.taps
    whole = cut.chunks * cut.chunk_blocks * taps[0] * taps[1]
    return cut.convolution.in_blocks * kernel[0] * kernel[1] / whole


def _input_rows(cut: Cut) -> int:
    return cut.chunk_blocks * cut.convolution.inputs(cut.height, cut.taps[0], 0)


def _input_row_bytes(cut: Cut) -> int:
    return cut.convolution.inputs(cut.width, cut.taps[1], 1) * cut.config.cols


def _one_weight(cut: Cut) -> int:
    whole = cut.chunk_blocks == cut.convolution.in_blocks
    rows = 1 if whole else cut.taps[0] * cut.taps[1]
    return read_cycles(cut.config, rows, cut.weight_vectors * cut.config.cols // rows)


def _store(cut: Cut) -> int:
    """Cycles of the bus for the results of one tile and block."""
    return write_cycles(cut.config, cut.height, cut.width * cut.config.cols)


def read_cycles(config: Config, rows: int, row_bytes: int) -> int:
    """Cycles of the bus for a load of rows, each dense in memory."""
    bursts = rows * -(-row_bytes // config.burst_bytes)
    beats = rows * row_bytes // min(config.bus_bytes, config.cols)
    return max(beats, bursts * _BURST_CYCLES // config.outstanding_reads) + _INSTRUCTION_CYCLES


def write_cycles(config: Config, rows: int, row_bytes: int) -> int:
    """Cycles of the bus for a store of rows."""
    bursts = rows * -(-row_bytes // config.burst_bytes)
    beats = rows * row_bytes // min(config.bus_bytes, config.cols)
    return max(beats, bursts * _BURST_CYCLES // config.outstanding_writes)


def _fetch(cut: Cut) -> int:
    """Cycles of the bus for the instructions of a step."""
    instructions = cut.group_blocks * (2 + 3 * cut.chunks * cut.config.slices)
    return instructions * INSTRUCTION_BYTES // cut.config.bus_bytes
