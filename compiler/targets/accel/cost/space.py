"""The tilings of a convolution that are tried: even ones as arrays, and uneven ones like one of them."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields, replace

import numpy as np

from tilewright.compiler.targets.accel.cost.bound import cycles_of
from tilewright.compiler.targets.accel.cost.problem import ConvolutionSizes, Cut, Number, Tiling, Versions
from tilewright.isa.config import Config
from tilewright.isa.memory import Memory

_MOST_VERSIONS = 4
"""Of results beside those of threads: more would not be used."""
_WIDE_TRIED = 3
_WIDTHS_TRIED = 4
_HEIGHTS_TRIED = 16
_CHUNKS_TRIED = 6
_HIGHER_TRIED = 3
"""So many rows of results more than an even tiling, for tiles that begin with small chunks."""
_FALLING_TRIED = 28
"""So many heights at most of tiles that fall in height."""
_TILES_AHEAD = 3
"""Of which the inputs are kept, where none is used again."""
_FIRST, _FIRST_OF_WIDTH = 32, 12
"""So many candidates, and of each width, are worth a closer look."""


def parts(extent: int) -> list[int]:
    """The sizes that cut `extent` into even parts with a smaller last one, falling."""
    return sorted({-(-extent // count) for count in range(1, extent + 1)}, reverse=True)


# --- candidates --------------------------------------------------------------------------------------------


class Candidates:
    """All even tilings that fit, as arrays, with their cycles in closed form."""

    def __init__(self, convolution: ConvolutionSizes, config: Config) -> None:
        rows = [
            (*tile, *taps, blocks, group, threads)
            for tile in _tiles(convolution, config)
            for taps, blocks in _chunks(convolution, config, *tile)
            for group, threads in _turns(convolution, config, taps, blocks)
        ]
        self._numbers = np.array(rows, np.int64).reshape(-1, 7)
        self._convolution, self._config = convolution, config
        cut, threads = self._cut(*self._numbers.T), self._numbers[:, 6]
        versions = _versions(cut, threads)
        room = np.minimum(versions.sums, versions.results) >= threads
        kept = np.flatnonzero(cut.fits & room)
        self._numbers, self._versions = self._numbers[kept], _each(versions, lambda array: array[kept])
        self._cycles = cycles_of(self._cut(*self._numbers.T), self._versions, self._numbers[:, 6])

    def __len__(self) -> int:
        return len(self._numbers)

    def _cut(self, *numbers: Number) -> Cut:
        height, width, rows, columns, blocks, group, _ = numbers
        return Cut(
            convolution=self._convolution,
            config=self._config,
            group_blocks=group,
            height=height,
            width=width,
            taps=(rows, columns),
            chunk_blocks=blocks,
        )

    def best(self) -> Iterator[Tiling]:
        """The best of all and of each width, best first."""
        count = Counter[int]()
        for place, number in enumerate(np.argsort(self._cycles, kind="stable").tolist()):
            width = int(self._numbers[number, 1])
            count[width] += 1
            if place < _FIRST or count[width] <= _FIRST_OF_WIDTH:
                yield self._tiling(number)

    def _tiling(self, number: int) -> Tiling:
        numbers = self._numbers[number].tolist()
        versions = _each(self._versions, lambda array: int(array[number]))
        return Tiling(
            cut=self._cut(*numbers), versions=versions, threads=numbers[-1], cycles=int(self._cycles[number])
        )


def _each(versions: Versions, change: Callable[[Number], Number]) -> Versions:
    return Versions(**{each.name: change(getattr(versions, each.name)) for each in fields(Versions)})


def _tiles(convolution: ConvolutionSizes, config: Config) -> Iterator[tuple[int, int]]:
    """Tiles whose sums fit a bank."""
    room = config.accumulator_vectors
    least = convolution.sums(1, 0)
    widths = [width for width in parts(convolution.out_width) if least * convolution.sums(width, 1) <= room]
    for width in dict.fromkeys((*widths[:_WIDE_TRIED], *_spread(widths, _WIDTHS_TRIED))):
        columns = convolution.sums(width, 1)
        # Any height: a small last tile has little left to store when all is computed.
        heights = [
            h for h in range(convolution.out_height, 0, -1) if convolution.sums(h, 0) * columns <= room
        ]
        yield from ((height, width) for height in _spread(heights, _HEIGHTS_TRIED))


def _spread(sizes: list[int], count: int) -> list[int]:
    """So many of them at most, from the first to the last."""
    step = max(1, (len(sizes) - 1) / (count - 1))
    return [sizes[round(k * step)] for k in range(min(len(sizes), count))]


def _groups(blocks: int) -> list[int]:
    """All at once, one by one, and a few between."""
    return sorted({blocks, 1, -(-blocks // 2), -(-blocks // 4)})


def _chunks(
    convolution: ConvolutionSizes, config: Config, height: int, width: int
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


def _turns(
    convolution: ConvolutionSizes, config: Config, taps: tuple[int, int], blocks: int
) -> Iterator[tuple[int, int]]:
    """Sizes of groups, each with some numbers of threads."""
    kernel = convolution.kernel
    whole = taps == kernel and blocks == convolution.in_blocks and config.slices == 1
    for group in _groups(convolution.out_blocks):
        counts = [1]
        if not whole:
            counts += [threads for threads in (2, 4, 8, 16, 32) if threads < group]
            counts += [group] if group > 1 else []
        yield from ((group, threads) for threads in counts)


def uneven(tiling: Tiling) -> Iterator[Tiling]:
    """Tilings like one, whose first tiles are higher, or whose chunks are smaller in the first tiles.

    With lower tiles at the end, less is left to do when all is loaded. With small chunks, the array begins
    early; later, when weights are there already, large ones cost less.
    """
    cut, height = tiling.cut, tiling.cut.convolution.out_height
    rows = -(-height // cut.height)
    # A pooling must be seen to read whole windows of sums, which uneven rows of tiles hide.
    counts = () if cut.convolution.pools else (rows, rows + 1)
    cuts = [
        *(replace(cut, first_height=first, height=later) for first, later in _falling(height, counts)),
        *(
            replace(cut, height=higher, first_blocks=first, chunk_blocks=later)
            for higher in range(cut.height, min(cut.height + _HIGHER_TRIED, height) + 1)
            for first in sorted({1, cut.chunk_blocks})
            for later in parts(cut.convolution.in_blocks)
            if first < later
        ),
    ]
    for each in cuts:
        if each.fits and each.sum_vectors <= each.config.accumulator_vectors:
            versions = _each(_versions(each, tiling.threads), int)
            if min(versions.sums, versions.results) >= tiling.threads:
                yield replace(tiling, cut=each, versions=versions)


def _falling(extent: int, counts: Iterable[int]) -> list[tuple[int, int]]:
    """(first, later) sizes of so many parts that fall, the first one at most twice the others."""
    step = -(-extent // _FALLING_TRIED)
    found = (
        (extent - (count - 2) * later - last, later)
        for count in counts
        if count > 1
        for later in range(step, extent, step)
        for last in (range(later, 0, -step) if count > 2 else (later,))
    )
    return sorted({(first, later) for first, later in found if later < first <= 2 * later})


def _versions(cut: Cut, threads: Number) -> Versions:
    """As many as there is room and use for."""
    convolution, config = cut.convolution, cut.config
    chunks = np.maximum(cut.chunks, cut.first_chunks)
    keys = chunks * config.slices
    # All of the input stays where it is used again; else what is used now, and next.
    used = chunks * np.where(cut.groups > 1, cut.tiles, np.minimum(cut.tiles, _TILES_AHEAD))
    parameters = cut.slots(Memory.PARAMETER, convolution.parameter_vectors)
    most = np.where(threads == 1, _MOST_VERSIONS, threads + _MOST_VERSIONS // 2)
    one = np.ones_like(most)
    return Versions(
        inputs=np.minimum(cut.input_slots, used),
        weights=np.minimum(cut.slots(Memory.WEIGHT, cut.weight_vectors), keys * convolution.out_blocks),
        sums=np.minimum(cut.slots(Memory.ACCUMULATOR, cut.sum_vectors), most),
        results=np.minimum(config.activation_vectors // cut.result_vectors, most),
        residuals=np.minimum(cut.residual_slots, most) if convolution.residual else one,
        parameters=np.minimum(parameters, convolution.out_blocks) * one,
    )
