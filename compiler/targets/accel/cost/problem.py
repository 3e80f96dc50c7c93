"""Convolutions and ways to cut them: what a tile needs on the chip, and how many there are."""

from dataclasses import dataclass
from typing import Any

from tilewright.isa.config import Config
from tilewright.isa.memory import Memory

Number = Any
"""An int; or int64[n], for n cuts of one convolution at once: then all that follows from it is of n, too."""


@dataclass(frozen=True, kw_only=True)
class ConvolutionSizes:
    """Sizes of a convolution; channels in blocks of `cols`.

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
        """Whether a pooling follows that is more than the sums themselves."""
        return (self.pool_kernel, self.pool_strides) != ((1, 1), (1, 1))

    def sums(self, results: Number, axis: int) -> Number:
        """Sums along an axis that so many results need."""
        return (results - 1) * self.pool_strides[axis] + self.pool_kernel[axis]

    def inputs(self, results: Number, taps: Number, axis: int) -> Number:
        """Loaded pixels along an axis that so many results need from so many taps of the kernel."""
        return (self.sums(results, axis) - 1) * self.steps[axis] + (taps - 1) * self.dilations[axis] + 1


@dataclass(frozen=True, kw_only=True)
class Versions:
    """How many instances of each buffer on the chip exist at a time."""

    inputs: Number
    weights: Number
    sums: Number
    results: Number
    residuals: Number
    parameters: Number


@dataclass(frozen=True, kw_only=True)
class Cut:
    """A convolution cut for a machine; or many cuts at once, whose sizes are arrays.

    Members:
        convolution, config: what is cut, for what.
        group_blocks: output blocks of a group.
        height, width: results of a tile.
        taps: kernel rows and columns of a chunk.
        chunk_blocks: input blocks of a chunk.
        first_height, first_blocks: height and chunk_blocks in the first row of tiles, if others there.
    """

    convolution: ConvolutionSizes
    config: Config
    group_blocks: Number
    height: Number
    width: Number
    taps: tuple[Number, Number]
    chunk_blocks: Number
    first_height: int | None = None
    first_blocks: int | None = None

    # --- what it needs on the chip ---

    @property
    def sum_vectors(self) -> Number:
        """Accumulators of a block of results."""
        return self.convolution.sums(self._most_height, 0) * self.convolution.sums(self.width, 1)

    @property
    def input_vectors(self) -> Number:
        """Activations of a chunk."""
        rows = self.convolution.inputs(self._most_height, self.taps[0], 0)
        return self._most_blocks * rows * self.convolution.inputs(self.width, self.taps[1], 1)

    @property
    def weight_vectors(self) -> Number:
        """Weight rows of a chunk, of one slice of its channels."""
        return self.taps[0] * self.taps[1] * self._most_blocks * self.config.rows

    @property
    def result_vectors(self) -> Number:
        """Activations of a block of results."""
        return self._most_height * self.width

    @property
    def _most_height(self) -> Number:
        return self.height if self.first_height is None else max(self.height, self.first_height)

    @property
    def _most_blocks(self) -> Number:
        return self.chunk_blocks if self.first_blocks is None else max(self.chunk_blocks, self.first_blocks)

    @property
    def _apart(self) -> bool:
        """Whether input, residual and results each have banks of their own."""
        return self.config.activation_banks > 1 + self.convolution.residual

    @property
    def input_slots(self) -> Number:
        """Chunks of inputs that fit beside residual and results."""
        banks = max(1, self.config.activation_banks - 1 - self.convolution.residual)
        depth = self.config.activation_vectors // (1 if self._apart else 2)
        return banks * (depth // self.input_vectors)

    @property
    def residual_slots(self) -> Number:
        """Blocks of residuals that fit."""
        depth = self.config.activation_vectors // (1 if self._apart else 2)
        return depth // self.result_vectors

    def slots(self, memory: Memory, vectors: Number) -> Number:
        """Buffers of so many vectors that fit a memory."""
        return self.config.banks(memory) * (self.config.depth(memory) // vectors)

    @property
    def fits(self) -> Number:
        """Whether there is room for one of each."""
        convolution, config = self.convolution, self.config
        return (
            (self.input_slots > 0)
            & (self.slots(Memory.WEIGHT, self.weight_vectors) > 0)
            & (self.slots(Memory.ACCUMULATOR, self.sum_vectors) > 0)
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
    def chunks(self) -> Number:
        """Parts of the reduction whose input differs, but in the first row of tiles."""
        return self._chunks(self.chunk_blocks)

    @property
    def first_chunks(self) -> Number:
        """The same in the first row of tiles."""
        return self._chunks(self.first_blocks or self.chunk_blocks)

    def _chunks(self, blocks: Number) -> Number:
        kernel = self.convolution.kernel
        taps = -(-kernel[0] // self.taps[0]) * -(-kernel[1] // self.taps[1])
        return taps * -(-self.convolution.in_blocks // blocks)

    @property
    def groups(self) -> Number:
        """Groups of output blocks."""
        return -(-self.convolution.out_blocks // self.group_blocks)

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
    """A cut, the versions of its buffers, and the cycles estimated for all.

    Members:
        cut, versions: what is done at a time, and what is kept.
        threads: output blocks of a group that take turns.
        cycles: estimated for all.
    """

    cut: Cut
    versions: Versions
    threads: int
    cycles: int
