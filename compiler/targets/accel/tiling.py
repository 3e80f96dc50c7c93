"""Tilings of a convolution: how much of it an instruction does, in which order, by an estimate of cycles.

The loops are og, yo, xo, oi, chunk: groups of output blocks, tiles of results, output blocks of the group,
parts of the reduction. A part of the input stays on the chip over the output blocks of a group where its
versions suffice, weights over the tiles of results.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from tilewright.compiler.targets.accel.cut import Convolution, Cut, Versions
from tilewright.compiler.targets.accel.estimate import cycles_of
from tilewright.isa.config import Config
from tilewright.isa.memory import Memory
from tilewright.numerics.error import TilewrightError

_MOST_VERSIONS = 4
"""Of results: more would not be used."""
_SIZES_TRIED = 8
_CHUNKS_TRIED = 4
_TILES_AHEAD = 3
"""Of which the inputs are kept, where none is used again."""
_THREADS = 2


class TilingError(TilewrightError):
    """A convolution of which not even the smallest tile fits the machine."""


@dataclass(frozen=True, kw_only=True)
class Tiling:
    """A cut, the versions of its buffers, and the cycles estimated for all."""

    cut: Cut
    versions: Versions
    cycles: int

    @property
    def threads(self) -> int:
        """Output blocks that run in turns, sharing inputs: two, if there are buffers for both."""
        kept = [self.versions.weights, self.versions.sums, self.versions.results, self.versions.parameters]
        if self.cut.convolution.residual:
            kept.append(self.versions.residuals)
        # One of them may be a chunk ahead of the other, whose inputs must not go before.
        enough = min(kept) >= _THREADS and self.versions.inputs > _THREADS
        return _THREADS if enough and self.cut.group_blocks >= _THREADS else 1


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


def _cuts(convolution: Convolution, config: Config) -> Iterator[Cut]:
    for height, width in _tiles(convolution, config):
        for taps, blocks in _chunks(convolution, config, height, width):
            for group in _groups(convolution.out_blocks):
                yield Cut(
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


def _tiling(cut: Cut) -> Tiling:
    convolution, config = cut.convolution, cut.config
    keys = cut.chunks * config.slices
    # All of the input stays where it is used again; else what is used now, and next.
    used = cut.chunks * (cut.tiles if cut.groups > 1 else min(cut.tiles, _TILES_AHEAD))
    parameters = cut.slots(Memory.PARAMETER, convolution.parameter_vectors)
    versions = Versions(
        inputs=min(cut.input_slots, used),
        weights=min(cut.slots(Memory.WEIGHT, cut.weight_vectors), keys * convolution.out_blocks),
        sums=min(cut.slots(Memory.ACCUMULATOR, cut.sum_vectors), _MOST_VERSIONS),
        results=min(config.activation_vectors // cut.result_vectors, _MOST_VERSIONS),
        residuals=min(cut.residual_slots, _MOST_VERSIONS) if convolution.residual else 1,
        parameters=min(parameters, convolution.out_blocks),
    )
    return Tiling(cut=cut, versions=versions, cycles=cycles_of(cut, versions))


def _refusal(convolution: Convolution, config: Config) -> str:
    one = Cut(
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
