"""Sizes of register tiles: results of a micro-kernel in a feature map, and lanes of a panel of weights."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from tilewright.compiler.targets.cpu.feature import DotInstruction, Features
from tilewright.compiler.targets.cpu.tile_kernel import SIDE

WORD_BYTES = 4
TILE_BLOCKS = 2
"""Blocks of rows that tile registers hold at a time."""
TILE_PANEL = 128
"""Lanes that the rows of a tile are multiplied with; the rows then lie in the first cache."""
VECTORS = (1, 2, 3, 4)
"""Vectors of a panel of floats."""
SETS, LINE_BYTES = 64, 64
"""Of the first cache: lines whose addresses differ by their product share a set."""
WAYS = 6
"""Lines of a set that stay while weights pass through the cache."""
LATENCY_CYCLES, MISS_CYCLES, CALL_CYCLES, STORE_CYCLES = 8, 1.2, 40, 4
"""Of a step that has too few sums, of a line that did not stay, of a tile, of a vector of sums of a tile."""
READ_CYCLES, LOAD_CYCLES = 3, 0.1
"""To read a vector of weights that lie in the second cache; what is left of a load that products hide."""


@dataclass(frozen=True)
class RegisterTile:
    """A tile of a feature map, accumulated in registers: rows x columns of results, of `lanes` lanes each."""

    rows: int
    columns: int
    lanes: int


@dataclass(frozen=True)
class TiledMap:
    """What tiles are chosen for.

    Members:
        result: height and width of a feature map.
        outputs: its channels.
        steps: of the reduction.
        pixel_bytes: of the input, from one element of a row of the result to the next.
        is_float: of float32, or of int8.
    """

    result: tuple[int, int]
    outputs: int
    steps: int
    pixel_bytes: int
    is_float: bool


@cache
def choose(tiled: TiledMap, features: Features) -> RegisterTile:
    """The tile that computes a feature map in the least time, by count of what registers read."""
    if tiled.is_float:
        tiles = _float_tiles(tiled, features)
        return min(tiles, key=lambda tile: _cycles(tile, tiled, features))
    lanes = panel_lanes(tiled.outputs, False, features)
    most = rows_at_once(lanes, False, features)
    # A block of rows of sums in AMX is evenly spaced, and so ends with a row of the feature map.
    return _tile(tiled, lanes, most, TILE_BLOCKS if features.dot is DotInstruction.AMX else most)


def _float_tiles(tiled: TiledMap, features: Features) -> Iterator[RegisterTile]:
    """Tiles of which registers hold the sums."""
    vector = vector_lanes(True, features)
    for vectors in VECTORS[: -(-tiled.outputs // vector)]:
        for most in range(1, rows_at_once(vectors * vector, True, features) + 1):
            yield _tile(tiled, vectors * vector, most, most)


def _tile(tiled: TiledMap, lanes: int, most: int, most_rows: int) -> RegisterTile:
    """The tile of at most so many pixels: of several rows only where these are whole."""
    height, width = tiled.result
    columns = even(width, most)
    at_once = min(max(1, most // columns), most_rows)
    return RegisterTile(even(height, at_once) if columns == width else 1, columns, lanes)


def _cycles(tile: RegisterTile, tiled: TiledMap, features: Features) -> float:
    """Of all tiles, those at the edges by their own sizes; one product of vectors a cycle."""
    total = 0.0
    for row_tiles, rows in _parts(tiled.result[0], tile.rows):
        for tiles, columns in _parts(tiled.result[1], tile.columns):
            total += (
                row_tiles * tiles * _tile_cycles(RegisterTile(rows, columns, tile.lanes), tiled, features)
            )
    return total * -(-tiled.outputs // tile.lanes)


def _parts(size: int, part: int) -> Iterator[tuple[int, int]]:
    """How many parts of a size there are, and that size: whole ones, and the last."""
    yield size // part, part
    if size % part:
        yield 1, size % part


def _tile_cycles(tile: RegisterTile, tiled: TiledMap, features: Features) -> float:
    vectors, pixels = tile.lanes // vector_lanes(True, features), tile.rows * tile.columns
    row_bytes = tiled.result[1] * tiled.pixel_bytes
    starts = (y * row_bytes + x * tiled.pixel_bytes for y in range(tile.rows) for x in range(tile.columns))
    sets = Counter(start // LINE_BYTES % SETS for start in starts)
    missed = sum(max(0, lines - WAYS) for lines in sets.values())
    sums = pixels * vectors
    step = float(max(sums, vectors + pixels, READ_CYCLES * vectors, LATENCY_CYCLES))
    step += LOAD_CYCLES * (vectors + pixels) + MISS_CYCLES * missed
    return step * tiled.steps + CALL_CYCLES + STORE_CYCLES * sums


def panel_lanes(outputs: int, is_float: bool, features: Features) -> int:
    """Lanes of a panel: two vectors, or one where that holds all outputs."""
    vector = vector_lanes(is_float, features)
    return vector if outputs <= vector else 2 * vector


def vector_lanes(is_float: bool, features: Features) -> int:
    """Lanes that micro-kernels take together: panels have multiples of them."""
    if not is_float and features.dot in (DotInstruction.AVX2, DotInstruction.PLAIN):
        return 8
    return features.vector_bytes // WORD_BYTES


def product_lanes(columns: int, is_float: bool, features: Features) -> int:
    """Lanes of a panel of a product of matrices: with tile registers, rows read once serve several blocks."""
    if not is_float and features.dot is DotInstruction.AMX:
        return min(TILE_PANEL, _even_up(columns, 2 * SIDE))
    return panel_lanes(columns, is_float, features)


def _even_up(count: int, part: int) -> int:
    return -(-count // part) * part


def rows_at_once(lanes: int, is_float: bool, features: Features) -> int:
    """Rows of results that registers hold."""
    if not is_float and features.dot is DotInstruction.AMX:
        return TILE_BLOCKS * SIDE
    vectors = max(1, lanes * WORD_BYTES // features.vector_bytes)
    return (features.registers - 2 - vectors) // vectors


def even(count: int, most: int) -> int:
    """The size of about equal parts, each at most `most`."""
    return -(-count // -(-count // most))
