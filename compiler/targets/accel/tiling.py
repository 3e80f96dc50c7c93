"""Tilings of a convolution: how much of it an instruction does, in which order, by an estimate of cycles.

The loops are og, yo, xo, oi, chunk: groups of output blocks, tiles of results, output blocks of the group,
parts of the reduction. A part of the input stays on the chip over the output blocks of a group where its
versions suffice, weights over the tiles of results.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from tilewright.isa.config import INSTRUCTION_BYTES, Config
from tilewright.isa.memory import Memory
from tilewright.isa.timing import WALK_SETUP, tile_period
from tilewright.numerics.error import TilewrightError

ASSUMED_LATENCY_CYCLES = 40
"""Of the memory outside, unknown when a program is compiled: between a fast one and a slow one."""
_BURST_CYCLES = ASSUMED_LATENCY_CYCLES + 8
"""A burst's room is taken for so long beside its beats."""
_INSTRUCTION_CYCLES = WALK_SETUP
"""What an engine loses from one instruction to the next."""
_MOST_VERSIONS = 4
"""Of results: more would not be used."""
_SIZES_TRIED = 8
_CHUNKS_TRIED = 4
_TILES_AHEAD = 3
_THREADS = 2
_UNHIDDEN = 16
"""A cycle in so many of loads is taken to be waited for."""


class TilingError(TilewrightError):
    """A convolution of which not even the smallest tile fits the machine."""


@dataclass(frozen=True, kw_only=True)
class Convolution:
    """Sizes of a convolution; channels in blocks of `cols`.

    Members:
        out_blocks, out_height, out_width: results as stored: behind the pooling, if there is one.
        in_blocks: blocks of the input's channels.
        kernel, strides, dilations: (y, x).
        pool_kernel, pool_strides: (y, x) of the maximum pooling behind it; (1, 1) without.
        parameter_vectors: of a block: bias, scale and so on.
        residual: whether a second operand comes from memory.
    """

    out_blocks: int
    out_height: int
    out_width: int
    in_blocks: int
    kernel: tuple[int, int]
    strides: tuple[int, int] = (1, 1)
    dilations: tuple[int, int] = (1, 1)
    pool_kernel: tuple[int, int] = (1, 1)
    pool_strides: tuple[int, int] = (1, 1)
    parameter_vectors: int = 2
    residual: bool = False

    @property
    def pools(self) -> bool:
        """Whether a pooling follows that is more than the sums themselves."""
        return (self.pool_kernel, self.pool_strides) != ((1, 1), (1, 1))

    def sums(self, results: int, axis: int) -> int:
        """Sums along an axis that so many results need."""
        return (results - 1) * self.pool_strides[axis] + self.pool_kernel[axis]

    def inputs(self, results: int, taps: int, axis: int) -> int:
        """Input pixels along an axis that so many results need from so many taps of the kernel."""
        return (self.sums(results, axis) - 1) * self.strides[axis] + (taps - 1) * self.dilations[axis] + 1


@dataclass(frozen=True, kw_only=True)
class Tiling:
    """How a convolution is cut.

    Members:
        group_blocks: output blocks of a group.
        height, width: results of a tile.
        taps: kernel rows and columns of a chunk.
        chunk_blocks: input blocks of a chunk.
        input_versions, weight_versions, sum_versions, result_versions, residual_versions, parameter_versions:
            of the buffers on the chip.
        residual: whether there is one.
        cycles: estimated for the whole convolution.
    """

    group_blocks: int
    height: int
    width: int
    taps: tuple[int, int]
    chunk_blocks: int
    input_versions: int
    weight_versions: int
    sum_versions: int
    result_versions: int
    residual_versions: int
    parameter_versions: int
    residual: bool
    cycles: int

    @property
    def threads(self) -> int:
        """Output blocks that run in turns, sharing inputs: two, if there are buffers for both."""
        kept = [self.weight_versions, self.sum_versions, self.result_versions, self.parameter_versions]
        if self.residual:
            kept.append(self.residual_versions)
        # One of them may be a chunk ahead of the other, whose inputs must not go before.
        enough = min(kept) >= _THREADS and self.input_versions > _THREADS
        return _THREADS if enough and self.group_blocks >= _THREADS else 1


