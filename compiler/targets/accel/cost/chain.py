"""Chains of an expansion, a depthwise convolution and a projection: sizes, tilings, and what of them fits.

A step computes one block of the channels between, for a tile of results: the matrix engine expands it, the
vector engine requantises and filters it, the matrix engine adds it to the sums of all blocks of results.
Steps overlap: `lag` says how.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product

from tilewright.compiler.targets.accel.bank import Demand, fits
from tilewright.compiler.targets.accel.cost.candidate import parts
from tilewright.compiler.targets.accel.cost.problem import ASSUMED_LATENCY_CYCLES
from tilewright.compiler.targets.accel.cost.window import Windows
from tilewright.isa.config import Config
from tilewright.isa.memory import Engine, Memory

LAGS = (0, 1)
"""Steps from the expansion of a block to its depthwise convolution; the projection is a step behind that."""
_MOST_ROWS, _MOST_COLUMNS = 255, 255
"""Of what the windows of a tile read: fields of padding have 8 bits."""
_AHEAD = 2
"""Steps for which loads run ahead of their use, where not everything fits."""


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
    """The sizes of a tile of results.

    Members:
        results: height and width.
        seen: of what its windows read, the border included.
        inside: of what of that lies in the feature map.
    """

    results: tuple[int, int]
    seen: tuple[int, int]
    inside: tuple[int, int]

    @property
    def has_border(self) -> bool:
        """Whether some of what is read lies outside."""
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
    windows = chain.windows
    sizes = []
    for axis, size in enumerate((height, width)):
        whole = chain.size[axis]
        ranges = [(first, min(size, whole - first)) for first in range(0, whole, size)]
        sizes.append(
            [(n, int(windows.inputs(n, axis)), windows.loaded(first, n, axis)) for first, n in ranges]
        )
    for (rows, all_rows, own_rows), (columns, all_columns, own_columns) in product(*sizes):
        yield ChainTile(results=(rows, columns), seen=(all_rows, all_columns), inside=(own_rows, own_columns))


# --- what fits ---------------------------------------------------------------------------------------------


def sizes_tried(chain: BlockedChain, config: Config) -> list[tuple[int, int]]:
    """Heights and widths of tiles that may fit."""
    heights, widths = (parts(extent) for extent in chain.size)
    return [size for size in product(heights, widths) if may_fit(chain, config, *size)]


def may_fit(chain: BlockedChain, config: Config, height: int, width: int) -> bool:
    """Whether one of each buffer fits its memory."""
    return all(
        demand.vectors <= config.depth(demand.memory)
        for demand in _demands(chain, config, height, width, _LEAST)
    ) and all(
        seen <= most
        for seen, most in zip(_most_seen(chain, height, width), (_MOST_ROWS, _MOST_COLUMNS), strict=True)
    )


def deepest(chain: BlockedChain, config: Config, height: int, width: int, lag: int) -> ChainDepths | None:
    """The depths of most use that fit; None if none do."""
    if not may_fit(chain, config, height, width):
        return None
    for depths in _wished(chain, config, lag):
        demands = _demands(chain, config, height, width, depths)
        names = [demand.name for demand in demands]
        pairs = [pair for pair in _APART if all(name in names for name in pair)]
        if fits(demands, config, [(names.index(a), names.index(b)) for a, b in pairs]):
            return depths
    return None


_APART = (("padded", "filtered"), ("residuals", "results"))
"""Buffers that one vector instruction reads and writes."""
_LEAST = ChainDepths(**dict.fromkeys(ChainDepths.__dataclass_fields__, 1))


def _wished(chain: BlockedChain, config: Config, lag: int) -> Iterator[ChainDepths]:
    """Depths, those of most use first; the least are those that the order of steps needs."""
    weights = config.slices * config.rows * (chain.in_blocks * chain.expands + chain.out_blocks)
    keeps_weights = chain.blocks * weights <= config.weight_banks * config.weight_vectors
    vectors = config.parameter_banks * config.parameter_vectors - 2 * chain.result_vectors
    keeps_vectors = chain.blocks * chain.middle_vectors <= vectors
    for ahead in range(_AHEAD, -1, -1):
        for sums, expanded, inputs in product((2, 1), (2, 1), (2, 1)):
            yield ChainDepths(
                inputs=inputs,
                expanded=expanded,
                padded=2 if chain.expands or not ahead else 3,
                filtered=2,
                sums=sums,
                results=2,
                residuals=2,
                expand_weights=chain.blocks if keeps_weights else 1 + ahead,
                weights=chain.blocks if keeps_weights else 2 + lag + ahead,
                vectors=chain.blocks if keeps_vectors else 1 + lag + ahead,
                result_vectors=2,
            )


def _most_seen(chain: BlockedChain, height: int, width: int) -> tuple[int, int]:
    windows = chain.windows
    return int(windows.inputs(height, 0)), int(windows.inputs(width, 1))


def _demands(
    chain: BlockedChain, config: Config, height: int, width: int, depths: ChainDepths
) -> list[Demand]:
    """What each buffer asks of its memory."""
    seen = _most_seen(chain, height, width)
    inside = min(seen[0], chain.source[0]) * min(seen[1], chain.source[1])
    results, tile = height * width, config.slices * config.rows
    load, matrix, vector, store = Engine.LOAD, Engine.MATRIX, Engine.VECTOR, Engine.STORE
    activation, accumulator = Memory.ACTIVATION, Memory.ACCUMULATOR
    tiles = -(-chain.size[0] // height) * -(-chain.size[1] // width)
    steps = tiles * chain.blocks
    found = [
        ("padded", activation, seen[0] * seen[1], steps, {load, vector}, vector),
        ("filtered", activation, results, steps, {vector}, matrix),
        ("results", activation, results, tiles * chain.out_blocks, {vector}, store),
        ("sums", accumulator, chain.out_blocks * results, tiles, {matrix}, vector),
        ("weights", Memory.WEIGHT, chain.out_blocks * tile, steps, {load}, matrix),
        ("vectors", Memory.PARAMETER, chain.middle_vectors, steps, {load}, vector),
        ("result_vectors", Memory.PARAMETER, chain.result_vectors, tiles * chain.out_blocks, {load}, vector),
    ]
    if chain.expands:
        found += [
            ("inputs", activation, chain.in_blocks * inside, tiles, {load}, matrix),
            ("expanded", accumulator, inside, steps, {matrix}, vector),
            ("expand_weights", Memory.WEIGHT, chain.in_blocks * tile, steps, {load}, matrix),
        ]
    if chain.residual:
        found.append(("residuals", activation, results, tiles * chain.out_blocks, {load}, vector))
    return [
        Demand(
            name=name,
            memory=memory,
            vectors=vectors,
            slots=min(getattr(depths, name), count),
            writers=frozenset(writers),
            readers=frozenset({reader}),
        )
        for name, memory, vectors, count, writers, reader in found
    ]
