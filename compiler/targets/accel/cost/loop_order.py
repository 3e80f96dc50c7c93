"""The matrix instructions of a tiled convolution in the order of its schedule: tiles, chunks, blocks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tilewright.compiler.targets.accel.cost.problem import Cut


@dataclass(frozen=True)
class Chunk:
    """A part of the reduction: input blocks, kernel rows and columns.

    Members:
        number: in its tile.
        last: whether it is, in its tile.
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
        number: in order.
        row: of tiles.
        height, width: its size.
    """

    number: int
    row: int
    height: int
    width: int


class Turn(NamedTuple):
    """What is done of a tile before the next blocks of its results begin.

    Members:
        tile: of results.
        chunks: the parts of the reduction, the outer loop.
        blocks: of the output, the inner loop.
    """

    tile: ResultTile
    chunks: Sequence[Chunk]
    blocks: Sequence[int]


def turns(cut: Cut, threads: int) -> Iterator[Turn]:
    """The turns in the order of the schedule."""
    later, blocks = _chunks(cut, cut.chunk_blocks), range(cut.convolution.out_blocks)
    sooner = _chunks(cut, cut.first_blocks) if cut.first_blocks else later
    tiles = tiles_of(cut)
    for group in range(0, len(blocks), cut.group_blocks):
        members = blocks[group : group + cut.group_blocks]
        for tile in tiles:
            for first in range(0, len(members), threads):
                yield Turn(tile, later if tile.row else sooner, members[first : first + threads])


def order(cut: Cut, threads: int) -> Iterator[tuple[ResultTile, Chunk, int]]:
    """Tile, chunk and output block of the matrix instructions, in the order of the schedule."""
    for turn in turns(cut, threads):
        for chunk in turn.chunks:
            for block in turn.blocks:
                yield turn.tile, chunk, block


def _chunks(cut: Cut, chunk_blocks: int) -> list[Chunk]:
    kernel = cut.convolution.kernel
    sizes = [
        (part * chunk_blocks, blocks, rows, columns)
        for rows in _parts(kernel[0], cut.taps[0])
        for columns in _parts(kernel[1], cut.taps[1])
        for part, blocks in enumerate(_parts(cut.convolution.in_blocks, chunk_blocks))
    ]
    return [Chunk(number, number + 1 == len(sizes), *size) for number, size in enumerate(sizes)]


def tiles_of(cut: Cut) -> list[ResultTile]:
    """The tiles in their order."""
    convolution = cut.convolution
    first = min(cut.first_height or cut.height, convolution.out_height)
    heights = [first, *_parts(convolution.out_height - first, cut.height)]
    sizes = [
        (row, height, width)
        for row, height in enumerate(heights)
        for width in _parts(convolution.out_width, cut.width)
    ]
    return [ResultTile(number, *size) for number, size in enumerate(sizes)]


def _parts(extent: int, part: int) -> list[int]:
    return [min(part, extent - first) for first in range(0, extent, part)]
