"""How many cycles a cut convolution takes, about: array and bus side by side.

The first tile is looked at block by block, for its loads have nothing to hide behind.
"""

from dataclasses import dataclass

from tilewright.compiler.targets.accel.cut import Cut, Versions
from tilewright.isa.config import INSTRUCTION_BYTES
from tilewright.isa.timing import WALK_SETUP, tile_period

ASSUMED_LATENCY_CYCLES = 40
"""Of the memory outside, unknown when a program is compiled: between a fast one and a slow one."""
_BURST_CYCLES = ASSUMED_LATENCY_CYCLES + 8
"""A burst's room is taken for so long beside its beats."""
_INSTRUCTION_CYCLES = WALK_SETUP
"""What an engine loses from one instruction to the next."""
_UNHIDDEN = 16
"""A cycle in so many of loads is taken to be waited for."""


def cycles_of(cut: Cut, versions: Versions) -> int:
    """Cycles of the whole convolution."""
    matrix = _matrix(cut)
    results = cut.convolution.out_blocks * cut.tiles * _store(cut)
    load = _loads(cut, versions)
    drain = cut.sum_vectors * cut.convolution.out_blocks * cut.tiles
    busy = max(_overlapped(matrix, load), results, drain)
    # Without a second version, a buffer is filled while nobody can use it.
    if 1 in (versions.inputs, versions.weights) and load.steps > 1:
        busy = max(busy, matrix + load.total)
    if versions.sums == 1:
        busy = max(busy, matrix + drain)
    # What is hidden is not free: the less of it, the more surely it stays hidden.
    busy += load.total // _UNHIDDEN
    return busy + cut.sum_vectors + _store(cut)


@dataclass(frozen=True, kw_only=True)
class _Loads:
    """Cycles of the bus for tiles of results and groups of output blocks.

    Members:
        begin: of what the first instruction waits for.
        inputs: of a tile, for a whole group.
        weights: of one block.
        inputs_again, weights_again: how much of these each further group, or tile, loads anew.
        further: instructions and residuals of a tile and group.
        tiles, groups, blocks: how many there are; blocks: of a group.
    """

    begin: int
    inputs: int
    weights: int
    inputs_again: bool
    weights_again: bool
    further: int
    tiles: int
    groups: int
    blocks: int

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
    """Cycles of array and bus side by side: block by block in the first step, step by step in the others."""
    step = matrix // load.steps
    block = step // load.blocks
    first = load.begin + max(block, load.inputs + load.weights - load.begin)
    others = (load.blocks - 1) * max(block, load.weights)
    return first + others + sum(max(step, cycles) * count for cycles, count in load.later)


def _loads(cut: Cut, versions: Versions) -> _Loads:
    convolution = cut.convolution
    parts = cut.chunks * cut.config.slices
    inputs = cut.chunks * _row_cycles(cut, _input_rows(cut), _input_row_bytes(cut))
    if versions.inputs < cut.chunks:
        inputs *= cut.group_blocks
    return _Loads(
        begin=_row_cycles(cut, _input_rows(cut), _input_row_bytes(cut)) + _one_weight(cut),
        inputs=inputs,
        weights=parts * _one_weight(cut),
        inputs_again=versions.inputs < cut.chunks * cut.tiles,
        weights_again=versions.weights < cut.group_blocks * parts,
        further=(_store(cut) * cut.group_blocks if convolution.residual else 0) + _fetch(cut),
        tiles=cut.tiles,
        groups=cut.groups,
        blocks=cut.group_blocks,
    )


def _matrix(cut: Cut) -> int:
    """Cycles of the array: exact but for what lies between instructions."""
    convolution, rows = cut.convolution, cut.config.rows
    kernel = convolution.kernel[0] * convolution.kernel[1]
    tiles = cut.config.slices * kernel * convolution.in_blocks
    streams = sum(
        count_y * count_x * tile_period(convolution.sums(height, 0) * convolution.sums(width, 1), rows)
        for height, count_y in _sizes(convolution.out_height, cut.height)
        for width, count_x in _sizes(convolution.out_width, cut.width)
    )
    instructions = cut.tiles * cut.chunks * cut.config.slices
    return convolution.out_blocks * (tiles * streams + instructions * _INSTRUCTION_CYCLES)


def _sizes(extent: int, part: int) -> list[tuple[int, int]]:
    """Sizes of the parts and how often each comes."""
    rest = extent % part
    return [(part, extent // part), *([(rest, 1)] if rest else [])]


def _input_rows(cut: Cut) -> int:
    return cut.chunk_blocks * cut.convolution.inputs(cut.height, cut.taps[0], 0)


def _input_row_bytes(cut: Cut) -> int:
    return cut.convolution.inputs(cut.width, cut.taps[1], 1) * cut.config.cols


def _one_weight(cut: Cut) -> int:
    whole = cut.chunk_blocks == cut.convolution.in_blocks
    rows = 1 if whole else cut.taps[0] * cut.taps[1]
    return _row_cycles(cut, rows, cut.weight_vectors * cut.config.cols // rows)


def _store(cut: Cut) -> int:
    """Cycles of the bus for the results of one tile and block."""
    config, row = cut.config, cut.width * cut.config.cols
    bursts = cut.height * -(-row // config.burst_bytes)
    return max(
        cut.height * row // min(config.bus_bytes, config.cols),
        bursts * _BURST_CYCLES // config.outstanding_writes,
    )


def _row_cycles(cut: Cut, rows: int, row_bytes: int) -> int:
    """Cycles of the bus for rows read."""
    config = cut.config
    bursts = rows * -(-row_bytes // config.burst_bytes)
    beats = rows * row_bytes // min(config.bus_bytes, config.cols)
    return max(beats, bursts * _BURST_CYCLES // config.outstanding_reads) + _INSTRUCTION_CYCLES


def _fetch(cut: Cut) -> int:
    """Cycles of the bus for the instructions of a step."""
    instructions = cut.group_blocks * (2 + 3 * cut.chunks * cut.config.slices)
    return instructions * INSTRUCTION_BYTES // cut.config.bus_bytes