@cache
def choose(convolution: Convolution, config: Config) -> Tiling:
    """The tiling with the fewest estimated cycles.

    Raises:
        TilingError: if none fits.
    """
    found = [_tiling(cut) for cut in _cuts(convolution, config) if cut.fits]
    if not found:
        raise TilingError(_refusal(convolution, config))
    return min(found, key=lambda tiling: tiling.cycles)


def parts(extent: int) -> list[int]:
    """The sizes that cut `extent` into even parts with a smaller last one, falling."""
    return sorted({-(-extent // count) for count in range(1, extent + 1)}, reverse=True)


# --- candidates --------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Cut:
    """A candidate: sizes without versions."""

    convolution: Convolution
    config: Config
    group_blocks: int
    height: int
    width: int
    taps: tuple[int, int]
    chunk_blocks: int

    # --- what it needs on the chip ---

    @property
    def sum_vectors(self) -> int:
        return self.convolution.sums(self.height, 0) * self.convolution.sums(self.width, 1)

    @property
    def input_vectors(self) -> int:
        rows = self.convolution.inputs(self.height, self.taps[0], 0)
        return self.chunk_blocks * rows * self.convolution.inputs(self.width, self.taps[1], 1)

    @property
    def weight_vectors(self) -> int:
        return self.taps[0] * self.taps[1] * self.chunk_blocks * self.config.rows

    @property
    def result_vectors(self) -> int:
        return self.height * self.width

    @property
    def _apart(self) -> bool:
        """Whether input, residual and results each have banks of their own."""
        return self.config.activation_banks > 1 + self.convolution.residual

    @property
    def input_slots(self) -> int:
        banks = max(1, self.config.activation_banks - 1 - self.convolution.residual)
        depth = self.config.activation_vectors // (1 if self._apart else 2)
        return banks * (depth // self.input_vectors)

    @property
    def residual_slots(self) -> int:
        depth = self.config.activation_vectors // (1 if self._apart else 2)
        return depth // self.result_vectors

    def slots(self, memory: Memory, vectors: int) -> int:
        return self.config.banks(memory) * (self.config.depth(memory) // vectors)

    @property
    def fits(self) -> bool:
        convolution, config = self.convolution, self.config
        return (
            self.input_slots > 0
            and self.slots(Memory.WEIGHT, self.weight_vectors) > 0
            and self.slots(Memory.ACCUMULATOR, self.sum_vectors) > 0
            and self.slots(Memory.PARAMETER, convolution.parameter_vectors) > 0
            and self.result_vectors <= config.activation_vectors
            and (not convolution.residual or self.residual_slots > 0)
            and _pads_fit(self)
        )

    # --- how often ---

    @property
    def chunks(self) -> int:
        """Parts of the reduction whose input differs."""
        kernel = self.convolution.kernel
        taps = -(-kernel[0] // self.taps[0]) * -(-kernel[1] // self.taps[1])
        return taps * -(-self.convolution.in_blocks // self.chunk_blocks)

    @property
    def groups(self) -> int:
        return -(-self.convolution.out_blocks // self.group_blocks)

    @property
    def tiles(self) -> int:
        return -(-self.convolution.out_height // self.height) * -(-self.convolution.out_width // self.width)


def _pads_fit(cut: _Cut) -> bool:
    """Whether a window is small enough for the fields of padding and of loops over taps."""
    return max(cut.taps) < 256 and max(cut.height, cut.width) < 4096


def _cuts(convolution: Convolution, config: Config) -> Iterator[_Cut]:
    for height, width in _tiles(convolution, config):
        for taps, blocks in _chunks(convolution, config, height, width):
            for group in _groups(convolution.out_blocks):
                yield _Cut(
                    convolution=convolution,
                    config=config,
                    group_blocks=group,
                    height=height,
                    width=width,
                    taps=taps,
                    chunk_blocks=blocks,
                )


def _tiles(convolution: Convolution, config: Config) -> Iterator[tuple[int, int]]:
    """Tiles whose sums fit a bank."""
    room = config.accumulator_vectors
    least = convolution.sums(1, 0)
    widths = [width for width in parts(convolution.out_width) if least * convolution.sums(width, 1) <= room]
    for width in _spread(widths):
        columns = convolution.sums(width, 1)
        heights = [h for h in parts(convolution.out_height) if convolution.sums(h, 0) * columns <= room]
        yield from ((height, width) for height in _spread(heights))


def _spread(sizes: list[int]) -> list[int]:
    """Some of them, from the first to the last."""
    step = max(1, (len(sizes) - 1) / (_SIZES_TRIED - 1))
    return [sizes[round(k * step)] for k in range(min(len(sizes), _SIZES_TRIED))]


def _groups(blocks: int) -> list[int]:
    """All at once, one by one, and a few between."""
    return sorted({blocks, 1, -(-blocks // 2), -(-blocks // 4)})


def _chunks(
    convolution: Convolution, config: Config, height: int, width: int
) -> list[tuple[tuple[int, int], int]]:
    """The largest parts of the reduction that fit such a tile: blocks are cut first, then the kernel."""
    rows, columns = convolution.kernel
    whole = [((rows, columns), blocks) for blocks in parts(convolution.in_blocks)]
    cut_rows = [((taps, columns), 1) for taps in parts(rows)[1:]]
    cut_columns = [((1, taps), 1) for taps in parts(columns)[1:]]
    fitting = [
        (taps, blocks)
        for taps, blocks in (*whole, *cut_rows, *cut_columns)
        if taps[0] * taps[1] * blocks * config.rows <= config.weight_vectors
        and blocks * convolution.inputs(height, taps[0], 0) * convolution.inputs(width, taps[1], 1)
        <= config.activation_vectors
    ]
    return fitting[:_CHUNKS_TRIED]


# --- the estimate ------------------------------------------------------------------------------------------


def _tiling(cut: _Cut) -> Tiling:
    convolution, config = cut.convolution, cut.config
    subtiles = config.slices
    keys = cut.chunks * subtiles
    # All of the input stays where it is used again; else what is used now, and next.
    used = cut.chunks * (cut.tiles if cut.groups > 1 else min(cut.tiles, _TILES_AHEAD))
    inputs = min(cut.input_slots, used)
    weights = min(cut.slots(Memory.WEIGHT, cut.weight_vectors), keys * convolution.out_blocks)
    parameters = cut.slots(Memory.PARAMETER, convolution.parameter_vectors)
    versions = {
        "input_versions": inputs,
        "weight_versions": weights,
        "sum_versions": min(cut.slots(Memory.ACCUMULATOR, cut.sum_vectors), _MOST_VERSIONS),
        "result_versions": min(config.activation_vectors // cut.result_vectors, _MOST_VERSIONS),
        "residual_versions": min(cut.residual_slots, _MOST_VERSIONS) if convolution.residual else 1,
        "parameter_versions": min(parameters, convolution.out_blocks),
    }
    return Tiling(
        group_blocks=cut.group_blocks,
        height=cut.height,
        width=cut.width,
        taps=cut.taps,
        chunk_blocks=cut.chunk_blocks,
        residual=convolution.residual,
        cycles=_cycles(cut, versions),
        **versions,
    )


def _cycles(cut: _Cut, versions: dict[str, int]) -> int:
    matrix = _matrix(cut)
    results = cut.convolution.out_blocks * cut.tiles * _store(cut)
    load = _loads(cut, versions)
    drain = cut.sum_vectors * cut.convolution.out_blocks * cut.tiles
    busy = max(_overlapped(matrix, load), results, drain)
    # Without a second version, a buffer is filled while nobody can use it.
    if 1 in (versions["input_versions"], versions["weight_versions"]) and load.steps > 1:
        busy = max(busy, matrix + load.total)
    if versions["sum_versions"] == 1:
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


def _loads(cut: _Cut, versions: dict[str, int]) -> _Loads:
    convolution = cut.convolution
    parts = cut.chunks * cut.config.slices
    inputs = cut.chunks * _row_cycles(cut, _input_rows(cut), _input_row_bytes(cut))
    if versions["input_versions"] < cut.chunks:
        inputs *= cut.group_blocks
    return _Loads(
        begin=_row_cycles(cut, _input_rows(cut), _input_row_bytes(cut)) + _one_weight(cut),
        inputs=inputs,
        weights=parts * _one_weight(cut),
        inputs_again=versions["input_versions"] < cut.chunks * cut.tiles,
        weights_again=versions["weight_versions"] < cut.group_blocks * parts,
        further=(_store(cut) * cut.group_blocks if convolution.residual else 0) + _fetch(cut),
        tiles=cut.tiles,
        groups=cut.groups,
        blocks=cut.group_blocks,
    )


def _matrix(cut: _Cut) -> int:
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


def _input_rows(cut: _Cut) -> int:
    return cut.chunk_blocks * cut.convolution.inputs(cut.height, cut.taps[0], 0)


def _input_row_bytes(cut: _Cut) -> int:
    return cut.convolution.inputs(cut.width, cut.taps[1], 1) * cut.config.cols


def _one_weight(cut: _Cut) -> int:
    whole = cut.chunk_blocks == cut.convolution.in_blocks
    rows = 1 if whole else cut.taps[0] * cut.taps[1]
    return _row_cycles(cut, rows, cut.weight_vectors * cut.config.cols // rows)


def _store(cut: _Cut) -> int:
    """Cycles of the bus for the results of one tile and block."""
    config, row = cut.config, cut.width * cut.config.cols
    bursts = cut.height * -(-row // config.burst_bytes)
    return max(
        cut.height * row // min(config.bus_bytes, config.cols),
        bursts * _BURST_CYCLES // config.outstanding_writes,
    )


def _row_cycles(cut: _Cut, rows: int, row_bytes: int) -> int:
    """Cycles of the bus for rows read."""
    config = cut.config
    bursts = rows * -(-row_bytes // config.burst_bytes)
    beats = rows * row_bytes // min(config.bus_bytes, config.cols)
    return max(beats, bursts * _BURST_CYCLES // config.outstanding_reads) + _INSTRUCTION_CYCLES


def _fetch(cut: _Cut) -> int:
    """Cycles of the bus for the instructions of a step."""
    instructions = cut.group_blocks * (2 + 3 * cut.chunks * cut.config.slices)
    return instructions * INSTRUCTION_BYTES // cut.config.bus_bytes


def _refusal(convolution: Convolution, config: Config) -> str:
    one = _Cut(
        convolution=convolution,
        config=config,
        group_blocks=1,
        height=1,
        width=1,
        taps=(1, 1),
        chunk_blocks=1,
    )
    needs = {
        Memory.ACTIVATION: max(one.input_vectors, one.result_vectors),
        Memory.WEIGHT: one.weight_vectors,
        Memory.ACCUMULATOR: one.sum_vectors,
        Memory.PARAMETER: convolution.parameter_vectors,
    }
    short = [
        f"a bank of {memory.label} memory must hold {need} vectors, not {config.depth(memory)}"
        for memory, need in needs.items()
        if need > config.depth(memory)
    ]
    return "not even one result fits the machine: " + ("; ".join(short) or "it has too few banks")
