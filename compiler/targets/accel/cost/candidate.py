"""The tilings of a convolution that are tried: even ones as arrays, and uneven ones like one of them."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields, replace

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.targets.accel.cost.bound import cycles_of
from tilewright.compiler.targets.accel.cost.problem import (
    BlockedConvolution,
    BufferDepths,
    Number,
    TileSizes,
    Tiling,
)
from tilewright.isa.config import Config
from tilewright.isa.memory import Memory

_MAX_DEPTH = 4
"""The largest depth of results beside those of threads: more would not be used."""
_WIDE_TRIED = 3
_WIDTHS_TRIED = 4
_HEIGHTS_TRIED = 16
_REDUCTION_TILES_TRIED = 6
_HIGHER_TRIED = 3
"""How many rows of results more than an even tiling, for tiles that begin with small reduction tiles."""
_FALLING_TRIED = 28
"""How many heights of tiles that fall in height are tried at most."""
_TILES_AHEAD = 3
"""How many tiles keep their inputs, where none is used again."""
_FIRST, _FIRST_OF_WIDTH = 32, 12
"""How many candidates, of all and of each width, are worth a closer look."""


def parts(extent: int) -> list[int]:
    """The sizes that split `extent` into even parts with a smaller last one, falling."""
    return sorted({-(-extent // count) for count in range(1, extent + 1)}, reverse=True)


# --- candidates --------------------------------------------------------------------------------------------


class Candidates:
    """All even tilings that fit, as arrays, with their cycles in closed form."""

    def __init__(self, convolution: BlockedConvolution, config: Config, latency_cycles: int) -> None:
        tiles = _with_reduction_tiles(convolution, config)
        self._numbers = _with_interleavings(tiles, convolution, config)
        self._convolution, self._config, self._latency = convolution, config, latency_cycles
        tile_sizes, threads = self._tile_sizes(*self._numbers.T), self._numbers[:, 6]
        depths = depths_of(tile_sizes, threads)
        room = np.minimum(depths.accumulators, depths.results) >= threads
        kept = np.flatnonzero(tile_sizes.fits & room)
        self._numbers, self._depths = self._numbers[kept], _each(depths, lambda array: array[kept])
        self._cycles = cycles_of(self._tile_sizes(*self._numbers.T), self._depths, self._numbers[:, 6])

    def __len__(self) -> int:
        return len(self._numbers)

    def _tile_sizes(self, *numbers: Number) -> TileSizes:
        height, width, rows, columns, blocks, outer, _ = numbers
        return TileSizes(
            convolution=self._convolution,
            config=self._config,
            outer_blocks=outer,
            height=height,
            width=width,
            taps=(rows, columns),
            reduction_blocks=blocks,
            latency_cycles=self._latency,
        )

    def best(self) -> Iterator[Tiling]:
        """The best of all and of each width, best first."""
        count = Counter[int]()
        for index, number in enumerate(np.argsort(self._cycles, kind="stable").tolist()):
            width = int(self._numbers[number, 1])
            count[width] += 1
            if index < _FIRST or count[width] <= _FIRST_OF_WIDTH:
                yield self._tiling(number)

    def _tiling(self, number: int) -> Tiling:
        numbers = self._numbers[number].tolist()
        depths = _each(self._depths, lambda array: int(array[number]))
        return Tiling(
            tile_sizes=self._tile_sizes(*numbers),
            depths=depths,
            threads=numbers[-1],
            cycles=int(self._cycles[number]),
        )


def _each(depths: BufferDepths, change: Callable[[Number], Number]) -> BufferDepths:
    return BufferDepths(**{each.name: change(getattr(depths, each.name)) for each in fields(BufferDepths)})


def _tiles(convolution: BlockedConvolution, config: Config) -> Iterator[tuple[int, int]]:
    """Tiles whose accumulators fit a bank."""
    room = config.accumulator_vectors
    least = convolution.accumulators(1, 0)
    widths = [
        width for width in parts(convolution.out_width) if least * convolution.accumulators(width, 1) <= room
    ]
    for width in dict.fromkeys((*widths[:_WIDE_TRIED], *_spread(widths, _WIDTHS_TRIED))):
        columns = convolution.accumulators(width, 1)
        # Any height: a small last tile has little left to store when all is computed.
        heights = [
            h
            for h in range(convolution.out_height, 0, -1)
            if convolution.accumulators(h, 0) * columns <= room
        ]
        yield from ((height, width) for height in _spread(heights, _HEIGHTS_TRIED))


def _spread(sizes: list[int], count: int) -> list[int]:
    """At most `count` of them, from the first to the last."""
    step = max(1, (len(sizes) - 1) / (count - 1))
    return [sizes[round(k * step)] for k in range(min(len(sizes), count))]


def _outer_sizes(blocks: int) -> list[int]:
    """Output blocks of an outer tile: all, one, and a few sizes between."""
    return sorted({blocks, 1, -(-blocks // 2), -(-blocks // 4)})


def _with_reduction_tiles(convolution: BlockedConvolution, config: Config) -> NDArray[np.int64]:
    """Tiles, each with the largest reduction tiles that fit it [n, 5]: height, width, taps, blocks."""
    tiles = np.array(list(_tiles(convolution, config)), np.int64).reshape(-1, 2)
    found = np.array(list(_reduction_tiles(convolution)), np.int64)
    (height, width), (rows, columns, blocks) = tiles[:, :, None].transpose(1, 0, 2), found.T
    inputs = blocks * convolution.inputs(height, rows, 0) * convolution.inputs(width, columns, 1)
    weights = rows * columns * blocks * config.rows
    fits = (weights <= config.weight_vectors) & (inputs <= config.activation_vectors)
    of_tile, place = np.nonzero(fits & (np.cumsum(fits, axis=1) <= _REDUCTION_TILES_TRIED))
    return np.hstack((tiles[of_tile], found[place]))


def _reduction_tiles(convolution: BlockedConvolution) -> Iterator[tuple[int, int, int]]:
    """Taps (y, x) and blocks, the largest first: blocks are split first, then the kernel."""
    rows, columns = convolution.kernel
    yield from ((rows, columns, blocks) for blocks in parts(convolution.in_blocks))
    yield from ((taps, columns, 1) for taps in parts(rows)[1:])
    yield from ((1, taps, 1) for taps in parts(columns)[1:])


def _with_interleavings(
    tiles: NDArray[np.int64], convolution: BlockedConvolution, config: Config
) -> NDArray[np.int64]:
    """Each of the tiles [n, 5] with all outer tiles and threads behind it [m, 7]."""
    whole = (*convolution.kernel, convolution.in_blocks)
    is_one = (tiles[:, 2:] == whole).all(axis=1) & (config.slices == 1)
    several, one = (np.array(list(_interleavings(convolution, each)), np.int64) for each in (False, True))
    counts = np.where(is_one, len(one), len(several))
    places = np.repeat(np.arange(len(tiles)), counts)
    nth = np.arange(len(places)) - np.repeat(np.cumsum(counts) - counts, counts)
    # Those of reductions of one step lie behind the others.
    behind = np.concatenate((several, one))[nth + np.where(is_one, len(several), 0)[places]]
    return np.hstack((tiles[places], behind))


def _interleavings(convolution: BlockedConvolution, is_one: bool) -> Iterator[tuple[int, int]]:
    """Sizes of outer tiles, each with some numbers of threads, which reductions of one step do not need."""
    for outer in _outer_sizes(convolution.out_blocks):
        counts = [1]
        if not is_one:
            counts += [threads for threads in (2, 4, 8, 16, 32) if threads < outer]
            counts += [outer] if outer > 1 else []
        yield from ((outer, threads) for threads in counts)


def uneven(tiling: Tiling) -> Iterator[Tiling]:
    """Tilings like one, whose first tiles are higher, or whose first reduction tiles are smaller.

    With lower tiles at the end, less is left to do when all is loaded. With small reduction tiles, the array
    begins early; later, when weights are there already, large ones cost less.
    """
    tile_sizes, height = tiling.tile_sizes, tiling.tile_sizes.convolution.out_height
    rows = -(-height // tile_sizes.height)
    # A pooling must be seen to read whole windows of accumulators, which uneven rows of tiles hide.
    counts = () if tile_sizes.convolution.pools else (rows, rows + 1)
    uneven_sizes = [
        *(replace(tile_sizes, first_height=first, height=later) for first, later in _falling(height, counts)),
        *(
            replace(tile_sizes, height=higher, first_reduction_blocks=first, reduction_blocks=later)
            for higher in range(tile_sizes.height, min(tile_sizes.height + _HIGHER_TRIED, height) + 1)
            for first in sorted({1, tile_sizes.reduction_blocks})
            for later in parts(tile_sizes.convolution.in_blocks)
            if first < later
        ),
    ]
    for each in uneven_sizes:
        if each.fits and each.accumulator_vectors <= each.config.accumulator_vectors:
            depths = _each(depths_of(each, tiling.threads), int)
            if min(depths.accumulators, depths.results) >= tiling.threads:
                yield replace(tiling, tile_sizes=each, depths=depths)


def _falling(extent: int, counts: Iterable[int]) -> list[tuple[int, int]]:
    """(first, later) sizes of falling parts, for each count; the first is at most twice the others."""
    step = -(-extent // _FALLING_TRIED)
    found = (
        (extent - (count - 2) * later - last, later)
        for count in counts
        if count > 1
        for later in range(step, extent, step)
        for last in (range(later, 0, -step) if count > 2 else (later,))
    )
    return sorted({(first, later) for first, later in found if later < first <= 2 * later})


def depths_of(tile_sizes: TileSizes, threads: Number) -> BufferDepths:
    """The largest depths for which there is room and use."""
    convolution, config = tile_sizes.convolution, tile_sizes.config
    reduction_tiles = np.maximum(tile_sizes.reduction_tiles, tile_sizes.first_reduction_tiles)
    keys = reduction_tiles * config.slices
    # All of the input stays where it is used again; else what is used now, and next.
    used = reduction_tiles * np.where(
        tile_sizes.outer_tiles > 1, tile_sizes.tiles, np.minimum(tile_sizes.tiles, _TILES_AHEAD)
    )
    parameters = tile_sizes.slots(Memory.PARAMETER, convolution.parameter_vectors)
    most = np.where(threads == 1, _MAX_DEPTH, threads + _MAX_DEPTH // 2)
    one = np.ones_like(most)
    return BufferDepths(
        inputs=np.minimum(tile_sizes.input_slots, used),
        weights=np.minimum(
            tile_sizes.slots(Memory.WEIGHT, tile_sizes.weight_vectors), keys * convolution.out_blocks
        ),
        accumulators=np.minimum(tile_sizes.slots(Memory.ACCUMULATOR, tile_sizes.accumulator_vectors), most),
        results=np.minimum(config.activation_vectors // tile_sizes.result_vectors, most),
        residuals=np.minimum(tile_sizes.residual_slots, most) if convolution.residual else one,
        parameters=np.minimum(parameters, convolution.out_blocks) * one,
    )
