"""Sizes of register tiles: results of a micro-kernel in a feature map, and lanes of a panel of weights."""

from dataclasses import dataclass

from tilewright.compiler.targets.cpu.feature import DotInstruction, Features
from tilewright.compiler.targets.cpu.tile_kernel import SIDE

WORD_BYTES = 4
TILE_BLOCKS = 2
"""Blocks of rows that tile registers hold at a time."""
TILE_PANEL = 128
"""Lanes that the rows of a tile are multiplied with; the rows then lie in the first cache."""


@dataclass(frozen=True)
class RegisterTile:
    """A tile of a feature map, accumulated in registers: rows x columns of results, of `lanes` lanes each."""

    rows: int
    columns: int
    lanes: int


def choose(result: tuple[int, int], outputs: int, is_float: bool, features: Features) -> RegisterTile:
    """The tile that computes a feature map in the least time, by count of what registers read.

    Args:
        result: its height and width.
        outputs: its channels.
        is_float: of float32, or of int8.
        features: of the machine.
    """
    lanes = panel_lanes(outputs, is_float, features)
    most = rows_at_once(lanes, is_float, features)
    columns = even(result[1], most)
    at_once = max(1, most // columns)
    if not is_float and features.dot is DotInstruction.AMX:
        # A block of rows of sums is evenly spaced, and so ends with a row of the feature map.
        at_once = min(at_once, TILE_BLOCKS)
    rows = even(result[0], at_once) if columns == result[1] else 1
    return RegisterTile(rows, columns, lanes)


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
