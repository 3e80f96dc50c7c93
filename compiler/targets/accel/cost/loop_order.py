"""The matrix instructions of a tiled convolution, in the order of its schedule."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

from tilewright.compiler.targets.accel.cost.problem import (
    COLUMN_LOOP,
    OUTER_LOOP,
    ROW_LOOP,
    TileSizes,
    Tiling,
)


@dataclass(frozen=True)
class ReductionTile:
    """A part of the reduction: input blocks, kernel rows and columns.

    Members:
        number: in its tile.
        last: whether it is the last of its tile.
        first: its first input block.
        blocks, rows, columns: its size.
    """

    number: int
    last: bool
    first: int
    blocks: int
    rows: int
    columns: int

    @property
    def tiles(self) -> int:
        """Weight tiles of one slice."""
        return self.blocks * self.rows * self.columns


@dataclass(frozen=True)
class ResultTile:
    """Results of one tile.

    Members:
        number: position in the order of tiles.
        row: of tiles.
        height, width: its size.
    """

    number: int
    row: int
    height: int
    width: int


class InterleaveSlot(NamedTuple):
    """The part of a tile that is computed before the next blocks of its results begin.

    Members:
        tile: of results.
        reduction_tiles: the outer loop.
        blocks: of the output, the inner loop.
    """

    tile: ResultTile
    reduction_tiles: Sequence[ReductionTile]
    blocks: Sequence[int]


def interleave_slots(tiling: Tiling) -> Iterator[InterleaveSlot]:
    """The interleave slots in the order of the schedule."""
    tile_sizes = tiling.tile_sizes
    blocks = range(tile_sizes.convolution.out_blocks)
    later = _reduction_tiles(tile_sizes, tile_sizes.reduction_blocks)
    first_blocks = tile_sizes.first_reduction_blocks
    sooner = _reduction_tiles(tile_sizes, first_blocks) if first_blocks else later
    for outer, tile in _outer_iterations(tiling):
        members = blocks[outer : outer + tile_sizes.outer_blocks]
        for first in range(0, len(members), tiling.threads):
            yield InterleaveSlot(tile, later if tile.row else sooner, members[first : first + tiling.threads])


def _outer_iterations(tiling: Tiling) -> Iterator[tuple[int, ResultTile]]:
    """First output block and tile of each iteration of the loops of `order`."""
    tile_sizes = tiling.tile_sizes
    tiles = tiles_of(tile_sizes)
    columns = tile_sizes.row_tiles
    extents = {
        OUTER_LOOP: range(0, tile_sizes.convolution.out_blocks, tile_sizes.outer_blocks),
        ROW_LOOP: range(0, len(tiles), columns),
        COLUMN_LOOP: range(columns),
    }
    for values in product(*(extents[loop] for loop in tiling.order)):
        at = dict(zip(tiling.order, values, strict=True))
        yield at[OUTER_LOOP], tiles[at[ROW_LOOP] + at[COLUMN_LOOP]]


def order(tiling: Tiling) -> Iterator[tuple[ResultTile, ReductionTile, int]]:
    """Tile, reduction tile and output block of the matrix instructions, in the order of the schedule."""
    for slot in interleave_slots(tiling):
        for reduction_tile in slot.reduction_tiles:
            for block in slot.blocks:
                yield slot.tile, reduction_tile, block


def _reduction_tiles(tile_sizes: TileSizes, reduction_blocks: int) -> list[ReductionTile]:
    kernel = tile_sizes.convolution.kernel
    sizes = [
        (part * reduction_blocks, blocks, rows, columns)
        for rows in _parts(kernel[0], tile_sizes.taps[0])
        for columns in _parts(kernel[1], tile_sizes.taps[1])
        for part, blocks in enumerate(_parts(tile_sizes.convolution.in_blocks, reduction_blocks))
    ]
    return [ReductionTile(number, number + 1 == len(sizes), *size) for number, size in enumerate(sizes)]


def tiles_of(tile_sizes: TileSizes) -> list[ResultTile]:
    """The tiles in their order."""
    convolution = tile_sizes.convolution
    first = min(tile_sizes.first_height or tile_sizes.height, convolution.out_height)
    heights = [first, *_parts(convolution.out_height - first, tile_sizes.height)]
    sizes = [
        (row, height, width)
        for row, height in enumerate(heights)
        for width in _parts(convolution.out_width, tile_sizes.width)
    ]
    return [ResultTile(number, *size) for number, size in enumerate(sizes)]


def _parts(extent: int, part: int) -> list[int]:
    return [min(part, extent - first) for first in range(0, extent, part)]
