"""Sizes of convolutions and of their tiles: what a tile needs on the chip, and how many tiles there are."""

from dataclasses import dataclass
from typing import Any

from tilewright.isa.config import Config
from tilewright.isa.memory import Memory

Number = Any
"""An int; or int64[n], for n tilings of one convolution at once: then all that follows is int64[n], too."""

ASSUMED_LATENCY_CYCLES = 40
"""Latency of the memory outside, where none is named: between a fast one and a slow one."""


def assumed_latency(latency_cycles: int) -> int:
    """The latency for which schedules are chosen: what suits a slower memory hardly costs in a fast one."""
    return max(ASSUMED_LATENCY_CYCLES, latency_cycles)


OUTER_LOOP, ROW_LOOP, COLUMN_LOOP = "og", "yo", "xo"
"""Loops of a schedule: over groups of output blocks, rows of tiles, tiles in a row."""
ORDERS = (
    (OUTER_LOOP, ROW_LOOP, COLUMN_LOOP),
    (OUTER_LOOP, COLUMN_LOOP, ROW_LOOP),
    (ROW_LOOP, OUTER_LOOP, COLUMN_LOOP),
)
"""Orders of these, outermost first; that with groups innermost is one group of all blocks."""


@dataclass(frozen=True, kw_only=True)
class BlockedConvolution:
    """A convolution in the layout of the machine: its sizes, channels in blocks of `cols`.

    Members:
        out_blocks, out_height, out_width: results as stored: behind the pooling, if there is one.
        in_blocks: blocks of the input's channels.
        kernel, strides, dilations: (y, x).
        pool_kernel, pool_strides: (y, x) of the maximum pooling behind it; (1, 1) without.
        parameter_vectors: of a block: bias, scale and so on.
        residual: whether a second operand comes from memory.
        picks_rows: whether only the rows that a kernel of one row uses are loaded, not those between.
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
    picks_rows: bool = False

    @property
    def steps(self) -> tuple[int, int]:
        """Strides (y, x) in what is loaded."""
        return (1 if self.picks_rows else self.strides[0], self.strides[1])

    @property
    def pools(self) -> bool:
        """Whether a pooling of more than one pixel follows."""
        return (self.pool_kernel, self.pool_strides) != ((1, 1), (1, 1))

    def accumulators(self, results: Number, axis: int) -> Number:
        """Accumulators along an axis that this many results need."""
        return (results - 1) * self.pool_strides[axis] + self.pool_kernel[axis]

    def inputs(self, results: Number, taps: Number, axis: int) -> Number:
        """Pixels along an axis that must be loaded for `results` results and `taps` taps of the kernel."""
        return (
            (self.accumulators(results, axis) - 1) * self.steps[axis] + (taps - 1) * self.dilations[axis] + 1
        )


@dataclass(frozen=True, kw_only=True)
class BufferDepths:
    """The depth of each buffer on the chip: how many of its instances exist at a time."""

    inputs: Number
    weights: Number
    accumulators: Number
    results: Number
    residuals: Number
    parameters: Number


@dataclass(frozen=True, kw_only=True)
class TileSizes:
    """The tile sizes of a convolution on a machine; or many at once, as arrays.

    Members:
        convolution, config: what is tiled, for which machine.
        outer_blocks: output blocks of an outer tile.
        height, width: results of a tile.
        taps: kernel rows and columns of a reduction tile.
        reduction_blocks: input blocks of a reduction tile.
        first_height, first_reduction_blocks: the sizes of the first row of tiles, if others there.
        latency_cycles: of the memory outside.
    """

    convolution: BlockedConvolution
    config: Config
    outer_blocks: Number
    height: Number
    width: Number
    taps: tuple[Number, Number]
    reduction_blocks: Number
    first_height: int | None = None
    first_reduction_blocks: int | None = None
    latency_cycles: int = ASSUMED_LATENCY_CYCLES

    # --- what it needs on the chip ---

    @property
    def accumulator_vectors(self) -> Number:
        """Accumulator vectors of a block of results."""
        rows = self.convolution.accumulators(self._most_height, 0)
        return rows * self.convolution.accumulators(self.width, 1)

    @property
    def input_vectors(self) -> Number:
        """Activation vectors of a reduction tile."""
        rows = self.convolution.inputs(self._most_height, self.taps[0], 0)
        return self._most_reduction_blocks * rows * self.convolution.inputs(self.width, self.taps[1], 1)

    @property
    def weight_vectors(self) -> Number:
        """Weight rows of a reduction tile, of one slice of its channels."""
        return self.taps[0] * self.taps[1] * self._most_reduction_blocks * self.config.rows

    @property
    def result_vectors(self) -> Number:
        """Activation vectors of a block of results."""
        return self._most_height * self.width

    @property
    def _most_height(self) -> Number:
        return self.height if self.first_height is None else max(self.height, self.first_height)

    @property
    def _most_reduction_blocks(self) -> Number:
        return (
            self.reduction_blocks
            if self.first_reduction_blocks is None
            else max(self.reduction_blocks, self.first_reduction_blocks)
        )

    @property
    def _has_own_banks(self) -> bool:
        """Whether input, residual and results each have banks of their own."""
        return self.config.activation_banks > 1 + self.convolution.residual

    @property
    def input_slots(self) -> Number:
        """Reduction tiles whose inputs fit beside residual and results."""
        banks = max(1, self.config.activation_banks - 1 - self.convolution.residual)
        depth = self.config.activation_vectors // (1 if self._has_own_banks else 2)
        return banks * (depth // self.input_vectors)

    @property
    def residual_slots(self) -> Number:
        """Blocks of residuals that fit."""
        depth = self.config.activation_vectors // (1 if self._has_own_banks else 2)
        return depth // self.result_vectors

    def slots(self, memory: Memory, vectors: Number) -> Number:
        """How many buffers of `vectors` vectors fit a memory."""
        return self.config.banks(memory) * (self.config.depth(memory) // vectors)

    @property
    def fits(self) -> Number:
        """Whether there is room for one of each."""
        convolution, config = self.convolution, self.config
        return (
            (self.input_slots > 0)
            & (self.slots(Memory.WEIGHT, self.weight_vectors) > 0)
            & (self.slots(Memory.ACCUMULATOR, self.accumulator_vectors) > 0)
            & (self.slots(Memory.PARAMETER, convolution.parameter_vectors) > 0)
            & (self.result_vectors <= config.activation_vectors)
            & (not convolution.residual or self.residual_slots > 0)
            & self._fields_fit
        )

    @property
    def _fields_fit(self) -> Number:
        """Whether a window is small enough for the fields of padding and of loops over taps."""
        taps_fit = (self.taps[0] < 256) & (self.taps[1] < 256)
        return taps_fit & (self._most_height < 4096) & (self.width < 4096)

    # --- how often ---

    @property
    def reduction_tiles(self) -> Number:
        """Reduction tiles of a block of results, but in the first row of tiles."""
        return self._reduction_tiles(self.reduction_blocks)

    @property
    def first_reduction_tiles(self) -> Number:
        """Reduction tiles of a block of results in the first row of tiles."""
        return self._reduction_tiles(self.first_reduction_blocks or self.reduction_blocks)

    def _reduction_tiles(self, blocks: Number) -> Number:
        kernel = self.convolution.kernel
        taps = -(-kernel[0] // self.taps[0]) * -(-kernel[1] // self.taps[1])
        return taps * -(-self.convolution.in_blocks // blocks)

    @property
    def outer_tiles(self) -> Number:
        """Outer tiles: groups of output blocks."""
        return -(-self.convolution.out_blocks // self.outer_blocks)

    @property
    def tiles(self) -> Number:
        """Tiles of results."""
        later = self.convolution.out_height - (self.first_height or self.height)
        return (1 + (later > 0) * -(-later // self.height)) * self.row_tiles

    @property
    def row_tiles(self) -> Number:
        """Tiles side by side."""
        return -(-self.convolution.out_width // self.width)


@dataclass(frozen=True, kw_only=True)
class Tiling:
    """Tile sizes, buffer depths, virtual threads, and the cycles estimated for them.

    Members:
        tile_sizes: what is computed at a time.
        depths: what is kept on the chip.
        threads: output blocks of an outer tile that are interleaved.
        cycles: estimated for the whole convolution, if they were.
        order: of the loops around a tile: one of `ORDERS`.
    """

    tile_sizes: TileSizes
    depths: BufferDepths
    threads: int
    cycles: int = 0
    order: tuple[str, ...] = ORDERS[0]
