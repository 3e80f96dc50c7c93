"""Chains of an expansion, a depthwise convolution and a projection: sizes, and tilings.

A step computes one block of the channels between, for a tile of results: the matrix engine expands it, the
vector engine requantises and filters it, the matrix engine adds it to the sums of all blocks of results.
Steps overlap: `lag` says how.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product

from tilewright.compiler.targets.accel.cost.problem import ASSUMED_LATENCY_CYCLES, Number
from tilewright.compiler.targets.accel.cost.window import Windows
from tilewright.isa.config import Config

LAGS = (0, 1)
"""Steps from the expansion of a block to its depthwise convolution; the projection is a step behind that."""


@dataclass(frozen=True, kw_only=True)
class BlockedChain:
    """A chain in the layout of the machine; channels in blocks of `cols`.

    Members:
        in_blocks, blocks, out_blocks: of the input, of what is between, of the result.
        source: height and width of the input.
        size: height and width of the result.
        kernel, strides, dilations: (y, x), of the depthwise convolution.
        before: rows above and columns left of the feature map that its windows read.
        expands: whether it begins with an expansion.
        residual: whether a feature map is added to the result.
    """

    in_blocks: int
    blocks: int
    out_blocks: int
    source: tuple[int, int]
    size: tuple[int, int]
    kernel: tuple[int, int]
    strides: tuple[int, int]
    before: tuple[int, int]
    dilations: tuple[int, int] = (1, 1)
    expands: bool = True
    residual: bool = False

    @property
    def windows(self) -> Windows:
        """The windows of the depthwise convolution."""
        return Windows(
            blocks=self.blocks,
            height=self.size[0],
            width=self.size[1],
            kernel=self.kernel,
            strides=self.strides,
            dilations=self.dilations,
            parameter_vectors=self.middle_vectors,
            has_weights=True,
            source=self.source,
            before=self.before,
        )

    @property
    def taps(self) -> int:
        """Of the depthwise convolution."""
        return self.kernel[0] * self.kernel[1]

    @property
    def middle_vectors(self) -> int:
        """Parameter vectors of a block between: of the expansion, of the depthwise convolution, its taps."""
        return 2 * self.expands + 2 + self.taps

    @property
    def result_vectors(self) -> int:
        """Parameter vectors of a block of results."""
        return 2 + self.residual


@dataclass(frozen=True, kw_only=True)
class ChainDepths:
    """The depth of each buffer on the chip."""

    inputs: int
    expanded: int
    padded: int
    filtered: int
    sums: int
    results: int
    residuals: int
    expand_weights: int
    weights: int
    vectors: int
    result_vectors: int


@dataclass(frozen=True, kw_only=True)
class ChainTile:
    """The sizes of a tile of results, or of many at once, as arrays.

    Members:
        results: height and width.
        seen: of what its windows read, the border included.
        inside: of what of that lies in the feature map.
    """

    results: tuple[Number, Number]
    seen: tuple[Number, Number]
    inside: tuple[Number, Number]

    @property
    def has_border(self) -> bool:
        """Whether some of what one tile reads lies outside."""
        return self.seen != self.inside


@dataclass(frozen=True, kw_only=True)
class ChainTiling:
    """A tiling of a chain on a machine.

    Members:
        chain, config: what is tiled, for which machine.
        height, width: results of a tile.
        lag: one of `LAGS`.
        depths: of the buffers.
        latency_cycles: of the memory outside.
        cycles: estimated for the whole chain, if they were.
    """

    chain: BlockedChain
    config: Config
    height: int
    width: int
    lag: int
    depths: ChainDepths
    latency_cycles: int = ASSUMED_LATENCY_CYCLES
    cycles: int = 0

    @property
    def drain(self) -> int:
        """Steps from the last one of a tile to its results: one more where the next tile need not wait."""
        return self.lag + 1 + (self.depths.sums > 1)

    @cached_property
    def tiles(self) -> tuple[ChainTile, ...]:
        """In their order."""
        return tuple(tiles_of(self.chain, self.height, self.width))

    @property
    def steps(self) -> int:
        """Of all tiles."""
        return len(self.tiles) * self.chain.blocks


def tiles_of(chain: BlockedChain, height: int, width: int) -> Iterator[ChainTile]:
    """Tiles of such sizes at most, in their order."""
    sizes = (parts_of(chain, axis, size) for axis, size in enumerate((height, width)))
    for (rows, all_rows, own_rows), (columns, all_columns, own_columns) in product(*sizes):
        yield ChainTile(results=(rows, columns), seen=(all_rows, all_columns), inside=(own_rows, own_columns))


def parts_of(chain: BlockedChain, axis: int, size: int) -> list[tuple[int, int, int]]:
    """Along an axis the results of each tile, what their windows read, and what of that lies inside."""
    windows, whole = chain.windows, chain.size[axis]
    ranges = ((first, min(size, whole - first)) for first in range(0, whole, size))
    return [(n, int(windows.inputs(n, axis)), windows.loaded(first, n, axis)) for first, n in ranges]
